"""Can the elements of a formula balance their charges? SMACT's test as CDVAE uses it, and a laxer one.

CDVAE (Xie et al., ICLR 2022, arXiv:2110.06197) calls a composition valid that passes SMACT 2.2.1's (Davies et al., J. Open Source Softw. 4, 1361
(2019)) tests of charge neutrality and Pauling electronegativity; single elements and alloys of metals pass. SMACT's tables of 2014 are
pymatgen's oxidation states and electronegativities but for the differences below, which include what later versions mended (zirconium).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np

MORE_STATES: Mapping[str, tuple[int, ...]] = {
    **{"Be": (1,), "Al": (2,), "Ca": (1,), "Ti": (1,), "Ge": (-3, -2, -1), "As": (1,), "Se": (1,), "Br": (2,), "Kr": (2,), "Rb": (-1,)},
    **{"Sr": (1,), "Nb": (1,), "Pd": (1, 6), "Ag": (4,), "I": (4,), "Xe": (1, 2, 4, 6, 8), "Cs": (-1,), "Nd": (4,), "Pm": (2,)},
    **{"Tb": (2,), "Dy": (4,), "Ho": (2,), "Er": (2,), "Ir": (-2, 7, 8), "Pt": (-1, 1, 3), "Tl": (-1,), "Bi": (1, 7), "Po": (5,)},
    **{"At": (7,), "Rn": (2, 6), "Ac": (2,), "Pa": (2,), "U": (2,), "Pu": (2, 8), "Am": (7,), "Cm": (2, 6, 8), "Bk": (2,), "Es": (4,)},
}
"""Oxidation states that SMACT 2.2.1 has and pymatgen has not."""
FEWER_STATES: Mapping[str, tuple[int, ...]] = {"Ir": (-3,)}
"""Oxidation states that pymatgen has and SMACT 2.2.1 has not."""
OTHER_NEGATIVITIES: Mapping[str, float] = {
    **{"Zr": 0.33, "Tc": 2.1, "Pm": math.nan, "Tb": 1.2, "Lu": 1.0, "W": 1.7, "Pt": 2.2, "Au": 2.4, "Hg": 1.9, "Tl": 1.8, "Pb": 1.8},
    **{"Bi": 1.9, "Rn": math.nan, "U": 1.7, "Np": 1.3, "Pu": 1.3, "Lr": math.nan},
}
"""Electronegativities (Pauling) that differ from pymatgen's, NaN for those that SMACT 2.2.1 does not know."""
METALS = frozenset(
    (
        *("Li", "Be", "Na", "Mg", "Al", "K", "Ca", "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "Rb"),
        *("Sr", "Y", "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Cs", "Ba", "La", "Ce", "Pr", "Nd"),
        *("Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl"),
        *("Pb", "Bi", "Po", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No"),
    )
)
"""SMACT's metals: with germanium, antimony and polonium, without promethium."""
SOFT = METALS | frozenset(("Pm", "Lr", "B", "Si", "As", "Se", "Te", "P"))
"""Elements that form compounds without charges to balance: metals, metalloids, phosphorus, selenium (phosphides and selenides of metals)."""


@lru_cache(maxsize=256)
def smact_states(symbol: str) -> tuple[int, ...]:
    """Oxidation states of SMACT 2.2.1."""
    from pymatgen.core.periodic_table import Element

    states = (set(Element(symbol).oxidation_states) | set(MORE_STATES.get(symbol, ()))) - set(FEWER_STATES.get(symbol, ()))
    return tuple(sorted(int(state) for state in states))


@lru_cache(maxsize=256)
def smact_negativity(symbol: str) -> float:
    """Electronegativity of SMACT 2.2.1, NaN where it has none."""
    return OTHER_NEGATIVITIES[symbol] if symbol in OTHER_NEGATIVITIES else negativity(symbol)


@lru_cache(maxsize=256)
def negativity(symbol: str) -> float:
    """Pauling electronegativity of pymatgen, NaN where it has none."""
    import warnings

    from pymatgen.core.periodic_table import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen announces the NaN
        return float(Element(symbol).X)


@lru_cache(maxsize=256)
def known_states(symbol: str) -> tuple[int, ...]:
    """Every oxidation state that pymatgen knows of: the textbooks', and those of structures in the ICSD."""
    from pymatgen.core.periodic_table import Element

    element = Element(symbol)
    return tuple(sorted({int(state) for state in (*element.oxidation_states, *element.icsd_oxidation_states, *smact_states(symbol))}))


def neutral(counts: Sequence[int], states: Sequence[Sequence[int]]) -> Iterator[tuple[int, ...]]:
    """Every choice of one oxidation state an element (E) with which so many atoms of each (E) are neutral together."""
    if not all(states):
        return
    total = np.zeros((1,) * len(counts), np.int32)
    for axis, (count, known) in enumerate(zip(counts, states, strict=True)):
        shape = [1] * len(counts)
        shape[axis] = len(known)
        total = total + np.array(known, np.int32).reshape(shape) * count
    for found in np.argwhere(total == 0):
        yield tuple(known[at] for known, at in zip(states, found.tolist(), strict=True))


def pauling(states: Sequence[int], negativities: Sequence[float]) -> bool:
    """SMACT's test that every cation is less electronegative than every anion.

    As in CDVAE, an unknown value that has to be compared passes the whole (SMACT raises, and CDVAE takes that for a pass), while one that
    has not fails it.
    """
    for (one, first), (other, second) in combinations(zip(states, negativities, strict=True), 2):
        opposite = one * other < 0
        unknown = math.isnan(first) or math.isnan(second)
        if opposite and unknown:
            return True
        if unknown or (opposite and (first >= second if one > 0 else first <= second)):
            return False
    return True


def uncharged(symbols: Collection[str]) -> bool:
    """Whether these are a single element or metals alone, which pass SMACT's test for having no charges to balance."""
    return len(symbols) == 1 or METALS.issuperset(symbols)


def smact_valid(counts: Mapping[str, int]) -> bool:
    """CDVAE's compositional validity. counts: symbol -> atoms, in any order and not necessarily reduced."""
    from molvae.domains.crystals.wyckoff import NUMBER

    symbols = sorted(counts, key=NUMBER.__getitem__)
    if uncharged(symbols):
        return True
    divisor = math.gcd(*counts.values())
    reduced = [counts[symbol] // divisor for symbol in symbols]
    negativities = [smact_negativity(symbol) for symbol in symbols]
    return any(pauling(states, negativities) for states in neutral(reduced, [smact_states(symbol) for symbol in symbols]))


def balanced(counts: Mapping[str, int]) -> bool:
    """Whether known oxidation states add up to zero, each atom with a state of its own, so that mixed valence (Co3O4) passes.

    Elements, and compounds of metals and metalloids alone, pass too.
    """
    symbols = list(counts)
    if len(symbols) == 1 or SOFT.issuperset(symbols):
        return True
    divisor = math.gcd(*counts.values())
    totals = {0}
    for symbol in symbols:
        sums = _sums(known_states(symbol), counts[symbol] // divisor)
        totals = {total + more for total in totals for more in sums}
    return 0 in totals


@lru_cache(maxsize=4096)
def _sums(states: tuple[int, ...], count: int) -> frozenset[int]:
    found = {0}
    for _ in range(count):
        found = {total + state for total in found for state in states}
    return frozenset(found)
