"""How the PMO benchmark counts calls and scores a run (Gao et al., "Sample Efficiency Matters", NeurIPS 2022; repository mol_opt).

The molecules of a run are unique by canonical SMILES and stand in the order of their first call. Every 100 calls the mean of the best n
scores so far is logged; the area under that curve, by the trapezoid rule from zero calls and zero score, over the budget, is the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

BUDGET = 10_000
EVERY = 100
TOPS = (1, 10, 100)

Scores = Sequence[float] | NDArray[np.float64]


def _checked(scores: Scores, budget: int) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"scores of shape {values.shape}; wanted at least one score, in the order of the calls")
    if len(values) > budget:
        raise ValueError(f"{len(values)} scores for a budget of {budget} calls; give the first {budget}")
    if not np.isfinite(values).all():
        raise ValueError(f"score {int(np.flatnonzero(~np.isfinite(values))[0]) + 1} is not a finite number")
    return values


def top_mean(scores: Scores, n: int) -> float:
    """Mean of the n best scores, or of all where there are fewer."""
    return float(np.sort(np.asarray(scores, dtype=np.float64))[::-1][:n].mean())


def top_auc(scores: Scores, n: int = 10, budget: int = BUDGET, every: int = EVERY, finished: bool = True) -> float:
    """Area under the curve of the top-n mean, divided by the budget: mol_opt's ``top_auc``.

    ``scores``: one a unique molecule, in the order of the calls, at most ``budget``. The first stretch rises from 0; the last goes from the
    last multiple of ``every`` below the number of calls to that number. A run that ``finished`` with fewer calls keeps its last value
    for the rest of the budget; one that is still going is given nothing for it.
    """
    values = _checked(scores, budget)
    logged = [*range(every, len(values), every), len(values)]
    area, before, calls = 0.0, 0.0, 0
    for now in logged:
        mean = top_mean(values[:now], n)
        area += (now - calls) * (before + mean) / 2
        before, calls = mean, now
    if finished:
        area += (budget - calls) * before
    return area / budget


def hits(scores: Scores, threshold: float) -> int:
    """How many of the scored molecules reach the threshold."""
    return int((np.asarray(scores, dtype=np.float64) >= threshold).sum())


def calls_until(scores: Scores, threshold: float, count: int) -> int | None:
    """Calls spent when the ``count``-th molecule at or above the threshold was scored, or None where the run never got there."""
    reached = np.flatnonzero(np.asarray(scores, dtype=np.float64) >= threshold)
    return int(reached[count - 1]) + 1 if len(reached) >= count else None


def summary(scores: Scores, budget: int = BUDGET, every: int = EVERY, thresholds: Sequence[float] = (0.5, 0.8, 0.95)) -> dict[str, float]:
    """Calls; AUC and final mean of the top 1, 10 and 100; molecules at or above each threshold."""
    values = _checked(scores, budget)
    found: dict[str, float] = {"calls": len(values)}
    for n in TOPS:
        found[f"auc_top{n}"] = top_auc(values, n, budget, every)
        found[f"top{n}"] = top_mean(values, n)
    return found | {f"hits>={threshold:g}": hits(values, threshold) for threshold in thresholds}


def ordered(buffer: Mapping[str, Sequence[float]]) -> list[float]:
    """Scores in the order of the calls from a result file of mol_opt: SMILES -> [score, number of the call]."""
    return [float(entry[0]) for entry in sorted(buffer.values(), key=lambda entry: entry[1])]


class Calls:
    """An oracle that counts as mol_opt's does: a molecule is paid for once; what RDKit cannot read scores 0 and is free.

    ``scored`` maps canonical SMILES to scores in the order of the calls. A new molecule after the last call of the budget scores 0 unseen
    (mol_opt lets one more through).
    """

    def __init__(self, oracle: Callable[[str], float], budget: int = BUDGET) -> None:
        self.oracle = oracle
        self.budget = budget
        self.scored: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self.scored)

    @property
    def finished(self) -> bool:
        """Whether the budget is spent."""
        return len(self.scored) >= self.budget

    @property
    def scores(self) -> list[float]:
        """The scores in the order of the calls."""
        return list(self.scored.values())

    def __call__(self, smiles: str) -> float:
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None or not smiles:
            return 0.0
        key = Chem.MolToSmiles(molecule)
        if key not in self.scored:
            if self.finished:
                return 0.0
            self.scored[key] = float(self.oracle(key))
        return self.scored[key]
