"""The 23 tasks of the PMO benchmark (Gao et al., NeurIPS 2022) as functions of a SMILES, from published packages' own code and models.

Twenty tasks are GuacaMol objectives (Brown et al. 2019) and come from the wheel ``guacamol`` 0.5.5 (MIT licence), not installed and not
copied. The classifiers of drd2, gsk3b and jnk3 come from the wheel ``molscore`` 1.9.5 (MIT licence), which TDC's files were copied into,
with TDC's fingerprints. ``molscore``'s own versions of the GuacaMol objectives are not used: they differ from GuacaMol's (fingerprints of
1,024 bits, other thresholds, and another task's SMARTS under valsartan_smarts).

Four tasks score a molecular formula (ISOMER_TASKS) and have two definitions. "corrected", the default, is GuacaMol's and that of TDC
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
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from benchmarks.support import forests
from benchmarks.support.wheels import GUACAMOL, MOLSCORE

Oracle = Callable[[str], float]

GUACAMOL_NAMES = {  # task: the name of the benchmark in GuacaMol's suites
    "albuterol_similarity": "Albuterol similarity",
    "amlodipine_mpo": "Amlodipine MPO",
    "celecoxib_rediscovery": "Celecoxib rediscovery",
    "deco_hop": "Deco Hop",
    "fexofenadine_mpo": "Fexofenadine MPO",
    "isomers_c7h8n2o2": "C7H8N2O2",
    "isomers_c9h10n2o2pf2cl": "C9H10N2O2PF2Cl",
    "median1": "Median molecules 1",
    "median2": "Median molecules 2",
    "mestranol_similarity": "Mestranol similarity",
    "osimertinib_mpo": "Osimertinib MPO",
    "perindopril_mpo": "Perindopril MPO",
    "qed": "QED",
    "ranolazine_mpo": "Ranolazine MPO",
    "scaffold_hop": "Scaffold Hop",
    "sitagliptin_mpo": "Sitagliptin MPO",
    "thiothixene_rediscovery": "Thiothixene rediscovery",
    "troglitazone_rediscovery": "Troglitazone rediscovery",
    "valsartan_smarts": "Valsartan SMARTS",
    "zaleplon_mpo": "Zaleplon MPO",
}
TASKS = tuple(sorted([*GUACAMOL_NAMES, "drd2", *forests.NAMES]))
ISOMER_TASKS = ("isomers_c7h8n2o2", "isomers_c9h10n2o2pf2cl", "sitagliptin_mpo", "zaleplon_mpo")
DEFINITIONS = ("corrected", "original")


def oracle(task: str, definition: str = "corrected", guacamol: Path | None = None, molscore: Path | None = None) -> Oracle:
    """The scoring function of one of TASKS: SMILES -> score in 0..1, higher is better.

    As in mol_opt the canonical SMILES is what gets scored, and what RDKit cannot read scores 0. ``definition`` is one of DEFINITIONS and
    matters for ISOMER_TASKS alone. ``guacamol`` and ``molscore`` are local copies of the wheels (else the cached ones are used, else pip
    fetches them). Raises ValueError for an unknown task or definition.
    """
    if definition not in DEFINITIONS:
        raise ValueError(f"unknown definition {definition!r}; known: {', '.join(DEFINITIONS)}")
    if task in GUACAMOL_NAMES:
        objectives = _objectives(guacamol, definition == "original" and task in ISOMER_TASKS)
        return _guarded(objectives[GUACAMOL_NAMES[task]].score)
    if task == "drd2":
        return _guarded(_drd2(molscore))
    if task in forests.NAMES:
        return _guarded(_forest(task, molscore))
    raise ValueError(f"unknown task {task!r}; known: {', '.join(TASKS)}")


def _guarded(score: Oracle) -> Oracle:
    """GuacaMol answers -1 where a molecule cannot be scored; mol_opt's floor is 0."""

    def guarded(smiles: str) -> float:
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None or molecule.GetNumAtoms() == 0:
            return 0.0
        return max(0.0, float(score(Chem.MolToSmiles(molecule))))

    return guarded


# --- GuacaMol -------------------------------------------------------------------------------------------------------------------------


@functools.cache
def _objectives(local: Path | None, original: bool) -> dict[str, Any]:
    """GuacaMol's scoring functions by the names of their benchmarks."""
    suites = import_guacamol(local)
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


def import_guacamol(local: Path | None = None) -> ModuleType:
    """Imports ``guacamol.benchmark_suites`` from the wheel under current SciPy."""
    loaded = sys.modules.get("guacamol.benchmark_suites")
    if loaded is not None:
        return loaded
    folder = str(GUACAMOL.unpacked(local))
    if folder not in sys.path:
        sys.path.append(folder)
    with _lent_names():
        return importlib.import_module("guacamol.benchmark_suites")


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


# --- classifiers ----------------------------------------------------------------------------------------------------------------------


@functools.cache
def _feature_counts() -> Any:
    invariants = rdFingerprintGenerator.GetMorganFeatureAtomInvGen()
    return rdFingerprintGenerator.GetMorganGenerator(radius=3, fpSize=2048, atomInvariantsGenerator=invariants)


def drd2_features(molecule: Chem.Mol) -> NDArray[np.uint32]:
    """Features (1, 2048) of the drd2 model: counts of feature-based Morgan environments up to radius 3 (FCFP6), folded by the remainder."""
    return np.asarray(_feature_counts().GetCountFingerprintAsNumPy(molecule)[None, :])


@functools.cache
def _drd2(local: Path | None) -> Oracle:
    """Support vector classifier of activity at the dopamine receptor D2 (Olivecrona et al. 2017); scikit-learn unpickles its pinned file."""
    from sklearn.exceptions import InconsistentVersionWarning

    path = MOLSCORE.unpacked(local) / "molscore" / "data" / "models" / "molopt" / "drd2_current.pkl"
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        model = pickle.load(file)

    def score(smiles: str) -> float:
        return float(model.predict_proba(drd2_features(Chem.MolFromSmiles(smiles)))[0, 1])

    return score


def _forest(name: str, local: Path | None) -> Oracle:
    forest = forests.load(name, local)

    def score(smiles: str) -> float:
        return float(forest.predict(forests.fingerprints([Chem.MolFromSmiles(smiles)]))[0])

    return score
