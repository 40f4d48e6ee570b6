"""Properties computed from a crystal's cell. Values are NaN where a property is undefined; nothing here raises on a parsed crystal."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from molvae.domains.crystals.charges import negativity, smact_valid, uncharged
from molvae.domains.crystals.structure import Crystal
from molvae.domains.crystals.symmetry import Floats
from molvae.domains.crystals.wyckoff import ELEMENTS
from molvae.protocols import Property

_DALTON = 1.66053906660  # g/cm^3 for 1 Da/Å^3; CODATA 2018


@lru_cache(maxsize=1)
def _masses() -> Floats:
    from pymatgen.core.periodic_table import Element

    return np.array([0.0] + [float(Element(symbol).atomic_mass) for symbol in ELEMENTS])


def density(crystal: Crystal) -> float:
    """g/cm^3."""
    cell = crystal.primitive
    return float(_masses()[cell.numbers].sum()) / cell.volume * _DALTON


def volume_per_atom(crystal: Crystal) -> float:
    """Å^3."""
    cell = crystal.primitive
    return cell.volume / len(cell.numbers)


def atoms(crystal: Crystal) -> float:
    """Atoms of the primitive cell."""
    return float(len(crystal.primitive.numbers))


def elements(crystal: Crystal) -> float:
    """Number of different elements."""
    return float(len(np.unique(crystal.primitive.numbers)))


def space_group(crystal: Crystal) -> float:
    """Number of the space group, 1 to 230."""
    return float(crystal.group)


def orbits(crystal: Crystal) -> float:
    """Symmetrically distinct atoms."""
    return float(len(crystal.description.orbits))


def negativity_difference(crystal: Crystal) -> float:
    """Largest difference of Pauling electronegativities, NaN where one of them is unknown."""
    values = [negativity(ELEMENTS[number - 1]) for number in np.unique(crystal.primitive.numbers).tolist()]
    return max(values) - min(values) if not any(map(math.isnan, values)) else math.nan


def smact_validity(crystal: Crystal) -> float:
    """1 where charges can balance by SMACT's test as CDVAE uses it (``charges.smact_valid``), 0 where they cannot."""
    return float(smact_valid(crystal.counts))


def charge_neutrality(crystal: Crystal) -> float:
    """The same of compounds; NaN of elements and alloys, which pass that test for having no charges to balance."""
    return math.nan if uncharged(crystal.counts) else smact_validity(crystal)


_ENTRIES: tuple[tuple[str, str, str, Callable[[Crystal], float]], ...] = (
    ("density", "g/cm^3", "mass density of the perfect crystal", density),
    ("volume_per_atom", "A^3", "volume of the cell divided by its atoms", volume_per_atom),
    ("atoms", "1", "atoms of the primitive cell", atoms),
    ("elements", "1", "number of different elements", elements),
    ("spacegroup", "1", "number of the space group", space_group),
    ("orbits", "1", "symmetrically distinct atoms", orbits),
    (
        "electronegativity_difference",
        "1",
        "largest difference of Pauling electronegativities; undefined for some noble gases",
        negativity_difference,
    ),
    ("smact_validity", "1", "1 where charges balance by SMACT's test of neutrality and electronegativity, else 0", smact_validity),
    (
        "charge_neutrality",
        "1",
        "1 where charges balance by SMACT's test, else 0; undefined for elements and alloys of metals, which pass it untested",
        charge_neutrality,
    ),
)
PROPERTIES: dict[str, Property[Crystal]] = {name: Property(name, unit, text, compute) for name, unit, text, compute in _ENTRIES}
