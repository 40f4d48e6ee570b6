"""Which known crystal a new one is like, and what its structure type is called."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, permutations, product

import numpy as np

from molvae.domains.crystals import standard
from molvae.domains.crystals.identity import features, overlaps, settled
from molvae.domains.crystals.structure import Crystal
from molvae.domains.crystals.symmetry import LETTERS, space_group
from molvae.domains.crystals.wyckoff import Description
from molvae.errors import InvalidRecord

TRIED = 20
"""Most similar crystals that are compared atom by atom."""
_ORDERS = 24
_FAMILIES = {"triclinic": "a", "monoclinic": "m", "orthorhombic": "o", "tetragonal": "t", "trigonal": "h", "hexagonal": "h", "cubic": "c"}


@dataclass(frozen=True)
class Nearest:
    """The nearest of some crystals. at: its place among them. similarity: in [0, 1], of ``molvae.domains.crystals.identity``. rms: of the atoms'
    shifts in units of (volume / atoms)^(1/3), NaN where StructureMatcher does not call the structures equal. kind: ``same`` structure and elements,
    ``type`` (the same structure with other elements), or ``similar``."""

    at: int
    similarity: float
    rms: float
    kind: str


class Library:
    """Known crystals, ready to be asked which of them is nearest to a new one."""

    def __init__(self, known: Sequence[Crystal]) -> None:
        self.known = list(known)
        self._features = features(self.known)
        self._formulas = {crystal.formula for crystal in self.known}

    def nearest(self, crystal: Crystal) -> Nearest | None:
        """The nearest of them, None where there are none: the same structure first, then its type, then the most similar one."""
        from pymatgen.analysis.structure_matcher import StructureMatcher

        if not self.known:
            return None
        alike = overlaps(features([crystal])[0], self._features)
        order = np.argsort(-alike, kind="stable").tolist()
        mine, matcher = crystal.structure(primitive=True), StructureMatcher()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            same_type: int | None = None
            for at in order[:TRIED]:
                theirs = self.known[at].structure(primitive=True)
                try:
                    if (found := matcher.get_rms_dist(mine, theirs)) is not None:
                        return Nearest(at, float(alike[at]), float(found[0]), "same")
                    if same_type is None and matcher.fit_anonymous(mine, theirs):
                        same_type = at
                except ValueError:  # "can't find niggli": such a cell is like none
                    continue
        at = order[0] if same_type is None else same_type
        return Nearest(at, float(alike[at]), math.nan, "similar" if same_type is None else "type")

    def __call__(self, crystal: Crystal) -> dict[str, float | str]:
        """The nearest as columns of a table (``Domain.library``)."""
        found = self.nearest(crystal)
        if found is None:
            return {}
        named = {"nearest": self.known[found.at].text, "nearest_kind": found.kind}
        named["formula_known"] = "yes" if crystal.formula in self._formulas else "no"
        return named | {"nearest_similarity": found.similarity, "nearest_rms": found.rms}


def words(crystal: Crystal) -> dict[str, str]:
    """Formula, space group and structure type (``Domain.words``)."""
    return {"formula": crystal.formula, "symmetry": space_group(crystal.group).symbol, "prototype": prototype(crystal)}


def prototype(crystal: Crystal) -> str:
    """The structure type after AFLOW's manner (Mehl et al., Comput. Mater. Sci. 136, S1 (2017)), such as ``ABC3_cP5_221_a_b_c`` for SrTiO3.

    Anonymous formula, Pearson symbol, space group, and each element's Wyckoff letters. AFLOW orders elements by the alphabet, so that one type
    has several labels; here the rarest comes first, and of equal counts (and origins) the label that reads first is taken. More than
    ``_ORDERS`` orders of elements with equal counts are not tried: beyond, labels of one type may differ.
    """
    description = settled(crystal) or crystal.description
    cell = description.primitive
    counts = Counter(cell.numbers.tolist())
    groups = [sorted(z for z in counts if counts[z] == n) for n in sorted(set(counts.values()))]
    found = []
    for orders in islice(product(*(permutations(members) for members in groups)), _ORDERS):
        ranks = {z: rank for rank, z in enumerate(chain.from_iterable(orders), start=1)}
        try:
            anonymous = standard.describe(cell.lattice, cell.positions, np.array([ranks[z] for z in cell.numbers.tolist()]))
        except InvalidRecord:  # spglib finds no symmetry: the letters as they are written
            anonymous = replace(description, orbits=tuple(replace(orbit, number=ranks[orbit.number]) for orbit in description.orbits))
        found.append(_label(anonymous))
    return min(found)


def _label(description: Description) -> str:
    """The label of a description whose elements are numbered from 1."""
    group = space_group(description.group)
    atoms: Counter[int] = Counter()
    letters: dict[int, Counter[str]] = {}
    for orbit in description.orbits:
        atoms[orbit.number] += group.letters[orbit.letter].multiplicity
        letters.setdefault(orbit.number, Counter())[LETTERS[orbit.letter]] += 1
    divisor = math.gcd(*atoms.values())
    names = [f"{chr(ord('A') + rank - 1)}{_count(atoms[rank] // divisor)}" for rank in sorted(atoms)]
    wyckoff = ["".join(f"{_count(n)}{letter}" for letter, n in sorted(letters[rank].items())) for rank in sorted(atoms)]
    return "_".join(["".join(names), _pearson(group.symbol, group.system, sum(atoms.values())), str(description.group), *wyckoff])


def _pearson(symbol: str, system: str, atoms: int) -> str:
    centring = symbol[0]
    if centring == "R":  # counted in the rhombohedral cell
        return f"hR{atoms // 3}"
    return f"{_FAMILIES[system]}{'C' if centring in 'ABC' else centring}{atoms}"


def _count(number: int) -> str:
    return "" if number == 1 else str(number)
