"""Which rows are for training, validation and test. Axes: n rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molvae.errors import DataError


def first_of_each(digests: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each of n rows of 128-bit digests (n, 2), the first row with the same digest."""
    if len(digests) == 0:
        return np.empty(0, np.int64)
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: equal digests stay in their order
    ordered = digests[order]
    new = np.ones(len(order), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(1)
    first = np.empty(len(order), np.int64)
    first[order] = order[new][np.cumsum(new) - 1]
    return first


def random_split(count: int, fractions: tuple[float, float, float], seed: int) -> NDArray[np.uint8]:
    """Exact shares of ``count`` rows in random order: 0 train, 1 valid, 2 test; (count,) uint8."""
    order = np.random.default_rng(seed).permutation(count)
    bounds = np.rint(np.cumsum(fractions) * count).astype(np.int64)
    split = np.empty(count, np.uint8)
    split[order] = np.searchsorted(bounds[:2], np.arange(count), side="right")
    return split


def group_split(groups: NDArray[np.uint64], fractions: tuple[float, float, float], seed: int) -> NDArray[np.uint8]:
    """Like random_split, but rows of one group (n,) stay together; groups too large for the smaller shares go to training first."""
    count = len(groups)
    _, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    held = [share for share in fractions[1:] if share > 0]
    largest = min(held, default=1.0) * count / 2
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    order = np.concatenate([shuffled[sizes[shuffled] > largest], shuffled[sizes[shuffled] <= largest]])
    ends = np.cumsum(sizes[order])
    bounds = np.cumsum(fractions)[:2] * count
    # A group belongs where its middle falls, so that shares are right on average.
    middle = ends - sizes[order] / 2
    of_group = np.empty(len(sizes), np.uint8)
    of_group[order] = np.searchsorted(bounds, middle, side="right")
    return of_group[member.reshape(-1)]


def split_of_file(path: Path) -> int:
    """The split that a file's name begins with or that it holds as a word. Raises DataError where there is none or more than one."""
    words = path.name.lower().replace("-", "_").replace(".", "_").split("_")
    found = {code for word in words for code, names in _FILE_WORDS.items() if word in names}
    if len(found) != 1:
        raise DataError(path, "its name tells no split; with split='file' name files train, valid or test (such as train.csv)")
    return found.pop()


_FILE_WORDS: dict[int, frozenset[str]] = {
    0: frozenset({"train", "training"}),
    1: frozenset({"valid", "val", "validation", "dev"}),
    2: frozenset({"test", "testing", "holdout"}),
}


def decide(
    split: str, given: NDArray[np.uint8], groups: NDArray[Any], fractions: tuple[float, float, float], seed: int
) -> NDArray[np.uint8]:
    """The split (n,) of the rows that stay, by the method named."""
    if split == "random":
        return random_split(len(given), fractions, seed)
    if split == "group":
        return group_split(groups, fractions, seed)
    return given
