"""Readers on good, odd and broken files."""

from __future__ import annotations

import csv
import gzip
import io
import math
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvae.dataset.read import MAX_LINE, iter_rows, number
from molvae.errors import DataError
from molvae.records import Row


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    raw = data.encode() if isinstance(data, str) else data
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV"])
def test_csv_with_labels_names_and_quotes(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, 'id,SMILES,logP,note\r\nm1,"C,C",1.5,"said ""no"""\r\nm2,CC,,\r\n\r\nm3,CCC,n/a,x\r\n')
    rows = list(iter_rows(path))
    assert [(row.text, row.line, row.name, row.error) for row in rows] == [
        ("C,C", 2, "m1", None),
        ("CC", 3, "m2", None),
        ("CCC", 5, "m3", None),
    ]
    assert rows[0].labels == {"id": "m1", "logP": 1.5, "note": 'said "no"'}
    assert math.isnan(rows[1].labels["logP"])
    assert math.isnan(rows[2].labels["logP"])


def test_byte_order_mark_tabs_semicolons_and_unicode(tmp_path: Path) -> None:
    assert next(iter_rows(write(tmp_path, "a.csv", b"\xef\xbb\xbfsmiles,x\nC,1\n"))).labels == {"x": 1.0}
    assert next(iter_rows(write(tmp_path, "b.tsv", "x\tcif\n1\tdata_x\n"))).text == "data_x"
    assert next(iter_rows(write(tmp_path, "c.csv", "smiles;näme\nC;größe\n"))).labels == {"näme": "größe"}


def test_quoted_records_over_several_lines_keep_their_first_line(tmp_path: Path) -> None:
    rows = list(iter_rows(write(tmp_path, "a.csv", 'cif,e\n"data_1\nx",1\n"data_2\ny",2\nz,3\n')))
    assert [(row.text, row.line) for row in rows] == [("data_1\nx", 2), ("data_2\ny", 4), ("z", 6)]


def test_chosen_columns(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "smiles,canonical_smiles,Other,y\nC,CC,CCC,1\n")
    assert next(iter_rows(path)).text == "C"
    assert next(iter_rows(path, "canonical_smiles", labels=["y"])) == Row("CC", {"y": 1.0}, 2)
    assert next(iter_rows(path, "other")).text == "CCC"
    with pytest.raises(DataError, match=r"a\.csv:1: no column 'nope'; found: 'smiles', 'canonical_smiles', 'Other', 'y'.*--column"):
        next(iter_rows(path, "nope"))


def test_smi_with_names_and_with_a_header(tmp_path: Path) -> None:
    rows = list(iter_rows(write(tmp_path, "a.smi", "CCO ethanol (wet)\n\nC\n")))
    assert [(row.text, row.name, row.line) for row in rows] == [("CCO", "ethanol (wet)", 1), ("C", None, 3)]
    headed = list(iter_rows(write(tmp_path, "b.txt.gz", "smiles\nC\nCC\n")))
    assert [row.text for row in headed] == ["C", "CC"]
    table = list(iter_rows(write(tmp_path, "c.smi", "SMILES logP\nC 1.5\nCC\n")))
    assert table[0].labels == {"logP": 1.5}
    assert table[1].error == "1 fields, the header has 2"


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"Smiles": ["C", None, "CC"], "y": [1.0, 2.0, None], "n": [1, 2, 3]}).to_parquet(path)
    rows = list(iter_rows(path, labels=["y"]))
    assert [row.text for row in rows] == ["C", "", "CC"]
    assert rows[1].error is not None
    assert rows[0].labels == {"y": 1.0}
    assert math.isnan(rows[2].labels["y"])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="no readable Parquet"):
        next(iter_rows(path))


def test_bad_rows_are_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    data = b"smiles,y\nC,1\nCC\n,2\nC\xff,3\n" + b"C" * (10 * MAX_LINE) + b",4\nCCC,5\n"
    rows = list(iter_rows(write(tmp_path, "a.csv", data)))
    assert [row.line for row in rows] == [2, 3, 4, 5, 6, 7]
    assert [row.text for row in rows if row.error is None] == ["C", "CCC"]
    errors = [row.error for row in rows if row.error is not None]
    assert errors[0] == "1 fields, the header has 2"
    assert "no text" in errors[1]
    assert "not UTF-8" in errors[2]
    assert "10.5 MB" in errors[3]


def test_an_overlong_line_in_a_list(tmp_path: Path) -> None:
    rows = list(iter_rows(write(tmp_path, "a.smi", b"C\n" + b"C" * (3 * MAX_LINE) + b"\nCC")))
    assert [(row.text, row.error is None) for row in rows] == [("C", True), ("", False), ("CC", True)]


def test_an_open_quote_does_not_swallow_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", 'smiles,y\n"C,1\n' + "CC,2\n" * (2 * MAX_LINE // 5))
    rows = list(iter_rows(path))
    assert rows[0].error is not None
    assert rows[0].line == 2
    assert sum(row.error is None for row in rows) > 100_000


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"smiles,y\n", "no rows"),
        ("a.csv", b"\nC\n", "first line is empty"),
        ("a.csv", b"smiles,y,y\nC,1,2\n", "'y' more than once"),
        ("a.csv", b"formula,y\nC,1\n", "found: 'formula', 'y'"),
        ("a.csv", b"PK\x03\x04rest", "zip archive"),
        ("a.csv", "smiles\nC\n".encode("utf-16"), "UTF-16"),
        ("a.csv", b"smiles\x00\x01\nC\n", "binary"),
        ("a.csv", b"smiles,y\rC,1\rCC,2\r", "carriage return"),
        ("a.smi", b"\n\n", "no rows"),
        ("a.docx", b"x", "unknown file type '.docx'"),
        ("a.parquet", b"not parquet", "no readable Parquet"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    with pytest.raises(DataError, match=why) as caught:
        list(iter_rows(write(tmp_path, name, data)))
    assert caught.value.path == tmp_path / name


def test_truncated_and_damaged_gzip_name_the_line(tmp_path: Path) -> None:
    packed = gzip.compress("".join(f"C{i}\n" for i in range(50_000)).encode())
    path = tmp_path / "a.smi.gz"
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match="truncated") as caught:
        list(iter_rows(path))
    assert caught.value.line is not None
    assert caught.value.line > 1
    path.write_bytes(packed[:200] + bytes(100) + packed[300:])
    with pytest.raises(DataError, match="damaged"):
        list(iter_rows(path))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        next(iter_rows(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="folder"):
        next(iter_rows(tmp_path))


def test_formats_of_a_domain(tmp_path: Path) -> None:
    path = write(tmp_path, "a.abc", "x")
    rows = list(iter_rows(path, labels=["y"], record_readers={".abc": lambda _: iter([Row("C", {"y": "1.5", "z": "2"}, 1)])}))
    assert rows == [Row("C", {"y": 1.5}, 1)]


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\ufeff"), max_size=12)


@given(table=st.lists(st.tuples(CELLS.map(str.strip).filter(bool), CELLS), min_size=1, max_size=10))
def test_any_csv_of_the_standard_writer_is_read_back(table: list[tuple[str, str]]) -> None:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([("text", "note"), *table])
    with tempfile.TemporaryDirectory() as folder:
        rows = list(iter_rows(write(Path(folder), "a.csv", stream.getvalue())))
    assert [row.text for row in rows] == [text for text, _ in table]
    for row, (_, note) in zip(rows, table, strict=True):
        wanted = number(note)
        assert row.labels["note"] == wanted or (isinstance(wanted, float) and math.isnan(wanted))
