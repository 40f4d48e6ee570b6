"""Wyckoff positions of the 230 space groups as small tables, in PyXtal's standard settings.

Settings: unique axis b and cell choice 1 (monoclinic), origin choice 2 where there are two, hexagonal axes for rhombohedral lattices, as in
the International Tables for Crystallography, Volume A. PyXtal (Fredericks et al., Comput. Phys. Commun. 261, 107810 (2021)) has the
positions, spglib (Shinohara, Togo & Tanaka, Sci. Technol. Adv. Mater. Meth. 4, 2384822 (2024)) the operations to compare them with.

Axes: G operations of the conventional cell, M multiplicity, k free coordinates of a letter, C centring vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUPS = 230
LETTERS = "abcdefghijklmnopqrstuvwxyzA"
SYSTEMS = ("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
_LAST_OF_SYSTEM = (2, 15, 74, 142, 167, 194, 230)
TOLERANCE = 1e-4
"""Largest distance, in fractional coordinates, between a position that was symmetrised and its place on a letter."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PRIMITIVE: Mapping[str, tuple[tuple[float, float, float], ...]] = {
    "P": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "A": ((1, 0, 0), (0, 0.5, -0.5), (0, 0.5, 0.5)),
    "C": ((0.5, -0.5, 0), (0.5, 0.5, 0), (0, 0, 1)),
    "I": ((-0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.5, 0.5, -0.5)),
    "F": ((0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)),
    "R": ((2 / 3, 1 / 3, 1 / 3), (-1 / 3, 1 / 3, 1 / 3), (-1 / 3, -2 / 3, 1 / 3)),
}


@dataclass(frozen=True, eq=False)
class Letter:
    """One Wyckoff position. A position of the orbit is ``maps[m] @ u + shifts[m]`` for the free coordinates u (k,) of its first one.

    maps (M, 3, k), shifts (M, 3). primitive: the members m that are distinct in the primitive cell. rows (k,), signs (k,): where the first
    member shows each free coordinate by itself, and with which sign.
    """

    name: str
    multiplicity: int
    free: int
    maps: Floats
    shifts: Floats
    primitive: Ints
    rows: Ints
    signs: Floats

    def positions(self, u: Floats) -> Floats:
        """All positions (M, 3) in [0, 1) of the orbit with free coordinates u (k,)."""
        found: Floats = self.maps @ u + self.shifts
        return found % 1.0

    def coordinates(self, positions: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Free coordinates (..., k) in [0, 1) of positions (..., 3) as first member, and which of them (...) are one indeed."""
        u = ((positions[..., self.rows] - self.shifts[0, self.rows]) * self.signs) % 1.0
        off = u @ self.maps[0].T + self.shifts[0] - positions
        off -= np.round(off)
        fits: NDArray[np.bool_] = (np.abs(off) < TOLERANCE).all(-1)
        return u, fits


@dataclass(frozen=True, eq=False)
class SpaceGroup:
    """One space group: rotations (G, 3, 3) and translations (G, 3) of the conventional cell, centring vectors (C, 3), letters a, b, c ...

    hall: spglib's Hall number of the same setting. basis (3, 3): rows are the primitive vectors in conventional coordinates.
    chiral: a Sohncke group, without improper operations, so that a crystal and its mirror image differ.
    """

    number: int
    symbol: str
    hall: int
    rotations: Ints
    translations: Floats
    centrings: Floats
    letters: tuple[Letter, ...]

    @property
    def system(self) -> str:
        """Crystal system; trigonal with rhombohedral ones among them."""
        return system_of(self.number)

    @cached_property
    def basis(self) -> Floats:
        return np.array(_PRIMITIVE[self.symbol[0]])

    @cached_property
    def chiral(self) -> bool:
        return bool((np.linalg.det(self.rotations) > 0).all())

    @cached_property
    def polar(self) -> NDArray[np.bool_]:
        """Which axes (3,) the origin may be shifted along at will. In the standard settings these are whole axes."""
        fixed = (self.rotations == np.eye(3, dtype=int)).all(0)
        free: NDArray[np.bool_] = fixed.all(0) & fixed.all(1)
        return free

    def letter(self, name: str) -> Letter:
        """The letter of this name. Raises KeyError where the group has none."""
        found = next((letter for letter in self.letters if letter.name == name), None)
        if found is None:
            raise KeyError(name)
        return found


def system_of(number: int) -> str:
    """Crystal system of a space group number, 1 to 230."""
    return SYSTEMS[next(i for i, last in enumerate(_LAST_OF_SYSTEM) if number <= last)]


def groups_of(system: str) -> tuple[int, ...]:
    """Numbers of the space groups of a crystal system. Raises ValueError for other words."""
    at = SYSTEMS.index(system)
    return tuple(range(_LAST_OF_SYSTEM[at - 1] + 1 if at else 1, _LAST_OF_SYSTEM[at] + 1))


@lru_cache(maxsize=GROUPS)
def space_group(number: int) -> SpaceGroup:
    """The tables of a space group; 1 to 50 ms the first time. Raises ValueError outside of 1 to 230."""
    if not 1 <= number <= GROUPS:
        raise ValueError(f"space group {number}; wanted 1 to {GROUPS}")
    from pyxtal.symmetry import Group  # takes a second to import

    group = Group(number)
    general = group.Wyckoff_positions[0]
    rotations, translations = _operations(general)
    identity = (rotations == np.eye(3, dtype=int)).all((1, 2))
    centrings = np.unique(np.round(translations[identity], 6), axis=0)
    # PyXtal lists the general position first.
    letters = tuple(_letter(position, centrings) for position in reversed(group.Wyckoff_positions))
    return SpaceGroup(number, str(group.symbol), _hall(number, rotations, translations), rotations, translations, centrings, letters)


def _operations(position: Any) -> tuple[Ints, Floats]:
    matrices = np.array([op.affine_matrix for op in position.ops])
    return np.rint(matrices[:, :3, :3]).astype(np.int64), _snap(matrices[:, :3, 3]) % 1.0


def _snap(values: Floats) -> Floats:
    """To the nearest 24th: the tables hold 0.3333 in places."""
    snapped: Floats = np.round(values * 24) / 24
    return snapped


def _letter(position: Any, centrings: Floats) -> Letter:
    matrices = np.array([op.affine_matrix for op in position.ops])
    used = np.flatnonzero((np.abs(matrices[0, :3, :3]) > 1e-9).any(0))
    maps = np.rint(matrices[:, :3, used])
    shifts = _snap(matrices[:, :3, 3])
    rows, signs = _readable(maps[0])
    generic = maps @ np.array([0.1371, 0.2917, 0.4173])[: len(used)] + shifts
    return Letter(str(position.letter), len(matrices), len(used), maps, shifts, _distinct(generic, centrings), rows, signs)


def _readable(first: Floats) -> tuple[Ints, Floats]:
    """For each free coordinate a row of the first member's map (3, k) that holds it alone, with a coefficient of 1 or -1."""
    rows = []
    for column in range(first.shape[1]):
        others = np.delete(first, column, axis=1)
        alone = (np.abs(first[:, column]) == 1) & (others == 0).all(1)
        rows.append(int(np.flatnonzero(alone)[0]))
    chosen = np.array(rows, np.int64)
    return chosen, first[chosen, np.arange(first.shape[1])]


def _distinct(points: Floats, centrings: Floats) -> Ints:
    """Indices of points (M, 3) that no centring vector (C, 3) makes of an earlier one."""
    kept: list[int] = []
    for i, point in enumerate(points):
        off = points[kept][:, None] + centrings - point
        off -= np.round(off)
        if not (np.abs(off) < 1e-6).all(-1).any():
            kept.append(i)
    return np.array(kept, np.int64)


@lru_cache(maxsize=1)
def _halls() -> dict[int, list[int]]:
    import spglib

    found: dict[int, list[int]] = {}
    for hall in range(1, 531):
        kind: Any = spglib.get_spacegroup_type(hall)
        found.setdefault(int(kind.number), []).append(hall)
    return found


def operation_set(rotations: Ints, translations: Floats) -> frozenset[tuple[int, ...]]:
    """Operations as a set that compares: rotations (G, 3, 3), and translations (G, 3) in 24ths modulo 1."""
    parts = np.rint(translations * 24).astype(np.int64) % 24
    return frozenset(map(tuple, np.concatenate([rotations.reshape(-1, 9), parts], axis=1).tolist()))


def _hall(number: int, rotations: Ints, translations: Floats) -> int:
    import spglib

    wanted = operation_set(rotations, translations)
    for hall in _halls()[number]:
        found: Any = spglib.get_symmetry_from_database(hall)
        if operation_set(np.asarray(found["rotations"], np.int64), np.asarray(found["translations"])) == wanted:
            return hall
    raise ValueError(f"spglib knows no setting of space group {number} with PyXtal's operations")
