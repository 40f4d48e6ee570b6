"""What has been scored, and which of it to search around."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from molvae.metrics import pareto_front


@dataclass(frozen=True)
class Scored:
    """One record that was scored. rank: what the search maximises; NaN where the score is unknown or a constraint is violated.

    values: endpoint -> value as the scorer gave it. origin: the move that proposed it. call: its number among the scorer's calls, from 1.
    failed: why its score is unknown, "" where it is known.
    """

    text: str
    key: str
    score: float
    rank: float
    values: Mapping[str, float] = field(default_factory=dict)
    violations: tuple[float, ...] = ()
    objectives: tuple[float, ...] = ()
    origin: str = ""
    call: int = 0
    group: str = ""
    failed: str = ""

    @property
    def feasible(self) -> bool:
        """Whether every constraint holds."""
        return all(v <= 0 for v in self.violations)


class Pool:
    """Scored records by key, in the order of their calls, with codes of those that were searched around."""

    def __init__(self) -> None:
        self._by_key: dict[str, Scored] = {}
        self._ranked: list[Scored] | None = None
        self.codes: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[Scored]:
        return iter(self._by_key.values())

    def __contains__(self, key: object) -> bool:
        return key in self._by_key

    def __getitem__(self, key: str) -> Scored:
        return self._by_key[key]

    def add(self, scored: Iterable[Scored]) -> None:
        """Add records; a key that is there already is left as it is."""
        for one in scored:
            self._by_key.setdefault(one.key, one)
        self._ranked = None

    def annotate(self, key: str, values: Mapping[str, float]) -> None:
        """Note the endpoints' values of a record that is there."""
        if values and key in self._by_key:
            self._by_key[key] = replace(self._by_key[key], values=dict(values))
            self._ranked = None

    def ranked(self) -> list[Scored]:
        """Records with a rank, best first, earlier calls first among equals."""
        if self._ranked is None:
            known = [s for s in self._by_key.values() if not math.isnan(s.rank)]
            self._ranked = sorted(known, key=lambda s: (-s.rank, s.call))
        return self._ranked

    def elites(self, count: int, per_group: int, since: int = 0) -> list[Scored]:
        """The best ``count`` records, at most ``per_group`` of one group (scaffold), so that one family does not fill the set.

        since: only of those scored after this call.

        Where more than ``count`` records share the worst score, such as 0 for want of a substructure, they are left out: being among the first
        of them means nothing. Where feasible ones are too few, those follow that come nearest to it, the rule of Deb (Comput. Methods Appl.
        Mech. Eng. 186, 311, 2000).
        """
        ranked = [s for s in self.ranked() if s.call > since]
        better = [s for s in ranked if s.rank > ranked[-1].rank]
        if len(ranked) - len(better) > count:
            ranked = better
        return _spread(ranked if len(ranked) >= count else [*ranked, *self._nearest(since)], count, per_group)

    def _nearest(self, since: int) -> list[Scored]:
        """Records that violate a constraint, the least violation first, without those that violate as much as any."""
        missed = [(sum(max(0.0, v) for v in s.violations), s) for s in self._by_key.values() if not s.feasible and s.call > since]
        most = max((violation for violation, _ in missed), default=0.0)
        return [s for violation, s in sorted(missed, key=lambda m: (m[0], m[1].call)) if violation < most]

    def weigh(self, weights: Sequence[float]) -> None:
        """Rank by several objectives at once: the augmented Chebyshev scalarisation of ParEGO (Knowles, IEEE Trans. Evol. Comput. 10, 50, 2006).

        weights: one for each objective, summing to 1; objectives are scaled to [0, 1] over what is in the pool.
        """
        able = self._comparable()
        if not able:
            return
        values = np.array([s.objectives for s in able])
        low, high = values.min(0), values.max(0)
        weighted = (values - low) / np.where(high > low, high - low, 1.0) * np.asarray(weights)
        ranks = weighted.min(1) + 0.05 * weighted.sum(1)
        for one, rank in zip(able, ranks.tolist(), strict=True):
            self._by_key[one.key] = replace(one, rank=rank)
        self._ranked = None

    def _comparable(self) -> list[Scored]:
        return [s for s in self._by_key.values() if s.feasible and s.objectives and not any(math.isnan(o) for o in s.objectives)]

    def front(self) -> list[Scored]:
        """The feasible records that no other one beats in one objective without losing in another, best first in the first objective."""
        able = sorted(self._comparable(), key=lambda s: (tuple(-o for o in s.objectives), s.call))
        if not able:
            return []
        return [one for one, held in zip(able, pareto_front(np.array([s.objectives for s in able])), strict=True) if held]

    def threshold(self, place: int, since: int = 0) -> float:
        """Rank of the record in this place (1 is the best) of those scored after a call, minus infinity where there are fewer."""
        ranked = [s for s in self.ranked() if s.call > since]
        return ranked[place - 1].rank if len(ranked) >= place else -math.inf

    def failures(self) -> dict[str, int]:
        """Reason -> records whose score is unknown for it, the most frequent first."""
        return dict(Counter(s.failed for s in self if s.failed).most_common())

    def top_mean(self, count: int) -> float:
        """Mean score of the best ``count``; NaN where nothing has a rank."""
        ranked = self.ranked()[:count]
        return float(np.mean([s.score for s in ranked])) if ranked else math.nan


def _spread(ranked: Iterable[Scored], count: int, per_group: int) -> list[Scored]:
    taken: dict[str, int] = {}
    out: list[Scored] = []
    for one in ranked:
        if one.group and taken.get(one.group, 0) >= per_group:
            continue
        taken[one.group] = taken.get(one.group, 0) + 1
        out.append(one)
        if len(out) == count:
            break
    return out


def rank_weights(count: int, slope: float = 0.02) -> Tensor:
    """Probabilities (count,) that fall with the rank: 1 / (slope * count + rank), as in the weighted retraining of Tripp et al. 2006.09191."""
    weights = 1.0 / (slope * count + torch.arange(count, dtype=torch.float64))
    return weights / weights.sum()


def labelled(pool: Pool, newest: int, best: int, since: int = 0) -> list[Scored]:
    """Records for a surrogate, of those scored after a call: the ``best`` ones and the ``newest`` of the rest."""
    ranked = [s for s in pool.ranked() if s.call > since]
    return [*ranked[:best], *sorted(ranked[best:], key=lambda s: -s.call)[:newest]]
