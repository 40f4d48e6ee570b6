"""Room for atoms while a crystal is written: which coordinates and lattice numbers keep all of them apart.

Coordinates are written before the lattice, so they are judged in a cell of common shape that holds ``GUESSED`` Å^3 for each atom so far, and only
against atoms that nearly coincide. The last numbers of the lattice are judged by the distances themselves.
Axes: N atoms of the conventional cell, M of one orbit, K values to choose from, E vectors between atoms.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from molvae.domains.crystals.symmetry import GROUPS, Floats, space_group, system_of
from molvae.domains.crystals.wyckoff import ANGLE_RANGE, LEAST_ANGLE, RATIO, STEPS, Orbit, angle_of, lattice_kinds, ratio_of, volume_of

Mask = NDArray[np.bool_]

LEAST = 0.5
"""Å between two atoms, at least: no crystal is read with less (``molvae.domains.crystals.structure``), and CDVAE calls none valid."""
GUESSED, NEAR = 12.0, 0.35
"""Å^3 an atom, and Å. Hardly a real crystal has atoms nearer by this reckoning (``benchmarks/crystal_representation.py``: the texts admitted)."""
_CONSIDERED = 3.0
"""Å; atoms farther apart than this in a cell of common shape do not meet in one of another shape, unless it is a needle or a sheet."""
_RATIOS = {"trigonal": 2.0, "tetragonal": 1.7}  # c/a; rhombohedral cells are longer
_ANGLES = tuple((degrees - LEAST_ANGLE) / ANGLE_RANGE * STEPS for degrees in (90.0, 105.0, 120.0))
_IMAGES = np.array(list(product((-1, 0, 1), repeat=3)), float)


def _features(vectors: Floats) -> Floats:
    """What a metric (6,) is multiplied with to give the squared lengths of fractional vectors (..., 3): (..., 6)."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack([x * x, y * y, z * z, 2 * y * z, 2 * x * z, 2 * x * y], axis=-1)


def metric(system: str, numbers: Sequence[float | Floats], atoms: int) -> Floats:
    """The metric (K, 6) of conventional lattices in Å^2: aa, bb, cc, bc, ac, ab; ``wyckoff.lattice_of`` for many at a time.

    numbers: each free parameter in steps, alone or (K,). Cells that do not close have a metric of zero.
    """
    steps = [np.asarray(number, float) for number in numbers]
    volume = volume_of(steps[0]) * atoms
    one = np.ones_like(volume)
    b = c = one
    cosines = [0 * one, 0 * one, 0 * one]
    if system in ("tetragonal", "trigonal", "hexagonal"):
        c = ratio_of(steps[1])
        cosines[2] = cosines[2] if system == "tetragonal" else -0.5 * one
    elif system != "cubic":
        b, c = ratio_of(steps[1]), ratio_of(steps[2])
        angles = [np.cos(np.radians(angle_of(step))) for step in steps[3:]]
        cosines = angles if len(angles) == 3 else [cosines[0], angles[0], cosines[2]] if angles else cosines
    alpha, beta, gamma = cosines
    shape = np.sqrt(np.maximum(0.0, 1 + 2 * alpha * beta * gamma - alpha**2 - beta**2 - gamma**2))
    with np.errstate(divide="ignore"):
        a = np.where(shape > 0, volume / (b * c * shape), 0.0) ** (1 / 3)
    parts = np.broadcast_arrays(one, b * b, c * c, b * c * alpha, c * beta, b * gamma, a)
    return np.asarray(np.stack(parts[:6], axis=-1) * (parts[6] ** 2)[..., None])


@lru_cache(maxsize=GROUPS)
def _common(group: int) -> Floats:
    """The metric (6,) of a conventional cell of 1 Å^3 and of a shape that is common in the crystal system."""
    space = space_group(group)
    ratio = 4.0 if space.symbol[0] == "R" else _RATIOS.get(space.system, 1.0)
    gamma = -0.5 if space.system in ("trigonal", "hexagonal") else 0.0
    found: Floats = np.array([1, 1, ratio**2, 0, 0, gamma]) / (ratio * np.sqrt(1 - gamma**2)) ** (2 / 3)
    return found


@lru_cache(maxsize=1 << 14)
def occupied(group: int, orbits: tuple[Orbit, ...]) -> Floats:
    """Positions (N, 3) of the atoms of these orbits in the conventional cell. Shared: do not change it."""
    if not orbits:
        return np.zeros((0, 3))
    last = space_group(group).letters[orbits[-1].letter].positions(np.array(orbits[-1].steps, float) / STEPS)
    return np.concatenate([occupied(group, orbits[:-1]), last])


def coordinates(group: int, orbits: tuple[Orbit, ...], letter: int, before: tuple[int, ...], steps: NDArray[np.int64]) -> Mask:
    """Which values (K,), in steps, of the next coordinate of an orbit bring none of its atoms too near to another one.

    orbits: those that are complete. before: the coordinates of this one that are written. With coordinates still to come, only atoms
    of this orbit count whose distance does not depend on them.
    """
    at = space_group(group).letters[letter]
    known = len(before)
    u = np.empty((len(steps), known + 1))
    u[:, :known] = np.array(before) / STEPS
    u[:, known] = steps / STEPS
    maps, shifts = _settled(group, letter, known)
    vectors = (u @ maps + shifts).reshape(len(u), -1, 3)
    written = occupied(group, orbits)
    if known + 1 == at.free:
        first = u @ at.maps[0].T + at.shifts[0]
        vectors = np.concatenate([vectors, written - first[:, None]], axis=1)
    vectors -= np.rint(vectors)
    aa, bb, cc, _, _, ab = _common(group) * (GUESSED * (len(written) + at.multiplicity)) ** (2 / 3)
    squared = (vectors * vectors) @ np.array([aa, bb, cc])
    if ab:
        squared += 2 * ab * vectors[..., 0] * vectors[..., 1]
    return np.asarray((squared >= NEAR**2).all(-1))


@lru_cache(maxsize=4096)
def _settled(group: int, letter: int, known: int) -> tuple[Floats, Floats]:
    """From the first member of an orbit to those whose place relative to it does not depend on coordinates after the one of this index.

    As maps (known + 1, 3 E) and shifts (3 E,) of the coordinates up to that one.
    """
    at = space_group(group).letters[letter]
    maps, shifts = at.maps - at.maps[0], at.shifts - at.shifts[0]
    settled = (maps[:, :, known + 1 :] == 0).all((1, 2))
    settled[0] = False
    return np.ascontiguousarray(maps[settled, :, : known + 1].reshape(-1, known + 1).T), shifts[settled].reshape(-1)


@lru_cache(maxsize=1 << 12)
def _near(group: int, orbits: tuple[Orbit, ...]) -> Floats:
    """Features (E, 6) of the vectors between atoms that may come near to each other, from the first atom of each orbit."""
    space = space_group(group)
    positions = occupied(group, orbits)
    sizes = [space.letters[orbit.letter].multiplicity for orbit in orbits]
    firsts = np.cumsum([0, *sizes[:-1]])
    vectors = positions[None] - positions[firsts][:, None]
    vectors -= np.rint(vectors)
    features = _features((vectors[..., None, :] + _IMAGES).reshape(-1, 3))
    squared = features @ (_common(group) * (GUESSED * len(positions)) ** (2 / 3))
    return np.unique(features[(squared > 1e-12) & (squared < _CONSIDERED**2)], axis=0)


def lattices(group: int, orbits: tuple[Orbit, ...], before: tuple[int, ...], steps: NDArray[np.int64]) -> Mask:
    """Which values (K,), in steps, of the next number of the lattice keep all atoms ``LEAST`` apart.

    before: the lattice's numbers that are written. The last number is judged by the distances, one that only angles follow with each of some
    common angles, and with ratios to come any value will do. Atoms that coincide, which no lattice parts, do not count.
    """
    after = lattice_kinds(group)[len(before) + 1 :]
    if RATIO in after or not len(near := _near(group, orbits)):
        return np.ones(len(steps), bool)
    legal = np.zeros(len(steps), bool)
    for angles in product(_ANGLES, repeat=len(after)):
        cells = metric(system_of(group), [*before, steps.astype(float), *angles], len(occupied(group, orbits)))
        legal |= (near @ cells.T >= LEAST**2).all(0)
        if legal.all():
            break
    return legal
