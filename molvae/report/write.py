"""Candidates to a file; the format follows the suffix."""

from __future__ import annotations

import gzip
import io
import json
import math
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from molvae.errors import MolvaeError, UsageError
from molvae.records import Candidate
from molvae.report.table import check_columns, to_frame

Exporter = Callable[[Sequence[Candidate], Path], None]

TEXT_SUFFIXES = (".csv", ".tsv", ".smi", ".json", ".jsonl")
SUFFIXES = (*TEXT_SUFFIXES, ".parquet")


def write(
    candidates: Sequence[Candidate],
    path: Path | str,
    *,
    text_column: str = "text",
    key_column: str | None = None,
    properties: Sequence[str] | None = None,
    exporters: Mapping[str, Exporter] | None = None,
) -> None:
    """Write all the candidates, in order, as the suffix of ``path`` says; an existing file is replaced only once the new one is whole.

    .csv, .tsv: the table of ``to_frame``, numbers with 6 significant digits, unknown = empty. .json: a list of its rows, .jsonl: a row
    a line; full precision, null where a number is unknown or infinite. .parquet: the table, full precision. .smi: text, tab, key.
    Further suffixes (".sdf") by ``exporters``, which get the candidates and a path to write. All but .parquet also with ".gz" behind.
    Missing folders are made. Raises UsageError for another suffix, and MolvaeError where the file system refuses.
    """
    path = Path(path)
    suffix = suffix_of(path, exporters)
    plain = suffix.removesuffix(".gz")
    if exporters is not None and plain in exporters:
        check_columns(candidates, text_column=text_column, key_column=key_column)
        _export(candidates, path, exporters[plain], compress=suffix != plain)
        return
    if plain == ".smi":
        content = _smi(candidates)
    else:
        content = _encode(to_frame(candidates, text_column=text_column, key_column=key_column, properties=properties), plain)
    write_bytes(path, _compressed(content) if suffix != plain else content)


def suffix_of(path: Path | str, exporters: Mapping[str, Exporter] | None = None) -> str:
    """The suffix that decides the format, ".gz" included; raises UsageError where it is none of the known ones.

    Call it before a long run to refuse an impossible output early.
    """
    plain: list[str] = list(dict.fromkeys((*SUFFIXES, *(exporters or ()))))
    known = plain + [s + ".gz" for s in plain if s != ".parquet"]
    name = Path(path).name.lower()
    matches = [s for s in known if name.endswith(s) and name != s]
    if not matches:
        raise UsageError(f"{path}: the format of a file follows from its suffix; known: {', '.join(plain)}; all but .parquet also with .gz")
    return max(matches, key=len)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, with the same suffix, that takes its place on success and is removed otherwise."""
    part = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise MolvaeError(f"{path} could not be written: {error.strerror or error}; choose another place or make room") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file or nothing."""
    with replacing(path) as part:
        part.write_bytes(content)


def _export(candidates: Sequence[Candidate], path: Path, exporter: Exporter, *, compress: bool) -> None:
    with replacing(path) as part:
        if not compress:
            exporter(candidates, part)
            return
        plain = part.with_suffix("")
        try:
            exporter(candidates, plain)
            part.write_bytes(_compressed(plain.read_bytes()))
        finally:
            plain.unlink(missing_ok=True)


def _encode(frame: pd.DataFrame, suffix: str) -> bytes:
    if suffix in (".csv", ".tsv"):
        separator = "," if suffix == ".csv" else "\t"
        text: str = frame.to_csv(index=False, sep=separator, float_format="%.6g", lineterminator="\n")
        return text.encode()
    if suffix == ".parquet":
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return buffer.getvalue()
    lines = [json.dumps(_plain(row), ensure_ascii=False, allow_nan=False) for row in frame.to_dict("records")]
    if suffix == ".jsonl":
        return "".join(line + "\n" for line in lines).encode()
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def _plain(row: Mapping[str, object]) -> dict[str, float | str | bool | None]:
    plain: dict[str, float | str | bool | None] = {}
    for name, value in row.items():
        if isinstance(value, float):
            plain[name] = value if math.isfinite(value) else None
        elif value is None or value is pd.NA:  # to_dict gives either, by pandas version
            plain[name] = None
        else:
            plain[name] = bool(value) if name == "novel" else str(value)
    return plain


def _smi(candidates: Sequence[Candidate]) -> bytes:
    for index, candidate in enumerate(candidates, start=1):
        if any(c.isspace() for c in candidate.text + candidate.key):
            raise UsageError(f"candidate {index}, {candidate.text!r}: a .smi file holds no text with blanks; write .csv or .json instead")
    return "".join(f"{c.text}\t{c.key}".rstrip("\t") + "\n" for c in candidates).encode()


def _compressed(content: bytes) -> bytes:
    # mtime 0: equal candidates give equal bytes
    return gzip.compress(content, mtime=0)
