"""Docking by AutoDock Vina: the affinity of a molecule's best pose in a box of a receptor, as an example of an expensive endpoint.

Eberhardt et al., "AutoDock Vina 1.2.0", J. Chem. Inf. Model. 61, 3891 (2021). RDKit embeds one conformer (ETKDGv3) with the hydrogens and
charges that the SMILES writes, and relaxes it (MMFF94, else UFF); meeko types its atoms and finds its rotatable bonds; Vina searches. What the
SMILES leaves open (protonation at some pH, tautomers, undefined stereocentres) is not enumerated. Large molecules score better whatever
their shape, so that an objective of affinity alone drifts towards them: give it company, such as a range of weight or QED.
"""

from __future__ import annotations

import functools
import importlib.util
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from molvae.domains.molecules.smiles import Molecule
from molvae.errors import ConfigError, DataError, InvalidRecord, MissingExtra

PACKAGES, EXTRA = ("vina", "meeko", "gemmi"), "docking"  # meeko needs gemmi without declaring it
_ATTEMPTS = 20  # at an embedding, before it starts from random coordinates

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Docked:
    """The best pose. affinity: kcal/mol. pdbqt: its atoms, in the receptor's coordinates."""

    affinity: float
    pdbqt: str


class Docking(BaseModel):
    """Molecule -> affinity in kcal/mol, lower is better. One core a call; deterministic for a seed on one machine.

    receptor: PDBQT file of the rigid receptor, hydrogens and atom types included. center, size: of the box in Å. exhaustiveness: independent
    searches, Vina's default is 8; time is proportional to it. scoring: Vina's function or Vinardo.

    Raises ConfigError (``from_toml``) or pydantic's ValidationError for settings out of range; DataError for a receptor that Vina cannot read;
    MissingExtra.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    receptor: Path
    center: Triple
    size: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    exhaustiveness: PositiveInt = 8
    scoring: Literal["vina", "vinardo"] = "vina"
    seed: int = Field(1, ge=1, lt=2**31)  # Vina takes 0 for a random seed

    def model_post_init(self, context: Any, /) -> None:
        """Fail here, not at the first molecule in a worker process."""
        for package in PACKAGES:
            if importlib.util.find_spec(package) is None:
                raise MissingExtra(package, EXTRA)
        _vina(self.receptor, self.scoring, self.seed)

    @classmethod
    def from_toml(cls, file: Path | str) -> Self:
        """Settings from a file; the receptor's path counts from the file's folder. Raises ConfigError, DataError, MissingExtra."""
        path = Path(file)
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(path, "there is no such file; wanted TOML with receptor, center and size") from None
        except (OSError, ValueError) as error:
            raise DataError(path, f"not readable as TOML: {error}") from error
        if isinstance(values.get("receptor"), str):
            values["receptor"] = path.resolve().parent / values["receptor"]
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors())
            raise ConfigError(f"{path}: {wrong}; wanted {', '.join(cls.model_fields)}") from error

    def __call__(self, molecule: Molecule) -> float:
        """The affinity. Raises as ``dock``."""
        return self.dock(molecule).affinity

    def dock(self, molecule: Molecule) -> Docked:
        """The best pose. Raises InvalidRecord for what has no conformer, no atom types or no pose."""
        ligand = prepared(molecule, self.seed)
        engine = _maps(self.receptor, self.scoring, self.seed, self.center, self.size)
        try:
            engine.set_ligand_from_string(ligand)
        except (TypeError, RuntimeError) as error:  # Vina's words for atoms without parameters, such as boron, and too many torsions
            raise InvalidRecord(molecule.smiles, f"Vina does not take it: {' '.join(str(error).split())[:200]}") from error
        engine.dock(exhaustiveness=self.exhaustiveness, n_poses=1)
        energies = engine.energies(n_poses=1)
        if len(energies) == 0:
            raise InvalidRecord(molecule.smiles, "no pose in the box")
        return Docked(float(energies[0][0]), str(engine.poses(n_poses=1)))


def prepared(molecule: Molecule, seed: int = 1) -> str:
    """The molecule with hydrogens, one relaxed conformer, AutoDock atom types and rotatable bonds, as PDBQT. Raises InvalidRecord."""
    import meeko

    # meeko's import sends RDKit's messages to Python's logging, past what silences them here.
    rdBase.LogToCppStreams()
    if "." in molecule.smiles:
        raise InvalidRecord(molecule.smiles, "several components; one molecule can be docked")
    setups = meeko.MoleculePreparation().prepare(conformer(molecule, seed))
    text, fine, why = meeko.PDBQTWriterLegacy.write_string(setups[0])
    if not fine:
        raise InvalidRecord(molecule.smiles, f"no PDBQT: {why.strip()}")
    return str(text)


def conformer(molecule: Molecule, seed: int = 1) -> Chem.Mol:
    """The molecule with hydrogens and one relaxed conformer. Raises InvalidRecord where none can be embedded."""
    mol = Chem.AddHs(molecule.mol)
    settings = rdDistGeom.ETKDGv3()
    settings.randomSeed, settings.maxIterations = seed, _ATTEMPTS
    with rdBase.BlockLogs():
        if rdDistGeom.EmbedMolecule(mol, settings) < 0:
            settings.useRandomCoords = True
            if rdDistGeom.EmbedMolecule(mol, settings) < 0:
                raise InvalidRecord(molecule.smiles, "no conformer could be embedded")
        if rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            rdForceFieldHelpers.MMFFOptimizeMolecule(mol)
        elif rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
            rdForceFieldHelpers.UFFOptimizeMolecule(mol)
    return mol


def _vina(receptor: Path, scoring: str, seed: int) -> Any:
    """Vina with the receptor. Raises DataError."""
    from vina import Vina

    if not receptor.is_file():
        raise DataError(receptor, "there is no such receptor; wanted a PDBQT file")
    engine = Vina(scoring, cpu=1, seed=seed, verbosity=0)
    try:
        engine.set_receptor(str(receptor))
    except Exception as error:
        raise DataError(receptor, f"Vina cannot read this receptor: {error}") from error
    return engine


@functools.lru_cache(maxsize=8)
def _maps(receptor: Path, scoring: str, seed: int, center: Triple, size: Triple) -> Any:
    """Vina with the receptor's maps for the box, which take seconds and serve every molecule of this process."""
    engine = _vina(receptor, scoring, seed)
    engine.compute_vina_maps(list(center), list(size))
    return engine
