"""``molvae validate`` and ``molvae evaluate``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from molvae.cli import evidence, parse
from molvae.cli.codes import Column
from molvae.cli.deliver import Outputs, check_outputs, rows, write_all
from molvae.cli.read import Entry, entries, matter
from molvae.cli.shared import State, add_row, complete_model, epilog, new_table, number, open_model, stages, state_of
from molvae.errors import UsageError

if TYPE_CHECKING:
    from molvae.protocols import Domain
    from molvae.records import Candidate

FAILURES = 50


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=epilog(
            "molvae validate candidates.csv",
            "molvae validate candidates.csv --checks default,pains,brenk --properties logp,qed -o judged.csv",
            "molvae validate 'C1CC1N=[N+]=[N-]' --strict",
            "molvae validate my.cif POSCAR folder/ --known known.cif -o judged.csv",
            "molvae validate --list-checks",
        )
    )(validate)
    app.command(epilog=epilog("molvae evaluate moses", "molvae evaluate my-model --data my-model.data -n 2000"))(evaluate)


def validate(
    context: typer.Context,
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="FILE|-|TEXT...", help="Files, - for standard input, or the records themselves.")
    ] = None,
    checks: Annotated[str, typer.Option(help="Checks, comma-separated; default stands for the default ones.")] = "default",
    properties: Annotated[str | None, typer.Option(help="Properties to compute, comma-separated.")] = None,
    column: Column = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="1")] = None,
    domain: Annotated[str | None, typer.Option(help="Kind of matter.", show_default="as the files say, else molecules")] = None,
    list_checks: Annotated[bool, typer.Option("--list-checks", help="Show every check with its source, and stop.")] = False,
    known: evidence.Known = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 where any record fails.")] = False,
    out: Outputs = None,
) -> None:
    """Judge records: which pass every check, and why others do not. Failing records are results, so the exit code is 0 unless --strict.

    An output file has a row for every row of the input, in its order: source is FILE:LINE, and the input's other columns follow (with _input
    behind a name that is taken).
    """
    from molvae import build
    from molvae.validate import choose_checks, choose_properties, validate_texts

    state = state_of(context)
    kind = build.domain(matter(domain, inputs or ()))
    if list_checks:
        _list(state, kind)
        return
    names, wanted = parse.names(checks), parse.names(properties)
    chosen = [check.name for check in choose_checks(kind, names)]
    choose_properties(kind, wanted)
    outputs = check_outputs(out, kind, inputs or ())
    if not chosen:
        raise UsageError("no check is left; name some with --checks")
    nearest = evidence.library(state, known, kind)
    found = entries(state, inputs or [], kind, column, whole=True)
    judged = validate_texts(kind, [e.text for e in found], properties=wanted, checks=names, workers=workers or state.threads or 1)
    judged = evidence.placed(state, judged, kind, nearest)
    judged = with_rows(found, judged, kind.column)
    write_all(state, judged, outputs, kind)
    passed = sum(c.verdict.ok for c in judged)
    state.show(check_table(judged, chosen), *failure_table(found, judged, state), f"{passed} of {len(judged)} pass every check")
    lines = [{"where": entry.where, **row} for entry, row in zip(found, rows(judged, kind), strict=True)]
    state.result({"passed": passed, "rows": len(judged), "checks": counts(judged, chosen), "records": lines})
    if strict and passed < len(judged):
        raise typer.Exit(1)


def with_rows(found: Sequence[Entry], judged: Sequence[Candidate], text_column: str) -> list[Candidate]:
    """The judged records with where each stood and the other columns of its row; a row that could not be read fails with the reason."""
    from molvae.records import Verdict

    taken = {name for c in judged for name, _ in c.row(text_column)} | {"key", "source", "duplicate_of"}
    names = dict.fromkeys(name for entry in found for name in entry.columns)
    shown = {name: _free(name, taken | (set(names) - {name})) for name in names}
    worded = {name for name in names if _worded([entry.columns[name] for entry in found if name in entry.columns])}
    out = []
    for entry, candidate in zip(found, judged, strict=True):
        source = "" if entry.where == entry.text else entry.where
        columns = {shown[k]: _word(v) if k in worded and isinstance(v, float) else v for k, v in entry.columns.items()}
        verdict = candidate.verdict if entry.why is None else Verdict(False, (f"parse: {entry.why}",))
        out.append(replace(candidate, verdict=verdict, extra={"source": source, **candidate.extra, **columns}))
    return out


def _free(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_input"
    return name


def _worded(values: Sequence[float | str]) -> bool:
    """Whether a column is written as text: where it holds any, and where it holds whole numbers alone, which may be names."""
    numbers = [value for value in values if isinstance(value, float)]
    return len(numbers) < len(values) or all(math.isnan(value) or value.is_integer() for value in numbers)


def _word(value: float) -> str:
    """A number as a table had it, as far as a float tells: whole numbers without a point, nothing for NaN."""
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if value.is_integer() and abs(value) < 2**53 else repr(value)


def _list(state: State, domain: Domain[Any]) -> None:
    table = new_table(None, "check", "default", "source")
    for check in domain.checks:
        add_row(table, check.name, "yes" if check.default else "", check.source)
    state.show(table)
    state.result([{"name": c.name, "default": c.default, "source": c.source} for c in domain.checks])


def counts(judged: Sequence[Candidate], chosen: Sequence[str]) -> dict[str, dict[str, int]]:
    """Passed and failed for each check; what could not be parsed was not checked further."""
    failed = Counter(reason.split(":")[0] for c in judged for reason in c.verdict.reasons)
    checked = len(judged) - failed["parse"]
    table = {"parse": {"passed": checked, "failed": failed["parse"]}}
    return table | {name: {"passed": checked - failed[name], "failed": failed[name]} for name in chosen}


def check_table(judged: Sequence[Candidate], chosen: Sequence[str]) -> Table:
    """A line for each check."""
    table = new_table(None, "check", "passed", "failed", right=("passed", "failed"))
    for name, count in counts(judged, chosen).items():
        add_row(table, name, f"{count['passed']:,}", f"{count['failed']:,}")
    return table


def failure_table(found: Sequence[Entry], judged: Sequence[Candidate], state: State) -> list[Table | str]:
    """Each failing record with where it stood and its reasons."""
    bad = [(e, c) for e, c in zip(found, judged, strict=True) if not c.verdict.ok]
    if not bad:
        return []
    first = len(bad) if state.verbose else FAILURES
    table = new_table(None, "where", "text", "failed")
    for entry, candidate in bad[:first]:
        add_row(table, "" if entry.where == entry.text else entry.where, candidate.text, "; ".join(candidate.verdict.reasons))
    return [table] if len(bad) <= first else [table, f"and {len(bad) - first} more; -v shows all, -o FILE.csv writes all"]


def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name or folder.", autocompletion=complete_model)],
    data: Annotated[
        Path | None, typer.Option(metavar="DIR|FILE", help="Held-out records: a prepared data set's test rows, or a whole file.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="Draws from the prior.")] = 10_000,
    rows: Annotated[int, typer.Option(min=1, help="Held-out records to use, at most.")] = 2000,
    column: Column = None,
    seed: Annotated[int, typer.Option(help="Fixes every random number.")] = 0,
) -> None:
    """Measure a model: its draws, how it hits targets and, with --data, reconstruction and property heads on records it has not seen."""
    from molvae import evaluate as measuring

    state = state_of(context)
    loaded = open_model(state, model)
    held = None if data is None else measuring.held_out(loaded, data, limit=rows, column=column)
    with state.progress() as bars:
        figures = measuring.evaluate(loaded, held, n=n, seed=seed, progress=stages(bars))
    table = new_table(f"{loaded.name}, molvae {loaded.version}", "", "figure", "value", "", right=("value",))
    group = ""
    for figure in figures:
        add_row(table, "" if figure.group == group else figure.group, figure.name, number(figure.value), figure.note)
        group = figure.group
    state.show(table)
    if held is None:
        state.note("without --data no held-out record was measured; 'molvae models describe' shows what training measured")
    nested: dict[str, dict[str, Any]] = {}
    for figure in figures:
        nested.setdefault(figure.group, {})[figure.name] = {"value": figure.value, "note": figure.note}
    state.result({"model": loaded.name, "figures": nested})
