"""What goes into a search and what comes out of it, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from optuna.study import Study
from optuna.trial import FrozenTrial

from molvae.search.pool import Pool, Scored
from molvae.search.sampler import Recipe

NO_SCORE = "no known score"  # why an evaluation failed that does not say so itself


@dataclass(frozen=True)
class Evaluation:
    """What a scorer says of one record. score NaN: it failed, for the reason ``failed``. violations: > 0 where a constraint does not hold."""

    score: float
    values: Mapping[str, float] = field(default_factory=dict)
    violations: tuple[float, ...] = ()
    objectives: tuple[float, ...] = ()
    failed: str = ""


Evaluate = Callable[[Sequence[str]], Sequence[Evaluation]]


@dataclass(frozen=True)
class Settings:
    """budget: unique calls of the scorer. sampler: "auto" or "local" is the default one, others are Optuna's. objectives: 1, or their number
    for a Pareto search. constraints: their names, in the order of the violations. seconds: stop after so long, 0 for no limit."""

    budget: int
    seed: int = 0
    sampler: str = "auto"
    objectives: int = 1
    constraints: tuple[str, ...] = ()
    seconds: float = 0.0
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class Progress:
    """calls so far, best score, mean of the ten best, counts of the sampler, seconds."""

    calls: int
    best: float
    top10: float
    counts: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Optimisation:
    """All that was scored, in the order of the calls, and how.

    stopped: "budget", "time", "exhausted", "interrupted", or "workers lost". warnings: workers that were lost, and how.
    """

    pool: Pool
    study: Study
    seconds: float
    scorer_seconds: float
    counts: Mapping[str, float]
    stopped: str
    warnings: tuple[str, ...] = ()

    def best(self, count: int) -> list[Scored]:
        """The best feasible records."""
        return self.pool.ranked()[:count]


Note = Callable[[Sequence[tuple[Scored, FrozenTrial]]], None]
