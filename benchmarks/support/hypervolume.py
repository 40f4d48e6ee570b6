"""Exact hypervolume for two and three objectives, all to be made large. Axes: n points, M objectives."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from molvae.metrics import pareto_front

Points = NDArray[np.float64]


def hypervolume(points: Points, reference: Sequence[float]) -> float:
    """Volume of what is at least as bad as some point and better than the reference, for M = 2 or 3.

    A sweep along the last objective over a staircase of the first two (Fonseca, Paquete & López-Ibáñez 2006, with areas by summation).
    Points that are not better than the reference in everything add nothing. Raises ValueError for another M and for NaN.
    """
    at = np.asarray(points, np.float64).reshape(-1, len(reference)) - np.asarray(reference, np.float64)
    if at.shape[1] not in (2, 3):
        raise ValueError(f"{at.shape[1]} objectives; wanted 2 or 3")
    if np.isnan(at).any():
        raise ValueError("a point with NaN; leave out what could not be scored")
    at = at[(at > 0).all(1)]
    if at.shape[1] == 2:
        stairs = Stairs()
        for first, second in at.tolist():
            stairs.add(first, second)
        return stairs.area
    stairs, volume, height = Stairs(), 0.0, 0.0
    for first, second, third in sorted(at.tolist(), key=lambda p: -p[2]):
        volume += stairs.area * (height - third) if height else 0.0
        height = third
        stairs.add(first, second)
    return volume + stairs.area * height


class Stairs:
    """Two-dimensional front of points above 0, by rising first and falling second coordinate, with the area below it."""

    def __init__(self) -> None:
        self.first: list[float] = []
        self.second: list[float] = []
        self.area = 0.0

    def add(self, first: float, second: float) -> None:
        """Take in a point."""
        at = bisect.bisect_left(self.first, first)
        if at < len(self.first) and self.second[at] >= second:
            return
        end = at  # points with a smaller first coordinate that are no higher, and one of the same first coordinate, are beaten
        start = at
        if at < len(self.first) and self.first[at] == first:
            end += 1
        while start and self.second[start - 1] <= second:
            start -= 1
        floor = self.second[end] if end < len(self.second) else 0.0
        left = self.first[start - 1] if start else 0.0
        gained = (first - left) * (second - floor)
        for k in range(start, end):  # less what the beaten points covered above the floor
            width = self.first[k] - (self.first[k - 1] if k else 0.0)
            gained -= width * (self.second[k] - floor)
        self.first[start:end], self.second[start:end] = [first], [second]
        self.area += gained


def curve(values: Points, reference: Sequence[float], every: int) -> list[float]:
    """Hypervolume of the first ``every``, 2 ``every``, ... rows of values (n, M), in the order of the calls, and of all of them."""
    ends = [*range(every, len(values), every), len(values)]
    best, out, before = np.zeros((0, len(reference))), [], 0
    for end in ends:
        best = np.concatenate([best, values[before:end]])
        best = best[pareto_front(best)]
        out.append(hypervolume(best, reference))
        before = end
    return out
