"""What the Wyckoff positions that are left can still make: the look-ahead of the grammar, so that no choice ends in a dead end.

A position without freedom can be taken once, one with freedom any number of times; letters do not decrease. All counts are atoms of the
primitive cell. after: index of the last letter taken, -1 for none. known: letters that there are tokens for.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np

from molvae.domains.crystals.symmetry import Ints, space_group


@lru_cache(maxsize=8192)
def left(group: int, after: int, known: frozenset[int]) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Multiplicities that can be repeated, and those of single positions with how many there are."""
    letters = [(at, letter) for at, letter in enumerate(space_group(group).letters) if at in known and at >= after]
    repeated = {len(letter.primitive) for _, letter in letters if letter.free}
    single = Counter(len(letter.primitive) for at, letter in letters if not letter.free and at > after)
    return tuple(sorted(repeated)), tuple(sorted(single.items()))


@lru_cache(maxsize=8192)
def most_orbits(group: int, after: int, known: frozenset[int], limit: int) -> Ints:
    """For each number of atoms from 0 to ``limit``, the most orbits that give it, -1 where none do; (limit + 1,)."""
    repeated, single = left(group, after, known)
    most = np.full(limit + 1, -1, np.int64)
    most[0] = 0
    for size, count in single:
        for _ in range(count):
            before = most.copy()
            reach = before[: max(limit + 1 - size, 0)]
            most[size:] = np.maximum(before[size:], np.where(reach >= 0, reach + 1, -1))
    for size in repeated:
        for atoms in range(size, limit + 1):
            if most[atoms - size] >= 0:
                most[atoms] = max(most[atoms], most[atoms - size] + 1)
    return most


@lru_cache(maxsize=8192)
def _repeatable(sizes: tuple[int, ...], limit: int) -> frozenset[int]:
    found = {0}
    for atoms in range(1, limit + 1):
        if any(atoms - size in found for size in sizes):
            found.add(atoms)
    return frozenset(found)


@lru_cache(maxsize=1 << 17)
def can_make(group: int, after: int, known: frozenset[int], wanted: tuple[int, ...]) -> bool:
    """Whether the positions left can hold exactly so many atoms of each of some elements (in any order; give them sorted, to be fast)."""
    repeated, single = left(group, after, known)
    wanted = tuple(count for count in wanted if count)
    if not wanted:
        return True
    return _shared(_repeatable(repeated, max(wanted)), wanted, tuple(size for size, _ in single), tuple(count for _, count in single))


@lru_cache(maxsize=1 << 17)
def _shared(repeatable: frozenset[int], wanted: tuple[int, ...], sizes: tuple[int, ...], counts: tuple[int, ...]) -> bool:
    """Whether single positions can be dealt out to the elements so that what then is missing can be had from repeated ones."""
    if not wanted:
        return True
    for dealt in _deals(wanted[-1], sizes, counts):
        if wanted[-1] - sum(s * n for s, n in zip(sizes, dealt, strict=True)) in repeatable:
            rest = tuple(have - given for have, given in zip(counts, dealt, strict=True))
            if _shared(repeatable, wanted[:-1], sizes, rest):
                return True
    return False


@lru_cache(maxsize=1 << 14)
def _deals(wanted: int, sizes: tuple[int, ...], counts: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Every choice of single positions for one element with at most ``wanted`` atoms."""
    if not sizes:
        return ((),)
    found = []
    for taken in range(min(counts[0], wanted // sizes[0]) + 1):
        found += [(taken, *rest) for rest in _deals(wanted - taken * sizes[0], sizes[1:], counts[1:])]
    return tuple(found)
