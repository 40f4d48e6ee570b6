"""Any cell of a crystal -> its canonical description: symmetrised, in the standard setting, with axes and origin chosen by rule.

Symmetry is found by spglib, from the loosest tolerance of ``SYMPRECS`` down to the first that gives a consistent description. 0.1 Å is what
the Materials Project uses; atoms move by at most about that much. Of all choices of axes and origin that keep the group's operations
(``molvae.domains.crystals.normaliser``), those with the shortest axes are kept, and of these the one whose orbits read first:
letters and elements, then coordinates. So supercells, rotations, shifts and orders of atoms give one text, but for rounding in borderline
cases. Triclinic cells start from the Niggli-reduced one.

Axes: N atoms, C candidates.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from molvae.domains.crystals.normaliser import axis_changes, origin_shifts
from molvae.domains.crystals.symmetry import Floats, Ints, SpaceGroup, space_group
from molvae.domains.crystals.wyckoff import (
    LARGEST,
    LARGEST_RATIO,
    LARGEST_VOLUME,
    MOST_ATOMS,
    SMALLEST_VOLUME,
    STEPS,
    Description,
    Orbit,
    lattice_kinds,
    lattice_steps,
)
from molvae.errors import InvalidRecord

SYMPRECS = (0.1, 0.03, 0.01, 0.003, 0.001)
"""Tolerances in Å, tried in this order."""
_TIE = 2e-3  # relative; below the resolution of the text
_APART = 0.25  # Å; half the least distance between atoms
_SAME = 2e-3  # fractional; between an atom and the image of another one after symmetrising


@dataclass(frozen=True)
class _Orbits:
    """Orbits of a standard cell. letters, numbers: one each; positions (N, 3) of all, one after the other from ``starts``."""

    letters: tuple[int, ...]
    numbers: tuple[int, ...]
    positions: Floats
    starts: tuple[int, ...]

    def members(self, at: int) -> slice:
        """Where the positions of one orbit stand."""
        return slice(self.starts[at], self.starts[at + 1])


class _TooMany(InvalidRecord):
    """More atoms than are read even in the primitive cell; a smaller tolerance finds no smaller one."""


def describe(lattice: Floats, positions: Floats, numbers: Ints) -> Description:
    """The canonical description of atoms in a cell: lattice (3, 3), rows in Å; positions (N, 3), fractional; numbers (N,), atomic.

    Raises InvalidRecord where no tolerance gives a description, and for cells outside of what the text can say.
    """
    reasons: dict[str, list[str]] = {}
    for symprec in SYMPRECS:
        try:
            group, gram, orbits = _symmetrised(lattice, positions, numbers, symprec)
            return _canonical(group, gram, orbits)
        except _TooMany as error:
            raise InvalidRecord(error.text, error.why) from error
        except InvalidRecord as error:
            reasons.setdefault(error.why, []).append(f"{symprec:g}")
    if len(reasons) == 1:
        raise InvalidRecord(_summary(numbers), next(iter(reasons)))
    told = "; ".join(f"{why} (at {', '.join(at)} Å)" for why, at in reasons.items())
    raise InvalidRecord(_summary(numbers), f"no description at any tolerance: {told}")


def _summary(numbers: Ints) -> str:
    return f"{len(numbers)} atoms"


def _symmetrised(lattice: Floats, positions: Floats, numbers: Ints, symprec: float) -> tuple[SpaceGroup, Floats, _Orbits]:
    """The space group at this tolerance, the metric (3, 3) of the standard cell in Å^2, and its orbits, moved onto their positions."""
    found = _dataset((lattice, positions, numbers), symprec, 0)
    group = space_group(int(found.number))
    if found.hall_number != group.hall:
        found = _dataset((lattice, positions, numbers), symprec, group.hall)
    if (found_atoms := len(found.std_positions)) > MOST_ATOMS:
        kind = _TooMany if found_atoms > MOST_ATOMS * len(group.centrings) else InvalidRecord
        raise kind(_summary(numbers), f"{found_atoms} atoms in the conventional cell; at most {MOST_ATOMS} are read")
    change = np.asarray(found.transformation_matrix)
    standard = np.linalg.inv(change).T @ lattice
    atoms = len(numbers) * abs(np.linalg.det(standard)) / abs(np.linalg.det(lattice))
    if abs(atoms - len(found.std_positions)) > 1e-3 * atoms:
        raise InvalidRecord(_summary(numbers), "symmetrising changes the number of atoms")
    rotations = group.rotations[: len(group.rotations) // len(group.centrings)]
    gram = (np.swapaxes(rotations, 1, 2) @ (standard @ standard.T) @ rotations).mean(0)
    orbits = _assign(group, np.asarray(found.std_positions), np.asarray(found.std_types, np.int64))
    given = positions @ change.T + np.asarray(found.origin_shift)
    return group, gram, _averaged(group, gram, orbits, given, numbers)


def _dataset(cell: Any, symprec: float, hall: int) -> Any:
    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # its C code writes to stderr what it then raises
    import spglib

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # spglib announces that it will raise instead of returning None
            found = spglib.get_symmetry_dataset(cell, symprec=symprec, hall_number=hall)
    except spglib.SpglibError as error:
        raise InvalidRecord(_summary(cell[2]), f"spglib finds no symmetry: {error}") from error
    if found is None:
        raise InvalidRecord(_summary(cell[2]), "spglib finds no symmetry")
    return found


def _assign(group: SpaceGroup, positions: Floats, numbers: Ints) -> _Orbits:
    """The atoms of a standard cell gathered into orbits, each moved exactly onto its letter's positions. Raises InvalidRecord."""
    left = np.ones(len(positions), bool)
    letters: list[int] = []
    kinds: list[int] = []
    parts: list[Floats] = []
    while left.any():
        first = int(np.flatnonzero(left)[0])
        images = group.rotations @ positions[first] + group.translations
        others = np.flatnonzero(left & (numbers == numbers[first]))
        off = positions[others][:, None] - images
        off -= np.round(off)
        members = others[(np.abs(off) < _SAME).all(-1).any(-1)]
        at, exact = _letter_of(group, positions[members])
        letters.append(at)
        kinds.append(int(numbers[first]))
        parts.append(exact)
        left[members] = False
    starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).tolist()
    return _Orbits(tuple(letters), tuple(kinds), np.concatenate(parts), tuple(starts))


def _averaged(group: SpaceGroup, gram: Floats, orbits: _Orbits, given: Floats, numbers: Ints) -> _Orbits:
    """The orbits at the mean of what all given atoms (N, 3), in standard coordinates, say of them.

    spglib takes one atom of each orbit for all, and an origin from a few, so that its result depends on their order. Here every atom counts,
    and the origin is the one from which they deviate least.
    """
    curvature, slope = np.zeros((3, 3)), np.zeros(3)
    means: list[tuple[Floats, Floats]] = []
    for at, number in enumerate(orbits.numbers):
        first = orbits.positions[orbits.starts[at]]
        images = np.einsum("gij,nj->ngi", group.rotations, given[numbers == number]) + group.translations
        off = images - first
        off -= np.round(off)
        here = np.einsum("ngi,ij,ngj->ng", off, gram, off) < _APART**2
        if not here.any():
            raise InvalidRecord(_summary(numbers), "symmetrising moves an atom too far")
        turns = group.rotations[np.nonzero(here)[1]]
        mean, turn = off[here].mean(0), turns.mean(0)
        varied = turns - turn
        curvature += np.einsum("nki,kl,nlj->ij", varied, gram, varied)
        slope += np.einsum("nki,kl,nl->i", varied, gram, off[here] - mean)
        means.append((first + mean, turn))
    shift = -np.linalg.pinv(curvature, rcond=1e-9) @ slope
    parts = []
    for at, (mean, turn) in enumerate(means):
        letter = group.letters[orbits.letters[at]]
        parts.append(letter.positions(letter.coordinates(mean + turn @ shift)[0]))
    return replace(orbits, positions=np.concatenate(parts))


def _letter_of(group: SpaceGroup, positions: Floats) -> tuple[int, Floats]:
    for at, letter in enumerate(group.letters):
        if letter.multiplicity == len(positions):
            u, fits = letter.coordinates(positions)
            if fits.any():
                return at, letter.positions(u[int(np.flatnonzero(fits)[0])])
    raise InvalidRecord("", f"{len(positions)} atoms that lie on no Wyckoff position of space group {group.number}")


def _canonical(group: SpaceGroup, gram: Floats, orbits: _Orbits) -> Description:
    """The description that reads first among all choices of axes and origin."""
    changes = axis_changes(group.number)
    back = np.linalg.inv(changes)
    grams = np.swapaxes(back, 1, 2) @ gram @ back
    kept = _shortest(group.system, grams)
    best: tuple[Orbit, ...] = ()
    chosen = int(kept[0])
    pairs = [(at, *_pairs(group.number, int(at), orbits)) for at in kept]
    least = min(pair for _, found, _ in pairs for pair in found)
    for at, found, shifts in pairs:
        for pair, shift in zip(found, shifts, strict=True):
            if pair != least:
                continue
            moved = orbits.positions @ changes[at].T + shift[0]
            for placed in _placed(group, moved, orbits):
                read = _read_orbits(group, placed, orbits, shift[1])
                if not best or read < best:
                    best, chosen = read, int(at)
    atoms = sum(group.letters[orbit.letter].multiplicity for orbit in best)
    return _checked(Description(group.number, best, lattice_steps(group.system, grams[chosen], atoms)))


_Pairs = tuple[tuple[int, int], ...]


def _pairs(number: int, at: int, orbits: _Orbits) -> tuple[list[_Pairs], list[tuple[Floats, Sequence[int]]]]:
    """For each shift of the origin that goes with a change of axes: letters and elements in order, and the shift with its letters."""
    shifts, images = origin_shifts(number, at)
    found = [tuple(sorted((int(image[old]), z) for old, z in zip(orbits.letters, orbits.numbers, strict=True))) for image in images]
    return found, list(zip(shifts, images.tolist(), strict=True))


def _shortest(system: str, grams: Floats) -> Ints:
    """Which of the metrics (C, 3, 3) have the preferred axes, ties within the tolerance included."""
    if system not in ("triclinic", "monoclinic", "orthorhombic") or len(grams) == 1:
        return np.arange(len(grams))
    a, b, c = np.sqrt(np.diagonal(grams, axis1=1, axis2=2)).T
    cosines = np.stack([grams[:, 1, 2] / (b * c), grams[:, 0, 2] / (a * c), grams[:, 0, 1] / (a * b)], axis=1)
    if system == "orthorhombic":
        criteria = [a, b, c]
    elif system == "monoclinic":
        criteria = [a + c, a, 1 + cosines[:, 1]]
    else:
        mixed = (cosines > _TIE).any(1) & (cosines < -_TIE).any(1)
        criteria = [a, b, c, 1.0 + mixed, *(1 + cosines.T)]
    kept = np.arange(len(grams))
    for criterion in criteria:
        values = criterion[kept]
        kept = kept[values <= values.min() * (1 + _TIE) + 1e-9]
    return kept


def _placed(group: SpaceGroup, positions: Floats, orbits: _Orbits) -> Iterator[Floats]:
    """The positions (N, 3) with every sensible origin along the polar axes: at each atom of the element that has the fewest orbits."""
    if not group.polar.any():
        yield positions
        return
    count: dict[int, list[int]] = {}
    for at, number in enumerate(orbits.numbers):
        count.setdefault(number, []).append(at)
    rarest = min(count, key=lambda number: (len(count[number]), number))
    for at in count[rarest]:
        # Members of one orbit may lie at different heights (z and z + 1/2), from which the crystal reads differently.
        heights = np.where(group.polar, positions[orbits.members(at)], 0.0) % 1.0
        for height in np.unique(np.round(heights, 6) % 1.0, axis=0):
            yield positions - height


def _read_orbits(group: SpaceGroup, positions: Floats, orbits: _Orbits, image: Sequence[int]) -> tuple[Orbit, ...]:
    """The orbits in order, each by the member that reads first. image: what each letter has become."""
    found: list[Orbit] = []
    by_letter: dict[int, list[int]] = {}
    for at, old in enumerate(orbits.letters):
        by_letter.setdefault(image[old], []).append(at)
    for at, members in by_letter.items():
        letter = group.letters[at]
        if not letter.free:
            found += [Orbit(at, orbits.numbers[i], ()) for i in members]
            continue
        stacked = np.stack([positions[orbits.members(i)] for i in members])
        u, fits = letter.coordinates(stacked)
        steps = np.rint(u * STEPS).astype(np.int64) % STEPS
        code = np.where(fits, steps @ (STEPS ** np.arange(letter.free)[::-1]), np.iinfo(np.int64).max)
        first = code.argmin(1)
        found += [Orbit(at, orbits.numbers[i], tuple(steps[j, first[j]].tolist())) for j, i in enumerate(members)]
    return tuple(sorted(found))


def _checked(description: Description) -> Description:
    """Raises InvalidRecord where a lattice parameter is outside of what the text can say."""
    limits = {
        "|": f"a volume per atom outside of {SMALLEST_VOLUME:g} to {LARGEST_VOLUME:g} Å^3",
        "/": f"axes whose lengths differ by a factor of more than about {LARGEST_RATIO:g}",
        "^": "an angle below 30 or above 148 degrees",
    }
    for kind, step in zip(lattice_kinds(description.group), description.lattice, strict=True):
        if not 0 <= step <= LARGEST:
            raise InvalidRecord(description.text()[:40], limits[kind])
    return description
