"""Metrics of generation and prediction as pure functions. Unknown values (NaN) are left out; without any value the answer is NaN."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from itertools import islice
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from molvae.errors import UsageError

R = TypeVar("R")
Floats = NDArray[np.float64]


def fraction(flags: Iterable[bool]) -> float:
    """Share of true flags."""
    values = list(flags)
    return sum(map(bool, values)) / len(values) if values else float("nan")


def validity(ok: Iterable[bool]) -> float:
    """Share of drawn texts whose verdict is good. Count every draw, rejected ones too."""
    return fraction(ok)


def uniqueness(keys: Iterable[str], k: int | None = None) -> float:
    """Share of distinct identities among the first ``k`` valid ones (all without k), as MOSES defines it (Polykovskiy et al. 2020).

    Raises UsageError for k below 1 or more than there are keys.
    """
    values = list(keys)
    if k is not None and not 1 <= k <= len(values):
        raise UsageError(f"uniqueness at k={k} of {len(values)} keys: k from 1 to the number of valid keys is wanted; draw more or lower k")
    values = list(islice(values, k))
    return len(set(values)) / len(values) if values else float("nan")


def novelty(keys: Iterable[str], known: Container[str]) -> float:
    """Share of the distinct identities that are not in ``known``."""
    return fraction(key not in known for key in set(keys))


def internal_diversity(records: Sequence[R], similarity: Callable[[R, Sequence[R]], list[float]], p: int = 1) -> float:
    """1 - (mean of similarity**p over all n**2 ordered pairs)**(1/p), each record with itself included, as MOSES defines IntDiv_p.

    similarity: a record and others -> values in [0, 1], symmetric. Source: Benhenda, arXiv:1708.08227; Polykovskiy et al. (2020).
    """
    count = len(records)
    if not count:
        return float("nan")
    pairs = 0.0
    for place, record in enumerate(records):
        pairs += 1.0 + 2.0 * float(np.sum(np.power(similarity(record, records[:place]), p)))
    return float(1.0 - (pairs / count**2) ** (1.0 / p))


def wasserstein(first: ArrayLike, second: ArrayLike) -> float:
    """Wasserstein-1 distance of two samples (n,), (m,), in their own unit: the area between their distribution functions."""
    a, b = np.sort(_known(first)), np.sort(_known(second))
    if not a.size or not b.size:
        return float("nan")
    points = np.sort(np.concatenate((a, b)))
    below_a = np.searchsorted(a, points[:-1], side="right") / a.size
    below_b = np.searchsorted(b, points[:-1], side="right") / b.size
    return float(np.sum(np.abs(below_a - below_b) * np.diff(points)))


def property_distance(drawn: ArrayLike, reference: ArrayLike) -> float:
    """Wasserstein-1 distance in standard deviations of the reference, so that properties compare; NaN where the reference does not vary."""
    spread = float(np.std(values)) if (values := _known(reference)).size else float("nan")
    return wasserstein(drawn, reference) / spread if spread > 0 else float("nan")


def calibration_error(mean: ArrayLike, std: ArrayLike, truth: ArrayLike, *, levels: int = 99) -> float:
    """Expected calibration error of Gaussian predictions, in [0, 1/2]; 0 is calibrated.

    Mean over ``levels`` evenly spaced quantile levels q of abs(share of truths at or below the predicted quantile q, minus q); Kuleshov,
    Fenner & Ermon, ICML 2018, with the absolute difference in place of its square (as Chung et al., NeurIPS 2021). Raises UsageError for
    a negative std or no levels.
    """
    centre, width, target = _together(mean, std, truth)
    if levels < 1 or np.any(width < 0):
        raise UsageError("calibration needs at least one level and no negative standard deviation")
    if not target.size:
        return float("nan")
    normal = NormalDist()
    gaps = []
    for level in (np.arange(levels) + 1) / (levels + 1):
        share = np.mean(target <= centre + width * normal.inv_cdf(float(level)))
        gaps.append(abs(float(share) - float(level)))
    return float(np.mean(gaps))


def mean_absolute_error(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Mean absolute difference over the pairs where both are known."""
    left, right = _together(predicted, truth)
    return float(np.mean(np.abs(left - right))) if left.size else float("nan")


def root_mean_square_error(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Root of the mean squared difference over the pairs where both are known."""
    left, right = _together(predicted, truth)
    return float(np.sqrt(np.mean((left - right) ** 2))) if left.size else float("nan")


def pareto_front(values: Floats) -> NDArray[np.bool_]:
    """(n,) rows of values (n, k), more is better, that no other one beats in one column without losing in another; the first of equal ones.

    A row with any unknown value neither is on the front nor beats another.
    """
    rows = np.flatnonzero(~np.isnan(values).any(1))
    rows = rows[np.lexsort((rows, *(-values[rows].T[::-1])))] if len(rows) else rows
    on_front = np.zeros(len(values), bool)
    held = np.zeros((0, values.shape[1]))
    for row in rows:
        if not (held >= values[row]).all(1).any():
            held = np.vstack([held, values[row]])
            on_front[row] = True
    return on_front


def share_in_range(values: ArrayLike, low: float = float("-inf"), high: float = float("inf")) -> float:
    """Share of the known values in [low, high]. Raises UsageError where low is above high or either is NaN."""
    if not low <= high:
        raise UsageError(f"range from {low:g} to {high:g}: the first must not be above the second")
    known = _known(values)
    return float(np.mean((known >= low) & (known <= high))) if known.size else float("nan")


def _known(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    return array[~np.isnan(array)]


def _together(*columns: ArrayLike) -> list[Floats]:
    """The columns (n,), rows with any NaN left out. Raises UsageError for unequal lengths."""
    arrays = [np.asarray(column, dtype=np.float64).reshape(-1) for column in columns]
    if len({array.size for array in arrays}) > 1:
        raise UsageError(f"columns of {', '.join(str(array.size) for array in arrays)} values: as many in each are wanted")
    known = ~np.any([np.isnan(array) for array in arrays], axis=0)
    return [array[known] for array in arrays]
