"""The convex hull at one composition, as a linear program: which mixture of known phases has the least energy?

Minimise sum_i x_i e_i over shares x_i >= 0 of the atoms such that the mixture has the composition. What a general convex hull computes for a
whole chemical system (pymatgen's ``PhaseDiagram``) is needed at one point only, for which this is exact and takes milliseconds.

Axes: E elements, P phases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from molvae.errors import MolvaeError

_LEAST = 1e-6  # share of the atoms below which a product is rounding


@dataclass(frozen=True)
class Phase:
    """A composition with its formation energy in eV an atom. fractions: symbol -> atomic fraction.

    kind: ``element`` (0 by definition); ``stable`` (a compound on the hull of a complete database); ``height`` (that hull passes here, though
    what is known at this composition lies above it); ``phase`` (a compound of that energy, of which nothing more is known).
    """

    formula: str
    fractions: Mapping[str, float]
    energy: float
    kind: str = "phase"
    name: str = ""


@dataclass(frozen=True)
class Product:
    """A phase of a decomposition. share: of the atoms, in (0, 1]."""

    phase: Phase
    share: float


@dataclass(frozen=True)
class Height:
    """energy: of the hull, eV an atom against the elements. products: the mixture that has it, the largest share first."""

    energy: float
    products: tuple[Product, ...]


def height(fractions: Mapping[str, float], phases: Sequence[Phase]) -> Height:
    """The hull's height at a composition (symbol -> atomic fraction). phases: those without other elements, every element among them."""
    from scipy.optimize import linprog

    symbols = sorted(fractions)
    columns = np.array([[phase.fractions.get(symbol, 0.0) for phase in phases] for symbol in symbols])  # (E, P)
    wanted = np.array([fractions[symbol] for symbol in symbols])
    found = linprog([phase.energy for phase in phases], A_eq=columns, b_eq=wanted, bounds=(0, None), method="highs")
    if not found.success:
        raise MolvaeError(f"no mixture of the {len(phases)} phases of {'-'.join(symbols)} has this composition: {found.message}")
    products = [Product(phase, float(share)) for phase, share in zip(phases, found.x, strict=True) if share > _LEAST]
    return Height(float(found.fun), tuple(sorted(products, key=lambda product: -product.share)))
