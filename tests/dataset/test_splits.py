"""Splits and duplicates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvae.dataset.splits import first_of_each, group_split, random_split, split_of_file
from molvae.errors import DataError

SHARES = (0.8, 0.1, 0.1)


@given(keys=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=30))
def test_first_of_each_is_the_first(keys: list[tuple[int, int]]) -> None:
    found = first_of_each(np.array(keys, np.uint64).reshape(-1, 2))
    assert found.tolist() == [keys.index(key) for key in keys]


def test_random_split_has_exact_shares_and_obeys_the_seed() -> None:
    split = random_split(1000, SHARES, 3)
    assert np.bincount(split).tolist() == [800, 100, 100]
    np.testing.assert_array_equal(split, random_split(1000, SHARES, 3))
    assert (split != random_split(1000, SHARES, 4)).any()
    assert random_split(7, (1.0, 0.0, 0.0), 0).tolist() == [0] * 7


def test_groups_stay_together() -> None:
    groups = np.random.default_rng(0).integers(0, 200, 2000).astype(np.uint64)
    groups[:500] = 7
    split = group_split(groups, SHARES, 1)
    for group in np.unique(groups):
        assert len(np.unique(split[groups == group])) == 1
    np.testing.assert_allclose(np.bincount(split, minlength=3) / 2000, SHARES, atol=0.03)
    assert split[0] == 0  # the group of a quarter of all rows fits nowhere else


@pytest.mark.parametrize(
    ("name", "split"), [("train.csv.gz", 0), ("my_valid.csv", 1), ("val.smi", 1), ("test_scaffolds.csv.gz", 2), ("perov-5-test.csv", 2)]
)
def test_split_of_file(name: str, split: int) -> None:
    assert split_of_file(Path(name)) == split


@pytest.mark.parametrize("name", ["data.csv", "train_test.csv", "latest.csv"])
def test_file_names_that_tell_no_split(name: str) -> None:
    with pytest.raises(DataError, match="tells no split"):
        split_of_file(Path(name))
