"""What can be asked of crystals and is fulfilled exactly while one is written: from words to ``Constraints``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from molvae.domains.crystals.constraints import Constraints, composition_of
from molvae.domains.crystals.grammar import Grammar, State
from molvae.domains.crystals.identity import element_numbers, space_groups
from molvae.domains.crystals.wyckoff import MOST_ATOMS
from molvae.errors import UsageError

CONSTRAINTS: Mapping[str, str] = {
    "chemsys": "exactly these elements: Li-P-S",
    "composition": "exactly this formula, up to 20 atoms or 4 formula units where atoms does not say more: LiFePO4",
    "elements": "no others than these elements: Sr,Ti,O",
    "exclude": "none of these elements: Pb,Hg",
    "spacegroup": "these space groups or crystal systems: 221 or 221,225 or cubic",
    "atoms": "atoms of the primitive cell: 5 or 1:20",
}

USUAL_ATOMS, USUAL_UNITS = 20, 4
"""A primitive cell of a given formula has as many atoms at most, or formula units where that is more, unless something else is asked."""


def start(tokens: Sequence[str], end: int, asked: Mapping[str, str]) -> State:
    """The empty prefix of Wyckoff texts with what is asked. Raises UsageError where that cannot be read, or no crystal fulfils it."""
    return Grammar(tokens, end=end, constraints=constraints(asked)).start()


def constraints(asked: Mapping[str, str]) -> Constraints:
    """Words by the names of ``CONSTRAINTS`` as constraints; atoms are kept apart in any case. Raises UsageError for words that mean nothing."""
    chosen = [name for name in ("chemsys", "composition", "elements") if name in asked]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} together; each says which elements there are, so give one of them")
    system = element_numbers(asked["chemsys"]) if "chemsys" in asked else None
    composition = composition_of(asked["composition"]) if "composition" in asked else None
    usual = (1, MOST_ATOMS if composition is None else min(MOST_ATOMS, max(USUAL_ATOMS, USUAL_UNITS * sum(composition.values()))))
    return Constraints(
        groups=space_groups(asked["spacegroup"]) if "spacegroup" in asked else None,
        allowed=element_numbers(asked["elements"]) if "elements" in asked else system,
        forbidden=element_numbers(asked["exclude"]) if "exclude" in asked else frozenset(),
        required=system or frozenset(),
        composition=composition,
        atoms=_span(asked["atoms"]) if "atoms" in asked else usual,
        apart=True,
    )


def _span(text: str) -> tuple[int, int]:
    low, colon, high = text.partition(":")
    try:
        least = int(low) if low.strip() else 1
        most = int(high) if high.strip() else MOST_ATOMS if colon else least
    except ValueError:
        raise UsageError(f"{text!r} is no number of atoms; wanted such as 5, or 1:20 for a range") from None
    return least, most
