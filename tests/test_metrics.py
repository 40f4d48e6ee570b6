"""Metrics against closed forms and scipy-free oracles."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvae import metrics
from molvae.errors import UsageError

FLOATS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30)


def test_shares():
    assert metrics.fraction([True, False, True, True]) == 0.75
    assert metrics.validity([False]) == 0.0
    assert metrics.uniqueness(["a", "b", "a", "c"]) == 0.75
    assert metrics.uniqueness(["a", "b", "a", "c"], k=2) == 1.0
    assert metrics.novelty(["a", "a", "b", "c", "d"], {"a"}) == 0.75
    assert metrics.share_in_range([0, 1, 2, 3, math.nan], 1, 2) == 0.5
    assert metrics.share_in_range([0.5, 7], low=1) == 0.5


def test_nothing_known_is_nan():
    for value in (
        metrics.fraction([]),
        metrics.uniqueness([]),
        metrics.novelty([], set()),
        metrics.internal_diversity([], lambda one, others: []),
        metrics.wasserstein([math.nan], [1.0]),
        metrics.property_distance([1.0], []),
        metrics.property_distance([1.0], [2.0, 2.0]),
        metrics.calibration_error([math.nan], [1.0], [0.0]),
        metrics.mean_absolute_error([1.0], [math.nan]),
        metrics.root_mean_square_error([], []),
        metrics.share_in_range([math.nan], 0, 1),
    ):
        assert math.isnan(value)


def test_bad_arguments_are_refused():
    with pytest.raises(UsageError, match="k=5 of 2"):
        metrics.uniqueness(["a", "b"], k=5)
    with pytest.raises(UsageError, match="k=0"):
        metrics.uniqueness(["a", "b"], k=0)
    with pytest.raises(UsageError, match="range"):
        metrics.share_in_range([1.0], 2, 1)
    with pytest.raises(UsageError, match="2, 1 values"):
        metrics.mean_absolute_error([1.0, 2.0], [1.0])
    with pytest.raises(UsageError, match="negative"):
        metrics.calibration_error([0.0], [-1.0], [0.0])


def test_internal_diversity():
    def equal(one, others):
        return [float(one == other) for other in others]

    # n distinct records: only the n pairs with oneself are alike, so IntDiv_p = 1 - (1 / n)**(1 / p)
    assert metrics.internal_diversity([1, 2, 3, 4], equal) == pytest.approx(0.75)
    assert metrics.internal_diversity([1, 2, 3, 4], equal, p=2) == pytest.approx(0.5)
    assert metrics.internal_diversity([1, 1, 1], equal) == pytest.approx(0.0)


def test_wasserstein_closed_forms():
    assert metrics.wasserstein([0, 1], [0, 1, math.nan]) == 0.0
    assert metrics.wasserstein([0.0], [3.0]) == 3.0
    assert metrics.wasserstein([0, 0, 1, 1], [0, 1]) == 0.0
    assert metrics.wasserstein([0, 1], [0.5]) == 0.5
    assert metrics.property_distance([1, 3], [0, 2]) == 1.0


@given(FLOATS, FLOATS, st.floats(-10, 10))
def test_wasserstein_is_a_metric(first, second, shift):
    distance = metrics.wasserstein(first, second)
    assert distance >= abs(np.mean(first) - np.mean(second)) - 1e-6
    assert distance == pytest.approx(metrics.wasserstein(second, first), abs=1e-9)
    assert metrics.wasserstein(first, np.add(first, shift)) == pytest.approx(abs(shift), abs=1e-6)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=30))
def test_wasserstein_of_equal_sizes_pairs_the_sorted_values(pairs):
    first, second = map(np.array, zip(*pairs, strict=True))
    assert metrics.wasserstein(first, second) == pytest.approx(np.mean(np.abs(np.sort(first) - np.sort(second))), abs=1e-6)


def test_calibration_error_limits():
    rng = np.random.default_rng(0)
    mean = rng.normal(size=20_000)
    truth = mean + 0.3 * rng.normal(size=20_000)
    assert metrics.calibration_error(mean, np.full(20_000, 0.3), truth) < 0.01
    # every truth far above every quantile: shares are 0, the mean level is 1/2
    assert metrics.calibration_error([0.0], [1.0], [100.0]) == pytest.approx(0.5)
    # far too wide: every truth lies between the quantiles next to the median, the error is the mean of min(q, 1 - q), close to 1/4
    assert metrics.calibration_error(mean, np.full(20_000, 1e6), truth) == pytest.approx(0.25, abs=0.01)
    # a factor s in the standard deviation: the integral of |Phi(s Phi^-1(q)) - q| over q is |1/4 - arctan(s) / pi|
    assert metrics.calibration_error(mean, np.full(20_000, 0.15), truth) == pytest.approx(abs(0.25 - np.arctan(0.5) / np.pi), abs=0.01)


def test_errors_ignore_unknown_pairs():
    assert metrics.mean_absolute_error([1, 2, math.nan, 5], [0, 4, 1, math.nan]) == 1.5
    assert metrics.root_mean_square_error([1, 2, math.nan], [4, 6, 1]) == pytest.approx(math.sqrt(12.5))


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.booleans()), max_size=25))
def test_the_front_is_what_nothing_dominates(rows: list[tuple[int, int, int, bool]]):
    objectives = np.array([row[:3] for row in rows], np.float64).reshape(len(rows), 3)
    counts = np.array([row[3] for row in rows], bool)
    front = metrics.pareto_front(np.where(counts[:, None], objectives, np.nan))
    for k in range(len(rows)):
        others = [j for j in range(len(rows)) if counts[j] and j != k]
        beaten = any((objectives[j] >= objectives[k]).all() and ((objectives[j] > objectives[k]).any() or j < k) for j in others)
        assert front[k] == (counts[k] and not beaten)
