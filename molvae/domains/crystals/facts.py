"""What a crystal is, in words for a reader: formula, symmetry, unit cell, density, Wyckoff orbits."""

from __future__ import annotations

import re
from typing import Any

from molvae.domains.crystals.identity import settled
from molvae.domains.crystals.properties import density
from molvae.domains.crystals.structure import Crystal, parse
from molvae.domains.crystals.symmetry import LETTERS, space_group
from molvae.domains.crystals.wyckoff import ELEMENTS, STEPS

MOST_ORBITS = 12
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def facts(text: str) -> dict[str, str]:
    """Name -> value, ready to read. Raises InvalidRecord where the text is no crystal."""
    crystal = parse(text)
    kind = _kind(space_group(crystal.group).hall)
    cell, lattice = crystal.conventional, crystal.structure().lattice
    sizes = len(cell.numbers), len(crystal.primitive.numbers)
    told = {
        "formula": subscripts(crystal.formula),
        "space group": f"{hermann_mauguin(kind.international_short)} ({crystal.group})",
        "crystal system": space_group(crystal.group).system,
        "point group": hermann_mauguin(kind.pointgroup_international),
        "a, b, c": f"{', '.join(f'{length:.3f}' for length in lattice.abc)} Å",
        "α, β, γ": f"{', '.join(f'{angle:.4g}' for angle in lattice.angles)}°",
        "cell": f"{cell.volume:.1f} Å³, {sizes[0]} atoms" + ("" if sizes[0] == sizes[1] else f" ({sizes[1]} primitive)"),
        "density": f"{density(crystal):.3g} g/cm³",
        "Wyckoff orbits": _orbits(crystal),
    }
    found = settled(crystal)
    if found is not None and found.group != crystal.group:
        symbol = hermann_mauguin(_kind(space_group(found.group).hall).international_short)
        told["symmetry of the atoms"] = f"{symbol} ({found.group}) at 0.1 Å"
    return told


def subscripts(formula: str) -> str:
    """SrTiO3 as SrTiO₃."""
    return formula.translate(_SUBSCRIPT)


def hermann_mauguin(symbol: str) -> str:
    """A symbol such as ``P6_3/mmc`` or ``Fm-3m`` as print has it: P6₃/mmc, Fm3̄m."""
    symbol = re.sub(r"_(\d)", lambda match: match[1].translate(_SUBSCRIPT), symbol)
    return re.sub(r"-(\d)", "\\1\u0304", symbol)


def _kind(hall: int) -> Any:
    import spglib

    return spglib.get_spacegroup_type(hall)


def _orbits(crystal: Crystal) -> str:
    """Element, letter with its multiplicity, and the first position of each orbit that is free to move."""
    group = space_group(crystal.group)
    words = []
    for orbit in crystal.description.orbits[:MOST_ORBITS]:
        letter = group.letters[orbit.letter]
        free = ", ".join(f"{step / STEPS:.3f}" for step in orbit.steps)
        words.append(f"{ELEMENTS[orbit.number - 1]} {letter.multiplicity}{LETTERS[orbit.letter]}" + (f" ({free})" if free else ""))
    more = len(crystal.description.orbits) - MOST_ORBITS
    return "; ".join(words) + (f"; and {more} more" if more > 0 else "")
