"""When two crystals count as the same, how alike two are, and questions to a crystal."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from molvae.domains.crystals import standard
from molvae.domains.crystals.neighbours import neighbours
from molvae.domains.crystals.structure import Crystal
from molvae.domains.crystals.symmetry import GROUPS, SYSTEMS, groups_of
from molvae.domains.crystals.wyckoff import ELEMENTS, NUMBER, Cell, Description, read
from molvae.errors import InvalidRecord, UsageError

PACKING_STEPS = (0.03, 0.02)
"""Relative differences of the two sums of ``packing`` that count as the same."""
_REACH = 4.0  # of the mean spacing; further neighbours add less than 1e-12 to either
_SHELLS = 24
_REDUCED = 3.0  # of the mean spacing; the histogram's end


@lru_cache(maxsize=4096)
def _settled(text: str) -> Description | None:
    cell = read(text).primitive
    try:
        return standard.describe(cell.lattice, cell.positions, cell.numbers)
    except InvalidRecord:
        return None  # spglib finds no symmetry, for example of atoms on one spot


def settled(crystal: Crystal) -> Description | None:
    """The canonical description of the atoms, whatever setting or too low a group the text has; None where symmetry cannot be found."""
    return _settled(crystal.text)


def key(crystal: Crystal) -> str:
    """Identity for unique and novel: reduced formula, space group, and 16 digits of a fingerprint, such as ``SrTiO3-221-...``.

    The fingerprint holds each orbit's Wyckoff letter and element in the canonical description, and how the atoms are packed: the sum of
    exp(-k r^2) over neighbours at distance r, in units of the mean spacing, for all pairs (k = 8, to 3 %) and for like ones (k = 2, to 2 %).
    So it does not depend on setting, origin or scale, as pymatgen's StructureMatcher does not, and A and B of a perovskite cannot change
    places unseen. Limits: two crystals that StructureMatcher would call equal get different keys where one of the sums falls on the other
    side of a rounding border, or where small displacements change the space group at 0.1 Å; different crystals of one formula,
    group and orbits that are packed alike (twins in stacking, mirror images) share a key.
    """
    description = settled(crystal) or crystal.description
    orbits = sorted((orbit.letter, orbit.number) for orbit in description.orbits)
    sums = tuple(round(value / step) for value, step in zip(packing(description.primitive), PACKING_STEPS, strict=True))
    content = f"{orbits} {sums}"
    digest = hashlib.sha256(content.encode()).hexdigest()[:16]
    return f"{crystal.formula}-{description.group}-{digest}"


def packing(cell: Cell) -> tuple[float, float]:
    """Logarithms of the sums over neighbours that ``key`` names: of all pairs (k = 8) and of like ones (k = 2), for each atom."""
    spacing = (cell.volume / len(cell.numbers)) ** (1 / 3)
    pairs = neighbours(cell, _REACH * spacing)
    square = (pairs.distance / spacing) ** 2
    alike = cell.numbers[pairs.first] == cell.numbers[pairs.second]
    all_pairs, like = np.exp(-8.0 * square).sum(), np.exp(-2.0 * square[alike]).sum()
    return math.log(all_pairs / len(cell.numbers) + 1e-3), math.log(like / len(cell.numbers) + 1e-3)


def features(crystals: Sequence[Crystal]) -> NDArray[np.float32]:
    """Counts (n, 103 + 48) that are not negative: atoms of each element in ten of the crystal, and its pairs of like and unlike neighbours.

    Pairs: two histograms of distances in units of the mean spacing, up to 3, each pair weighted by 1 / r^2 and smeared over two bins.
    """
    out = np.zeros((len(crystals), len(ELEMENTS) + 2 * _SHELLS), np.float32)
    for row, crystal in zip(out, crystals, strict=True):
        cell = crystal.primitive
        row[: len(ELEMENTS)] = 10 * np.bincount(cell.numbers - 1, minlength=len(ELEMENTS)) / len(cell.numbers)
        row[len(ELEMENTS) :] = _shells(cell)
    return out


def _shells(cell: Cell) -> NDArray[np.float64]:
    spacing = (cell.volume / len(cell.numbers)) ** (1 / 3)
    pairs = neighbours(cell, _REDUCED * spacing)
    reduced = np.maximum(pairs.distance / spacing, 0.1)
    place = np.clip(reduced / _REDUCED * _SHELLS - 0.5, 0, _SHELLS - 1.001)
    low = place.astype(int)
    unlike = np.where(cell.numbers[pairs.first] == cell.numbers[pairs.second], 0, _SHELLS)
    weight = 1 / (reduced**2 * len(cell.numbers))
    found = np.zeros(2 * _SHELLS)
    np.add.at(found, low + unlike, weight * (1 - place + low))
    np.add.at(found, low + 1 + unlike, weight * (place - low))
    return found


def similarity(crystal: Crystal, others: Sequence[Crystal]) -> list[float]:
    """Half the overlap of the compositions plus half that of the neighbour histograms of ``features``: in [0, 1], 1 for identical ones.

    Overlap: sum of the lesser over sum of the greater (Tanimoto's coefficient for counts).
    """
    return overlaps(features([crystal])[0], features(others)).tolist() if others else []


def overlaps(mine: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float32]:
    """``similarity`` of one row of ``features`` to others (n, F): (n,)."""
    parts = [slice(0, len(ELEMENTS)), slice(len(ELEMENTS), None)]
    shares = [np.minimum(mine[p], theirs[:, p]).sum(1) / np.maximum(np.maximum(mine[p], theirs[:, p]).sum(1), 1e-9) for p in parts]
    mean: NDArray[np.float32] = sum(shares) / np.float32(len(shares))
    return mean


def matches(crystal: Crystal, other: Crystal) -> bool:
    """Whether pymatgen's StructureMatcher fits one to the other, with the settings of CDVAE and its successors (arXiv:2110.06197)."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    fit = StructureMatcher(stol=0.5, angle_tol=10, ltol=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit.get_rms_dist(crystal.structure(primitive=True), other.structure(primitive=True)) is not None


def element_numbers(text: str) -> frozenset[int]:
    """Atomic numbers of symbols with commas or hyphens between. Raises UsageError."""
    names = [name for name in text.replace("-", ",").replace(" ", ",").split(",") if name]
    if unknown := [name for name in names if name not in NUMBER]:
        raise UsageError(f"{unknown[0]!r} is no element; wanted symbols such as Sr,Ti,O")
    if not names:
        raise UsageError("no element is named; wanted symbols such as Sr,Ti,O")
    return frozenset(NUMBER[name] for name in names)


class _Has:
    """Whether a crystal has all these elements, and with exact no others. A class, so that it travels to worker processes."""

    def __init__(self, numbers: frozenset[int], exact: bool) -> None:
        self.numbers, self.exact = numbers, exact

    def __call__(self, crystal: Crystal) -> bool:
        found = {orbit.number for orbit in crystal.description.orbits}
        return found == self.numbers if self.exact else self.numbers <= found


class _InGroup:
    """Whether a crystal is written in one of these space groups."""

    def __init__(self, groups: frozenset[int]) -> None:
        self.groups = groups

    def __call__(self, crystal: Crystal) -> bool:
        return crystal.group in self.groups


def has_elements(text: str) -> Callable[[Crystal], bool]:
    """A test for all of some elements: ``Sr,Ti``. Raises UsageError for other words."""
    return _Has(element_numbers(text), exact=False)


def chemical_system(text: str) -> Callable[[Crystal], bool]:
    """A test for exactly these elements: ``Sr-Ti-O``. Raises UsageError for other words."""
    return _Has(element_numbers(text), exact=True)


def space_groups(text: str) -> frozenset[int]:
    """Space group numbers of a text: numbers or crystal systems with commas between. Raises UsageError."""
    found: set[int] = set()
    for word in filter(None, (part.strip().lower() for part in text.split(","))):
        if word in SYSTEMS:
            found.update(groups_of(word))
        elif word.isdigit() and 1 <= int(word) <= GROUPS:
            found.add(int(word))
        else:
            raise UsageError(f"{word!r} is no space group; wanted numbers from 1 to {GROUPS} or a crystal system: {', '.join(SYSTEMS)}")
    if not found:
        raise UsageError("no space group is named; wanted for example 221 or cubic")
    return frozenset(found)


def in_space_group(text: str) -> Callable[[Crystal], bool]:
    """A test for space groups: ``221``, ``221,225`` or ``cubic``. Raises UsageError for anything else."""
    return _InGroup(space_groups(text))


QUERIES: Mapping[str, Callable[[str], Callable[[Crystal], bool]]] = {
    "elements": has_elements,
    "chemsys": chemical_system,
    "spacegroup": in_space_group,
}
