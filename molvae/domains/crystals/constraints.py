"""What a crystal that is being written must be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import gcd

from molvae.domains.crystals.wyckoff import MOST_ATOMS, NUMBER
from molvae.errors import UsageError


@dataclass(frozen=True)
class Constraints:
    """What a crystal must be; None: anything. Elements by atomic number, atoms counted in the primitive cell.

    groups: space groups. allowed: elements that may occur. forbidden: those that must not. required: those that must occur; with
    ``allowed`` the same set, a chemical system. composition: element -> count in the formula, exact; units: formula units in the primitive
    cell, any number where None. atoms: least and most in the primitive cell; conventional cells have 200 at most in any case.
    apart: no two atoms come together (``molvae.domains.crystals.room``), unless there is no other way to go on.
    """

    groups: frozenset[int] | None = None
    allowed: frozenset[int] | None = None
    forbidden: frozenset[int] = frozenset()
    required: frozenset[int] = frozenset()
    composition: Mapping[int, int] | None = None
    units: tuple[int, ...] | None = None
    atoms: tuple[int, int] = (1, MOST_ATOMS)
    apart: bool = False

    @classmethod
    def system(cls, numbers: Iterable[int], **others: object) -> Constraints:
        """A chemical system: exactly these elements."""
        chosen = frozenset(numbers)
        return cls(allowed=chosen, required=chosen, **others)  # type: ignore[arg-type]


def composition_of(formula: str) -> dict[int, int]:
    """Atomic number -> count of a formula such as LiFePO4, reduced. Raises UsageError where it is none."""
    from pymatgen.core.composition import Composition

    try:
        found = Composition(formula).get_el_amt_dict()
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"{formula!r} is no formula ({error}); wanted for example LiFePO4") from error
    if not found or any(symbol not in NUMBER or count != int(count) or count < 1 for symbol, count in found.items()):
        raise UsageError(f"{formula!r}: a formula of known elements with whole numbers is wanted, for example LiFePO4")
    divisor = gcd(*(int(count) for count in found.values()))
    return {NUMBER[symbol]: int(count) // divisor for symbol, count in found.items()}
