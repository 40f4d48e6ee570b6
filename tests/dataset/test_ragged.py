"""Ragged columns against plain lists."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvae.dataset.ragged import ColumnWriter, Ragged, RaggedWriter, decode_texts, encode_texts, offsets_path, open_array, values_path
from molvae.errors import DataError

ROWS = st.lists(st.lists(st.integers(0, 65535), max_size=9), max_size=20)


@given(rows=ROWS, data=st.data())
def test_rows_come_back_through_the_file(rows: list[list[int]], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stem = Path(folder) / "column"
        cut = data.draw(st.integers(0, len(rows)))
        with RaggedWriter(stem, np.uint16) as writer:
            for part in (rows[:cut], rows[cut:]):
                piece = Ragged.of([np.array(row, np.uint16) for row in part], np.uint16)
                writer.append(piece.values, piece.lengths())
        column = Ragged.open(stem)
        assert [column.row(i).tolist() for i in range(len(column))] == rows
        if rows:
            chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=30))
            values, lengths = column.take(np.array(chosen, np.int64))
            assert values.dtype == np.uint16
            assert values.tolist() == [value for i in chosen for value in rows[i]]
            assert lengths.tolist() == [len(rows[i]) for i in chosen]


@given(texts=st.lists(st.text(max_size=8), max_size=12))
def test_texts_come_back(texts: list[str]) -> None:
    assert decode_texts(*encode_texts(texts)) == texts


def test_two_dimensional_rows() -> None:
    rows = [np.arange(6, dtype=np.uint8).reshape(3, 2), np.empty((0, 2), np.uint8), np.full((1, 2), 9, np.uint8)]
    values, lengths = Ragged.of(rows, np.uint8, (2,)).take(np.array([2, 0]))
    assert lengths.tolist() == [1, 3]
    np.testing.assert_array_equal(values, np.concatenate([rows[2], rows[0]]))


def test_rows_out_of_range_are_refused() -> None:
    column = Ragged.of([np.array([1])], np.int64)
    for row in (-1, 1):
        with pytest.raises(IndexError):
            column.take(np.array([row]))
        with pytest.raises(IndexError):
            column.row(row)


def test_writer_refuses_wrong_shapes_and_lossy_types(tmp_path: Path) -> None:
    with ColumnWriter(tmp_path / "a.npy", np.uint8, (2,)) as column:
        with pytest.raises(ValueError, match="rows"):
            column.append(np.zeros((3, 1), np.uint8))
        with pytest.raises(TypeError):
            column.append(np.zeros((3, 2), np.int64))
    assert open_array(tmp_path / "a.npy").shape == (0, 2)
    with RaggedWriter(tmp_path / "b", np.uint8) as ragged, pytest.raises(ValueError, match="values"):
        ragged.append(np.zeros(3, np.uint8), np.array([1, 1]))


def test_damage_is_named(tmp_path: Path) -> None:
    stem = tmp_path / "column"
    with pytest.raises(DataError, match="missing"):
        Ragged.open(stem)
    with RaggedWriter(stem, np.uint8) as writer:
        writer.append(np.arange(4000, dtype=np.uint8), np.array([4000]))
    data = values_path(stem).read_bytes()
    values_path(stem).write_bytes(data[:-5])
    with pytest.raises(DataError, match="damaged"):
        Ragged.open(stem)
    values_path(stem).write_bytes(data)
    np.save(offsets_path(stem), np.array([0, 3]))
    with pytest.raises(DataError, match="do not fit"):
        Ragged.open(stem)


@pytest.mark.slow
def test_a_batch_takes_microseconds(tmp_path: Path) -> None:
    with RaggedWriter(tmp_path / "nodes", np.uint8, (9,)) as writer:
        writer.append(np.zeros((500_000, 9), np.uint8), np.full(20_000, 25))
    column = Ragged.open(tmp_path / "nodes")
    rows = np.random.default_rng(0).integers(0, len(column), (200, 128))
    for batch in rows[:20]:
        column.take(batch)
    start = time.perf_counter()
    for batch in rows:
        column.take(batch)
    assert (time.perf_counter() - start) / len(rows) < 1e-3  # measured: .08 ms; the margin is for a busy machine
