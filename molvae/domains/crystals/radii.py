"""Covalent radii by atomic number (Cordero et al., Dalton Trans. 2008, 2832), from pymatgen's table."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from molvae.domains.crystals.symmetry import Floats
from molvae.domains.crystals.wyckoff import ELEMENTS

_UNKNOWN = 1.69  # curium's, the last in the table, for the elements behind it


@lru_cache(maxsize=1)
def covalent_radii() -> Floats:
    """Radii (104,) in Å, the entry of an atomic number at its place; entry 0 is unused."""
    from pymatgen.analysis.molecule_structure_comparator import CovalentRadius

    known = CovalentRadius.radius
    return np.array([0.0] + [float(known.get(symbol, _UNKNOWN)) for symbol in ELEMENTS])
