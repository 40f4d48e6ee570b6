"""Texts of records from the command line: files, standard input, or the arguments themselves. Bad rows are reported and left out."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvae.cli.shared import State
from molvae.errors import DataError, InvalidRecord, MolvaeError, UsageError

if TYPE_CHECKING:
    from molvae.api import Model
    from molvae.protocols import Domain

SHOWN = 50  # bad rows named one by one
_SUFFIXES = (".csv", ".tsv", ".tab", ".smi", ".smiles", ".ism", ".can", ".txt", ".parquet", ".pq", ".gz", ".npz")


@dataclass(frozen=True)
class Entry:
    """One text and where it stood: ``file:line``, or the text itself for an argument."""

    text: str
    where: str


def entries(state: State, inputs: Sequence[str], domain: Domain[Any], column: str | None = None) -> list[Entry]:
    """Every text of the inputs, each a file, ``-`` or a text. Rows without a text are reported with file and line, and left out."""
    if not inputs:
        raise UsageError("nothing to read; give a file, - for standard input, or the records themselves")
    found: list[Entry] = []
    complaints = Complaints(state)
    for given in inputs:
        if given == "-":
            found += _from_stdin(complaints, domain, column)
        elif Path(given).exists() or given.lower().endswith((*_SUFFIXES, *domain.readers)):
            found += _from_file(complaints, Path(given), given, domain, column)
        else:
            found.append(Entry(given, given))
    complaints.close()
    if not found:
        raise MolvaeError("no usable row was read; see the reasons above")
    return found


def encodable(state: State, found: Sequence[Entry], model: Model) -> list[Entry]:
    """The entries that the model can encode; the others are reported and left out. Raises MolvaeError where none is left."""
    complaints = Complaints(state)
    kept: list[Entry] = []
    for entry in found:
        try:
            model.representation.encodable(model.domain.parse(entry.text))
        except InvalidRecord as error:
            complaints.add(entry.where, error.why)
        else:
            kept.append(entry)
    complaints.close()
    if not kept:
        raise MolvaeError("no row can be encoded by this model; see the reasons above")
    return kept


class Complaints:
    """Bad rows, the first of them one by one, the rest as a count."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.count = 0

    def add(self, where: str, why: str) -> None:
        """Report one bad row."""
        self.count += 1
        if self.count <= SHOWN:
            self.state.warn(f"{where}: {why} (left out)")

    def close(self) -> None:
        """Say how many were not named."""
        if self.count > SHOWN:
            self.state.warn(f"and {self.count - SHOWN} more rows were left out")


def _from_file(complaints: Complaints, path: Path, shown: str, domain: Domain[Any], column: str | None) -> Iterator[Entry]:
    from molvae.dataset.read import iter_rows

    for row in iter_rows(path, column, labels=(), record_readers=domain.readers):
        where = f"{shown}:{row.line}"
        if row.error is not None:
            complaints.add(where, row.error)
        else:
            yield Entry(row.text, where)


def _from_stdin(complaints: Complaints, domain: Domain[Any], column: str | None) -> list[Entry]:
    """Standard input as a list of records, one a line, or as a table with a header where its first line has commas."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stdin"
        with copy.open("wb") as stream:
            shutil.copyfileobj(sys.stdin.buffer, stream)
        with copy.open("rb") as stream:
            table = b"," in stream.readline(1 << 16)
        named = copy.rename(copy.with_suffix(".csv" if table else ".smi"))
        try:
            return list(_from_file(complaints, named, "<stdin>", domain, column))
        except DataError as error:
            raise DataError("<stdin>", error.why, error.line) from error
