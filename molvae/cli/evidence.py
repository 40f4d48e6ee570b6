"""A candidate's further evidence, found after the candidates are chosen: what it is, the nearest known record, and its stability."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molvae.cli.read import Complaints, entries
from molvae.cli.shared import State
from molvae.errors import InvalidRecord, MolvaeError, UsageError

if TYPE_CHECKING:
    from molvae.protocols import Domain
    from molvae.records import Candidate


KNOWN = "Known records: the columns nearest and nearest_similarity say which of them each one is most like; of crystals also which have its formula."
RELAX = "Crystals: relax each candidate: formation energy, energy above the hull, decomposition; generate ranks by them."
REFERENCE = "Crystals: known phases for the hull: elements, or a file of 'molvae hull build'."
PANEL = "Further evidence"
_OTHERWISE = {"spacegroup": "spacegroup_relaxed"}  # columns that are called as properties of candidates are


@dataclass(frozen=True)
class Wanted:
    """What of stability was asked. reference: known phases, by name or file. relax: relax first."""

    reference: str | None = None
    relax: bool = False
    workers: int = 1

    def __bool__(self) -> bool:
        return self.relax or self.reference is not None

    @property
    def against(self) -> str:
        """The reference, the elements alone where none was named."""
        return self.reference or "elements"


def check(domain: Domain[Any], wanted: Wanted) -> None:
    """Before anything is drawn. Raises UsageError where a domain has no stability to compute, and what ``assessed`` raises."""
    if not wanted:
        return
    if domain.stability is None:
        raise UsageError(f"--relax and --reference: {domain.name} have no stability to compute; leave them out")
    from molvae.protocols import StabilityPlan

    domain.stability.run([], StabilityPlan(wanted.against, wanted.relax))


def described(found: Sequence[Candidate], domain: Domain[Any]) -> list[Candidate]:
    """The candidates with what they are in short words, for domains that have such."""
    if domain.words is None:
        return list(found)
    return [replace(c, extra={**domain.words(domain.parse(c.text)), **c.extra}) for c in found]


def library(state: State, known: str | None, domain: Domain[Any]) -> Callable[[Any], Mapping[str, float | str]] | None:
    """The known records of a file or folder, ready to be asked for the nearest; None where none is named.

    Rows that are no record are reported and left out. Raises UsageError where the domain cannot tell, MolvaeError where nothing is usable.
    """
    if known is None:
        return None
    if domain.library is None:
        raise UsageError(f"--known: {domain.name} have no nearest record; leave it out")
    complaints, records = Complaints(state), {}
    for entry in entries(state, [known], domain):
        try:
            record = domain.parse(entry.text)
        except InvalidRecord as error:
            complaints.add(entry.where, error.why)
        else:
            records[domain.write(record)] = record
    complaints.close()
    if not records:
        raise MolvaeError(f"{known}: no row of it is a record of {domain.name}; see the reasons above")
    return domain.library(list(records.values()))


def placed(
    state: State, found: Sequence[Candidate], domain: Domain[Any], nearest: Callable[[Any], Mapping[str, float | str]] | None
) -> list[Candidate]:
    """The candidates with their nearest known record among the further columns."""
    if nearest is None:
        return list(found)
    out = []
    with state.progress() as bars:
        for candidate in bars.track(found, description="nearest known"):
            told = nearest(domain.parse(candidate.text)) if candidate.key else {}  # without one it is no record
            out.append(replace(candidate, extra={**candidate.extra, **told}))
    return out


def assessed(state: State, found: Sequence[Candidate], domain: Domain[Any], wanted: Wanted, *, rank: bool = True) -> list[Candidate]:
    """The candidates with their stability among the further columns: best verdicts first, then lowest above the hull, then lowest in energy.

    rank: False leaves them in their order. What cannot be computed is NaN with its reason. Raises MissingExtra, UsageError, DataError for a bad
    reference.
    """
    if not wanted or domain.stability is None:
        return list(found)
    from molvae.protocols import StabilityPlan

    engine = domain.stability
    out: list[Candidate] = list(found)
    with state.progress() as bars:
        task = bars.add_task("stability", total=len(found))
        for at, row in engine.run([c.text for c in found], StabilityPlan(wanted.against, wanted.relax, workers=wanted.workers)):
            told = {_OTHERWISE.get(name, name): value for name, value in row.values.items() if name not in ("formula", "seconds")}
            values = {name: ("yes" if value else "no") if isinstance(value, bool) else value for name, value in told.items()}
            extra: dict[str, float | str] = {"stability": row.verdict, "stability_reason": row.reason, **values}
            out[at] = replace(out[at], extra={**out[at].extra, **extra})
            bars.advance(task)

    def place(candidate: Candidate) -> tuple[int, float, float]:
        verdict, *energies = (candidate.extra.get(name, math.nan) for name in ("stability", "e_hull", "e_form"))
        low, form = (e if isinstance(e, float) and not math.isnan(e) else math.inf for e in energies)
        return engine.verdicts.index(str(verdict)), low, form

    return sorted(out, key=place) if rank else out


Known = Annotated[str | None, typer.Option(metavar="FILE|DIR", help=KNOWN, rich_help_panel=PANEL)]
Relax = Annotated[bool, typer.Option("--relax", help=RELAX, rich_help_panel=PANEL)]
Reference = Annotated[str | None, typer.Option(metavar="NAME|FILE", help=REFERENCE, rich_help_panel=PANEL)]


def hull_figure(domain: Domain[Any], wanted: Wanted, found: Sequence[Candidate]) -> Mapping[str, Callable[[str], str]]:
    """For the report: a text -> its place on the hull of its chemical system; nothing where stability was not asked."""
    if not wanted or domain.stability is None:
        return {}
    engine, energies = domain.stability, {c.text: c.extra.get("e_form", math.nan) for c in found}

    def draw(text: str) -> str:
        from molvae.report.hull import hull_svg

        composition, entries = engine.competitors(text, wanted.against)
        energy = energies.get(text, math.nan)
        return hull_svg(entries, composition, energy if isinstance(energy, float) else math.nan, reference=Path(wanted.against).name)

    return {"Convex hull": draw}
