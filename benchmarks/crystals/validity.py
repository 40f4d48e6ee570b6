"""Validity of crystals as CDVAE defines it (Xie et al., ICLR 2022, arXiv:2110.06197; ``scripts/eval_utils.py`` of txie-93/cdvae).

The same definitions as the domain's checks ``cdvae_structure`` and ``cdvae_composition``, for pymatgen structures too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.crystals.cells import Item, quietly, structure
from molvae.domains.crystals.charges import smact_valid
from molvae.domains.crystals.checks import CDVAE_DISTANCE, CDVAE_VOLUME

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Validity:
    """structure (N,), composition (N,): whether each crystal is valid; None, which is no crystal, is neither."""

    structure: Flags
    composition: Flags

    @property
    def both(self) -> Flags:
        """Whether each crystal is valid in both senses (N,)."""
        return self.structure & self.composition


def structure_valid(item: Item) -> bool:
    """Distances of at least 0.5 Å, a volume of at least 0.1 Å^3. As in CDVAE, an atom's distance to its own images does not count."""
    cell = structure(item)
    if cell.volume < CDVAE_VOLUME:
        return False
    with quietly():
        distances = np.array(cell.distance_matrix)
    np.fill_diagonal(distances, np.inf)
    return bool(distances.min() >= CDVAE_DISTANCE)


def composition_valid(item: Item) -> bool:
    """SMACT 2.2.1's charge neutrality and electronegativity; elements and alloys pass."""
    counts = structure(item).composition.get_el_amt_dict()
    return smact_valid({symbol: round(count) for symbol, count in counts.items()})


def validity(items: Sequence[Item | None]) -> Validity:
    """Validity of each crystal, in order."""
    return Validity(
        np.array([item is not None and structure_valid(item) for item in items], bool),
        np.array([item is not None and composition_valid(item) for item in items], bool),
    )
