"""``molvae stability`` and ``molvae hull build``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from molvae.cli import parse
from molvae.cli.codes import Column
from molvae.cli.ledger import Ledger
from molvae.cli.read import Complaints, Entry, entries
from molvae.cli.shared import State, add_row, epilog, new_table, number, state_of
from molvae.errors import InvalidRecord, MolvaeError, UsageError

if TYPE_CHECKING:
    from molvae.protocols import Domain, Stability, StabilityPlan, StabilityRow

SHOWN = 50  # rows of the table, worst last
_SUFFIX = ".csv"
hulls = typer.Typer(name="hull", no_args_is_help=True, help="References of known phases, for energies above the hull.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=epilog(
            "molvae stability candidates.csv --relax --reference hull.json -o stability.csv",
            "molvae stability mine.cif --relax --ensemble --dynamics elastic,gamma",
            "molvae stability candidates.csv --relax --cluster tcp://host:8786 -o stability.csv --resume",
        )
    )(stability)


def stability(
    context: typer.Context,
    inputs: Annotated[list[str], typer.Argument(metavar="FILE|-|TEXT...", help="Files, - for standard input, or the records themselves.")],
    reference: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Known phases: elements, or a file of 'molvae hull build'.")
    ] = "elements",
    relax: Annotated[bool, typer.Option("--relax", help="Relax cell and atoms first; else energies are of what stands there.")] = False,
    ensemble: Annotated[bool, typer.Option("--ensemble", help="Say how far several models disagree.")] = False,
    dynamics: Annotated[str | None, typer.Option(help="Further tests, comma-separated: elastic, gamma.", show_default="none")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of a relaxation, at most.", show_default="500")] = None,
    fmax: Annotated[float | None, typer.Option(min=1e-4, help="Largest force left, eV/Å.", show_default="0.05")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, help="eV an atom above the hull, up to which a record is metastable.", show_default="0.1")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds for one record.")] = 600.0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="1")] = None,
    cluster: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, instead of processes here.")] = None,
    column: Column = None,
    domain: Annotated[str, typer.Option(help="Kind of matter.")] = "crystals",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="CSV file; each row is written as soon as it is known.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep what OUT has already, and go on.")] = False,
) -> None:
    """Formation energy, energy above the hull of a named reference, and a verdict where that reference knows enough for one.

    A record that diverges, hangs or crashes is a row with its reason; the others go on.
    """
    from molvae import build
    from molvae.protocols import StabilityPlan

    state = state_of(context)
    kind = build.domain(domain)
    engine = _engine(kind)
    if cluster is not None and workers is not None:
        raise UsageError("--workers are processes here and --cluster has its own; give one of them")
    tests, processes = parse.names(dynamics), workers or state.threads or 1
    plan = StabilityPlan(reference, relax, ensemble, tests, steps, fmax, threshold, timeout, processes, cluster)
    _check_output(out, resume)
    found = _parsed(state, entries(state, inputs, kind, column), kind)
    ledger = Ledger.read(out, ("row", "source", kind.column, "verdict", "reason", *engine.columns, "settings"), resume=resume)
    _run(state, engine, plan, found, ledger, kind.column)
    _report(state, engine, found, ledger)


def _engine(kind: Domain[Any]) -> Stability:
    if kind.stability is None:
        raise UsageError(f"{kind.name} have no stability to compute; there is --domain crystals")
    return kind.stability


def _check_output(out: Path | None, resume: bool) -> None:
    if out is not None and out.suffix.lower() != _SUFFIX:
        raise UsageError(f"{out}: results are written row by row as {_SUFFIX}; wanted a name that ends so")
    if out is not None and out.exists() and not resume:
        raise UsageError(f"{out} exists; --resume keeps its rows and goes on, or name another file")
    if out is None and resume:
        raise UsageError("--resume goes on with a file; name it with -o")


def _parsed(state: State, found: Sequence[Entry], kind: Domain[Any]) -> list[Entry]:
    """The entries with their canonical texts; what is no record is reported and left out."""
    complaints = Complaints(state)
    kept = []
    for entry in found:
        try:
            kept.append(Entry(kind.write(kind.parse(entry.text)), entry.where if entry.where != entry.text else ""))
        except InvalidRecord as error:
            complaints.add(entry.where, error.why)
    complaints.close()
    if not kept:
        raise MolvaeError("no row is a readable record; see the reasons above")
    return kept


def _told(plan: StabilityPlan) -> str:
    """What a row's numbers depend on."""
    told = {
        "reference": Path(plan.reference).name,
        "relax": plan.relax,
        "ensemble": plan.ensemble,
        "dynamics": "+".join(plan.dynamics),
        "steps": plan.steps,
        "fmax": plan.force,
    }
    told["threshold"] = plan.threshold
    return " ".join(f"{name}={value}" if value is not True else name for name, value in told.items() if value not in (None, False, ""))


def _run(state: State, engine: Stability, plan: StabilityPlan, found: Sequence[Entry], ledger: Ledger, column: str) -> None:
    settings = _told(plan)
    ledger.expect("settings", settings)
    have = ledger.texts(column)
    open_at = [at for at in range(len(found)) if have.get(at + 1) != found[at].text]
    if len(open_at) < len(found):
        state.note(f"{len(found) - len(open_at)} of {len(found)} rows are in {ledger.path} already")
    results = engine.run([found[at].text for at in open_at], plan)
    ledger.start()
    try:
        with state.progress() as bars, closing(_stopping(results)) as rows:
            task = bars.add_task(escape("stability"), total=len(open_at))
            for place, row in rows:
                at = open_at[place]
                first = {"row": at + 1, "source": found[at].where, column: found[at].text, "verdict": row.verdict, "reason": row.reason}
                ledger.add({**first, **row.values, "settings": settings})
                bars.advance(task)
    except BaseException:
        if ledger.path is not None and ledger.rows:
            state.warn(f"{len(ledger.rows)} of {len(found)} rows are safe in {ledger.path}; the same command with --resume goes on")
        raise
    finally:
        ledger.close()
    ledger.sort()


def _stopping(results: Iterator[tuple[int, StabilityRow]]) -> Generator[tuple[int, StabilityRow], None, None]:
    """A generator, whose end ends the worker processes, of any iterator."""
    yield from results


def _report(state: State, engine: Stability, found: Sequence[Entry], ledger: Ledger) -> None:
    counts = Counter(str(row["verdict"]) for row in ledger.rows)
    state.show(_table(ledger.rows, engine.verdicts))
    if len(ledger.rows) > SHOWN:
        state.show(f"and {len(ledger.rows) - SHOWN} more")
    state.note("energies of the model are off by a few hundredths of an eV/atom, so that neighbouring verdicts are not far apart")
    state.show(", ".join(f"{counts[verdict]} {verdict}" for verdict in engine.verdicts if counts[verdict]))
    if ledger.path is not None:
        state.show(f"written: {ledger.path}")
    state.result({"verdicts": dict(counts), "rows": ledger.rows})
    failed = engine.verdicts[-1]
    if counts[failed] == len(found):
        raise MolvaeError("no record could be assessed; see the reasons")


def _table(rows: Sequence[Mapping[str, Any]], verdicts: Sequence[str]) -> Table:
    right = ("E form (eV/atom)", "above hull", "spread", "phases")
    table = new_table(None, "formula", *right[:3], "coverage", right[3], "verdict", "decomposition, or why", right=right)
    ranked = sorted(rows, key=lambda row: verdicts.index(row["verdict"]))
    for row in ranked[:SHOWN]:
        numbers = [number(row[name]) for name in ("e_form", "e_hull", "e_form_spread")]
        why = row["reason"] or row["decomposition"]
        add_row(table, row["formula"] or row["source"], *numbers, row["coverage"], f"{row['phases']:g}", row["verdict"], why)
    return table


@hulls.command(
    epilog=epilog(
        "molvae hull build --from mp.csv --from mine.csv -o hull.json",
        "molvae hull build --from entries.json -o hull.json --name my-dft",
        "MP_API_KEY=... molvae hull build --mp Li-P-S -o li-p-s.json",
    )
)
def build(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", help="The reference, a JSON file.")],
    files: Annotated[list[Path] | None, typer.Argument(metavar="[DATA...]", help="More files, as --from.")] = None,
    given: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="DATA",
            help="A table (CSV, TSV, Parquet, JSON) with formation_energy_per_atom, best with e_above_hull, and a formula or cif; "
            "or pymatgen's ComputedEntries as JSON. Repeatable.",
        ),
    ] = None,
    mp: Annotated[
        list[str] | None, typer.Option(metavar="SYSTEM", help="A system such as Li-P-S from the Materials Project, with your MP_API_KEY.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Its name in reports.", show_default="the file's")] = None,
    domain: Annotated[str, typer.Option(help="Kind of matter.")] = "crystals",
) -> None:
    """A reference of known phases from your files. Where a table says how far rows lie above a complete hull, that hull's height is kept at each
    composition, which is the best there is from a part of a database."""
    from molvae import build as builder

    state = state_of(context)
    sources = [*(given or ()), *(files or ())]
    if not sources and not mp:
        raise UsageError("nothing to build a hull from; give files with --from, or a system with --mp")
    if out.suffix.lower() != ".json":
        raise UsageError(f"{out}: a reference is a JSON file; wanted a name that ends with .json")
    if out.resolve() in [path.resolve() for path in sources]:
        raise UsageError(f"{out} is one of the files it is to be made from; name another one")
    report = _engine(builder.domain(domain)).build(sources, mp or [], name or out.stem, out)
    complaints = Complaints(state)
    for where, why in report.left_out:
        complaints.add(where, why)
    complaints.close()
    for remark in report.remarks:
        state.warn(remark)
    table = new_table(f"{report.name}: of {report.rows} rows", "", "number", right=("number",))
    for label, count in report.counts.items():
        add_row(table, label, f"{count:,}")
    state.show(table, f"written: {out}")
    state.result({"name": report.name, "rows": report.rows, "left_out": len(report.left_out), **report.counts, "file": out})
