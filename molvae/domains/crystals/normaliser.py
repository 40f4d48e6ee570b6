"""The ways to choose axes and origin that leave a space group's operations as they are: cosets of its affine normaliser.

The same crystal reads differently in each of them (perovskite with the cation at 1a or at 1b), so a canonical form has to look at all.
Kept are changes of axes that keep the handedness, with small integers, and of origin by 8ths (thirds and 12ths in hexagonal axes); the
axes along which a polar group's origin is free are left to the caller. Compare the International Tables A (2016), chapter 3.5.

Axes: K changes of axes, T shifts of the origin, L letters.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from molvae.domains.crystals.symmetry import Floats, Ints, SpaceGroup, space_group

_GENERIC = np.array([0.1371, 0.2917, 0.4173])


@lru_cache(maxsize=230)
def axis_changes(number: int) -> Ints:
    """Matrices (K, 3, 3): new coordinates are ``P @ x`` plus one of ``origin_shifts``. One for each class modulo the group's rotations."""
    group = space_group(number)
    if group.system == "triclinic":
        return _candidates("triclinic")
    rotations = np.unique(group.rotations, axis=0)
    kept: list[Ints] = []
    seen: set[bytes] = set()
    for change in _candidates(group.system):
        if change.tobytes() in seen:
            continue
        seen.update(turned.tobytes() for turned in rotations @ change)
        if len(_origins(group, change)):
            kept.append(change)
    return np.array(kept)


@lru_cache(maxsize=4096)
def origin_shifts(number: int, at: int) -> tuple[Floats, Ints]:
    """Shifts (T, 3) that go with ``axis_changes(number)[at]``, and for each the letter (T, L) that each letter becomes, as indices."""
    group = space_group(number)
    change = axis_changes(number)[at]
    shifts = _origins(group, change)
    return shifts, np.array([[_becomes(group, i, change, shift) for i in range(len(group.letters))] for shift in shifts])


@lru_cache(maxsize=8)
def _candidates(system: str) -> Ints:
    """Unimodular matrices of determinant 1 that may carry a conventional cell of this system into another, the identity first."""
    if system == "triclinic":
        entries = np.array(list(product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    elif system == "monoclinic":
        planes = np.array(list(product((-1, 0, 1), repeat=4)))
        flat = np.zeros((2 * len(planes), 3, 3), np.int64)
        for i, sign in enumerate((1, -1)):
            part = flat[i * len(planes) : (i + 1) * len(planes)]
            part[:, 1, 1] = sign
            part[:, 0, 0], part[:, 0, 2], part[:, 2, 0], part[:, 2, 2] = planes.T
        entries = flat
    elif system in ("trigonal", "hexagonal"):
        entries = space_group(191).rotations  # P6/mmm
    else:
        entries = np.array([np.eye(3)[list(order)] * signs for order in permutations(range(3)) for signs in product((1, -1), repeat=3)])
        if system == "tetragonal":
            entries = entries[np.abs(entries[:, 2, 2]) == 1]
    entries = np.rint(entries).astype(np.int64)
    proper = entries[np.rint(np.linalg.det(entries)) == 1]
    identity = (proper == np.eye(3, dtype=int)).all((1, 2))
    return np.concatenate([proper[identity], proper[~identity]])


@lru_cache(maxsize=230)
def _grid(number: int) -> Floats:
    group = space_group(number)
    hexagonal = group.system in ("trigonal", "hexagonal")
    steps = (3, 3, 12) if hexagonal else (2, 2, 2) if group.system == "triclinic" else (8, 8, 8)
    axes = [np.zeros(1) if free else np.arange(n) / n for n, free in zip(steps, group.polar, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _origins(group: SpaceGroup, change: Ints) -> Floats:
    """Shifts (T, 3) of the origin, distinct modulo centring, that together with this change of axes map the group onto itself."""
    back = np.rint(np.linalg.inv(change)).astype(np.int64)
    if not all(_among(change @ centring, group.centrings).all() for centring in group.centrings):
        return np.empty((0, 3))
    of_rotation = {rotation.tobytes(): shift for rotation, shift in zip(group.rotations, group.translations, strict=True)}
    shifts = _grid(group.number)
    for rotation, translation in zip(group.rotations, group.translations, strict=True):
        turned = change @ rotation @ back
        wanted = of_rotation.get(turned.tobytes())
        if wanted is None or not len(shifts):
            return np.empty((0, 3))
        shifts = shifts[_among(change @ translation + shifts - shifts @ turned.T - wanted, group.centrings)]
    kept: list[Floats] = []
    for shift in shifts:
        if not any(_among(shift - other, group.centrings).all() for other in kept):
            kept.append(shift)
    return np.array(kept).reshape(-1, 3)


def _among(vectors: Floats, centrings: Floats) -> NDArray[np.bool_]:
    """Which of the vectors (..., 3) are lattice translations."""
    off = vectors[..., None, :] - centrings
    off = off - np.round(off)
    return np.asarray((np.abs(off) < 1e-6).all(-1).any(-1))


def _becomes(group: SpaceGroup, at: int, change: Ints, shift: Floats) -> int:
    letter = group.letters[at]
    positions = letter.positions(_GENERIC[: letter.free]) @ change.T + shift
    for i, other in enumerate(group.letters):
        if (other.multiplicity, other.free) == (letter.multiplicity, letter.free) and other.coordinates(positions)[1].any():
            return i
    raise ValueError(f"letter {letter.name} of space group {group.number} has no image under {change.tolist()} + {shift.tolist()}")
