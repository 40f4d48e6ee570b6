"""Docking: settings, conformers, and Vina itself on a receptor of seven atoms."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import Chem

from molvae.domains.molecules import docking, domain
from molvae.domains.molecules.docking import Docked, Docking, conformer, prepared
from molvae.domains.molecules.smiles import parse
from molvae.errors import ConfigError, DataError, InvalidRecord, MissingExtra
from molvae.scorers import Failure, Guarded, of

MISSING = [name for name in docking.PACKAGES if importlib.util.find_spec(name) is None]
needs_vina = pytest.mark.skipif(bool(MISSING), reason=f"docking needs {', '.join(MISSING)}: pip install 'molvae[docking]'")

# A cup of carbons, 4 Å below and around the box's centre.
ATOMS = [(0.0, 0.0, -3.8), (3.8, 0.0, 0.0), (-3.8, 0.0, 0.0), (0.0, 3.8, 0.0), (0.0, -3.8, 0.0), (2.7, 2.7, 0.0), (-2.7, -2.7, 0.0)]
SETTINGS = "receptor = 'cup.pdbqt'\ncenter = [0, 0, 1.0]\nsize = [8.0, 8, 8]\nexhaustiveness = 1\n"


@pytest.fixture
def cup(tmp_path: Path) -> Path:
    """The settings file, beside its receptor."""
    lines = [f"ATOM  {k:5d}  C   ALA A{k:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00     0.000 C " for k, (x, y, z) in enumerate(ATOMS, 1)]
    (tmp_path / "cup.pdbqt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = tmp_path / "cup.toml"
    path.write_text(SETTINGS, encoding="utf-8")
    return path


class Engine:
    """Stands in for Vina: as many kcal/mol below zero as the ligand's text has letters C."""

    def set_receptor(self, path: str) -> None:
        if "ATOM" not in Path(path).read_text(encoding="utf-8"):
            raise RuntimeError("no atoms")

    def set_ligand_from_string(self, text: str) -> None:
        if "B" in text:
            raise TypeError("\n\nAtom type B is not a valid AutoDock type\n")
        self.energy = -float(text.count("C"))

    def dock(self, exhaustiveness: int, n_poses: int) -> None:
        self.asked = (exhaustiveness, n_poses)

    def energies(self, n_poses: int) -> Any:
        return np.array([[self.energy, 0.0]] if self.energy else []).reshape(-1, 2)

    def poses(self, n_poses: int) -> str:
        return "MODEL 1"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Docking as if the packages were there."""
    found = Engine()
    monkeypatch.setattr(docking, "PACKAGES", ())
    monkeypatch.setattr(docking, "_vina", lambda *_: found)
    monkeypatch.setattr(docking, "_maps", lambda *_: found)
    monkeypatch.setattr(docking, "prepared", lambda molecule, seed: molecule.smiles)
    return found


def test_settings_reach_the_search_and_failures_have_reasons(cup: Path, engine: Engine) -> None:
    scorer = of("docking:" + str(cup), domain=domain())
    assert scorer.names == ("cup",)
    assert of(f"affinity=docking:{cup}", domain=domain()).names == ("affinity",)
    outcomes = scorer.attempt(["CCO", "no", "OB(O)O", "O"])
    assert outcomes[0] == (-2.0,)
    assert engine.asked == (1, 1)
    assert [str(o) for o in outcomes[2:]] == [
        "not scored: Vina does not take it: Atom type B is not a valid AutoDock type",
        "not scored: no pose in the box",
    ]
    assert Docking.from_toml(cup).dock(parse("CC")) == Docked(-2.0, "MODEL 1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("size = [8.0, 8, 0]", "size.2: Input should be greater than 0"),
        ("size = [8.0, 8]", "size.2: Field required"),
        ("center = 'here'", "center"),
        ("exhaustiveness = 0", "exhaustiveness"),
        ("seed = 0", "seed"),
        ("scoring = 'ad4'", "scoring: Input should be 'vina' or 'vinardo'"),
        ("exhaustivness = 4", "exhaustivness: Extra inputs.*wanted receptor, center, size, exhaustiveness"),
    ],
)
def test_settings_that_cannot_be_are_refused(cup: Path, engine: Engine, change: str, why: str) -> None:
    kept = [line for line in SETTINGS.splitlines() if line.split()[0] != change.split()[0]]
    cup.write_text("\n".join([*kept, change]), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"cup\.toml: {why}"):
        Docking.from_toml(cup)


def test_files_that_cannot_be_read_are_named(cup: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.toml: there is no such file"):
        of("docking:nothing.toml", domain=domain())
    cup.write_text("receptor = ", encoding="utf-8")
    with pytest.raises(DataError, match=r"cup\.toml: not readable as TOML"):
        Docking.from_toml(cup)


@pytest.mark.parametrize("package", docking.PACKAGES)
def test_an_absent_package_is_named_with_the_command(cup: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docking.importlib.util, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(MissingExtra, match=rf"'{package}'.*pip install 'molvae\[docking\]'"):
        of(f"docking:{cup}", domain=domain())


def test_a_conformer_has_its_hydrogens_and_keeps_its_stereochemistry() -> None:
    molecule = parse("C[C@H](N)C(=O)O")
    mol = conformer(molecule)
    assert mol.GetNumAtoms() == 13
    Chem.AssignStereochemistryFrom3D(mol)
    assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == molecule.smiles
    assert np.array_equal(mol.GetConformer().GetPositions(), conformer(molecule).GetConformer().GetPositions())
    with pytest.raises(InvalidRecord, match="no conformer"):
        conformer(parse("C1=CC2=CC1C=C2"))


# --- with the packages ------------------------------------------------------------------------------------------------------------------


@needs_vina
def test_vina_docks_the_same_each_time(cup: Path) -> None:
    settings = Docking.from_toml(cup)
    first = settings.dock(parse("CCO"))
    assert first.affinity < 0
    assert "ATOM" in first.pdbqt
    settings(parse("c1ccccc1"))
    assert settings.dock(parse("CCO")) == pickle.loads(pickle.dumps(settings)).dock(parse("CCO")) == first
    positions = [tuple(float(line[k : k + 8]) for k in (30, 38, 46)) for line in first.pdbqt.splitlines() if line.startswith("ATOM")]
    assert all(abs(x) <= 4 and abs(y) <= 4 and -3 <= z <= 5 for x, y, z in positions)


@needs_vina
def test_vina_in_a_worker_process(cup: Path) -> None:
    scorer = of(f"docking:{cup}", domain=domain())
    with Guarded(scorer, workers=1, timeout=60) as guard:
        values = guard(["CCO", "OB(O)c1ccccc1", "CCO.Cl"])
        assert values[0] == scorer(["CCO"])[0]
        assert guard.failures == {"not scored": 2}
    said = [str(outcome) for outcome in scorer.attempt(["OB(O)c1ccccc1", "CCO.Cl"]) if isinstance(outcome, Failure)]
    assert said[0].startswith("not scored: Vina does not take it: ")
    assert said[1] == "not scored: several components; one molecule can be docked"


@needs_vina
def test_a_receptor_must_be_one(cup: Path) -> None:
    (cup.parent / "cup.pdbqt").write_text("no receptor\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"cup\.pdbqt: Vina cannot read this receptor"):
        Docking.from_toml(cup)
    (cup.parent / "cup.pdbqt").unlink()
    with pytest.raises(DataError, match=r"cup\.pdbqt: there is no such receptor"):
        Docking.from_toml(cup)


@needs_vina
def test_a_ligand_has_types_and_torsions() -> None:
    text = prepared(parse("CCCO"))
    assert "BRANCH" in text
    assert "OA" in text
