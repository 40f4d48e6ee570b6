"""Pairs of atoms within a distance in a periodic crystal, by pymatgen's neighbour search. Axes: N atoms, E pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from molvae.domains.crystals.symmetry import Floats, Ints
from molvae.domains.crystals.wyckoff import Cell

TIE = 0.01
"""Å; neighbours that differ by less count as equally far."""


@dataclass(frozen=True)
class Pairs:
    """Each pair in both directions: first (E,), second (E,), images (E, 3), the cell the second atom is in, distance (E,) in Å."""

    first: Ints
    second: Ints
    images: Ints
    distance: Floats


def neighbours(cell: Cell, radius: float) -> Pairs:
    """All pairs of atoms, and of atoms and their own images, at most ``radius`` Å apart; atoms on one spot (of different index) too."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    lattice = np.ascontiguousarray(cell.lattice, dtype=float)
    points = np.ascontiguousarray(cell.positions @ lattice)
    first, second, images, distance = find_points_in_spheres(points, points, float(radius), np.array([1, 1, 1], np.int64), lattice, 1e-8)
    itself = (first == second) & (distance < 1e-8) & (images == 0).all(1)
    kept = ~itself
    return Pairs(first[kept], second[kept], np.rint(images[kept]).astype(np.int64), distance[kept])


def nearest(cell: Cell, count: int, start: float = 4.0) -> Pairs:
    """For each atom its ``count`` nearest neighbours and all that are as far as the last of them (within 0.01 Å), sorted by atom and distance.

    start: radius in Å to begin with; it grows until every atom has enough.
    """
    radius = start
    while True:
        pairs = neighbours(cell, radius)
        order = np.lexsort((pairs.distance, pairs.first))
        first, distance = pairs.first[order], pairs.distance[order]
        starts = np.searchsorted(first, np.arange(len(cell.numbers)))
        sizes = np.bincount(first, minlength=len(cell.numbers))
        if (sizes >= count).all():
            last = distance[starts + count - 1]
            if last.max() + TIE < radius:
                kept = order[distance <= last[first] + TIE]
                return Pairs(pairs.first[kept], pairs.second[kept], pairs.images[kept], pairs.distance[kept])
        radius *= 1.3
