"""Which of many crystals are one: pymatgen's StructureMatcher among those of one formula, space group and number of atoms."""

from __future__ import annotations

import warnings
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from molvae.domains.crystals.identity import packing
from molvae.domains.crystals.structure import Crystal

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure


class Twins:
    """A memory of crystals that tells whether another one is the same as one of them.

    Finer than ``key``, which tells without comparing: two crystals are the same where StructureMatcher fits one to the other with its own
    settings (ltol 0.2, stol 0.3, angle_tol 5; volumes scaled), the most alike compared before the others. What it cannot compare, as cells
    that it finds no reduced form of, is not the same.
    """

    def __init__(self) -> None:
        self._count = 0
        self._texts: dict[str, int] = {}
        self._kinds: dict[tuple[str, int, int], list[tuple[float, int, str]]] = {}  # packing, number and text

    def find(self, crystal: Crystal) -> int | None:
        """The number of the one that is the same, as they were added, from 0; None for a new one."""
        if (same := self._texts.get(crystal.text)) is None and (kinds := self._kinds.get(_kind(crystal))):
            mine = packing(crystal.primitive)[0]
            # The most alike first: nearly every twin is found in one comparison.
            near = sorted((abs(theirs - mine), number, other) for theirs, number, other in kinds)
            same = next((number for _, number, other in near if _fits(crystal.text, other)), None)
        return same

    def add(self, crystal: Crystal) -> None:
        """Remember a crystal."""
        self._kinds.setdefault(_kind(crystal), []).append((packing(crystal.primitive)[0], self._count, crystal.text))
        self._texts.setdefault(crystal.text, self._count)
        self._count += 1


def _kind(crystal: Crystal) -> tuple[str, int, int]:
    return crystal.formula, crystal.group, len(crystal.primitive.numbers)


def _fits(text: str, other: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(_matcher().fit(_structure(text), _structure(other)))
        except ValueError:  # "can't find niggli"
            return False


@lru_cache(maxsize=1024)
def _structure(text: str) -> Structure:
    return Crystal(text).structure(primitive=True)


@cache
def _matcher() -> Any:
    from pymatgen.analysis.structure_matcher import StructureMatcher

    return StructureMatcher()
