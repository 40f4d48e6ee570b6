"""``molvae generate``."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from rdkit import Chem

from tests.cli.conftest import Cli


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_exactly_n_inside_what_was_asked(with_model: Cli, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.csv", "a.sdf", "a.json", "a.parquet", "a.smi.gz")]
    outputs = [word for file in files for word in ("-o", file)]
    asked = ["--target", "logp=1.5:0.4", "--range", "mw=:170", "--measure", "qed,sa", "--report", tmp_path / "r.html"]
    done = with_model("generate", "-n", 9, *asked, *outputs)
    assert done.code == 0, done.err
    found = table(files[0])
    assert len(found) == len({row["key"] for row in found}) == 9
    for row in found:
        assert abs(float(row["logp"]) - 1.5) <= 0.4
        assert float(row["mw"]) <= 170
        assert row["logp_asked"] == "1.5"
        assert row["verdict"] == "ok"
        assert row["sa"]
        assert Chem.CanonSmiles(row["smiles"]) == row["smiles"]
    assert len(list(Chem.SDMolSupplier(str(files[1])))) == 9
    assert [row["smiles"] for row in json.loads(files[2].read_text())] == [row["smiles"] for row in found]
    page = (tmp_path / "r.html").read_text()
    assert found[0]["smiles"] in page
    assert "tiny" in page
    assert "1.5 ± 0.4" in done.out
    assert "9/9" in done.out
    assert "funnel: drawn" in done.out
    assert "candidates/s" in done.out


def test_a_pipe_gets_one_text_a_line(with_model: Cli) -> None:
    done = with_model("generate", "-n", 25, "--seed", 1)
    assert done.code == 0
    assert len(done.out.splitlines()) == 25
    assert all(Chem.MolFromSmiles(line) for line in done.out.splitlines())
    assert "funnel" in done.err
    again, other = with_model("generate", "-n", 25, "--seed", 1), with_model("generate", "-n", 25, "--seed", 2)
    assert again.out == done.out != other.out


def test_json(with_model: Cli, tmp_path: Path) -> None:
    done = with_model("generate", "-n", 3, "--target", "qed=0.6", "--json", "-o", tmp_path / "x.csv", "--device", "cpu", "--threads", 1)
    result = done.json
    assert len(result["candidates"]) == 3
    assert result["short"] is None
    assert set(result["raw_deviation"]) == {"qed"}
    assert result["funnel"]["novel"] is None
    assert result["funnel"]["drawn"] >= result["funnel"]["valid"] >= result["funnel"]["passed"] >= result["funnel"]["inside"] >= 3
    assert done.err == ""


def test_the_most_plausible_first_where_asked(with_model: Cli, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    done = with_model("generate", "-n", 6, "--rank", "likely", "-o", tmp_path / "x.csv", "--report", page)
    assert done.code == 0, done.err
    values = [float(row["log_density"]) for row in table(tmp_path / "x.csv")]
    assert len(values) == 6
    assert values == sorted(values, reverse=True)
    assert "log_density" in page.read_text()


def test_structures_and_novelty(with_model: Cli, tmp_path: Path) -> None:
    done = with_model("generate", "-n", 4, "--contains", "C#N", "--contains", "[#6]C(=O)", "--no-unique", "-o", tmp_path / "a.csv")
    assert done.code == 0, done.err
    pattern = Chem.MolFromSmarts("C#N")
    assert all(Chem.MolFromSmiles(row["smiles"]).HasSubstructMatch(pattern) for row in table(tmp_path / "a.csv"))
    done = with_model("generate", "-n", 3, "--scaffold", "c1ccncc1", "--novel", "-o", tmp_path / "b.csv")
    assert done.code == 0, done.err
    assert {row["novel"] for row in table(tmp_path / "b.csv")} == {"True"}


def test_the_nearest_known_molecule_stands_beside_each_candidate(with_model: Cli, tmp_path: Path) -> None:
    known, out = tmp_path / "known.smi", tmp_path / "out.csv"
    known.write_text("CCO ethanol\nc1ccccc1 benzene\nC1CC broken\n")
    done = with_model("generate", "-n", 5, "--known", known, "-o", out)
    assert done.code == 0, done.err
    assert "known.smi:3" in done.err
    for row in table(out):
        assert row["nearest"] in ("CCO", "c1ccccc1")
        assert 0 <= float(row["nearest_similarity"]) <= 1
    known.write_text("C1CC\n")
    none = with_model("generate", "-n", 1, "--known", known)
    assert none.code == 1
    assert "no row of it is a record of molecules" in none.err


def test_exemplars_and_seeds(with_model: Cli, tmp_path: Path) -> None:
    done = with_model(
        "generate", "-n", 5, "--prior", "exemplars", "--level", 0.5, "--target", "logp=1", "--temperature", 0.9, "--guidance", 0.5, "-q"
    )
    assert done.code == 0, done.err
    seeds = tmp_path / "seeds.smi"
    seeds.write_text("CC(=O)c1ccc(C#N)cn1 first\nC1CC\nCCO[Si]\n")
    done = with_model("generate", "-n", 5, "--seeds", seeds)
    assert done.code == 0, done.err
    assert f"{seeds}:2: not a SMILES" in " ".join(done.err.split())
    assert f"{seeds}:3: the symbol" in " ".join(done.err.split())


def test_fewer_than_asked_says_why(with_model: Cli, tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    done = with_model("generate", "-n", 500, "--target", "logp=1.5:0.05", "--max-draws", 600, "-o", out)
    assert done.code == 1
    assert "of 500 candidates after 600 draws" in done.err
    assert "outside the tolerance" in done.err
    assert 0 < len(table(out)) < 500
    raw = with_model("generate", "-n", 50, "--target", "logp=1.5:0.0001", "--no-verify", "--json")
    assert raw.code == 0
    assert raw.json["raw_deviation"]["logp"] > 0.01


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-n", "0"], "at least 1"),
        (["--target", "weight=3"], "unknown property 'weight'; known: "),
        (["--target", "sa=3"], "sa needs a tolerance"),
        (["--target", "logp"], "--target 'logp'"),
        (["--range", "mw=4:2"], "low end is above"),
        (["--measure", "nonsense"], "unknown property 'nonsense'"),
        (["--contains", "C(("], "'C((' is no SMARTS pattern"),
        (["--scaffold", "C1CC"], "no valid SMILES"),
        (["-o", "out.xls"], "out.xls: the format of a file follows from its suffix"),
        (["--report", "out.pdf"], "name it with .html"),
        (["--prior", "flow"], "unknown prior 'flow'"),
        (["--rank", "best"], "rank is 'best'; wanted 'drawn'"),
        (["--prior", "exemplars", "--level", "1"], "below 1"),
        (["--level", "2"], "between 0 and 1"),
        (["--temperature", "-1"], "temperature"),
        (["--max-draws", "zero"], "max-draws"),
        (["--device", "cuda:77x"], "--device"),
        (["--threads", "0"], "threads"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_wrong_arguments_exit_with_2(with_model: Cli, arguments: list[str], said: str) -> None:
    done = with_model("generate", *arguments)
    assert done.code == 2
    assert said in " ".join(done.err.replace("│", " ").split())
    assert done.out == ""


def test_unknown_and_broken_models(cli: Cli, tmp_path: Path) -> None:
    done = cli("generate", "--model", "nothing")
    assert done.code == 2
    assert "unknown pretrained model 'nothing'" in done.err
    done = cli("generate", "--model", tmp_path)
    assert done.code == 1
    assert "representation.json is missing" in done.err


def test_sample_writes_plain_lines(with_model: Cli, tmp_path: Path) -> None:
    found = with_model("sample", "-n", 25, "--seed", 4)
    assert found.code == 0, found.err
    assert len(set(found.out.split())) == 25
    assert with_model("sample", "-n", 25, "--seed", 4, "-o", tmp_path / "s.smi").code == 0
    assert (tmp_path / "s.smi").read_text(encoding="utf-8") == found.out
    assert with_model("sample", "-n", 25, "--seed", 4, "-o", tmp_path / "s.csv").code == 0
    assert (tmp_path / "s.csv").read_text(encoding="utf-8") == f"smiles\n{found.out}"
    other = with_model("sample", "-n", 25, "-o", tmp_path / "s.sdf")
    assert other.code == 2
    assert "'sample' writes lines; wanted .smi" in " ".join(other.err.split())
    few = with_model("sample", "-n", 5, "--temperature", 0)
    assert few.code == 1
    assert "of 5" in few.err
