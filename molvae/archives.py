"""Records that lie one in a file of an archive, with their properties in a table beside it, made into one table."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import PurePath
from typing import IO


def join(archive: IO[bytes], properties: IO[bytes], columns: Sequence[str], out: IO[bytes], *, text_column: str) -> int:
    """Write a gzipped CSV of name, text and ``columns``, a row for each file of a tar archive in its order; returns the rows.

    properties: a CSV whose first column is the files' names without suffix. Files that it does not name have empty columns. Raises ValueError
    for a column that it lacks, tarfile.TarError for what is no archive.
    """
    rows = csv.reader(io.TextIOWrapper(properties, encoding="utf-8-sig", errors="replace", newline=""))
    header = next(rows, [])
    if absent := [name for name in columns if name not in header]:
        raise ValueError(f"no column {absent[0]!r} in the table of properties; it has {', '.join(filter(None, header))}")
    at = [header.index(name) for name in columns]
    known = {row[0]: [row[k] if k < len(row) else "" for k in at] for row in rows if row}
    count = 0
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
        tarfile.open(fileobj=archive, mode="r|*") as files,
    ):
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["name", text_column, *columns])
        for member in files:
            stream = files.extractfile(member) if member.isfile() else None
            if stream is None:
                continue
            name = PurePath(member.name).stem
            table.writerow([name, stream.read().decode("utf-8", "replace"), *known.get(name, [""] * len(columns))])
            count += 1
    return count
