"""``molvae encode``, ``decode``, ``reconstruct``, ``interpolate``, ``neighbours``."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from molvae import Model
from tests.cli.conftest import Cli
from tests.fixtures_model import Tiny, tiny_smiles

ONE, OTHER = "CC(=O)c1ccc(C#N)cn1", "Cc1cnc(COC)nc1"


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_encode_and_decode(with_model: Cli, model: Model, tiny: Tiny, tmp_path: Path, suffix: str) -> None:
    codes = tmp_path / f"codes{suffix}"
    done = with_model("encode", tiny.source, "-o", codes)
    assert done.code == 0, done.err
    assert f"{tiny.source}:254: not a SMILES" in " ".join(done.err.split())
    texts = list(np.load(codes)["text"] if suffix == ".npz" else pd.read_parquet(codes)["smiles"])
    assert len(texts) == 253
    back = with_model("decode", codes, "--json").json
    assert [row["smiles"] or None for row in back["candidates"]] == model.decode(model.encode(texts))
    done = with_model("decode", codes, "-o", tmp_path / "back.csv", "--temperature", 1, "--seed", 3, "--target", "logp=2")
    assert done.code == 0
    with (tmp_path / "back.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 253


def test_encode_from_everywhere(with_model: Cli, tmp_path: Path) -> None:
    out = tmp_path / "codes.npz"
    assert with_model("encode", ONE, OTHER, "-o", out, "--view", "graph").code == 0
    from_arguments = np.load(out)["codes"]
    assert with_model("encode", "-", "-o", out, "--view", "graph", stdin=f"{ONE} first\n\n{OTHER}\n".encode()).code == 0
    assert np.array_equal(np.load(out)["codes"], from_arguments)
    assert with_model("encode", "-", "-o", out, "--view", "graph", stdin=f"id,SMILES\n1,{ONE}\n2,{OTHER}\n".encode()).code == 0
    assert np.array_equal(np.load(out)["codes"], from_arguments)
    mixed = tmp_path / "mixed.csv"
    mixed.write_text(f"name,structure\na,{ONE}\nb,c,d\ne,\nf,{OTHER}\n")
    done = with_model("encode", mixed, "-o", out, "--view", "graph", "--column", "structure")
    assert done.code == 0
    assert np.array_equal(np.load(out)["codes"], from_arguments)
    assert "mixed.csv:3: 3 fields" in done.err
    assert "mixed.csv:4: no text" in done.err


def test_bad_codes(with_model: Cli, tmp_path: Path) -> None:
    wrong = tmp_path / "codes.npz"
    np.savez(wrong, codes=np.zeros((2, 3), np.float32))
    done = with_model("decode", wrong)
    assert (done.code, "this model wants (n, 16)" in done.err) == (2, True)
    wrong.write_bytes(wrong.read_bytes()[:100])
    assert with_model("decode", wrong).code == 1
    assert with_model("decode", tmp_path / "missing.npz").code == 1
    assert with_model("decode", tmp_path / "codes.csv").code == 2
    assert with_model("encode", ONE, "-o", tmp_path / "codes.csv").code == 2
    assert with_model("encode", ONE, "-o", tmp_path / "codes.npz", "--view", "sound").code == 2


def test_reconstruct(with_model: Cli, model: Model) -> None:
    done = with_model("reconstruct", ONE, OTHER, "CC[U]", "--json")
    assert done.code == 0
    assert "CC[U]: " in done.err
    assert [r["exact"] for r in done.json["reconstructions"]] == [r.exact for r in model.reconstruct([ONE, OTHER])]
    assert "of 2 exact" in with_model("reconstruct", ONE, OTHER).out
    assert with_model("reconstruct", "CC[U]").code == 1


def test_interpolate(with_model: Cli, tmp_path: Path) -> None:
    done = with_model("interpolate", ONE, OTHER, "--steps", 5, "--json")
    shares = [row["share"] for row in done.json["candidates"]]
    assert shares == sorted(shares)
    assert with_model("interpolate", ONE, OTHER, "-o", tmp_path / "path.sdf").code == 0
    assert with_model("interpolate", ONE, OTHER, "--steps", 1).code == 2
    done = with_model("interpolate", ONE, "C1CC")
    assert done.code == 2
    assert "'C1CC' cannot be encoded: not a SMILES" in done.err


def test_neighbours(with_model: Cli, tmp_path: Path) -> None:
    done = with_model("neighbours", ONE, "-n", 6, "--radius", 0.6, "--json")
    assert done.code == 0, done.err
    likeness = [row["similarity"] for row in done.json["candidates"]]
    assert len(likeness) == 6
    assert likeness == sorted(likeness, reverse=True)
    done = with_model("neighbours", ONE, "-n", 200, "--radius", 0.3, "--max-draws", 256, "-o", tmp_path / "n.csv")
    assert done.code == 1
    assert "of 200 candidates after 256 draws" in done.err


def test_neighbours_of_several_records(with_model: Cli, tmp_path: Path) -> None:
    seeds, out = tmp_path / "seeds.csv", tmp_path / "n.csv"
    seeds.write_text(f"id,smiles\n1,{ONE}\n2,C1CC\n3,{OTHER}\n4,{ONE}\n")
    done = with_model("neighbours", seeds, "-n", 4, "--radius", 0.6, "-o", out)
    assert done.code == 0, done.err
    assert f"{seeds}:3: not a SMILES" in " ".join(done.err.split())
    found = pd.read_csv(out)
    first, second = found["seed"].drop_duplicates()
    assert list(found["seed"]) == [first] * 4 + [second] * 4
    for _, group in found.groupby("seed"):
        assert group["similarity"].is_monotonic_decreasing
    alone = with_model("neighbours", ONE, "-n", 4, "--radius", 0.6, "--json").json
    assert [row["smiles"] for row in alone["candidates"]] == list(found["smiles"][:4])
    piped = with_model("neighbours", "-", "-n", 4, "--radius", 0.6, "--json", stdin=f"{ONE}\n{OTHER}\n".encode()).json
    assert [row["smiles"] for row in piped["candidates"]] == list(found["smiles"])
    assert [one["seed"] for one in piped["seeds"]] == [first, second]
    done = with_model("neighbours", ONE, OTHER, "-n", 500, "--radius", 0.3, "--max-draws", 100)
    assert done.code == 1
    assert done.err.count("of 500 candidates after 100 draws") == 2


def test_interpolate_takes_two_texts(with_model: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text(ONE)
    for given, said in (("-", "'-' is standard input"), (tmp_path / "a.smi", "is a file"), ("missing.csv", "is a file")):
        done = with_model("interpolate", given, OTHER)
        assert (done.code, said in " ".join(done.err.split())) == (2, True)
    done = with_model("interpolate", ONE, "C" * 600)
    assert "bug" not in done.err


def test_long_arguments_are_records(with_model: Cli, cli: Cli) -> None:
    long = "C" * 300
    assert cli("validate", long, "--json").json["records"][0]["smiles"] == long
    assert cli("validate", "C" * 5000).code == 0
    done = with_model("reconstruct", long, ONE, "--json")
    assert done.json["rows"] in (1, 2)
    assert "bug" not in done.err


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("zipped", [False, True])
def test_tables_on_standard_input(with_model: Cli, tmp_path: Path, separator: str, zipped: bool) -> None:
    out = tmp_path / "codes.npz"
    for header, options in ((["id", "Smiles"], []), (["id", "what"], ["--column", "what"])):
        lines = [header, ["1", ONE], ["2", OTHER]]
        table = "".join(separator.join(line) + "\r\n" for line in lines).encode("utf-8-sig")
        done = with_model("encode", "-", "-o", out, *options, stdin=gzip.compress(table) if zipped else table)
        assert done.code == 0, done.err
        assert len(np.load(out)["text"]) == 2


def test_a_list_on_standard_input_stays_a_list(cli: Cli) -> None:
    done = cli("validate", "-", "--json", stdin=b"CCO\tethanol; pure\nCCN\tamine\n")
    assert [row["name"] for row in done.json["records"]] == ["ethanol; pure", "amine"]


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_codes_of_another_model(cli: Cli, with_model: Cli, tiny: Tiny, tmp_path: Path, suffix: str) -> None:
    out, other = tmp_path / f"codes{suffix}", tmp_path / "other"
    assert with_model("encode", ONE, "-o", out).code == 0
    shutil.copytree(tiny.checkpoint, other)
    values = json.loads((other / "representation.json").read_text())
    (other / "representation.json").write_text(json.dumps(values | {"name": "other"}))
    done = cli("decode", "--model", other, out)
    assert (done.code, "codes of the model 'tiny'" in " ".join(done.err.split())) == (2, True)
    assert with_model("decode", out).code == 0


def test_only_the_views_asked_for_matter(with_model: Cli, tmp_path: Path) -> None:
    out = tmp_path / "codes.npz"
    assert with_model("encode", "CC[Se]C", "-o", out).code == 1
    assert with_model("encode", "CC[Se]C", "-o", out, "--view", "graph", "--view", "sequence").code == 1
    done = with_model("encode", "CC[Se]C", "-o", out, "--view", "graph")
    assert done.code == 0, done.err
    assert np.load(out)["codes"].shape == (1, 16)


def test_what_the_model_does_not_know_is_said(with_model: Cli, model: Model, tmp_path: Path) -> None:
    large = "COc1ccc(-c2ccc(-c3ccc(OC)cc3)nc2)cc1"
    for command in (["encode", large, "-o", tmp_path / "codes.npz"], ["reconstruct", large], ["neighbours", large, "-n", 1, "--radius", 1]):
        done = with_model(*command)
        assert f"outside the training data: {large}: " in " ".join(done.err.split()), command
        assert "mw 291" in done.err
    assert "comes back from its own code as" in with_model("neighbours", large, "-n", 1, "--radius", 1).err
    done = with_model("interpolate", ONE, large)
    assert "1 of 2 records lie outside the training data of tiny" in done.err
    known = [one.asked for one in model.reconstruct([ONE, OTHER, *tiny_smiles()[:40]]) if one.exact][:2]
    done = with_model("interpolate", *known)
    assert done.err == ""


def test_files_that_cannot_be_read(with_model: Cli, tiny: Tiny, tmp_path: Path) -> None:
    whole = gzip.compress(tiny.source.read_bytes())
    for name, content, said in [
        ("cut.csv.gz", whole[: len(whole) // 2], "truncated"),
        ("empty.csv", b"", "the file is empty"),
        ("header.csv", b"smiles\n", "a header and no rows"),
        ("binary.csv", b"\x00\x01\x02" * 99, "a binary file"),
        ("image.png", b"\x89PNG", "unknown file type '.png'"),
        ("other.csv", b"a,b\n1,2\n", "no column with a known name"),
        ("cut.parquet", b"PAR1" + b"x" * 50, "no readable Parquet file"),
    ]:
        (tmp_path / name).write_bytes(content)
        done = with_model("encode", tmp_path / name, "-o", tmp_path / "codes.npz")
        assert done.code == 1, name
        assert said in " ".join(done.err.split()), name
    done = with_model("encode", tiny.source, "--column", "nonsense", "-o", tmp_path / "codes.npz")
    assert (done.code, "no column 'nonsense'; found: 'smiles', 'activity'" in " ".join(done.err.split())) == (1, True)
    assert with_model("encode", "missing.csv", "-o", tmp_path / "codes.npz").code == 1
    assert with_model("encode", "-", "-o", tmp_path / "codes.npz", stdin=b"").code == 1
    assert not (tmp_path / "codes.npz").exists()
