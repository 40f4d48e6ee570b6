"""Crystals of this project and pymatgen's structures as one kind of input."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from molvae.domains.crystals.structure import Crystal

Item = Crystal | Structure
"""A crystal of the domain (its primitive cell is measured) or a pymatgen Structure (measured as it is)."""


@contextmanager
def quietly() -> Iterator[None]:
    """Without pymatgen's warnings, of which there is one or more for every structure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def structure(item: Item) -> Structure:
    """The structure to measure."""
    return item.structure(primitive=True) if isinstance(item, Crystal) else item


def structures(items: Sequence[Item]) -> list[Structure]:
    """The structures to measure, in order."""
    return [structure(item) for item in items]


def reduced(item: Item, least: int = 1) -> Structure:
    """The Niggli-reduced cell in pymatgen's standard orientation, the cell that CDVAE's data are read in (``build_crystal``).

    least: atoms that it must have; a smaller cell is doubled along its shortest axis until it has.
    """
    cell = structure(item).get_reduced_structure()
    while len(cell) < least:
        cell.make_supercell([2 if axis == int(np.argmin(cell.lattice.abc)) else 1 for axis in range(3)])
    return Structure(Lattice.from_parameters(*cell.lattice.parameters), cell.species, cell.frac_coords)
