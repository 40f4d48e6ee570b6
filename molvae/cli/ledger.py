"""A CSV file that grows row by row, so that an interrupted command loses nothing."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from molvae.errors import DataError, UsageError

FAILED = "failed"
"""The verdict of rows that are tried again."""
_WORDS = ("source", "verdict", "reason", "formula", "decomposition", "relaxed", "settings", "model")
_NUMBER = re.compile(r"[+-]?\d+\.?\d*(e[+-]?\d+)?")


class Ledger:
    """Rows of a command's result, in memory and, with a path, in a file. Make it with ``read``; ``start`` before the first row."""

    def __init__(self, path: Path | None, columns: Sequence[str], rows: list[dict[str, Any]]) -> None:
        self.path, self.columns, self.rows = path, tuple(columns), rows
        self._stream: IO[str] | None = None

    @classmethod
    def read(cls, path: Path | None, columns: Sequence[str], *, resume: bool = False) -> Ledger:
        """What an earlier run left, where it is to be gone on with. Raises DataError where that file has other columns or cannot be read."""
        if path is None or not resume or not path.exists():
            return cls(path, columns, [])
        try:
            return cls(path, columns, _read(path, columns))
        except (OSError, UnicodeError, csv.Error) as error:
            raise DataError(path, f"cannot be read: {error}") from error

    def start(self) -> None:
        """Open the file behind its last whole line. Raises DataError where it cannot be written."""
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self.rows
            if not fresh:
                content = self.path.read_bytes()
                os.truncate(self.path, content.rfind(b"\n") + 1)
            self._stream = self.path.open("w" if fresh else "a", newline="", encoding="utf-8")
        except OSError as error:
            raise DataError(self.path, f"cannot be written: {error}") from error
        if fresh:
            self._write(self.columns)

    def expect(self, column: str, value: str) -> None:
        """Raises UsageError where rows that are there already were computed with other settings."""
        other = next((str(row[column]) for row in self.rows if row[column] != value), None)
        if other is not None:
            raise UsageError(f"{self.path} was computed with {column} {other!r}, and now {value!r} is asked for; name another file")

    def texts(self, column: str) -> dict[int, str]:
        """Place in the input -> text, of the rows that are there already."""
        return {row["row"]: row[column] for row in self.rows}

    def add(self, row: Mapping[str, Any]) -> None:
        """Keep a row and, with a file, have the system write it now."""
        self.rows.append(dict(row))
        self._write([_cell(row[name]) for name in self.columns])

    def _write(self, cells: Sequence[Any]) -> None:
        if self._stream is not None:
            csv.writer(self._stream).writerow(cells)
            self._stream.flush()

    def close(self) -> None:
        """Nothing more will come."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def sort(self) -> None:
        """The rows in the input's order, in memory and in the file."""
        self.rows.sort(key=lambda row: int(row["row"]))
        if self.path is None:
            return
        part = self.path.with_name(self.path.name + ".part")
        with part.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(self.columns)
            writer.writerows([_cell(row[name]) for name in self.columns] for row in self.rows)
        part.replace(self.path)


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def _read(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of an earlier run that need not be computed again; a last line that was cut off is none of them."""
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.reader(stream)
        heading = next(reader, None)
        if heading is not None and tuple(heading) != tuple(columns):
            raise DataError(path, "its columns are not those of this command; name another file")
        found = [dict(zip(columns, map(_value, columns, cells), strict=True)) for cells in reader if len(cells) == len(columns)]
    return [row for row in found if row["verdict"] != FAILED and isinstance(row["row"], int)]


def _value(column: str, cell: str) -> Any:
    # By their looks, as indium fluoride is InF, which Python reads as an infinity.
    if column == "row" and cell.isdigit():
        return int(cell)
    if _NUMBER.fullmatch(cell):
        return float(cell)
    return cell if cell or column in _WORDS else math.nan
