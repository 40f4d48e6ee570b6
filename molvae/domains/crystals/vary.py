"""Crystals that need not exist but read and write like real ones: other elements, coordinates and lattice, other sites, another space group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from molvae.domains.crystals.structure import Crystal, crystal_of
from molvae.domains.crystals.symmetry import groups_of, space_group
from molvae.domains.crystals.wyckoff import LARGEST, MOST_ATOMS, STEPS, Description, Orbit
from molvae.errors import InvalidRecord

HEAVIEST = 94
"""Elements to choose from end with plutonium."""
SWAPPED = 0.6
"""Probability that an element becomes another one, everywhere in the crystal."""
MOVED, FRESH = 0.4, 0.3
"""Probabilities that the free coordinates change by a small step each, and that they are drawn anew, anywhere in the cell."""
ELSEWHERE = 0.2
"""Probability that the orbits are put on other letters, in another space group of the same crystal system."""
COUNTED = 0.3
"""Probability that an orbit is left out, or that one stands there again with other coordinates: how many there are is to be read, not known."""
REACH = 60
"""Standard deviation of a coordinate's or a lattice parameter's step."""


def vary(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    """A relative of a crystal: elements exchanged, coordinates and lattice shifted, some of them on other sites of another space group."""
    old = crystal.description
    numbers = sorted({orbit.number for orbit in old.orbits})
    others = [z for z in range(1, HEAVIEST + 1) if z not in numbers]
    drawn = rng.choice(others, len(numbers), replace=False)
    named = {z: int(new) if rng.random() < SWAPPED else z for z, new in zip(numbers, drawn, strict=True)}
    room = min(2 * old.atoms, MOST_ATOMS)
    group, sites = _elsewhere(old, room, rng) if rng.random() < ELSEWHERE else (old.group, old.orbits)
    if rng.random() < COUNTED:
        sites = _counted(group, sites, room, rng)
    reach = rng.choice([REACH, STEPS, 0], p=[MOVED, FRESH, 1 - MOVED - FRESH])  # round the whole cell, anywhere is alike
    # In the order in which texts have them, as a code cannot tell another one.
    orbits = sorted(Orbit(o.letter, named[o.number], tuple(_near(s, reach, rng) % STEPS for s in o.steps)) for o in sites)
    lattice = tuple(min(max(_near(step, REACH, rng), 0), LARGEST) for step in old.lattice)
    found = Description(group, tuple(orbits), lattice)
    try:
        made = crystal_of(found)
        _ = made.description
    except InvalidRecord:  # angles that close no cell
        return crystal
    return made


def _elsewhere(old: Description, most: int, rng: np.random.Generator) -> tuple[int, Sequence[Orbit]]:
    """Another space group of the crystal system and a site there for each orbit, in a cell of at most ``most`` atoms; else what there was."""
    for number in rng.permutation(groups_of(space_group(old.group).system)).tolist():
        group, room, found = space_group(number), most, dict[int, list[Orbit]]()
        for orbit in old.orbits:
            fit = [i for i, at in enumerate(group.letters) if at.multiplicity <= room and (at.free or i not in found)]
            if not fit:
                break
            letter = group.letters[at := int(rng.choice(fit))]
            room -= letter.multiplicity
            found.setdefault(at, []).append(Orbit(at, orbit.number, tuple(rng.integers(STEPS, size=letter.free).tolist())))
        else:
            return number, [orbit for orbits in found.values() for orbit in orbits]
    return old.group, old.orbits


def _counted(group: int, sites: Sequence[Orbit], room: int, rng: np.random.Generator) -> Sequence[Orbit]:
    """One orbit less, or, as often and in a cell of at most ``room`` atoms, one more: another of a free site that is there."""
    at = int(rng.integers(len(sites)))
    if rng.random() < 0.5:
        return [*sites[:at], *sites[at + 1 :]] if len(sites) > 1 else sites
    letters, again = space_group(group).letters, sites[at]
    atoms = sum(letters[orbit.letter].multiplicity for orbit in (*sites, again))
    if not letters[again.letter].free or atoms > room:
        return sites
    return [*sites, Orbit(again.letter, again.number, tuple(rng.integers(STEPS, size=len(again.steps)).tolist()))]


def _near(step: int, reach: float, rng: np.random.Generator) -> int:
    return step + round(rng.normal(0, reach))
