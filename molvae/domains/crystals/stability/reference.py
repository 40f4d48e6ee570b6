"""References: what is known of competing phases, as a file with a name, and what the hull it gives is worth at a composition."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from molvae.domains.crystals.stability import tables
from molvae.domains.crystals.stability.elements import ELEMENTAL, missing
from molvae.domains.crystals.stability.hull import Height, Phase, height
from molvae.errors import DataError, InvalidRecord, UsageError

Coverage = Literal["none", "elements", "sparse", "good"]
FORMAT, VERSION = "molvae-hull", 1
ELEMENTS = "elements"
"""The name of the reference that needs no file."""
ENOUGH = 5
"""Competing compositions for each pair of elements of a system, from which on its hull counts as covered.

Measured by leaving out one composition of 20,065 (``benchmarks/crystal_stability.py``; 2,500 compositions off the hull, whose true height is
therefore known): with this many, 93 % of the heights are within 50 meV an atom; with fewer, 55 %; with none, 34 %.
"""


class _Entry(BaseModel):
    """One phase of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    formula: str
    energy: float = Field(ge=-tables.EXTREME, le=tables.EXTREME, allow_inf_nan=False)
    kind: Literal["phase", "stable", "height"]
    id: str = ""


class _File(BaseModel):
    """A reference as a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["molvae-hull"]
    version: Literal[1]
    name: str = Field(min_length=1)
    source: str
    entries: tuple[_Entry, ...]


@dataclass(frozen=True)
class Hull:
    """A hull at one composition, with what it is worth.

    energy: eV an atom against the elements, NaN without coverage. phases: competing compositions of the chemical system, elements not counted.
    known: whether a complete database said where its hull passes at this very composition.
    """

    energy: float
    coverage: Coverage
    phases: int
    known: bool
    height: Height | None


@dataclass(frozen=True)
class Reference:
    """Known phases. name, source: for reports. phases: the lowest of each composition, elements not among them."""

    name: str
    source: str
    phases: tuple[Phase, ...]

    @classmethod
    def elements(cls) -> Reference:
        """The elements alone: formation energies, and no verdict."""
        return cls(ELEMENTS, f"{len(ELEMENTAL)} elemental references of the Materials Project", ())

    @classmethod
    def open(cls, given: str | Path) -> Reference:
        """A reference by name or from a file. Raises UsageError for what is neither, DataError as ``load``."""
        if str(given) == ELEMENTS:
            return cls.elements()
        if not Path(given).is_file():
            raise UsageError(f"no reference {str(given)!r}: wanted {ELEMENTS!r}, or the file that 'molvae hull build' makes")
        return cls.load(given)

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """A reference from its file. Raises DataError, with the place, for a file that is damaged, foreign or newer than this version."""
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(path, "there is no such file; 'molvae hull build' makes one") from None
        except (OSError, ValueError) as error:
            raise DataError(path, f"no JSON: {str(error)[:200]}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DataError(path, "no reference of molvae; make one from tables and entries with 'molvae hull build --from FILE'")
        if isinstance(content.get("version"), int) and content["version"] > VERSION:
            raise DataError(path, f"version {content['version']}; this molvae reads {VERSION}: update it, or build the reference again")
        try:
            file = _File.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise DataError(path, f"damaged at {'.'.join(map(str, first['loc']))}: {first['msg']}; build it again") from error
        phases = []
        for number, entry in enumerate(file.entries):
            try:
                fractions = tables.fractions_of(entry.formula)
            except InvalidRecord as error:
                raise DataError(path, f"damaged at entries.{number}: {entry.formula!r} is {error.why}; build it again") from error
            if absent := missing(fractions):
                raise DataError(path, f"damaged at entries.{number}: no reference energy of {', '.join(absent)}; build it again")
            phases.append(Phase(entry.formula, fractions, entry.energy, entry.kind, entry.id))
        return cls(file.name, file.source, _lowest(phases))

    @classmethod
    def build(cls, known: Iterable[tables.Known], name: str, source: str) -> Reference:
        """A reference of everything that ``tables`` read. Raises UsageError where nothing usable is among it."""
        phases = [phase for one in known for phase in one.phases]
        if not phases:
            raise UsageError("nothing usable was read, so there is no hull to build; see what was left out")
        return cls(name, source, _lowest(phases))

    def save(self, path: str | Path) -> None:
        """Write the file; a reader never sees half of it."""
        path = Path(path)
        entries = [{"formula": p.formula, "energy": round(p.energy, 6), "kind": p.kind, "id": p.name} for p in self.phases]
        content = {"format": FORMAT, "version": VERSION, "name": self.name, "source": self.source, "entries": entries}
        part = path.with_name(path.name + ".part")
        part.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
        part.replace(path)

    @cached_property
    def _systems(self) -> Mapping[frozenset[str], tuple[Phase, ...]]:
        found: dict[frozenset[str], list[Phase]] = {}
        for phase in self.phases:
            found.setdefault(frozenset(phase.fractions), []).append(phase)
        return {system: tuple(members) for system, members in found.items()}

    def competing(self, symbols: Iterable[str]) -> tuple[Phase, ...]:
        """The compounds that have no other elements than these."""
        wanted = frozenset(symbols)
        return tuple(phase for system, members in self._systems.items() if system <= wanted for phase in members)

    def within(self, symbols: Iterable[str]) -> Reference:
        """What of this reference counts for crystals of these elements."""
        return Reference(self.name, self.source, self.competing(symbols))

    def height(self, fractions: Mapping[str, float]) -> Hull:
        """The hull at a composition (symbol -> atomic fraction): its height, decomposition, and coverage.

        Coverage: ``none``, an element has no reference energy; ``elements``, no compound of the system is known; ``good``, the hull's height
        at this very composition is known, or at least ``ENOUGH`` competing compositions for each pair of elements are; else ``sparse``.
        A hull of what is known can only be too high, so that an energy above it is a lower bound.
        """
        if missing(fractions):
            return Hull(math.nan, "none", 0, False, None)
        compounds = self.competing(fractions)
        elements = [Phase(symbol, {symbol: 1.0}, 0.0, "element") for symbol in fractions]
        found = height(fractions, [*elements, *compounds])
        known = len(fractions) == 1 or any(p.kind != "phase" and _same(p.fractions, fractions) for p in compounds)
        return Hull(found.energy, _coverage(len(compounds), len(fractions), known), len(compounds), known, found)


def _coverage(phases: int, elements: int, known: bool) -> Coverage:
    if known or phases >= ENOUGH * elements * (elements - 1) // 2:
        return "good"
    return "sparse" if phases else "elements"


def _same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return one.keys() == other.keys() and all(abs(share - other[symbol]) < 1e-6 for symbol, share in one.items())


def _lowest(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """The lowest phase of each composition, in the order of formulas; an element is 0 by definition and needs no entry."""
    best: dict[str, Phase] = {}
    for phase in phases:
        if len(phase.fractions) > 1 and (phase.formula not in best or phase.energy < best[phase.formula].energy):
            best[phase.formula] = phase
    return tuple(best[formula] for formula in sorted(best))
