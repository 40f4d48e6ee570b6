"""Option values of the command line as Python values. Everything here raises UsageError for what it cannot read."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any

from molvae.errors import UsageError

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_TARGET = re.compile(rf"([^=]+)=\s*({_NUMBER})\s*(?:(?:±|\+/?-|:)\s*({_NUMBER}))?\s*")


def names(text: str | None) -> tuple[str, ...]:
    """``a,b,c`` as names; nothing for None or an empty text."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def targets(texts: Iterable[str]) -> dict[str, float | tuple[float, float]]:
    """``logp=2.5``, or with a tolerance ``qed=0.9±0.05``, ``qed=0.9+-0.05``, ``qed=0.9:0.05``."""
    found: dict[str, float | tuple[float, float]] = {}
    for text in texts:
        match = _TARGET.fullmatch(text)
        if match is None:
            raise UsageError(
                f"--target {text!r}: wanted PROPERTY=VALUE, PROPERTY=VALUE±TOLERANCE or PROPERTY=VALUE:TOLERANCE, as logp=2.5:0.3"
            )
        name, value, tolerance = match[1].strip(), float(match[2]), match[3]
        if name in found:
            raise UsageError(f"--target {text!r}: {name} has a target already; give each property one")
        if tolerance is not None and float(tolerance) <= 0:
            raise UsageError(f"--target {text!r}: the tolerance must be above 0")
        found[name] = value if tolerance is None else (value, float(tolerance))
    return found


def ranges(texts: Iterable[str]) -> dict[str, tuple[float, float]]:
    """``mw=250:400``, with open ends ``mw=:400`` and ``mw=250:``."""
    found: dict[str, tuple[float, float]] = {}
    for text in texts:
        name, equals, span = text.partition("=")
        low, colon, high = span.partition(":")
        try:
            ends = (float(low) if low.strip() else -math.inf, float(high) if high.strip() else math.inf)
        except ValueError:
            ends = (math.nan, math.nan)
        if not (name.strip() and equals and colon) or any(map(math.isnan, ends)) or ends == (-math.inf, math.inf):
            raise UsageError(f"--range {text!r}: wanted PROPERTY=LOW:HIGH, as mw=250:400; one end may be left open, as mw=:400")
        if ends[0] > ends[1]:
            raise UsageError(f"--range {text!r}: the low end is above the high end")
        if name.strip() in found:
            raise UsageError(f"--range {text!r}: {name.strip()} has a range already; give each property one")
        found[name.strip()] = ends
    return found


def settings(texts: Iterable[str]) -> dict[str, Any]:
    """``train.steps=1000`` with TOML values; ``a,b`` without brackets is a list of texts."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--set {text!r}: wanted SECTION.SETTING=VALUE, as train.steps=1000; 'molvae config' prints every setting")
        found[name.strip()] = _toml(value.strip())
    return found


def _toml(value: str) -> Any:
    try:
        return tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        return list(names(value)) if "," in value else value


def fractions(text: str) -> tuple[float, float, float]:
    """``.9,.05,.05``: shares of train, valid and test rows."""
    try:
        train, valid, test = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--fractions {text!r}: wanted three shares, as 0.9,0.05,0.05") from None
    return train, valid, test


def steps(text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Cleaning steps in order. A comma inside arguments (``elements=C,N,O``) belongs to them: a part that is no known step goes on with them."""
    found: list[str] = []
    for part in names(text):
        if found and "=" in found[-1] and "=" not in part and part not in known:
            found[-1] += f",{part}"
        else:
            found.append(part)
    return tuple(found)
