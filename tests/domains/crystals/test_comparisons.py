"""Measures of drawn crystals beside reference ones: known values, and nothing from nothing."""

from __future__ import annotations

import math

import pytest

from molvae.domains.crystals import parse
from molvae.domains.crystals.comparisons import COMPARISONS
from molvae.domains.crystals.properties import density

SALT, PEROVSKITE = parse("sg225@aCl@bNa|25.40"), parse("sg221@aTi@bSr@dO|19.30")
COMPUTE = {one.name: one.compute for one in COMPARISONS}
DISTANCES = ("density (d_density)", "number of elements (d_elem)")


@pytest.mark.parametrize("name", COMPUTE)
def test_equal_sets_are_as_alike_as_can_be_and_empty_ones_unknown(name: str) -> None:
    some = [SALT, PEROVSKITE]
    assert COMPUTE[name](some, some) == pytest.approx(0.0 if name in DISTANCES else 1.0)
    assert math.isnan(COMPUTE[name]([], some))
    assert math.isnan(COMPUTE[name](some, []))


def test_by_hand() -> None:
    assert COMPUTE["density (d_density)"]([SALT], [PEROVSKITE]) == pytest.approx(abs(density(SALT) - density(PEROVSKITE)))
    assert COMPUTE["number of elements (d_elem)"]([SALT, SALT], [PEROVSKITE, SALT]) == pytest.approx(0.5)
    assert COMPUTE["elements"]([SALT], [PEROVSKITE]) == 0.0
    assert COMPUTE["elements"]([SALT, PEROVSKITE], [SALT]) == pytest.approx(2 / math.sqrt(5 * 2))
    assert COMPUTE["space groups"]([SALT, PEROVSKITE], [SALT]) == pytest.approx(1 / math.sqrt(2))
