"""Streaming readers of tables and lists of records: CSV, TSV, SMI, TXT, Parquet, gzipped or not. Memory does not grow with the file."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

from molvae.errors import DataError
from molvae.records import Row

TEXT_COLUMNS = (
    "smiles",
    "canonical_smiles",
    "isomeric_smiles",
    "smiles_string",
    "selfies",
    "cif",
    "wyckoff",
    "poscar",
    "structure",
    "text",
)
NAME_COLUMNS = ("name", "id", "title", "material_id", "zinc_id", "chembl_id", "molecule_chembl_id", "compound_id", "mol_id", "xyz_file")
MISSING = frozenset({"", "nan", "na", "n/a", "none", "null", "-", "?"})
MAX_LINE = 1 << 20
NAN = float("nan")

_DELIMITED = {".csv", ".tsv", ".tab"}
_LISTS = {".smi", ".smiles", ".ism", ".can", ".txt"}
_PARQUET = {".parquet", ".pq"}


RecordReader = Callable[[Path], Iterator[Row]]


def iter_rows(
    path: Path | str,
    column: str | None = None,
    *,
    labels: Collection[str] | None = None,
    record_readers: Mapping[str, RecordReader] | None = None,
) -> Iterator[Row]:
    """Rows of one file, in its order.

    column: the column with the records' text; else the first known one of TEXT_COLUMNS, in any case. labels: the other columns to keep, or
    all. record_readers: further formats by suffix (``{".sdf": read_sdf}``), supplied by a domain.
    A row that cannot be used comes with ``error`` set. Raises DataError, with file and line, where the file itself cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(path, "a folder; give the file in it")
    if not path.is_file():
        raise DataError(path, "no such file; check the path ('molvae data list' names the data sets that are known by name)")
    if path.stat().st_size == 0:
        raise DataError(path, "the file is empty")
    suffix = suffix_of(path)
    readers = record_readers or {}
    reader = reader_of(path, readers)
    if reader is not None:
        for row in reader(path):
            kept = {name: cell for name, cell in row.labels.items() if labels is None or name in labels}
            yield replace(row, labels={name: number(cell) if isinstance(cell, str) else cell for name, cell in kept.items()})
    elif suffix in _PARQUET:
        yield from _parquet_rows(path, column, labels)
    elif suffix in _DELIMITED | _LISTS:
        with _open(path) as stream:
            lines = _Lines(path, stream)
            yield from (_delimited_rows if suffix in _DELIMITED else _list_rows)(path, lines, column, labels)
    else:
        known = ", ".join(sorted(_DELIMITED | _LISTS | _PARQUET | set(readers)))
        raise DataError(path, f"unknown file type {suffix or 'without a suffix'!r}; known, each also with .gz where it is text: {known}")


def reader_of(path: Path, readers: Mapping[str, RecordReader]) -> RecordReader | None:
    """A domain's reader of this file, by its suffix, or by its whole name where it has none (POSCAR); None for tables and lists."""
    return readers.get(suffix_of(path) or path.name.lower().removesuffix(".gz"))


def files_in(path: Path, readers: Mapping[str, RecordReader], note: Callable[[str], None] | None = None) -> list[Path]:
    """The path itself, or of a folder all files below it that the domain reads, sorted. Raises DataError for a folder without one.

    note: told of tables and lists in the folder, which are read only where they are given themselves, for a folder may hold any.
    """
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file())
    found = [file for file in files if reader_of(file, readers) is not None]
    tabular = _DELIMITED | _LISTS | _PARQUET
    tables = [str(file.relative_to(path)) for file in files if suffix_of(file) in tabular and reader_of(file, readers) is None]
    told = ", ".join(tables[:5]) + (f" and {len(tables) - 5} more" if len(tables) > 5 else "")
    if not found:
        wanted = f"wanted some of {', '.join(sorted(readers)) or 'none'}"
        hint = f"tables in it are read where they are given themselves: {told}" if tables else "or give a table"
        raise DataError(path, f"a folder without a file to read; {wanted}, {hint}")
    if tables and note is not None:
        note(f"{path}: tables in a folder are not read unless they are given themselves: {told}")
    return found


def suffix_of(path: Path) -> str:
    """The suffix that tells the format, in lower case and without ``.gz``."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def number(cell: str) -> float | str:
    """A cell as a float; NaN where it says that nothing is known; else the text itself."""
    try:
        return float(cell)
    except ValueError:
        return NAN if cell.strip().lower() in MISSING else cell


def _open(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked where it is gzip by content (its name does not matter). Raises DataError for what is no text."""
    stream = path.open("rb")
    head = stream.read(4)
    stream.seek(0)
    if head[:2] == b"\x1f\x8b":
        stream.close()
        # No larger buffer around it: where the file is truncated, all that the buffer holds would be lost with the error.
        return cast(IO[bytes], gzip.open(path, "rb"))
    for magic, what in ((b"PK\x03\x04", "a zip archive"), (b"\xff\xfe", "UTF-16 text"), (b"\xfe\xff", "UTF-16 text"), (b"BZh", "bzip2")):
        if head.startswith(magic):
            stream.close()
            raise DataError(path, f"{what}; unpack or convert it to plain or gzipped UTF-8 text first")
    return stream


class _Lines:
    """Lines of a byte stream as text. An overlong or undecodable line is passed on empty or mended, and its number kept in ``bad``."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self.path = path
        self.bad: dict[int, str] = {}
        self.count = 0
        self._stream = stream

    def __iter__(self) -> Iterator[str]:
        while raw := self._readline():
            self.count += 1
            if self.count == 1:
                self._look_at_first(raw)
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            if len(raw) >= MAX_LINE and not raw.endswith(b"\n"):
                length = len(raw)
                while (rest := self._readline()) and not rest.endswith(b"\n"):
                    length += len(rest)
                self.bad[self.count] = f"a line of {(length + len(rest)) / 1e6:.1f} MB (at most {MAX_LINE / 1e6:.1f} MB)"
                yield "\n"
                continue
            try:
                yield raw.decode("utf-8")
            except UnicodeDecodeError as error:
                self.bad[self.count] = f"not UTF-8 text (byte {raw[error.start]:#04x} at position {error.start})"
                yield raw.decode("utf-8", "replace")

    def _readline(self) -> bytes:
        try:
            return self._stream.readline(MAX_LINE)
        except (EOFError, zlib.error, OSError) as error:
            why = "truncated" if isinstance(error, EOFError) else f"damaged ({error})"
            raise DataError(self.path, f"the file is {why}; copy or download it again", self.count + 1) from error

    def _look_at_first(self, raw: bytes) -> None:
        if b"\x00" in raw[:8192]:
            raise DataError(self.path, "a binary file; wanted text (CSV, TSV, SMI) or Parquet with its usual suffix")
        if b"\r" in raw.rstrip(b"\r\n"):
            raise DataError(self.path, "lines end with a bare carriage return; convert the line ends", 1)


def choose_column(path: Path, columns: Sequence[str], wanted: str | None) -> str:
    """The column with the records' text. Raises DataError listing the columns where none or several fit."""
    lower = [name.strip().lower() for name in columns]
    if wanted is not None:
        if wanted in columns:
            return wanted
        hits = [name for name, low in zip(columns, lower, strict=True) if low == wanted.strip().lower()]
    else:
        hits = [columns[lower.index(known)] for known in TEXT_COLUMNS if known in lower][:1]
    if len(hits) == 1:
        return hits[0]
    shown = ", ".join(repr(name[:40]) for name in columns[:30]) + (f" and {len(columns) - 30} more" if len(columns) > 30 else "")
    asked = f"no column {wanted!r}" if wanted is not None else "no column with a known name for the records' text"
    raise DataError(path, f"{asked}; found: {shown}. Name it with --column; a list without a header line is read as .smi", 1)


@dataclass(frozen=True)
class _Layout:
    """Where a table keeps text, name and labels."""

    width: int
    text: int
    name: int | None
    labels: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, path: Path, columns: Sequence[str], column: str | None, labels: Collection[str] | None) -> _Layout:
        columns = [name.strip() for name in columns]
        doubled = sorted({name for name in columns if name and columns.count(name) > 1})
        if doubled:
            raise DataError(path, f"the header has {doubled[0]!r} more than once; rename the columns", 1)
        text = columns.index(choose_column(path, columns, column))
        lower = [name.lower() for name in columns]
        names = [lower.index(known) for known in NAME_COLUMNS if known in lower and lower.index(known) != text]
        kept = [(i, name) for i, name in enumerate(columns) if i != text and name and (labels is None or name in labels)]
        return cls(len(columns), text, names[0] if names else None, tuple(kept))

    def row(self, cells: Sequence[str], line: int) -> Row:
        if len(cells) != self.width:
            return Row("", line=line, error=f"{len(cells)} fields, the header has {self.width}")
        text = cells[self.text].strip()
        labels = {name: number(cells[i]) for i, name in self.labels}
        name = cells[self.name] if self.name is not None else None
        return Row(text, labels, line, name, None if text else "no text in the record's column")


def _delimited_rows(path: Path, lines: _Lines, column: str | None, labels: Collection[str] | None) -> Iterator[Row]:
    source = iter(lines)
    first = next(source, "")
    delimiter = "\t" if suffix_of(path) != ".csv" else max(",", ";", "\t", key=first.count)
    header = next(csv.reader([first], delimiter=delimiter), [])
    if not header:
        raise DataError(path, "the first line is empty; wanted a header with column names", 1)
    layout = _Layout.of(path, header, column, labels)
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE))
    table = csv.reader(source, delimiter=delimiter)
    seen = 0
    while True:
        start = table.line_num + 2
        try:
            cells = next(table)
        except StopIteration:
            break
        except csv.Error as error:
            seen += 1
            yield Row("", line=start, error=f"no CSV row ({error})")
            continue
        if bad := _bad_within(lines, start):
            yield Row("", line=start, error=bad)
        elif cells:
            yield layout.row(cells, start)
        seen += 1
    if not seen:
        raise DataError(path, "a header and no rows", 1)


def _bad_within(lines: _Lines, start: int) -> str | None:
    """The complaint about a line from ``start`` to the last one read, taken off the list, else None."""
    if not lines.bad:
        return None
    reasons = [lines.bad.pop(line) for line in sorted(lines.bad) if start <= line <= lines.count]
    return reasons[0] if reasons else None


def _list_rows(path: Path, lines: _Lines, column: str | None, labels: Collection[str] | None) -> Iterator[Row]:
    """``text name`` lines; where the first line is a header, the columns between white space are named by it."""
    layout: _Layout | None = None
    seen = 0
    for line, raw in enumerate(lines, start=1):
        text = raw.strip()
        if bad := _bad_within(lines, line):
            seen += 1
            yield Row("", line=line, error=bad)
            continue
        if not text:
            continue
        cells = text.split("\t") if "\t" in text else text.split(None, 1 if layout is None and line > 1 else -1)
        if line == 1 and (cells[0].lower() in TEXT_COLUMNS or (column is not None and column in cells)):
            layout = _Layout.of(path, cells, column, labels)
            continue
        if line == 1 and column is not None:
            choose_column(path, cells, column)
        seen += 1
        if layout is not None:
            yield layout.row(cells, line)
        else:
            yield Row(cells[0], {}, line, " ".join(cells[1:]).strip() or None)
    if not seen:
        raise DataError(path, "no rows")


def _parquet_rows(path: Path, column: str | None, labels: Collection[str] | None) -> Iterator[Row]:
    # Imported here: it takes longer than everything else in this module, and most files are text.
    import pyarrow
    import pyarrow.parquet as parquet

    line = 0
    try:
        with parquet.ParquetFile(path) as file:
            layout = _Layout.of(path, file.schema_arrow.names, column, labels)
            names = file.schema_arrow.names
            used = [layout.text, *([layout.name] if layout.name is not None else []), *(i for i, _ in layout.labels)]
            for batch in file.iter_batches(batch_size=4096, columns=list(dict.fromkeys(names[i] for i in used))):
                columns = {name: batch.column(name).to_pylist() for name in batch.schema.names}
                for i in range(batch.num_rows):
                    line += 1
                    yield _parquet_row(layout, names, {name: values[i] for name, values in columns.items()}, line)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(path, f"no readable Parquet file ({str(error).strip().rstrip('.')})", line + 1) from error
    if not line:
        raise DataError(path, "no rows")


def _parquet_row(layout: _Layout, names: Sequence[str], cells: Mapping[str, Any], line: int) -> Row:
    text = cells[names[layout.text]]
    labels = {name: _value(cells[name]) for _, name in layout.labels}
    name = None if layout.name is None or cells[names[layout.name]] is None else str(cells[names[layout.name]])
    if not isinstance(text, str) or not text.strip():
        return Row("", labels, line, name, f"no text in the record's column but {type(text).__name__}")
    return Row(text.strip(), labels, line, name)


def _value(cell: Any) -> float | str:
    if cell is None:
        return NAN
    return float(cell) if isinstance(cell, bool | int | float) else number(str(cell))
