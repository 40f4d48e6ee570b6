"""Crystals that need not exist but read and write like real ones: other elements on the same sites, other coordinates and lattice."""

from __future__ import annotations

import numpy as np

from molvae.domains.crystals.structure import Crystal, crystal_of
from molvae.domains.crystals.wyckoff import LARGEST, STEPS, Description, Orbit
from molvae.errors import InvalidRecord

HEAVIEST = 94
"""Elements to choose from end with plutonium."""
SWAPPED = 0.6
"""Probability that an element becomes another one, everywhere in the crystal."""
MOVED, FRESH = 0.4, 0.3
"""Probabilities that the free coordinates change by a small step each, and that they are drawn anew, anywhere in the cell."""
REACH = 60
"""Standard deviation of a coordinate's or a lattice parameter's step."""


def vary(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """A relative of a crystal: same space group and letters, elements exchanged, coordinates and lattice shifted."""
    old = crystal.description
    numbers = sorted({orbit.number for orbit in old.orbits})
    others = [z for z in range(1, HEAVIEST + 1) if z not in numbers]
    drawn = rng.choice(others, len(numbers), replace=False)
    named = {z: int(new) if rng.random() < SWAPPED else z for z, new in zip(numbers, drawn, strict=True)}
    reach = rng.choice([REACH, STEPS, 0], p=[MOVED, FRESH, 1 - MOVED - FRESH])  # round the whole cell, anywhere is alike
    # In the order in which texts have them, as a code cannot tell another one.
    orbits = sorted(Orbit(o.letter, named[o.number], tuple(_near(s, reach, rng) % STEPS for s in o.steps)) for o in old.orbits)
    lattice = tuple(min(max(_near(step, REACH, rng), 0), LARGEST) for step in old.lattice)
    found = Description(old.group, tuple(orbits), lattice)
    try:
        made = crystal_of(found)
        _ = made.description
    except InvalidRecord:  # angles that close no cell
        return crystal
    return made


def _near(step: int, reach: float, rng: np.random.Generator) -> int:
    return step + round(rng.normal(0, reach))
