"""Success rates of property optimisation as CDVAE measures them (Xie et al., ICLR 2022, arXiv:2110.06197, section 5.3).

From each of 100 starts ten crystals are proposed; a start succeeds where the lowest energy that the property net predicts for its valid
crystals is within the 5th, 10th or 15th percentile of the data set's distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.crystals.cells import Item
from benchmarks.crystals.property_net import PropertyNet
from benchmarks.crystals.settings import setting
from benchmarks.crystals.validity import validity

RATES = ("SR5", "SR10", "SR15")


def success_rates(energies: ArrayLike, data: str) -> Mapping[str, float]:
    """SR5, SR10 and SR15. energies (starts, tries): predicted, eV/atom, NaN for crystals that are not valid. data: as in ``SETTINGS``."""
    found = np.asarray(energies, float)
    if found.ndim != 2 or not found.size:
        raise ValueError(f"energies of shape {found.shape}; wanted (starts, tries), both at least 1")
    best = np.where(np.isnan(found), np.inf, found).min(axis=1)
    return {name: float((best <= limit).mean()) for name, limit in zip(RATES, setting(data).percentiles, strict=True)}


def optimisation(proposed: Sequence[Sequence[Item | None]], net: PropertyNet) -> Mapping[str, float]:
    """SR5, SR10 and SR15 of crystals. proposed: the tries of each start, equally many; None where there is no crystal."""
    widths = {len(row) for row in proposed}
    if len(widths) != 1:
        raise ValueError(f"starts with {sorted(widths)} tries; wanted equally many, None for those that failed")
    flat = [item for row in proposed for item in row]
    energies = np.full(len(flat), np.nan)
    valid = np.flatnonzero(validity(flat).both)
    energies[valid] = net.predict([flat[at] for at in valid])  # type: ignore[misc]
    return success_rates(energies.reshape(len(proposed), -1), net.data)
