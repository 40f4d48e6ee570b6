"""Candidates to files, tables and lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from molvae.cli.shared import State, add_row, new_table, number
from molvae.errors import UsageError

if TYPE_CHECKING:
    from molvae.protocols import Domain
    from molvae.records import Candidate

NAME, PAGE = "candidates", "report.html"  # in a folder
FIRST = 20  # rows of a table of candidates
Outputs = Annotated[
    list[Path] | None,
    typer.Option(
        "--out",
        "-o",
        help="File for the candidates; its suffix decides the format. Repeat it for several. Without a suffix a folder for a table and files.",
    ),
]


def check_outputs(outputs: Sequence[Path] | None, domain: Domain[Any], inputs: Sequence[str] = ()) -> list[Path]:
    """The output files, refused before the work where a suffix is unknown, where they cannot be written, and where they are an input.

    A folder stands for a table and a file of the domain's own first format in it, such as candidates.csv and candidates.cif.
    """
    from molvae.report.write import suffix_of

    formats = (".csv", *list(domain.exporters)[:1])
    files = [file for path in outputs or () for file in ([path / f"{NAME}{suffix}" for suffix in formats] if is_folder(path) else [path])]
    for path in files:
        suffix_of(path, domain.exporters)
        check_place(path)
        if path.exists() and any(given != "-" and Path(given).exists() and path.samefile(given) for given in inputs):
            raise UsageError(f"{path} is an input, and would be overwritten; give another file with --out")
    return files


def is_folder(path: Path) -> bool:
    """Whether an output means a folder: it has no suffix."""
    return not path.suffix


def check_place(path: Path) -> None:
    """Raises UsageError where no file can be written at ``path``, as far as can be told before."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; wanted a file to write")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise UsageError(f"{path} cannot be written: {above} is a file, not a folder")
    if not os.access(above, os.W_OK):
        raise UsageError(f"{path} cannot be written: no permission in {above}; choose another place")


def write_all(state: State, candidates: Sequence[Candidate], outputs: Sequence[Path], domain: Domain[Any]) -> None:
    """Write every output file and say so."""
    from molvae.report.write import write

    for path in outputs:
        write(candidates, path, text_column=domain.column, key_column="key", exporters=domain.exporters)
        state.show(f"written: {path}")


def rows(candidates: Sequence[Candidate], domain: Domain[Any]) -> list[dict[str, Any]]:
    """The candidates as records of JSON, with the names that files have."""
    return [{**dict(candidate.row(domain.column)), "key": candidate.key} for candidate in candidates]


def candidate_table(candidates: Sequence[Candidate], domain: Domain[Any], first: int = FIRST) -> Table:
    """The first candidates with what was measured, or predicted where nothing could be, and their extra columns."""
    from molvae.report.properties import property_names

    names = property_names(candidates)
    extras = list(dict.fromkeys(name for c in candidates for name in c.extra))
    table = new_table(None, "#", domain.column, *names, *extras, "novel", right=("#", *names, *extras))
    for place, candidate in enumerate(candidates[:first], start=1):
        values = []
        for name in names:
            predicted = name not in candidate.measured and name in candidate.predicted
            values.append(f"~{number(candidate.predicted[name])}" if predicted else number(candidate.measured.get(name, float("nan"))))
        more = [v if isinstance(v := candidate.extra.get(name, ""), str) else number(v) for name in extras]
        novel = "–" if candidate.novel is None else "yes" if candidate.novel else "no"
        add_row(table, str(place), candidate.text, *values, *more, novel)
    return table


def show_candidates(state: State, candidates: Sequence[Candidate], domain: Domain[Any], first: int = FIRST) -> None:
    """A table on a terminal; else every text on a line of its own, for other programs."""
    if state.json:
        return
    if not sys.stdout.isatty():
        sys.stdout.write("".join(f"{candidate.text}\n" for candidate in candidates))
        return
    state.show(candidate_table(candidates, domain, first))
    if len(candidates) > first:
        state.show(f"and {len(candidates) - first} more; write all of them with -o FILE.csv")


def write_or_show(state: State, candidates: Sequence[Candidate], outputs: Sequence[Path], domain: Domain[Any], first: int = FIRST) -> None:
    """Every output file; the candidates themselves where there is none."""
    write_all(state, candidates, outputs, domain)
    if not outputs:
        show_candidates(state, candidates, domain, first)
