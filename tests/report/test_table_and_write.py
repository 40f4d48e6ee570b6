from __future__ import annotations

import gzip
import io
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvae.errors import MolvaeError, UsageError
from molvae.records import Candidate, Verdict
from molvae.report import suffix_of, to_frame, write

COLUMNS = [
    "smiles",
    "logp_asked",
    "logp",
    "logp_pred",
    "logp_pred_std",
    "tpsa_asked",
    "tpsa",
    "hbd",
    "verdict",
    "novel",
    "log_likelihood",
    "similarity",
    "note",
]


def test_columns_do_not_depend_on_the_order_of_candidates(candidates: list[Candidate]) -> None:
    assert list(to_frame(candidates, text_column="smiles").columns) == COLUMNS
    assert list(to_frame(candidates[::-1], text_column="smiles").columns) == COLUMNS


def test_unknown_is_nan_or_empty(candidates: list[Candidate]) -> None:
    frame = to_frame(candidates, text_column="smiles")
    assert frame["logp_pred"].isna().tolist() == [True, False, True, True, True, True]
    assert math.isnan(frame["tpsa"][4])
    assert frame["novel"].isna().tolist() == [False, False, False, False, True, True]
    assert frame["note"].tolist() == ["", "first, best", "", "", "", ""]
    assert frame["verdict"].tolist() == ["ok"] * 4 + ["ring size: 9 atoms; alert: <b>odd</b>", "parse: no molecule"]
    assert frame["logp"].dtype == "float64"


def test_named_key_and_property_order(candidates: list[Candidate]) -> None:
    frame = to_frame(candidates, text_column="smiles", key_column="inchikey", properties=["qed", "logp"])
    assert list(frame.columns[:4]) == ["smiles", "inchikey", "qed", "logp_asked"]
    assert frame["qed"].isna().all()
    assert frame["inchikey"][0] == "LFQSCWFLJHTTHZ-UHFFFAOYSA-N"


def test_no_candidates_give_an_empty_table() -> None:
    frame = to_frame([], text_column="smiles")
    assert list(frame.columns) == ["smiles", "verdict", "novel", "log_likelihood"]
    assert frame.empty


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    double = [Candidate("C", "k", Verdict(True), {"logp": 1.0}, extra={"logp": 2.0})]
    with pytest.raises(UsageError, match="'logp'"):
        to_frame(double)
    with pytest.raises(UsageError, match="'logp'"):
        write(double, tmp_path / "x.sdf", exporters={".sdf": lambda c, p: None})


def _read(path: Path) -> pd.DataFrame:
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return pd.read_parquet(path)
    if name.endswith((".json", ".jsonl")):
        return pd.read_json(path, lines=name.endswith(".jsonl"), orient="records")
    return pd.read_csv(path, sep="\t" if name.endswith(".tsv") else ",", dtype={"novel": "boolean"})


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".parquet", ".csv.gz", ".tsv.gz", ".json.gz", ".jsonl.gz"])
def test_pandas_reads_back_what_was_written(candidates: list[Candidate], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new folder" / f"out{suffix}"
    write(candidates, path, text_column="smiles")
    back, frame = _read(path), to_frame(candidates, text_column="smiles")
    assert list(back.columns) == COLUMNS
    exact = not suffix.startswith((".csv", ".tsv"))
    for column in COLUMNS:
        if frame[column].dtype == "float64":
            expected = frame[column].to_numpy()
            assert back[column].to_numpy(dtype=float) == pytest.approx(expected, rel=1e-12 if exact else 5e-6, nan_ok=True)
        elif column == "novel":
            assert back[column].astype("boolean").isna().tolist() == frame[column].isna().tolist()
            assert back[column].astype("boolean").fillna(False).tolist() == frame[column].fillna(False).tolist()
        else:
            assert back[column].fillna("").tolist() == frame[column].tolist()


def test_csv_has_six_significant_digits_and_empty_cells(candidates: list[Candidate], tmp_path: Path) -> None:
    write(candidates, tmp_path / "out.csv", text_column="smiles")
    lines = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert lines[2] == 'c1ccccc1O,2.5,1.3922,1.5,0.25,20,20.23,1,ok,True,-12.3457,0.5,"first, best"'
    assert lines[1] == "CCO,2.5,-0.0014,,,20,20.23,1,ok,False,,,"


def test_json_is_strict(tmp_path: Path) -> None:
    write([Candidate("C", "", Verdict(True), {"p": math.inf})], tmp_path / "out.json")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert rows == [{"text": "C", "p": None, "verdict": "ok", "novel": None, "log_likelihood": None}]


def test_smi(candidates: list[Candidate], tmp_path: Path) -> None:
    write(candidates[:2], tmp_path / "out.smi.gz")
    text = gzip.decompress((tmp_path / "out.smi.gz").read_bytes()).decode()
    assert text == "CCO\tLFQSCWFLJHTTHZ-UHFFFAOYSA-N\nc1ccccc1O\tISWSIDIOOBJBQZ-UHFFFAOYSA-N\n"
    with pytest.raises(UsageError, match=r"candidate 1.*blanks"):
        write([Candidate("C C", "", Verdict(True))], tmp_path / "bad.smi")
    assert not (tmp_path / "bad.smi").exists()


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".smi", ".json", ".jsonl", ".parquet", ".csv.gz", ".json.gz"])
def test_equal_candidates_give_equal_bytes(candidates: list[Candidate], tmp_path: Path, suffix: str) -> None:
    write(candidates, tmp_path / f"a{suffix}")
    write(candidates, tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_unknown_suffix_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.csv, \.tsv, \.smi, \.json, \.jsonl, \.parquet, \.cif"):
        write([], tmp_path / "out.xlsx", exporters={".cif": lambda c, p: None})
    with pytest.raises(UsageError):
        suffix_of("out.parquet.gz")
    with pytest.raises(UsageError):
        suffix_of("csv")
    assert suffix_of("OUT.CSV.GZ") == ".csv.gz"


def test_exporter_also_compressed(candidates: list[Candidate], tmp_path: Path) -> None:
    def export(rows: object, path: Path) -> None:
        assert path.name.endswith(".cif")
        path.write_text("cell")

    write(candidates, tmp_path / "a.cif", exporters={".cif": export})
    write(candidates, tmp_path / "a.cif.gz", exporters={".cif": export})
    assert (tmp_path / "a.cif").read_text() == "cell"
    assert gzip.decompress((tmp_path / "a.cif.gz").read_bytes()) == b"cell"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.cif", "a.cif.gz"]


def test_a_failure_leaves_the_old_file_and_nothing_else(candidates: list[Candidate], tmp_path: Path) -> None:
    path = tmp_path / "a.cif"
    path.write_text("old")

    def break_off(rows: object, part: Path) -> None:
        part.write_text("half")
        raise MolvaeError("no")

    with pytest.raises(MolvaeError, match="no"):
        write(candidates, path, exporters={".cif": break_off})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_refusing_file_system_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MolvaeError, match=r"could not be written"):
        write([], tmp_path / "file" / "out.csv")


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\x85\u2028\u2029"), max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS, st.floats(allow_nan=False, allow_infinity=False, width=32)), min_size=1, max_size=5))
def test_any_text_survives_csv(rows: list[tuple[str, str, float]]) -> None:
    frame = to_frame([Candidate(t, "", Verdict(True), {"p": v}, extra={"note": n}) for t, n, v in rows])
    csv = frame.to_csv(index=False, float_format="%.6g")
    back = pd.read_csv(io.StringIO(csv), keep_default_na=False, dtype={"text": "str", "note": "str"})
    assert back["text"].tolist() == [t for t, _, _ in rows]
    assert back["note"].tolist() == [n for _, n, _ in rows]
    assert back["p"].to_numpy(dtype=float) == pytest.approx([v for _, _, v in rows], rel=1e-5)
