"""What is asked of ``generate`` and what comes back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from molvae.records import Candidate


@dataclass(frozen=True)
class Target:
    """A property near a value; tolerance is half the width of what counts as inside, in the property's unit."""

    name: str
    value: float
    tolerance: float


@dataclass(frozen=True)
class Range:
    """A property between two values; an infinite end is open."""

    name: str
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Need:
    """A condition on the record itself, such as a substructure: ``test`` is true where it holds."""

    name: str
    test: Callable[[Any], bool]


@dataclass(frozen=True)
class Request:
    """What is asked of ``generate``.

    level: noise level at which codes are drawn and decoded. seeds: texts whose codes are the starting points, at random levels up to ``level``,
    or, with ``around``, at exactly that level. verify: keep what is inside every target and range, by measurement or, where a property cannot
    be computed, by its predicted mean. predict: read the heads' predictions from every candidate's code. rank: "drawn", in the order of the
    draws, or "likely", the most plausible first (``molvae.rank``), of at least 20 that were accepted.
    """

    n: int
    targets: tuple[Target, ...] = ()
    ranges: tuple[Range, ...] = ()
    needs: tuple[Need, ...] = ()
    measure: tuple[str, ...] = ()
    temperature: float = 1.0
    guidance: float = 1.0
    level: float = 1.0
    prior: str = "normal"
    seeds: tuple[str, ...] = ()
    around: bool = False
    seed: int = 0
    unique: bool = True
    novel: bool = False
    verify: bool = True
    predict: bool = True
    rank: str = "drawn"
    max_draws: int | None = None


@dataclass
class Funnel:
    """Counts of draws that got through each gate, in this order; None for gates that were not there.

    inside: measured inside every target and range. predicted_inside: of these, those whose predicted mean is inside what was asked of
    properties that cannot be computed.
    """

    drawn: int = 0
    valid: int = 0
    passed: int = 0
    unique: int = 0
    novel: int = 0
    inside: int = 0
    predicted_inside: int | None = None


@dataclass(frozen=True)
class Generation:
    """Candidates and how they came about.

    raw_deviation: mean absolute deviation from each target over valid draws before any selection by measured value, in the property's unit.
    acceptance: accepted / drawn. short: why fewer than n were found, or None.
    """

    candidates: list[Candidate]
    funnel: Funnel
    raw_deviation: Mapping[str, float]
    acceptance: float
    seconds: float
    short: str | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
