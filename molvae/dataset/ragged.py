"""Columns on disk: plain and ragged arrays in .npy files, written by appending and read through memory maps. Axes: n rows, V values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from molvae.errors import DataError

Array = NDArray[Any]


def open_array(path: Path) -> Array:
    """The array of one .npy file as a read-only memory map. Raises DataError where the file is missing, truncated or no array."""
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(path, "this part of the data set is missing; prepare the data set again") from error
    except (ValueError, OSError, EOFError) as error:
        raise DataError(path, f"this part of the data set is damaged ({error}); prepare the data set again") from error
    # The plain view of the map: indexing a np.memmap costs several microseconds more per call.
    return np.asarray(mapped)


class ColumnWriter:
    """Writes one .npy file whose number of rows is known only at the end. Use as a context manager."""

    def __init__(self, path: Path, dtype: DTypeLike, tail: tuple[int, ...] = ()) -> None:
        self._dtype = np.dtype(dtype)
        self._tail = tail
        self._rows = 0
        self._file = path.open("wb")
        self._header()

    def append(self, values: Array) -> None:
        """Append values (k, *tail); the dtype must be the column's, or safely castable to it."""
        if values.shape[1:] != self._tail:
            raise ValueError(f"a column of rows {self._tail} was given rows {values.shape[1:]}")
        self._file.write(np.ascontiguousarray(values.astype(self._dtype, casting="safe", copy=False)).data)
        self._rows += len(values)

    def _header(self) -> None:
        # numpy pads the header so that the first axis may grow without moving the data (GROWTH_AXIS_MAX_DIGITS).
        self._file.seek(0)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._rows, *self._tail)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def close(self) -> None:
        """Write the final number of rows."""
        if not self._file.closed:
            self._header()
            self._file.close()

    def __enter__(self) -> ColumnWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class RaggedWriter:
    """Writes ``<stem>.values.npy`` (V, *tail) and ``<stem>.offsets.npy`` (n + 1,) by appending rows. Use as a context manager."""

    def __init__(self, stem: Path, dtype: DTypeLike, tail: tuple[int, ...] = ()) -> None:
        self._values = ColumnWriter(values_path(stem), dtype, tail)
        self._offsets = ColumnWriter(offsets_path(stem), np.int64)
        self._end = 0
        self._offsets.append(np.zeros(1, np.int64))

    def append(self, values: Array, lengths: NDArray[np.integer[Any]]) -> None:
        """Append len(lengths) rows whose values are concatenated."""
        ends = self._end + np.cumsum(lengths, dtype=np.int64)
        if len(values) != (int(ends[-1]) - self._end if len(ends) else 0):
            raise ValueError(f"{len(values)} values for rows of {int(lengths.sum())} values together")
        self._values.append(values)
        self._offsets.append(ends)
        self._end += len(values)

    def close(self) -> None:
        """Finish both files."""
        self._values.close()
        self._offsets.close()

    def __enter__(self) -> RaggedWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def values_path(stem: Path) -> Path:
    """The file with a ragged column's values."""
    return stem.with_name(stem.name + ".values.npy")


def offsets_path(stem: Path) -> Path:
    """The file with a ragged column's offsets."""
    return stem.with_name(stem.name + ".offsets.npy")


def gather(values: Array, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Array:
    """The concatenation of values[starts[i] : starts[i] + lengths[i]] over i."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    index = np.arange(total, dtype=np.int64) + np.repeat(starts - (ends - lengths), lengths)
    gathered: Array = np.take(values, index, axis=0)
    return gathered


@dataclass(frozen=True)
class Ragged:
    """n rows of different lengths: values (V, *tail), concatenated; offsets (n + 1,) int64; row i is values[offsets[i]:offsets[i + 1]]."""

    values: Array
    offsets: NDArray[np.int64]

    @classmethod
    def open(cls, stem: Path) -> Ragged:
        """Map the two files of a ragged column. Raises DataError where they are missing or do not fit one another."""
        values, offsets = open_array(values_path(stem)), open_array(offsets_path(stem))
        if offsets.ndim != 1 or len(offsets) == 0 or offsets.dtype != np.int64 or offsets[0] != 0 or offsets[-1] != len(values):
            raise DataError(values_path(stem), "values and offsets do not fit one another; prepare the data set again")
        return cls(values, offsets)

    @classmethod
    def of(cls, rows: Sequence[Array], dtype: DTypeLike, tail: tuple[int, ...] = ()) -> Ragged:
        """A ragged column in memory."""
        lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
        values = np.concatenate([np.asarray(row, dtype).reshape(-1, *tail) for row in rows]) if rows else np.empty((0, *tail), dtype)
        return cls(values, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Lengths (k,) of the given rows, or of all."""
        if rows is None:
            return np.diff(self.offsets)
        return np.asarray(self.offsets[rows + 1] - self.offsets[rows], dtype=np.int64)

    def row(self, i: int) -> Array:
        """Values (length of row i, *tail)."""
        if not 0 <= i < len(self):
            raise IndexError(f"row {i} of {len(self)}")
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def take(self, rows: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
        """Concatenated values (sum of lengths, *tail) and lengths (k,) of the given rows, in the given order; a copy."""
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        return gather(self.values, starts, lengths), lengths

    def blocks(self, size: int) -> Iterator[tuple[int, int]]:
        """Bounds of consecutive blocks of at most ``size`` rows."""
        for start in range(0, len(self), size):
            yield start, min(start + size, len(self))


def encode_texts(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Texts as concatenated UTF-8 bytes (V,) and their lengths in bytes (n,)."""
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    lengths = np.fromiter((len(part) for part in parts), np.int64, len(parts))
    return np.frombuffer(b"".join(parts), np.uint8), lengths


def decode_texts(values: NDArray[np.uint8], lengths: NDArray[np.int64]) -> list[str]:
    """The inverse of encode_texts."""
    data = values.tobytes()
    ends = np.cumsum(lengths).tolist()
    starts = [0, *ends[:-1]] if ends else []
    return [data[start:end].decode("utf-8", "surrogatepass") for start, end in zip(starts, ends, strict=True)]
