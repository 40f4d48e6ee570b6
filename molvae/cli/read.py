"""Texts of records from the command line: files, standard input, or the arguments themselves. Bad rows are reported and left out."""

from __future__ import annotations

import csv
import gzip
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvae.cli.shared import State
from molvae.errors import DataError, InvalidRecord, MolvaeError, UsageError

if TYPE_CHECKING:
    from molvae.api import Model
    from molvae.protocols import Domain
    from molvae.records import Row

USUAL = "molecules"  # the domain where nothing says another
SHOWN = 50  # bad rows named one by one
_SUFFIXES = (".csv", ".tsv", ".tab", ".smi", ".smiles", ".ism", ".can", ".txt", ".parquet", ".pq", ".gz", ".npz")


@dataclass(frozen=True)
class Entry:
    """One text and where it stood: ``file:line``, or the text itself for an argument.

    columns: the other columns of its row, and why: what is wrong with a row without a text, both with ``whole`` alone.
    """

    text: str
    where: str
    columns: Mapping[str, float | str] = field(default_factory=dict)
    why: str | None = None


def entries(state: State, inputs: Sequence[str], domain: Domain[Any], column: str | None = None, *, whole: bool = False) -> list[Entry]:
    """Every text of the inputs, each a file, ``-`` or a text. Rows without a text are reported with file and line, and left out, and so is
    a file that cannot be read where there are others.

    whole: every row with its other columns, those without a text among them, with the reason, as nothing is left out.
    """
    if not inputs:
        raise UsageError("nothing to read; give a file, - for standard input, or the records themselves")
    found: list[Entry] = []
    complaints = Complaints(state)
    for given in inputs:
        if given == "-":
            found += _from_stdin(complaints, domain, column, whole)
        elif is_file(given, domain):
            found += _files(complaints, given, domain, column, whole, alone=len(inputs) == 1)
        else:
            found.append(Entry(given, given))
    complaints.close()
    if not found:
        raise MolvaeError("no usable row was read; see the reasons above")
    return found


def is_file(given: str, domain: Domain[Any]) -> bool:
    """Whether an argument means a file: it is one, or it is called like one."""
    try:
        exists = Path(given).exists()
    except (OSError, ValueError):  # longer than the name of any file can be
        exists = False
    return exists or given.lower().endswith((*_SUFFIXES, *domain.readers))


def matter(asked: str | None, inputs: Sequence[str]) -> str:
    """The domain as asked; else the one whose formats of records the inputs have (a CIF is a crystal), molecules where none tells."""
    if asked is not None:
        return asked
    from molvae import build
    from molvae.dataset.read import reader_of

    def has(path: Path, domain: str) -> bool:
        files = path.rglob("*") if path.is_dir() else [path]
        return any(file.is_file() and reader_of(file, build.domain(domain).readers) is not None for file in files)

    # Tables may hold anything, and most inputs are tables of molecules: other domains take a while to load.
    odd = [
        Path(given) for given in inputs if is_file(given, build.domain(USUAL)) and not given.lower().removesuffix(".gz").endswith(_SUFFIXES)
    ]
    odd = [path for path in odd if path.exists() and not has(path, USUAL)]
    return next((name for name in build.DOMAINS if name != USUAL and any(has(path, name) for path in odd)), USUAL)


def encodable(state: State, found: Sequence[Entry], model: Model, views: Sequence[str] | None = None) -> list[Entry]:
    """The entries that the model can encode, by these views; the others are reported and left out. Raises MolvaeError where none is left."""
    complaints = Complaints(state)
    kept: list[Entry] = []
    for entry in found:
        try:
            model.representation.encodable(model.domain.parse(entry.text), views)
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


def _files(complaints: Complaints, given: str, domain: Domain[Any], column: str | None, whole: bool, alone: bool) -> list[Entry]:
    """The rows of a file, or of every file of the domain's formats in a folder. Of several, one that cannot be read is reported alone.

    alone: nothing else is read, so that a file that cannot be read ends the command (DataError).
    """
    from molvae.dataset.read import files_in

    folder = Path(given).is_dir()
    found: list[Entry] = []
    try:
        paths = files_in(Path(given), domain.readers, complaints.state.warn)
    except DataError as error:
        if alone:
            raise
        complaints.add(given, error.why)
        return found
    for path in paths:
        try:
            found += _from_file(complaints, path, str(path) if folder else given, domain, column, whole)
        except DataError as error:
            if alone and not folder:
                raise
            complaints.add(f"{path}:{error.line}" if error.line else str(path), error.why)
    return found


def _from_file(
    complaints: Complaints, path: Path, shown: str, domain: Domain[Any], column: str | None, whole: bool = False
) -> Iterator[Entry]:
    from molvae.dataset.read import iter_rows

    for row in iter_rows(path, column, labels=None if whole else (), record_readers=domain.readers):
        where = f"{shown}:{row.line}"
        if whole:
            yield Entry("" if row.error else row.text, where, _columns(row), row.error)
        elif row.error is not None:
            complaints.add(where, row.error)
        else:
            yield Entry(row.text, where)


def _columns(row: Row) -> dict[str, float | str]:
    """The other columns of a row, and its name where that stood in none of them (a list of SMILES, the title of an SDF record)."""
    from molvae.dataset.read import NAME_COLUMNS

    named = row.name is None or any(name.lower() in NAME_COLUMNS for name in row.labels)
    return {**({} if named else {"name": row.name or ""}), **row.labels}


def _from_stdin(complaints: Complaints, domain: Domain[Any], column: str | None, whole: bool = False) -> list[Entry]:
    """Standard input as a list of records, one a line, or as a table with a header where its first line is one."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stdin"
        with copy.open("wb") as stream:
            shutil.copyfileobj(sys.stdin.buffer, stream)
        named = copy.rename(copy.with_suffix(_kind(_first_line(copy), column, domain)))
        try:
            return list(_from_file(complaints, named, "<stdin>", domain, column, whole))
        except DataError as error:
            raise DataError("<stdin>", error.why, error.line) from error


def _first_line(path: Path) -> str:
    """The first line of a text, gzipped or not; empty where there is none to be read, which the reader then says better."""
    with path.open("rb") as plain:
        zipped = plain.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if zipped else path.open("rb") as stream:
            return stream.readline(1 << 16).decode("utf-8-sig", "replace").strip("\r\n")
    except (OSError, EOFError, zlib.error):
        return ""


def _kind(first: str, column: str | None, domain: Domain[Any]) -> str:
    """The suffix of what begins with this line: a table where a separator splits off a known column's name, else a list of records.

    A line with commas or semicolons that does not begin with a record is taken for a table too, whose reader says what it lacks.
    """
    from molvae.dataset.read import TEXT_COLUMNS

    for separator, suffix in ((",", ".csv"), (";", ".csv"), ("\t", ".tsv")):
        cells = [cell.strip() for cell in next(csv.reader([first], delimiter=separator), [])]
        if len(cells) > 1 and any(cell.lower() in TEXT_COLUMNS or cell == column for cell in cells):
            return suffix
    if not {",", ";"}.intersection(first):
        return ".smi"
    try:
        domain.parse(first.split()[0])
    except InvalidRecord:
        return ".csv"
    return ".smi"
