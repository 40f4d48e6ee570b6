"""``molvae encode``, ``decode``, ``reconstruct``, ``interpolate``, ``neighbours``."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from molvae import Model
from tests.cli.conftest import Cli
from tests.fixtures_model import Tiny

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
