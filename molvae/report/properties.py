"""What was asked of a property, and how the measured values compare with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from molvae.errors import UsageError
from molvae.records import Candidate

NAN = float("nan")


def number(value: float) -> str:
    """A value for reading: three significant digits, whole numbers as such, a dash where unknown."""
    value = float(value)
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value.is_integer() and abs(value) < 1e6:
        text = str(int(value))
    elif abs(value) >= 1e6 or 0 < abs(value) < 1e-3:
        text = f"{value:.2e}"
    else:
        text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")
    return text.replace("-", "−")


def spread(mean: float, std: float) -> str:
    """A value with its uncertainty, as a rule both with the same decimals: ``2.85 ± 0.21``."""
    text = number(mean)
    if math.isnan(mean) or not math.isfinite(std):
        return text
    decimals = len(text.partition(".")[2])
    plain = decimals and "e" not in text and 0.5 * 10**-decimals <= std < 1e6
    return f"{text} ± {f'{std:.{decimals}f}' if plain else number(std)}"


def _given(value: float) -> str:
    """A number as a user would have typed it."""
    return f"{float(value):.6g}".replace("-", "−")


@dataclass(frozen=True)
class PropertyRequest:
    """One property of a report, with what was asked of it (nothing, for a property that is only reported).

    target and tolerance, low and high are in the property's ``unit`` (empty where dimensionless). A candidate's own ``asked`` value
    takes the place of ``target``. A value is inside where ``|value - target| <= tolerance`` and ``low <= value <= high``, as far as
    these are set. label: the name as shown, ``name`` where empty.
    """

    name: str
    unit: str = ""
    label: str = ""
    target: float = NAN
    tolerance: float = NAN
    low: float = -math.inf
    high: float = math.inf
    direction: Literal["", "maximise", "minimise"] = ""

    def __post_init__(self) -> None:
        if self.tolerance < 0 or self.low > self.high:
            raise UsageError(
                f"property {self.name!r}: tolerance {self.tolerance:g}, low {self.low:g}, high {self.high:g}; "
                "wanted a tolerance of at least 0 and low <= high"
            )

    @property
    def title(self) -> str:
        """The name as shown."""
        return self.label or self.name

    @property
    def axis(self) -> str:
        """The name with its unit, for axes and table heads."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def bounded(self) -> bool:
        """Whether a range was asked."""
        return math.isfinite(self.low) or math.isfinite(self.high)

    def aim(self, asked: float = NAN) -> float:
        """The target that holds for a candidate; NaN where none was set."""
        return self.target if math.isnan(asked) else asked

    def inside(self, measured: float, asked: float = NAN) -> bool | None:
        """Whether a measured value is what was asked; None where it is unknown or nothing was asked that it could be judged by."""
        target = self.aim(asked)
        has_target = not math.isnan(target) and not math.isnan(self.tolerance)
        if math.isnan(measured) or not (has_target or self.bounded):
            return None
        # One part in 1e9 of slack: 0.3 is outside of 0.2 +/- 0.1 in binary, but not to a reader.
        near = not has_target or abs(measured - target) <= self.tolerance + 1e-9 * max(1.0, abs(target))
        return near and self.low <= measured <= self.high

    def deviation(self, measured: float, asked: float = NAN) -> float:
        """Distance from the target, or from the range where only a range was asked; NaN where either is unknown."""
        target = self.aim(asked)
        if not math.isnan(target):
            return abs(measured - target)
        if self.bounded and not math.isnan(measured):
            return max(self.low - measured, measured - self.high, 0.0)
        return NAN

    def wish(self, asked: float = NAN) -> str:
        """What was asked, in words: ``2.5 ± 0.3``, ``≥ 0.6``, ``maximise``; empty where nothing was."""
        target = self.aim(asked)
        words = []
        if not math.isnan(target):
            words.append(_given(target) + ("" if math.isnan(self.tolerance) else f" ± {_given(self.tolerance)}"))
        if math.isfinite(self.low) and math.isfinite(self.high):
            words.append(f"{_given(self.low)} to {_given(self.high)}")
        elif self.bounded:
            words.append(f"≥ {_given(self.low)}" if math.isfinite(self.low) else f"≤ {_given(self.high)}")
        if self.direction:
            words.append(self.direction)
        return ", ".join(words)


@dataclass(frozen=True)
class PropertyStatistics:
    """One property over n candidates. known: how many have a finite measured value; the rest counts nowhere.

    wish: what was asked, in words. mean, std: of the measured values. deviation: mean absolute deviation from what was asked.
    judged: candidates that could be compared with a tolerance or range; inside: how many of them are inside.
    """

    request: PropertyRequest
    wish: str
    known: int
    mean: float
    std: float
    deviation: float
    judged: int
    inside: int

    @property
    def share(self) -> float:
        """Share of the judged candidates that are inside; NaN where none could be judged."""
        return self.inside / self.judged if self.judged else NAN


def measured(candidates: Sequence[Candidate], name: str) -> list[float]:
    """The measured values of a property (n,), NaN where unknown."""
    return [float(c.measured.get(name, NAN)) for c in candidates]


def asked(candidates: Sequence[Candidate], name: str) -> list[float]:
    """The asked values of a property (n,), NaN where unset."""
    return [float(c.asked.get(name, NAN)) for c in candidates]


def statistics(candidates: Sequence[Candidate], request: PropertyRequest) -> PropertyStatistics:
    """Compare the measured values of one property with what was asked."""
    pairs = list(zip(measured(candidates, request.name), asked(candidates, request.name), strict=True))
    values = np.array([m for m, _ in pairs if math.isfinite(m)])
    deviations = np.array([d for d in (request.deviation(m, a) for m, a in pairs) if math.isfinite(d)])
    verdicts = [v for v in (request.inside(m, a) for m, a in pairs) if v is not None]
    return PropertyStatistics(
        request=request,
        wish=_wish(request, [request.aim(a) for _, a in pairs]),
        known=len(values),
        mean=float(values.mean()) if len(values) else NAN,
        std=float(values.std(ddof=1)) if len(values) > 1 else NAN,
        deviation=float(deviations.mean()) if len(deviations) else NAN,
        judged=len(verdicts),
        inside=sum(verdicts),
    )


def _wish(request: PropertyRequest, aims: list[float]) -> str:
    distinct = sorted({a for a in aims if not math.isnan(a)})
    if len(distinct) <= 1:
        return request.wish(distinct[0] if distinct else NAN)
    spread = f"{len(distinct)} targets from {_given(distinct[0])} to {_given(distinct[-1])}"
    return spread if math.isnan(request.tolerance) else f"{spread}, ± {_given(request.tolerance)}"


def inside_all(candidate: Candidate, requests: Sequence[PropertyRequest]) -> bool | None:
    """Whether a candidate is inside everything that was asked: False where any property is outside, None where that cannot be told."""
    verdicts = []
    for request in requests:
        own = candidate.asked.get(request.name, NAN)
        if math.isnan(request.aim(own)) and not request.bounded:
            continue
        verdicts.append(request.inside(candidate.measured.get(request.name, NAN), own))
    if False in verdicts:
        return False
    return None if not verdicts or None in verdicts else True


def requests_of(candidates: Sequence[Candidate]) -> tuple[PropertyRequest, ...]:
    """A plain request, without unit or tolerance, for each property the candidates carry; asked properties first."""
    return tuple(PropertyRequest(name) for name in property_names(candidates))


def property_names(candidates: Sequence[Candidate]) -> tuple[str, ...]:
    """Every property of the candidates: the asked ones first, then measured, then predicted, each in order of appearance."""
    names: dict[str, None] = {}
    for mappings in (
        (c.asked for c in candidates),
        (c.measured for c in candidates),
        (c.predicted for c in candidates),
        (c.predicted_std for c in candidates),
    ):
        for mapping in mappings:
            names.update(dict.fromkeys(mapping))
    return tuple(names)
