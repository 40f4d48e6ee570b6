"""Which of many crystals are one: pymatgen's StructureMatcher among those of one formula, space group and number of atoms."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from molvae.domains.crystals.identity import packing
from molvae.domains.crystals.structure import Crystal

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure


class Twins:
    """Told one crystal after the other, says which of those before it is the same: its number, counted from 0, or None for a new one.

    Finer than ``key``, which tells without comparing: two crystals are the same where StructureMatcher fits one to the other with its own
    settings (ltol 0.2, stol 0.3, angle_tol 5; volumes scaled). A crystal is compared with the first of each kind, the most alike before the others.
    """

    def __init__(self) -> None:
        self._told = 0
        self._texts: dict[str, int] = {}  # text -> the first that is the same
        self._kinds: dict[tuple[str, int, int], list[tuple[int, str]]] = {}  # number and text of the first of each kind

    def __call__(self, crystal: Crystal) -> int | None:
        number, self._told = self._told, self._told + 1
        if (first := self._texts.get(crystal.text)) is not None:
            return first
        kinds = self._kinds.setdefault((crystal.formula, crystal.group, len(crystal.primitive.numbers)), [])
        same = _fitting(crystal.text, kinds) if kinds else None
        if same is None:
            kinds.append((number, crystal.text))
        self._texts[crystal.text] = number if same is None else same
        return same


def _fitting(text: str, kinds: Sequence[tuple[int, str]]) -> int | None:
    mine, structure = _packed(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The most alike first: nearly every twin is found in one comparison.
        near = sorted((abs(_packed(other)[0] - mine), number, other) for number, other in kinds)
        return next((number for _, number, other in near if _matcher().fit(structure, _packed(other)[1])), None)


@lru_cache(maxsize=1024)
def _packed(text: str) -> tuple[float, Structure]:
    crystal = Crystal(text)
    return packing(crystal.primitive)[0], crystal.structure(primitive=True)


@cache
def _matcher() -> Any:
    from pymatgen.analysis.structure_matcher import StructureMatcher

    return StructureMatcher()
