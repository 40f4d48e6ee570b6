"""Molecules from SDF files, and cleaning steps that take arguments."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from rdkit import Chem, rdBase

from molvae.domains.molecules.smiles import Molecule, allowed_elements, heavy_atoms
from molvae.errors import DataError, UsageError
from molvae.protocols import Step
from molvae.records import Row

_LONGEST_LINE = 1 << 20
_LONGEST_RECORD = 8 << 20
_END = b"$$$$"


def read_sdf(path: Path) -> Iterator[Row]:
    """Rows of an SDF file, gzipped or not: canonical SMILES, data fields as labels, title as name, line at which the record starts.

    A record that RDKit cannot read comes with ``error`` set. Raises DataError where the file is truncated, binary or holds no record.
    """
    seen = 0
    with rdBase.BlockLogs():
        for line, block in _records(path):
            seen += 1
            yield _row(block, line)
    if not seen:
        raise DataError(path, "no SDF record")


def _records(path: Path) -> Iterator[tuple[int, bytes]]:
    """First line and bytes of each record; no bytes for a record that is too long to be one."""
    number, start, parts, size = 0, 1, list[bytes](), 0
    with path.open("rb") as plain:
        zipped = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=plain)) if zipped else plain
        while raw := _readline(path, stream, number):
            number += 1
            if number == 1 and b"\x00" in raw:
                raise DataError(path, "a binary file; wanted SDF text")
            size += len(raw)
            if size <= _LONGEST_RECORD:
                parts.append(raw)
            if raw.startswith(_END):
                yield start, b"".join(parts) if size <= _LONGEST_RECORD else b""
                start, parts, size = number + 1, [], 0
    if size > _LONGEST_RECORD or b"".join(parts).strip():
        yield start, b"".join(parts) if size <= _LONGEST_RECORD else b""


def _readline(path: Path, stream: IO[bytes], number: int) -> bytes:
    try:
        return stream.readline(_LONGEST_LINE)
    except (EOFError, zlib.error, OSError) as error:
        why = "truncated" if isinstance(error, EOFError) else f"damaged ({error})"
        raise DataError(path, f"the file is {why}; copy or download it again", number + 1) from error


def _row(block: bytes, line: int) -> Row:
    if not block:
        return Row("", line=line, error=f"an SDF record of more than {_LONGEST_RECORD / 1e6:.0f} MB")
    title = block.split(b"\n", 1)[0].decode("utf-8", "replace").strip() or None
    if b"M  END" not in block:
        return Row("", line=line, name=title, error="no SDF record: its molecule has no 'M  END' line")
    with rdBase.CaptureErrorLog() as log:
        mol = next(iter(Chem.ForwardSDMolSupplier(io.BytesIO(block))), None)
        said = log.messages
    if mol is None:
        why = next((part.split("] ", 1)[-1].strip() for part in said.splitlines() if part.strip()), "no reason given")
        return Row("", line=line, name=title, error=f"no SDF record that RDKit reads: {why}")
    try:
        labels: dict[str, float | str] = {name: mol.GetProp(name) for name in mol.GetPropNames()}
        smiles = Chem.MolToSmiles(mol)
    except (UnicodeDecodeError, RuntimeError, ValueError) as error:
        return Row("", line=line, name=title, error=f"no SMILES for this SDF record: {error}")
    return Row(smiles, labels, line, title, None if smiles else "an SDF record without atoms")


def step(specification: str) -> Step[Molecule]:
    """A filter from text: ``elements=C,N,O`` or ``heavy_atoms=3:50`` (inclusive). Raises UsageError for anything else."""
    name, _, arguments = specification.partition("=")
    if name in ("elements", "allowed_elements"):
        return allowed_elements([symbol.strip() for symbol in arguments.split(",") if symbol.strip()])
    if name == "heavy_atoms":
        smallest, _, largest = arguments.partition(":")
        try:
            return heavy_atoms(int(smallest or 0), int(largest))
        except ValueError:
            raise UsageError(f"{specification!r}; wanted a range such as heavy_atoms=3:50") from None
    raise UsageError(f"unknown cleaning step {specification!r}; with arguments there are elements=C,N,O and heavy_atoms=3:50")
