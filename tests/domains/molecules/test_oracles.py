"""Published objectives: converted forests, and the tasks of PMO and GuacaMol on molecules whose scores are known."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import QED

from molvae.domains.molecules import domain, forests, oracles
from molvae.domains.molecules.forests import MOLSCORE
from molvae.domains.molecules.oracles import GUACAMOL, GuacaMol, Pmo
from molvae.domains.molecules.smiles import Molecule, parse
from molvae.errors import InvalidRecord, MissingExtra, UnknownName
from molvae.scorers import Failure, Guarded, named
from molvae.wheels import Wheel

# Found before the test run gets a home folder of its own; without them nothing is fetched.
FOUND = {wheel: wheel.found() for wheel in (GUACAMOL, MOLSCORE)}
WHERE = "is neither in $MOLVAE_WHEELS nor in $MOLVAE_HOME/wheels (~/.cache/molvae/wheels)"
needs_guacamol = pytest.mark.skipif(FOUND[GUACAMOL] is None, reason=f"{GUACAMOL.file} {WHERE}")
needs_molscore = pytest.mark.skipif(FOUND[MOLSCORE] is None, reason=f"{MOLSCORE.file} {WHERE}")


@pytest.fixture(autouse=True, scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The wheels that were found in one folder; unpacked in the test run's own home, so that the conversion of the forests is tested."""
    folder = tmp_path_factory.mktemp("wheels")
    for wheel, path in FOUND.items():
        if path is not None:
            (folder / wheel.file).symlink_to(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLVAE_WHEELS", str(folder))
        forests.load.cache_clear()
        yield
        forests.load.cache_clear()


def pmo(task: str, smiles: str, definition: str = "corrected") -> float:
    return Pmo(task, definition)(parse(smiles))


# --- forests ----------------------------------------------------------------------------------------------------------------------------


def test_forest_walks_both_ways_and_averages_trees() -> None:
    stump = forests.Forest(
        roots=np.array([0, 3]),
        left=np.array([1, 1, 2, 3]),
        right=np.array([2, 1, 2, 3]),
        feature=np.array([1, 0, 0, 0]),
        threshold=np.array([0.5, -2.0, -2.0, -2.0]),
        share=np.array([0.5, 0.2, 0.8, 0.4]),
    )
    assert stump.predict(np.array([[9, 0], [0, 1]])) == pytest.approx([0.3, 0.6])


def test_a_pickle_with_anything_but_a_forest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "harmful.pkl"
    path.write_bytes(pickle.dumps(Path("somewhere")))
    with pytest.raises(pickle.UnpicklingError, match=r"pathlib.*forest"):
        forests.convert(path)


@needs_molscore
@pytest.mark.parametrize(
    ("smiles", "gsk3b", "jnk3"),
    [  # scikit-learn 1.2.2's predictions of the original pickles
        ("O=C1NC(=O)C(c2c[nH]c3ccccc23)=C1Nc1cccc(Cl)c1", 0.86, 0.14),
        ("O=C1c2ccccc2-c2n[nH]c3cccc1c23", 0.74, 0.67),
        ("O=C1Nc2ccccc2C1=C1Nc2ccccc2C1=NO", 0.32, 0.06),
    ],
)
def test_forests_predict_what_scikit_learn_predicted(smiles: str, gsk3b: float, jnk3: float) -> None:
    assert pmo("gsk3b", smiles) == pytest.approx(gsk3b)
    assert pmo("jnk3", smiles) == pytest.approx(jnk3)


# --- oracles ----------------------------------------------------------------------------------------------------------------------------

CELECOXIB = "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F"
ALBUTEROL = "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1"


def test_names_are_checked_before_anything_is_fetched() -> None:
    assert len(set(oracles.PMO_TASKS)) == 23
    assert len(oracles.GUACAMOL_TASKS) == 20
    with pytest.raises(UnknownName, match="did you mean celecoxib_rediscovery"):
        Pmo("celecoxib_discovery")
    with pytest.raises(UnknownName, match="did you mean median_molecules_"):
        GuacaMol("median_molecules")
    with pytest.raises(UnknownName, match=r"definition of the PMO task sitagliptin_mpo 'latest'; known: corrected, original"):
        Pmo("sitagliptin_mpo", "latest")
    with pytest.raises(UnknownName, match="definition of the PMO task qed"):
        Pmo("qed", "original")


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    oracles._drd2_model.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.exceptions", None)
    with pytest.raises(MissingExtra, match=r"'scikit-learn'.*pip install 'molvae\[objectives\]'"):
        named(domain(), "pmo:drd2")


@needs_guacamol
def test_without_what_guacamol_imports_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    oracles._objectives.cache_clear()
    for module in [name for name in sys.modules if name.partition(".")[0] == "guacamol"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    before = list(sys.path)
    with pytest.raises(MissingExtra, match=r"'tqdm'.*pip install 'molvae\[objectives\]'"):
        named(domain(), "guacamol:c11h24")
    assert sys.path == before


@needs_guacamol
@pytest.mark.parametrize(
    ("task", "smiles", "score"),
    [
        ("celecoxib_rediscovery", CELECOXIB, 1.0),
        ("troglitazone_rediscovery", "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O", 1.0),
        ("thiothixene_rediscovery", "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1", 1.0),
        ("albuterol_similarity", ALBUTEROL, 1.0),
        ("mestranol_similarity", "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1", 1.0),
        ("isomers_c7h8n2o2", "NC(=O)c1ccc(O)nc1C", 1.0),
        ("valsartan_smarts", ALBUTEROL, 0.0),
        ("scaffold_hop", "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C", 2 / 3),  # its scaffold is the one to leave
        ("deco_hop", "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C", 0.5),  # both its decorations are to be left
    ],
)
def test_known_molecules(task: str, smiles: str, score: float) -> None:
    assert pmo(task, smiles) == pytest.approx(score, abs=5e-4)


@needs_guacamol
def test_zaleplon_mpo_is_similarity_and_formula() -> None:
    # Zaleplon is C17H15N5O, 38 atoms; asked is C19H17N3O2, 41 atoms. The geometric mean of 1 and that of the formula's five parts.
    formula = np.exp(-0.5 * (2**2 + 2**2 + 2**2 + 1**2 + (3 / 2) ** 2) / 5)
    assert pmo("zaleplon_mpo", "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1") == pytest.approx(np.sqrt(formula))


@needs_guacamol
def test_perindopril_mpo_is_similarity_and_two_aromatic_rings() -> None:
    # Perindopril itself has none: the geometric mean of 1 and exp(-0.5 (2 / 0.5)^2).
    assert pmo("perindopril_mpo", "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC") == pytest.approx(np.exp(-4))


@needs_guacamol
@pytest.mark.parametrize("smiles", [CELECOXIB, ALBUTEROL, "C[N+](C)(C)CC(=O)[O-]"])
def test_qed_is_rdkits(smiles: str) -> None:
    assert pmo("qed", smiles) == pytest.approx(QED.qed(Chem.MolFromSmiles(smiles)))


@needs_guacamol
def test_definitions_of_isomer_scoring_differ_in_the_total_number_of_atoms_alone() -> None:
    smiles = "Cc1ccccc1"  # every element right and 15 atoms; the formula pattern sees "Cc1" as one atom and nothing else
    corrected, original = (pmo("isomers_c7h8n2o2", smiles, definition) for definition in oracles.DEFINITIONS)
    assert corrected == pytest.approx(np.exp(-0.5 * (4 + 4 + (4 / 2) ** 2) / 5))  # no N, no O: 2 and 2 short, 4 atoms short in all
    assert original == pytest.approx(np.exp(-0.5 * (4 + 4 + (18 / 2) ** 2) / 5))


def needed(spec: str) -> Wheel:
    return MOLSCORE if spec.startswith(("pmo:drd2", "pmo:gsk3b", "pmo:jnk3")) else GUACAMOL


SPECS = [*(f"pmo:{task}" for task in oracles.PMO_TASKS), *(f"guacamol:{task}" for task in oracles.GUACAMOL_TASKS)]
SPECS += [f"pmo:{task}:original" for task in oracles.ISOMER_TASKS]


@pytest.mark.parametrize("spec", SPECS)
def test_every_task_scores_between_0_and_1_whatever_the_writing_and_says_what_it_cannot_score(spec: str) -> None:
    if FOUND[needed(spec)] is None:
        pytest.skip(f"{needed(spec).file} {WHERE}")
    if spec == "pmo:drd2":
        pytest.importorskip("sklearn", reason="the drd2 model needs scikit-learn")
    scorer = named(domain(), spec)
    assert scorer.names == (spec.split(":")[1],)
    for smiles in (CELECOXIB, ALBUTEROL, "C"):
        other = Chem.MolToSmiles(Chem.MolFromSmiles(smiles), doRandom=True)
        (found,), (again,) = scorer([smiles, other])
        assert 0 <= found <= 1
        assert found == again
    outcomes = scorer.attempt(["", "no molecule", "C(C)(C)(C)(C)C"])
    assert [o.reason for o in outcomes if isinstance(o, Failure)] == ["not a valid record"] * 3


@needs_guacamol
def test_suites_are_guacamols_own() -> None:
    suite = oracles.import_guacamol().goal_directed_benchmark_suite("v2")
    assert sorted(benchmark.name for benchmark in suite) == sorted(oracles.GUACAMOL_TASKS.values())
    smiles = parse(CELECOXIB).smiles
    for task, name in oracles.GUACAMOL_TASKS.items():
        (objective,) = (benchmark.objective for benchmark in suite if benchmark.name == name)
        assert GuacaMol(task)(parse(CELECOXIB)) == pytest.approx(objective.score(smiles))


@needs_guacamol
def test_what_guacamol_refuses_is_unknown_there_and_nothing_in_pmo() -> None:
    never = Molecule("not a SMILES")  # nothing that ``parse`` reads is refused by GuacaMol's reader
    with pytest.raises(InvalidRecord, match="GuacaMol has no score"):
        GuacaMol("celecoxib_rediscovery")(never)
    assert Pmo("celecoxib_rediscovery")(never) == 0.0


@needs_guacamol
def test_tasks_travel_to_worker_processes() -> None:
    with Guarded(named(domain(), "guacamol:celecoxib_rediscovery", ["score"]), workers=1) as guard:
        assert guard.names == ("score",)
        assert guard([CELECOXIB, "C1CC"])[0] == (1.0,)
        assert guard.failures == {"not a valid record": 1}
