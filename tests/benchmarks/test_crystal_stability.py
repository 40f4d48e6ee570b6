"""The benchmark of hulls: what is left out is computed from the rest alone."""

from __future__ import annotations

import math

import pytest

from benchmarks.crystal_stability import heights, summary
from molvae.domains.crystals.stability import Phase, Reference


def test_a_left_out_composition_is_measured_against_what_remains() -> None:
    phases = (
        Phase("NaCl", {"Na": 0.5, "Cl": 0.5}, -2.0, "stable"),
        Phase("Na3Cl", {"Na": 0.75, "Cl": 0.25}, -1.04, "height"),
    )
    found = heights(Reference("r", "", phases), 5, 0)
    assert found["sparse"]["n"] == 1
    assert found["sparse"]["bias"] == pytest.approx(0.04)
    assert found["sparse"]["within_50_mev"] == 1.0
    assert found["good"]["n"] == 0


def test_the_summary_of_errors() -> None:
    assert summary([0.1, -0.02]) == {
        "n": 2,
        "bias": pytest.approx(0.04),
        "mae": pytest.approx(0.06),
        "median": pytest.approx(0.06),
        "within_50_mev": 0.5,
    }
    assert math.isnan(summary([])["mae"])
