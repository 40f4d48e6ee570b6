"""Measures of drawn crystals beside reference ones.

The two distances are CDVAE's (Xie et al., ICLR 2022, arXiv:2110.06197), there called d_density and d_elem; ``benchmarks/crystals`` has the rest of
that protocol.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from molvae.domains.counts import cosine
from molvae.domains.crystals.properties import density, elements
from molvae.domains.crystals.structure import Crystal
from molvae.protocols import Comparison


class _Distance:
    """Wasserstein-1 distance of the distributions of a property."""

    def __init__(self, compute: Callable[[Crystal], float]) -> None:
        self._compute = compute

    def __call__(self, drawn: Sequence[Crystal], reference: Sequence[Crystal]) -> float:
        from scipy.stats import wasserstein_distance

        if not drawn or not reference:
            return math.nan
        return float(wasserstein_distance([self._compute(c) for c in drawn], [self._compute(c) for c in reference]))


def element_similarity(drawn: Sequence[Crystal], reference: Sequence[Crystal]) -> float:
    """Cosine of how many crystals have each element."""
    return cosine(_elements(drawn), _elements(reference))


def _elements(crystals: Sequence[Crystal]) -> Mapping[int, int]:
    return Counter(number for crystal in crystals for number in set(crystal.primitive.numbers.tolist()))


def group_similarity(drawn: Sequence[Crystal], reference: Sequence[Crystal]) -> float:
    """Cosine of how many crystals have each space group."""
    return cosine(Counter(c.group for c in drawn), Counter(c.group for c in reference))


COMPARISONS: tuple[Comparison[Crystal], ...] = (
    Comparison("density (d_density)", "Wasserstein distance in g/cm^3, 0 is best", _Distance(density)),
    Comparison("number of elements (d_elem)", "Wasserstein distance, 0 is best", _Distance(elements)),
    Comparison("elements", "cosine of counts, 1 is best", element_similarity),
    Comparison("space groups", "cosine of counts, 1 is best", group_similarity),
)
