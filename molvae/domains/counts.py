"""Measures of counts that several domains use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

K = TypeVar("K")


def cosine(first: Mapping[K, int], second: Mapping[K, int]) -> float:
    """Cosine of two vectors of counts, NaN where either is empty."""
    if not first or not second:
        return math.nan
    inner = sum(count * second.get(key, 0) for key, count in first.items())
    return inner / math.sqrt(sum(c * c for c in first.values()) * sum(c * c for c in second.values()))
