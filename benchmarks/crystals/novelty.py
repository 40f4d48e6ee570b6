"""Which of some crystals are stable, unique and new: by CHGNet and a named hull, and by StructureMatcher."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.journal import Journal
from molvae.domains.crystals import Crystal
from molvae.domains.crystals.identity import matches
from molvae.domains.crystals.stability.service import STABILITY
from molvae.domains.crystals.structure import parse
from molvae.protocols import StabilityPlan

CLOSE = 0.1  # eV an atom above the hull
KEPT = ("relaxed", "coverage", "e_hull", "rms")


@dataclass(frozen=True)
class Judged:
    """One crystal after relaxing. e_hull: eV/atom, NaN where unknown; verdict: as ``molvae stability`` says it. crystal: None where it failed."""

    crystal: Crystal | None
    verdict: str
    coverage: str
    e_hull: float
    rms: float

    @property
    def stable(self) -> bool:
        """At most 0.1 eV/atom above a hull that is known well there."""
        return self.verdict in ("stable", "metastable")

    @property
    def close(self) -> bool:
        """At most 0.1 eV/atom above what is known of the hull, were it little."""
        return self.e_hull <= CLOSE


def relaxed(texts: Sequence[str], reference: str, workers: int, journal: Path) -> list[Judged]:
    """Each crystal relaxed by CHGNet and placed against the reference, as ``molvae stability --relax`` does it, in the order given.

    journal: a file that keeps each as it is done; those in it already are not done again.
    """
    plan = StabilityPlan(reference, relax=True, threshold=CLOSE, workers=workers)
    kept = Journal(journal, texts)
    left = kept.left
    for place, row in STABILITY.run([texts[at] for at in left], plan):
        kept.add(left[place], {"verdict": row.verdict, **{name: row.values[name] for name in KEPT}})
    return [_judged(one) for one in kept.all()]


def _judged(one: Mapping[str, Any]) -> Judged:
    text = one["relaxed"]
    return Judged(parse(text) if text else None, one["verdict"], str(one["coverage"]), float(one["e_hull"]), float(one["rms"]))


class Seen:
    """Crystals by formula, to be asked whether one is among them: whether StructureMatcher (``matches``) fits it to any."""

    def __init__(self, crystals: Iterable[Crystal] = ()) -> None:
        self._by_formula: dict[str, list[Crystal]] = defaultdict(list)
        for one in crystals:
            self.add(one)

    def add(self, one: Crystal) -> None:
        """Count it among them from now on."""
        self._by_formula[one.formula].append(one)

    def __contains__(self, one: Crystal) -> bool:
        return any(matches(one, other) for other in self._by_formula[one.formula])


def unique(crystals: Sequence[Crystal | None]) -> list[bool]:
    """Whether each is unlike all before it. What is None is not."""
    seen, out = Seen(), []
    for one in crystals:
        out.append(one is not None and one not in seen)
        if one is not None and out[-1]:
            seen.add(one)
    return out


def novel(crystals: Sequence[Crystal | None], known: Sequence[Crystal]) -> list[bool]:
    """Whether each is unlike all that are known. What is None is not."""
    seen = Seen(known)
    return [one is not None and one not in seen for one in crystals]


def summary(judged: Sequence[Judged], known: Sequence[Crystal]) -> dict[str, Any]:
    """Shares of all crystals, medians, and how well the hull is known where they are. SUN: stable, unique and new."""
    crystals = [one.crystal for one in judged]
    lone, new = unique(crystals), novel(crystals, known)
    heights = [one.e_hull for one in judged if math.isfinite(one.e_hull)]
    moves = [one.rms for one in judged if math.isfinite(one.rms)]
    both = [u and n for u, n in zip(lone, new, strict=True)]
    return {
        "count": len(judged),
        "failed": sum(one.crystal is None for one in judged),
        "coverage": dict(Counter(one.coverage for one in judged)),
        "verdicts": dict(Counter(one.verdict for one in judged)),
        "stable": float(np.mean([one.stable for one in judged])),
        "close": float(np.mean([one.close for one in judged])),
        "unique": float(np.mean(lone)),
        "new": float(np.mean(new)),
        "sun": float(np.mean([one.stable and ok for one, ok in zip(judged, both, strict=True)])),
        "close_unique_new": float(np.mean([one.close and ok for one, ok in zip(judged, both, strict=True)])),
        "median_e_hull": float(np.median(heights)) if heights else math.nan,
        "median_rms": float(np.median(moves)) if moves else math.nan,
    }
