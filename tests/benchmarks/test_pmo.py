"""The PMO benchmark's parts: how a run is scored, converted forests, and the oracles on molecules whose scores are known."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import QED

from benchmarks.support import forests, oracles, pmo
from benchmarks.support.wheels import GUACAMOL, MOLSCORE

# Found before the test run gets a home folder of its own; without them nothing is fetched.
GUACAMOL_WHEEL, MOLSCORE_WHEEL = GUACAMOL.found(), MOLSCORE.found()
WHERE = "is neither in $MOLVAE_WHEELS nor in $MOLVAE_HOME/benchmarks (~/.cache/molvae/benchmarks)"
needs_guacamol = pytest.mark.skipif(GUACAMOL_WHEEL is None, reason=f"{GUACAMOL.file} {WHERE}")
needs_molscore = pytest.mark.skipif(MOLSCORE_WHEEL is None, reason=f"{MOLSCORE.file} {WHERE}")


@pytest.fixture(autouse=True, scope="module")
def own_arrays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder for converted forests, so that the conversion is tested and nothing outside is written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forests, "ARRAYS", tmp_path_factory.mktemp("oracles"))
        forests.load.cache_clear()
        yield
        forests.load.cache_clear()


def oracle(task: str, definition: str = "corrected") -> oracles.Oracle:
    return oracles.oracle(task, definition, guacamol=GUACAMOL_WHEEL, molscore=MOLSCORE_WHEEL)


# --- area under the curve ---------------------------------------------------------------------------------------------------------------


def test_constant_scores_lose_the_first_rise_alone() -> None:
    # The curve rises from 0 to 1 over the first 100 calls, so half of them is lost.
    assert pmo.top_auc([1.0] * 10_000) == pytest.approx(1 - 50 / 10_000)
    assert pmo.top_auc([1.0] * 100) == pytest.approx(1 - 50 / 10_000)
    assert pmo.top_auc([1.0] * 40) == pytest.approx(1 - 20 / 10_000)


def test_a_hit_at_the_end_counts_from_the_last_logged_point() -> None:
    scores = [0.0] * 999 + [1.0]
    assert pmo.top_auc(scores, n=1, budget=1000) == pytest.approx(50 / 1000)
    assert pmo.top_auc(scores, n=10, budget=1000) == pytest.approx(5 / 1000)
    assert pmo.top_auc(scores, n=1, budget=2000) == pytest.approx((50 + 1000) / 2000)
    assert pmo.top_auc(scores, n=1, budget=2000, finished=False) == pytest.approx(50 / 2000)


def test_by_hand_over_three_logged_points() -> None:
    scores = [0.1, 0.3, 0.2, 0.6, 0.5]  # top-2 mean after 2, 4 and 5 calls: 0.2, 0.45, 0.55
    expected = 2 * (0 + 0.2) / 2 + 2 * (0.2 + 0.45) / 2 + 1 * (0.45 + 0.55) / 2
    assert pmo.top_auc(scores, n=2, budget=10, every=2, finished=False) == pytest.approx(expected / 10)
    assert pmo.top_auc(scores, n=2, budget=10, every=2) == pytest.approx((expected + 5 * 0.55) / 10)


@pytest.mark.parametrize(
    ("calls", "n", "expected"),
    [  # what mol_opt's own top_auc(buffer, n, True, 100, 10000) answers for these buffers
        (30, 10, 0.8523719646247626),
        (100, 100, 0.49912170980313786),
        (101, 10, 0.9475418706905165),
        (250, 1, 0.9920685520135905),
        (250, 10, 0.9741254621764766),
        (9999, 100, 0.9693164484860602),
        (10000, 10, 0.992525682022583),
    ],
)
def test_equals_mol_opt(calls: int, n: int, expected: float) -> None:
    buffer = {f"molecule {i}": [(i * 7919 % 10007) / 10007, i + 1] for i in reversed(range(calls))}
    assert pmo.top_auc(pmo.ordered(buffer), n) == pytest.approx(expected, abs=1e-14)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 12))
def test_area_lies_between_nothing_and_the_best_and_never_falls_with_a_better_molecule(scores: Sequence[float], n: int) -> None:
    area = pmo.top_auc(scores, n, budget=60, every=7)
    assert -1e-12 <= area <= max(scores) + 1e-12
    better = [*scores]
    better[0] = 1.0
    assert pmo.top_auc(better, n, budget=60, every=7) >= area - 1e-12


@pytest.mark.parametrize(("scores", "reason"), [([], "at least one"), ([0.0] * 11, "budget of 10"), ([0.1, float("nan")], "score 2 ")])
def test_unusable_scores_are_refused(scores: list[float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        pmo.top_auc(scores, budget=10)


def test_summary_counts_hits_and_calls() -> None:
    scores = [0.2, 0.9, 0.5, 0.96]
    found = pmo.summary(scores, budget=10, every=2)
    assert (found["calls"], found["top1"], found["hits>=0.5"], found["hits>=0.95"]) == (4, 0.96, 3, 1)
    assert found["auc_top10"] == pmo.top_auc(scores, 10, 10, 2)
    assert pmo.calls_until(scores, 0.9, 2) == 4
    assert pmo.calls_until(scores, 0.9, 3) is None


def test_a_molecule_is_paid_for_once_and_the_budget_holds() -> None:
    asked: list[str] = []

    def length(smiles: str) -> float:
        asked.append(smiles)
        return len(smiles)

    calls = pmo.Calls(length, budget=2)
    assert [calls(smiles) for smiles in ("OCC", "CCO", "not a molecule", "", "CC", "CCC", "C(O)C")] == [3, 3, 0, 0, 2, 0, 3]
    assert asked == ["CCO", "CC"]
    assert calls.finished
    assert calls.scores == [3, 2]


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
    assert oracle("gsk3b")(smiles) == pytest.approx(gsk3b)
    assert oracle("jnk3")(smiles) == pytest.approx(jnk3)


# --- oracles ----------------------------------------------------------------------------------------------------------------------------

CELECOXIB = "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F"
ALBUTEROL = "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1"


def test_there_are_23_tasks() -> None:
    assert len(set(oracles.TASKS)) == 23
    with pytest.raises(ValueError, match="unknown task"):
        oracles.oracle("celecoxib")
    with pytest.raises(ValueError, match="unknown definition"):
        oracles.oracle("qed", "latest")


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
    assert oracle(task)(smiles) == pytest.approx(score, abs=5e-4)


@needs_guacamol
def test_zaleplon_mpo_is_similarity_and_formula() -> None:
    # Zaleplon is C17H15N5O, 38 atoms; asked is C19H17N3O2, 41 atoms. The geometric mean of 1 and that of the formula's five parts.
    formula = np.exp(-0.5 * (2**2 + 2**2 + 2**2 + 1**2 + (3 / 2) ** 2) / 5)
    assert oracle("zaleplon_mpo")("O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1") == pytest.approx(np.sqrt(formula))


@needs_guacamol
def test_perindopril_mpo_is_similarity_and_two_aromatic_rings() -> None:
    # Perindopril itself has none: the geometric mean of 1 and exp(-0.5 (2 / 0.5)^2).
    assert oracle("perindopril_mpo")("O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC") == pytest.approx(np.exp(-4))


@needs_guacamol
@pytest.mark.parametrize("smiles", [CELECOXIB, ALBUTEROL, "C[N+](C)(C)CC(=O)[O-]"])
def test_qed_is_rdkits(smiles: str) -> None:
    assert oracle("qed")(smiles) == pytest.approx(QED.qed(Chem.MolFromSmiles(smiles)))


@needs_guacamol
def test_definitions_of_isomer_scoring_differ_in_the_total_number_of_atoms_alone() -> None:
    smiles = "Cc1ccccc1"  # every element right and 15 atoms; the formula pattern sees "Cc1" as one atom and nothing else
    corrected, original = (oracle("isomers_c7h8n2o2", definition)(smiles) for definition in oracles.DEFINITIONS)
    assert corrected == pytest.approx(np.exp(-0.5 * (4 + 4 + (4 / 2) ** 2) / 5))  # no N, no O: 2 and 2 short, 4 atoms short in all
    assert original == pytest.approx(np.exp(-0.5 * (4 + 4 + (18 / 2) ** 2) / 5))
    assert oracle("qed", "original")(smiles) == oracle("qed")(smiles)


@pytest.mark.parametrize("task", oracles.TASKS)
def test_every_task_scores_between_0_and_1_whatever_the_writing_and_0_what_cannot_be_read(task: str) -> None:
    wheel, found = (GUACAMOL, GUACAMOL_WHEEL) if task in oracles.GUACAMOL_NAMES else (MOLSCORE, MOLSCORE_WHEEL)
    if found is None:
        pytest.skip(f"{wheel.file} {WHERE}")
    if task == "drd2":
        pytest.importorskip("sklearn", reason="the drd2 model needs scikit-learn")
    score = oracle(task)
    for smiles in (CELECOXIB, ALBUTEROL, "C"):
        found = score(smiles)
        assert 0 <= found <= 1
        assert score(Chem.MolToSmiles(Chem.MolFromSmiles(smiles), doRandom=True)) == found
    assert [score(smiles) for smiles in ("", "no molecule", "C(C)(C)(C)(C)C")] == [0, 0, 0]
