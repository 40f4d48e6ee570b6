"""The measurement of what a search costs beside the model."""

from __future__ import annotations

import time

import pytest

from benchmarks import overhead
from molvae.api import load
from tests.fixtures_model import Tiny


def test_time_within_a_timed_call_counts_for_the_inner_part_alone() -> None:
    watch = overhead.Stopwatch()

    def work(seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    inner = watch.timed(overhead.CHEMISTRY, lambda: work(0.05))

    def outer() -> None:
        inner()
        work(0.1)

    watch.timed(overhead.NETWORK, outer)()
    assert watch.seconds[overhead.CHEMISTRY] == pytest.approx(0.05, abs=0.03)
    assert watch.seconds[overhead.NETWORK] == pytest.approx(0.1, abs=0.03)
    with pytest.raises(ZeroDivisionError):
        watch.timed(overhead.SCORER, lambda: 1 / 0)()
    assert watch.inner == [pytest.approx(sum(watch.seconds.values()), abs=0.01)]


def test_the_parts_of_a_search_add_up(tiny: Tiny) -> None:
    found = overhead.measure(load(tiny.run), budget=40, seed=0)
    assert found["scored"] == 40
    assert sum(found[part] for part in (*overhead.PARTS, overhead.REST)) == pytest.approx(found["total"])
    assert min(found[overhead.NETWORK], found[overhead.CHEMISTRY], found[overhead.REST]) > 0
