"""Published objectives by name: the 23 tasks of PMO and the 20 goal-directed tasks of GuacaMol (v2), from published packages' own code.

GuacaMol: Brown et al., J. Chem. Inf. Model. 59, 1096 (2019). PMO: Gao et al., NeurIPS 2022 (2206.12411); twenty of its tasks are GuacaMol
objectives. These come from the wheel ``guacamol`` 0.5.5 (MIT licence), not installed and not copied: as declared it would install
``rdkit-pypi`` of 2022 over the current RDKit. The classifiers of drd2, gsk3b and jnk3 come from the wheel ``molscore`` 1.9.5 (MIT licence),
which TDC's files were copied into, with TDC's fingerprints. ``molscore``'s own versions of the GuacaMol objectives are not used: they differ
from GuacaMol's (fingerprints of 1,024 bits, other thresholds, and another task's SMARTS under valsartan_smarts).

Four tasks of PMO score a molecular formula (ISOMER_TASKS) and have two definitions. "corrected", the default, is GuacaMol's and that of TDC
since September 2022 (0.3.7): the total number of atoms is counted in the molecule, hydrogens included. "original" is TDC's up to then:
that number was read off the SMILES by the pattern for molecular formulas. mol_opt's own rows fit the original alone: its REINVENT reaches
.021 on sitagliptin_mpo, and random molecules of ZINC-250k reach .32 corrected, .03 original. (AUC top-10 of 10,000 random molecules in the
order of ISOMER_TASKS: .55, .60, .32, .44 corrected; .15, .08, .03, .06 original.) Rows of other definitions do not compare: say which.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from molvae.domains.molecules import forests
from molvae.domains.molecules.smiles import Molecule
from molvae.errors import InvalidRecord, MissingExtra, UnknownName
from molvae.wheels import Wheel

GUACAMOL = Wheel(
    "guacamol==0.5.5",
    "guacamol-0.5.5-py3-none-any.whl",
    "9fea8922fa11513d605a2f97b72aa1b4b82c2109f6366b0ccb0bbdeabddaa131",
    ("guacamol/",),
)
EXTRA = "objectives"

GUACAMOL_TASKS = {  # task: the name of the benchmark in GuacaMol's suite v2
    "albuterol_similarity": "Albuterol similarity",
    "amlodipine_mpo": "Amlodipine MPO",
    "aripiprazole_similarity": "Aripiprazole similarity",
    "c11h24": "C11H24",
    "c9h10n2o2pf2cl": "C9H10N2O2PF2Cl",
    "celecoxib_rediscovery": "Celecoxib rediscovery",
    "deco_hop": "Deco Hop",
    "fexofenadine_mpo": "Fexofenadine MPO",
    "median_molecules_1": "Median molecules 1",
    "median_molecules_2": "Median molecules 2",
    "mestranol_similarity": "Mestranol similarity",
    "osimertinib_mpo": "Osimertinib MPO",
    "perindopril_mpo": "Perindopril MPO",
    "ranolazine_mpo": "Ranolazine MPO",
    "scaffold_hop": "Scaffold Hop",
    "sitagliptin_mpo": "Sitagliptin MPO",
    "thiothixene_rediscovery": "Thiothixene rediscovery",
    "troglitazone_rediscovery": "Troglitazone rediscovery",
    "valsartan_smarts": "Valsartan SMARTS",
    "zaleplon_mpo": "Zaleplon MPO",
}
_RENAMED = {  # tasks of PMO that are called otherwise than in GuacaMol's suite v2, or stand in its suite of trivial ones
    "isomers_c7h8n2o2": "C7H8N2O2",
    "isomers_c9h10n2o2pf2cl": "C9H10N2O2PF2Cl",
    "median1": "Median molecules 1",
    "median2": "Median molecules 2",
    "qed": "QED",
}
_ONLY_GUACAMOL = {"aripiprazole_similarity", "c11h24", "c9h10n2o2pf2cl", "median_molecules_1", "median_molecules_2"}
_PMO_OF_GUACAMOL = {task: name for task, name in GUACAMOL_TASKS.items() if task not in _ONLY_GUACAMOL} | _RENAMED
PMO_TASKS = tuple(sorted([*_PMO_OF_GUACAMOL, "drd2", *forests.NAMES]))
ISOMER_TASKS = ("isomers_c7h8n2o2", "isomers_c9h10n2o2pf2cl", "sitagliptin_mpo", "zaleplon_mpo")
DEFINITIONS = ("corrected", "original")


@dataclass(frozen=True)
class Pmo:
    """A task of PMO: molecule -> score in 0..1, higher is better, 0 where GuacaMol has no score, as in mol_opt.

    definition: one of DEFINITIONS, for ISOMER_TASKS alone. Raises UnknownName.
    """

    task: str
    definition: str = "corrected"

    def __post_init__(self) -> None:
        if self.task not in PMO_TASKS:
            raise UnknownName("PMO task", self.task, list(PMO_TASKS))
        known = DEFINITIONS if self.task in ISOMER_TASKS else DEFINITIONS[:1]
        if self.definition not in known:
            raise UnknownName(f"definition of the PMO task {self.task}", self.definition, list(known))

    def __call__(self, molecule: Molecule) -> float:
        """Raises DataError, MissingExtra."""
        if self.task == "drd2":
            return _drd2(molecule)
        if self.task in forests.NAMES:
            return float(forests.load(self.task).predict(forests.fingerprints([molecule.mol]))[0])
        objective = _objectives(self.definition == "original")[_PMO_OF_GUACAMOL[self.task]]
        return max(0.0, float(objective.score(molecule.smiles)))


@dataclass(frozen=True)
class GuacaMol:
    """A goal-directed task of GuacaMol's suite v2: molecule -> score in 0..1, higher is better. Raises UnknownName."""

    task: str

    def __post_init__(self) -> None:
        if self.task not in GUACAMOL_TASKS:
            raise UnknownName("GuacaMol task", self.task, list(GUACAMOL_TASKS))

    def __call__(self, molecule: Molecule) -> float:
        """Raises InvalidRecord where GuacaMol has no score for the molecule; DataError, MissingExtra."""
        score = float(_objectives(False)[GUACAMOL_TASKS[self.task]].score(molecule.smiles))
        if score < 0:  # GuacaMol's mark
            raise InvalidRecord(molecule.smiles, "GuacaMol has no score for it")
        return score


# --- GuacaMol -------------------------------------------------------------------------------------------------------------------------


@functools.cache
def _objectives(original: bool) -> dict[str, Any]:
    """GuacaMol's scoring functions by the names of their benchmarks."""
    suites = import_guacamol()
    benchmarks = [benchmark for version in ("v2", "trivial") for benchmark in suites.goal_directed_benchmark_suite(version)]
    objectives = {benchmark.name: benchmark.objective for benchmark in benchmarks}
    if original:
        for objective in objectives.values():
            for part in (objective, *getattr(objective, "scoring_functions", ())):
                if type(part).__name__ == "IsomerScoringFunction":
                    part.scoring_functions[-1] = _AtomsReadOffSmiles(part.scoring_functions[-1].score_modifier)
    return objectives


class _AtomsReadOffSmiles:
    """TDC's first reading of the total number of atoms: GuacaMol's parser of molecular formulas applied to the SMILES itself."""

    def __init__(self, modifier: Callable[[float], float]) -> None:
        self.modifier = modifier
        self.parse = importlib.import_module("guacamol.utils.chemistry").parse_molecular_formula

    def score(self, smiles: str) -> float:
        return self.modifier(sum(count for _, count in self.parse(smiles)))


def import_guacamol() -> ModuleType:
    """Imports ``guacamol.benchmark_suites`` from the wheel under current SciPy. Raises DataError, MissingExtra."""
    loaded = sys.modules.get("guacamol.benchmark_suites")
    if loaded is not None:
        return loaded
    folder = str(GUACAMOL.unpacked())
    sys.path.insert(0, folder)  # for the import alone, and before any other version that is installed
    try:
        with _lent_names():
            return importlib.import_module("guacamol.benchmark_suites")
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "guacamol", EXTRA) from error
    finally:
        sys.path.remove(folder)


@contextmanager
def _lent_names() -> Iterator[None]:
    """What the wheel imports for its distribution benchmarks alone and no objective uses: SciPy's old alias of NumPy's histogram, and fcd.

    The stand-in for fcd is empty, so that any use of it fails; it is gone after the import.
    """
    import scipy

    alias = not hasattr(scipy, "histogram")
    absent = "fcd" not in sys.modules and importlib.util.find_spec("fcd") is None
    if alias:
        scipy.histogram = np.histogram
    if absent:
        sys.modules["fcd"] = ModuleType("fcd")
    try:
        yield
    finally:
        if alias:
            del scipy.histogram
        if absent:
            del sys.modules["fcd"]


# --- the classifier of drd2 -------------------------------------------------------------------------------------------------------------


@functools.cache
def _feature_counts() -> Any:
    invariants = rdFingerprintGenerator.GetMorganFeatureAtomInvGen()
    return rdFingerprintGenerator.GetMorganGenerator(radius=3, fpSize=2048, atomInvariantsGenerator=invariants)


def drd2_features(molecule: Chem.Mol) -> NDArray[np.uint32]:
    """Features (1, 2048) of the drd2 model: counts of feature-based Morgan environments up to radius 3 (FCFP6), folded by the remainder."""
    return np.asarray(_feature_counts().GetCountFingerprintAsNumPy(molecule)[None, :])


@functools.cache
def _drd2_model() -> Any:
    """Support vector classifier of activity at the dopamine receptor D2 (Olivecrona et al. 2017); scikit-learn unpickles its pinned file."""
    try:
        from sklearn.exceptions import InconsistentVersionWarning
    except ImportError as error:
        raise MissingExtra("scikit-learn", EXTRA) from error
    with warnings.catch_warnings(), forests.model_file("drd2").open("rb") as file:
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        return pickle.load(file)


def _drd2(molecule: Molecule) -> float:
    return float(_drd2_model().predict_proba(drd2_features(molecule.mol))[0, 1])
