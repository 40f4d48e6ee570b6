"""What is wanted of an endpoint, and how much of it a value gives: a desirability in [0, 1] (Derringer & Suich 1980, J. Qual. Technol. 12, 214)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from molvae.errors import UsageError

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
# An endpoint's name may hold spaces and brackets, as columns of data files do, but no sign of this language.
NAME = r"[^\s=<>≤≥*:±,](?:[^=<>≤≥*:±,\n]*[^\s=<>≤≥*:±,])?"
_TERM = re.compile(rf"\s*({NAME})\s*(?:=\s*([^*]*?))?\s*(?:\*\s*({NUMBER}))?\s*")
_SPAN = re.compile(rf"({NUMBER})\s*:\s*({NUMBER})")
_NEAR = re.compile(rf"({NUMBER})\s*(?:(?:±|\+/?-|:)\s*({NUMBER}))?")
# A target without a tolerance: this share of the endpoint's usual span, about 0.3 standard deviations where 5 and 95 % bound it.
USUAL_TOLERANCE = 0.1
# Outside a range, desirability falls as a Gaussian whose width is this share of the range's length.
EDGE = 0.1

Bounds = Mapping[str, tuple[float, float]]


def number(value: float) -> str:
    """The shortest text that reads back as the same number."""
    value = float(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


@dataclass(frozen=True)
class Ramp:
    """Maximise or minimise an endpoint: desirability is linear between ``low`` and ``high``, 0 at the worse one, 1 at the better and beyond."""

    kind: Literal["maximize", "minimize"]
    name: str
    low: float | None = None
    high: float | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_head(self.kind, self.name, self.weight)
        if (self.low is None) != (self.high is None):
            raise UsageError(f"{self.kind} {self.name}: one bound without the other; write {self.name}=LOW:HIGH")
        if self.low is not None and self.high is not None:
            _check_span(self.kind, self.name, self.low, self.high)

    def __str__(self) -> str:
        span = "" if self.low is None or self.high is None else f"={number(self.low)}:{number(self.high)}"
        return self.name + span + _weight(self.weight)

    def raw(self, value: float) -> float:
        """The value itself, signed so that more is better."""
        return value if self.kind == "maximize" else -value

    def completed(self, usual: Bounds) -> Ramp:
        """With bounds: its own, or the usual ones of the endpoint. Raises UsageError where there are none."""
        if self.low is not None:
            return self
        if self.name not in usual:
            raise UsageError(
                f"{self.kind} {self.name}: with several terms each needs bounds, and none are known for {self.name}; "
                f"write {self.name}=LOW:HIGH, the values between which it matters"
            )
        low, high = usual[self.name]
        return replace(self, low=float(low), high=float(high))

    def desirability(self, value: float) -> float:
        """In [0, 1]; NaN for NaN. Raises UsageError without bounds."""
        if self.low is None or self.high is None:
            raise UsageError(f"{self.kind} {self.name}: with several terms each needs bounds; write {self.name}=LOW:HIGH")
        if math.isnan(value):
            return math.nan
        share = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, share if self.kind == "maximize" else 1.0 - share))


@dataclass(frozen=True)
class Near:
    """An endpoint near a value: 1 within the tolerance, falling as a Gaussian of that width outside."""

    name: str
    value: float
    tolerance: float | None = None
    weight: float = 1.0

    kind = "target"

    def __post_init__(self) -> None:
        _check_head(self.kind, self.name, self.weight)
        if not math.isfinite(self.value):
            raise UsageError(f"target {self.name}: the value is {self.value}; a finite number is wanted")
        if self.tolerance is not None and not (math.isfinite(self.tolerance) and self.tolerance > 0):
            raise UsageError(f"target {self.name}: the tolerance is {self.tolerance}; a number above 0 is wanted")

    def __str__(self) -> str:
        tolerance = "" if self.tolerance is None else f"±{number(self.tolerance)}"
        return f"{self.name}={number(self.value)}{tolerance}{_weight(self.weight)}"

    def completed(self, usual: Bounds) -> Near:
        """With a tolerance: its own, or a tenth of the endpoint's usual span. Raises UsageError where none is known."""
        if self.tolerance is not None:
            return self
        if self.name not in usual:
            raise UsageError(
                f"target {self.name}: no tolerance is given and no usual one known; write {self.name}={number(self.value)}±TOLERANCE"
            )
        low, high = usual[self.name]
        return replace(self, tolerance=float(f"{USUAL_TOLERANCE * (high - low):.2g}"))

    def desirability(self, value: float) -> float:
        """In [0, 1]; NaN for NaN. Raises UsageError without a tolerance."""
        if self.tolerance is None:
            raise UsageError(f"target {self.name}: no tolerance; write {self.name}={number(self.value)}±TOLERANCE")
        return _fall(abs(value - self.value) - self.tolerance, self.tolerance)


@dataclass(frozen=True)
class Within:
    """An endpoint between two values: 1 inside, falling as a Gaussian outside whose width is a tenth of the range's length."""

    name: str
    low: float
    high: float
    weight: float = 1.0

    kind = "range"

    def __post_init__(self) -> None:
        _check_head(self.kind, self.name, self.weight)
        _check_span(self.kind, self.name, self.low, self.high)

    def __str__(self) -> str:
        return f"{self.name}={number(self.low)}:{number(self.high)}{_weight(self.weight)}"

    def completed(self, usual: Bounds) -> Within:
        """Itself: a range says everything."""
        return self

    def desirability(self, value: float) -> float:
        """In [0, 1]; NaN for NaN."""
        return _fall(max(self.low - value, value - self.high), EDGE * (self.high - self.low))


Term = Ramp | Near | Within


def parse_term(kind: str, text: str) -> Term:
    """A term from its text: ``qed``, ``qed=0.3:0.9*2``, ``logp=2.5±0.5``, ``mw=250:400``. kind: maximize, minimize, target or range.

    Raises UsageError.
    """
    match = _TERM.fullmatch(text)
    if match is None:
        raise UsageError(f"{kind} {text!r}: wanted {_WANTED[kind]}")
    name, body, weight = match[1], match[2], 1.0 if match[3] is None else float(match[3])
    if kind in ("maximize", "minimize"):
        span = _SPAN.fullmatch(body) if body is not None else None
        if body is not None and span is None:
            raise UsageError(f"{kind} {text!r}: wanted {_WANTED[kind]}")
        low, high = (float(span[1]), float(span[2])) if span else (None, None)
        return Ramp("maximize" if kind == "maximize" else "minimize", name, low, high, weight)
    if kind == "target":
        near = _NEAR.fullmatch(body or "")
        if near is None:
            raise UsageError(f"{kind} {text!r}: wanted {_WANTED[kind]}")
        return Near(name, float(near[1]), None if near[2] is None else float(near[2]), weight)
    span = _SPAN.fullmatch(body or "")
    if span is None:
        raise UsageError(f"{kind} {text!r}: wanted {_WANTED[kind]}; for one open end write a constraint, as mw<=400")
    return Within(name, float(span[1]), float(span[2]), weight)


_WANTED = {
    "maximize": "NAME, NAME=LOW:HIGH, and *WEIGHT after either, as qed=0.3:0.9*2",
    "minimize": "NAME, NAME=LOW:HIGH, and *WEIGHT after either, as sa=1:5*2",
    "target": "NAME=VALUE or NAME=VALUE±TOLERANCE (also +-), and *WEIGHT after either, as logp=2.5±0.5*2",
    "range": "NAME=LOW:HIGH, and *WEIGHT after it, as mw=250:400*2",
}


def _weight(weight: float) -> str:
    return "" if weight == 1.0 else f"*{number(weight)}"


def _fall(beyond: float, width: float) -> float:
    """1 up to an edge, a Gaussian of this width beyond it."""
    if math.isnan(beyond):
        return math.nan
    return 1.0 if beyond <= 0 else math.exp(-0.5 * min(beyond / width, 1e3) ** 2)


def _check_head(kind: str, name: str, weight: float) -> None:
    if not re.fullmatch(NAME, name):
        raise UsageError(f"{kind} {name!r}: not a name; names hold none of = < > * : ± and no comma")
    if not (math.isfinite(weight) and weight > 0):
        raise UsageError(f"{kind} {name}: the weight is {weight}; a number above 0 is wanted")


def _check_span(kind: str, name: str, low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"{kind} {name}={number(low)}:{number(high)}: LOW must be below HIGH, and both finite")
