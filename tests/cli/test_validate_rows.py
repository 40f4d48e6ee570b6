"""``molvae validate``: every row of the input comes back with its place and its other columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from rdkit import Chem

from tests.cli.conftest import Cli


def test_a_table_keeps_its_places_and_columns(cli: Cli, tmp_path: Path) -> None:
    source, out = tmp_path / "in.csv", tmp_path / "v.csv"
    rows = ["id,smiles,logp,pIC50,verdict,note", "1,CCO,0.1,6.25,ok,first", "2,C1CC,,5.5,ok,", "3,CC", "4,,1,2,3,4", "5,OCC,7,,x,12"]
    source.write_text("\n".join(rows) + "\n")
    done = cli("validate", source, "CCN", "--properties", "logp", "-o", out)
    assert done.code == 0, done.err
    found = pd.read_csv(out, dtype=str, keep_default_na=False)
    assert list(found["source"]) == [*(f"{source}:{line}" for line in range(2, 7)), ""]
    assert list(found["id"]) == ["1", "2", "", "4", "5", ""]
    assert list(found["pIC50"]) == ["6.25", "5.5", "", "2", "", ""]
    assert list(found["logp_input"]) == ["0.1", "", "", "1", "7", ""]
    assert list(found["verdict_input"]) == ["ok", "ok", "", "3", "x", ""]
    assert list(found["note"]) == ["first", "", "", "4", "12", ""]
    assert found["verdict"][2] == "parse: 2 fields, the header has 6"
    assert found["verdict"][3] == "parse: no text in the record's column"
    assert list(found["duplicate_of"]) == ["", "", "", "", "0", ""]
    assert "3 of 6 pass" in done.out
    assert cli("validate", out, "-o", tmp_path / "again.csv").code == 0  # its own output, whose columns are all taken
    assert "source_input" in pd.read_csv(tmp_path / "again.csv").columns


def test_an_sdf_keeps_its_rows(cli: Cli, tmp_path: Path) -> None:
    source, out = tmp_path / "in.sdf", tmp_path / "v.csv"
    blocks = []
    for title, smiles in (("one", "CCO"), ("two", "CCN"), ("three", "CCC")):
        mol = Chem.MolFromSmiles(smiles)
        mol.SetProp("_Name", title)
        blocks.append(Chem.MolToMolBlock(mol) + f">  <assay>\n{title} value\n\n$$$$\n")
    blocks[1] = blocks[1].replace("M  END", "M  ENX")
    source.write_text("".join(blocks))
    done = cli("validate", source, "-o", out, "--json")
    assert done.code == 0, done.err
    assert (done.json["rows"], done.json["passed"]) == (3, 2)
    found = pd.read_csv(out, keep_default_na=False)
    lines = [1, 1 + blocks[0].count("\n"), 1 + blocks[0].count("\n") + blocks[1].count("\n")]
    assert list(found["source"]) == [f"{source}:{line}" for line in lines]
    assert list(found["name"]) == ["one", "two", "three"]
    assert list(found["assay"]) == ["one value", "", "three value"]
    assert found["verdict"][1].startswith("parse: ")
    assert cli("validate", source, "--strict").code == 1


def test_of_several_files_one_that_cannot_be_read_is_left_out(cli: Cli, tmp_path: Path) -> None:
    good, empty, out = tmp_path / "good.smi", tmp_path / "empty.smi", tmp_path / "v.csv"
    good.write_text("CCO first\nCCN second\n")
    empty.write_text("")
    done = cli("validate", empty, good, tmp_path / "absent.smi", "-o", out)
    assert done.code == 0, done.err
    assert "empty.smi" in done.err
    assert "absent.smi" in done.err
    assert list(pd.read_csv(out)["smiles"]) == ["CCO", "CCN"]
    assert cli("validate", empty).code == 1
    assert cli("validate", empty, tmp_path / "absent.smi").code == 1


def test_outputs_are_refused_before_the_work(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("smiles\nCCO\n", encoding="utf-8")
    (tmp_path / "folder.csv").mkdir()
    for out, said in (
        (source, "is an input, and would be overwritten"),
        (tmp_path / "folder.csv", "is a folder; wanted a file to write"),
        (source / "below.csv", "is a file, not a folder"),
    ):
        done = cli("validate", source, "-o", out)
        assert done.code == 2
        assert said in " ".join(done.err.split())
    assert source.read_text(encoding="utf-8") == "smiles\nCCO\n"


def test_a_folder_of_tables_says_so(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("smiles\nCCO\n", encoding="utf-8")
    done = cli("validate", tmp_path)
    assert done.code == 1
    assert "tables in it are read where they are given themselves: in.csv" in " ".join(done.err.split())
