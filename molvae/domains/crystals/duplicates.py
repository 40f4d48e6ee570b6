"""Which of many crystals are one: pymatgen's StructureMatcher among those of one formula, space group and number of atoms."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from molvae.domains.crystals.identity import packing
from molvae.domains.crystals.structure import Crystal, parse


def twins(texts: Sequence[str], report: Callable[[int], None]) -> list[int]:
    """For each of n canonical texts the place of the first that is the same crystal, its own where there is none. report: texts done.

    Finer than ``key``, which tells without comparing: two crystals are the same where StructureMatcher fits one to the other with its own
    settings (ltol 0.2, stol 0.3, angle_tol 5; volumes scaled). A crystal is compared with the first of each kind, the most alike before the others.
    """
    first = list(range(len(texts)))
    seen: dict[str, int] = {}
    blocks: dict[tuple[str, int, int], list[tuple[int, Crystal]]] = {}
    for place, text in enumerate(texts):
        first[place] = seen.setdefault(text, place)
        if first[place] == place:
            crystal = parse(text)
            blocks.setdefault((crystal.formula, crystal.group, len(crystal.primitive.numbers)), []).append((place, crystal))
    done = len(texts) - sum(len(block) for block in blocks.values())
    for block in blocks.values():
        for place, other in _within(block) if len(block) > 1 else ():
            first[place] = other
        done += len(block)
        report(done)
    # Equal texts of a crystal that turned out to be another's twin.
    return [first[place] for place in first]


def _within(block: Sequence[tuple[int, Crystal]]) -> list[tuple[int, int]]:
    """(place, place of the first that is the same), of crystals that have one."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher()
    found: list[tuple[int, int]] = []
    firsts: list[tuple[float, int, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place, crystal in block:
            mine, structure = packing(crystal.primitive)[0], crystal.structure(primitive=True)
            # The most alike first: nearly every twin is found in one comparison.
            near = sorted((abs(theirs - mine), other, known) for theirs, other, known in firsts)
            same = next((other for _, other, known in near if matcher.fit(structure, known)), None)
            if same is None:
                firsts.append((mine, place, structure))
            else:
                found.append((place, same))
    return found
