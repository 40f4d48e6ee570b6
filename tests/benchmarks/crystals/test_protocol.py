"""The script that checks the protocol on real crystals."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.crystal_protocol import labelled, main
from tests.domains.crystals.prototypes import perovskite, rock_salt


def test_rows_without_a_label_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["cif", "heat_ref"], [rock_salt().to(fmt="cif"), "1.5"], [perovskite().to(fmt="cif"), ""]])
    structures, labels = labelled(path, "heat_ref", 10, seed=1)
    assert labels.tolist() == [1.5]
    assert structures[0].composition.reduced_formula == "NaCl"


def test_a_table_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    assert "--perov-5 FILE" in capsys.readouterr().err
