"""Molecular properties computed with RDKit. Values are NaN where a property is undefined; nothing here raises on a parsed molecule."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import math
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from rdkit import Chem, RDConfig
from rdkit.Chem import rdMolDescriptors as rdmd

from molvae.domains.molecules.qed import qed
from molvae.domains.molecules.smiles import Molecule
from molvae.errors import MolvaeError
from molvae.protocols import Property


@lru_cache(maxsize=1)
def _sa_scorer() -> ModuleType:
    return _contrib("SA_Score", "sascorer")


@lru_cache(maxsize=1)
def _np_model() -> tuple[ModuleType, dict[int, float]]:
    scorer = _contrib("NP_Score", "npscorer")
    with contextlib.redirect_stderr(io.StringIO()):  # the module announces its loading on stderr
        model: dict[int, float] = scorer.readNPModel()
    return scorer, model


def _contrib(folder: str, name: str) -> ModuleType:
    """A module of RDKit's Contrib folder, which is no package. Raises MolvaeError where this RDKit came without it."""
    path = Path(RDConfig.RDContribDir) / folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"rdkit_contrib_{name}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise MolvaeError(f"this RDKit has no {path}; install the 'rdkit' wheel with pip, or RDKit with its Contrib folder")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def synthetic_accessibility(mol: Chem.Mol) -> float:
    """SA score, 1 (easy) to 10 (hard); Ertl & Schuffenhauer, J. Cheminform. 1, 8 (2009), RDKit's Contrib version."""
    score = _sa_scorer().calculateScore(mol) if mol.GetNumAtoms() else None
    return math.nan if score is None else float(score)


def natural_product_likeness(mol: Chem.Mol) -> float:
    """NP score, about -5 to 5; Ertl, Roggo & Schuffenhauer, J. Chem. Inf. Model. 48, 68 (2008), RDKit's Contrib version."""
    if not mol.GetNumAtoms():
        return math.nan
    scorer, model = _np_model()
    return float(scorer.scoreMol(mol, model))


def _log_p(mol: Chem.Mol) -> float:
    # RDKit stores log P and molar refractivity on the molecule, so QED reads what is computed here and the other way round.
    return float(rdmd.CalcCrippenDescriptors(mol)[0])


def _fraction_sp3(mol: Chem.Mol) -> float:
    has_carbon = any(atom.GetAtomicNum() == 6 for atom in mol.GetAtoms())
    return float(rdmd.CalcFractionCSP3(mol)) if has_carbon else math.nan


class _OfMol:
    """The function of this name, on records. It holds the name alone, as RDKit's own functions cannot be pickled to worker processes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, molecule: Molecule) -> float:
        return float(_FUNCTIONS[self._name](molecule.mol))


_ENTRIES: tuple[tuple[str, str, str, Callable[[Chem.Mol], float]], ...] = (
    ("logp", "1", "octanol-water partition coefficient, log10 (Wildman & Crippen 1999)", _log_p),
    ("qed", "1", "quantitative estimate of drug-likeness (Bickerton et al. 2012)", qed),
    ("tpsa", "A^2", "topological polar surface area (Ertl, Rohde & Selzer 2000)", rdmd.CalcTPSA),
    ("sa", "1", "synthetic accessibility, 1 easy to 10 hard (Ertl & Schuffenhauer 2009)", synthetic_accessibility),
    ("mw", "Da", "average molecular weight", rdmd._CalcMolWt),
    ("hbd", "1", "hydrogen-bond donors (N-H and O-H groups)", rdmd.CalcNumHBD),
    ("hba", "1", "hydrogen-bond acceptors (RDKit's definition)", rdmd.CalcNumHBA),
    ("rotatable_bonds", "1", "rotatable bonds (RDKit's strict definition)", rdmd.CalcNumRotatableBonds),
    ("rings", "1", "rings (smallest set of smallest rings)", rdmd.CalcNumRings),
    ("aromatic_rings", "1", "aromatic rings", rdmd.CalcNumAromaticRings),
    ("fsp3", "1", "fraction of carbon atoms that are sp3; undefined without carbon", _fraction_sp3),
    ("np", "1", "natural-product likeness, -5 to 5 (Ertl, Roggo & Schuffenhauer 2008)", natural_product_likeness),
    ("heavy_atoms", "1", "atoms other than hydrogen", rdmd.CalcNumHeavyAtoms),
)
_FUNCTIONS = {name: compute for name, _, _, compute in _ENTRIES}
PROPERTIES: dict[str, Property[Molecule]] = {name: Property(name, unit, text, _OfMol(name)) for name, unit, text, _ in _ENTRIES}
