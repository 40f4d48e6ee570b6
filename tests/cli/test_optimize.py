"""``molvae optimize`` through the application."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import Cli
from tests.report.test_page import Page


def test_optimize_writes_its_folder_and_resumes(with_model: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["--maximize", "logp=0:4*2", "--minimize", "mw=100:300", "-o", out, "--batch", "16", "--json"]
    first = with_model("optimize", *command, "--budget", 32, "-n", 5)
    assert first.code == 0, first.err
    said = json.loads(first.out)
    assert said["scored"] == 32
    assert len(said["candidates"]) == 5
    assert said["objective"] == {"maximize": ["logp=0:4*2"], "minimize": ["mw=100:300"]}
    with (out / "all.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 32
    assert {"smiles", "call", "score", "feasible", "logp", "mw", "origin"} <= set(rows[0])
    again = with_model("optimize", *command, "--budget", 48)
    assert again.code == 2
    assert "--resume" in again.err
    more = with_model("optimize", *command, "--budget", 48, "--resume")
    assert more.code == 0, more.err
    assert json.loads(more.out)["scored"] == 48
    assert "time, this session" in (out / "report.html").read_text(encoding="utf-8")


def test_a_slip_leaves_the_folder_free_and_a_file_takes_scorers_and_pareto(with_model: Cli, tmp_path: Path) -> None:
    out, aim = tmp_path / "run", tmp_path / "aim.toml"
    aim.write_text('minimize = "mw=50:300"\nmaximize = ["length=5:20"]\ncontains = "c"\nconstraint = "mw<=250"\n', encoding="utf-8")
    common = ("optimize", "--objective", aim, "--budget", 24, "--batch", 8, "-o", out, "--no-report", "--json")
    for slip, said in (("magic", "magic"), ("cmaes", "one objective")):
        failed = with_model(*common, "--scorer", "length=builtins:len", "--pareto", "--sampler", slip)
        assert (failed.code, said in failed.err) == (2, True), failed.err
    assert with_model(*common).code == 2  # nobody provides length
    done = with_model(*common, "--scorer", "length=builtins:len", "--pareto")
    assert done.code == 0, done.err
    assert done.json["front"] > 0
    assert done.json["objective"] | {"pareto": True} == done.json["objective"]
    rows = pd.read_csv(out / "all.csv")
    np.testing.assert_allclose(rows["objective length"], ((rows["smiles"].str.len() - 5) / 15).clip(0, 1))
    np.testing.assert_allclose(rows["violation mw<=250"] <= 0, rows["mw"] <= 250)
    assert ((rows["violation contains c"] <= 0) == rows["smiles"].str.contains("c")).all()
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    assert config["plan"]["objective"]["scorer"] == ["length=builtins:len"]
    assert config["noted"]["budget"] == 24


def test_seeds_come_from_files_and_the_command_line(with_model: Cli, tmp_path: Path) -> None:
    (tmp_path / "seeds.smi").write_text("Cc1ccccc1\nno molecule\n", encoding="utf-8")
    what = ("--maximize", "logp", "--budget", 30, "--batch", 8, "--per-scaffold", 1)
    found = with_model("optimize", *what, "--seeds", tmp_path / "seeds.smi", "--seeds", "Cc1ccc(C)cc1", "-o", tmp_path / "run")
    assert found.code == 0, found.err
    assert "seeds.smi:2" in found.err
    rows = pd.read_csv(tmp_path / "run" / "all.csv").sort_values("call")
    assert rows["smiles"].tolist()[:2] == ["Cc1ccccc1", "Cc1ccc(C)cc1"]
    assert rows["origin"].tolist()[:2] == ["given", "given"]


def test_the_run_has_a_page_and_a_history(with_model: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ("--maximize", "logp", "--constraint", "mw<=250", "--constraint", "mw>=100", "--budget", 48, "--batch", 16, "-n", 7)
    found = with_model("optimize", *command, "-o", out)
    assert found.code == 0, found.err
    assert "report.html" in found.out
    text = (out / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    sections = {str(attrs["id"]) for _, attrs in page.tags if "id" in attrs}
    assert {"asked", "summary", "funnel", "convergence", "endpoints", "map", "origins", "lost", "structures"} <= sections
    assert len(page.having("card")) == 7
    for said in ("mw&lt;=250", "100 to 250", "passed checks", "of 48 scored records, projected"):
        assert said in text
    rows = pd.read_csv(out / "history.csv")
    assert list(rows) == ["call", "score", "usable", "best", "top10"]
    assert rows["call"].tolist() == list(range(1, 49))
    everything = pd.read_csv(out / "all.csv")
    usable = everything["score"].where(everything["feasible"] & everything["score"].notna())
    np.testing.assert_allclose(rows["best"], usable.cummax().ffill())
    assert rows["top10"].iloc[-1] == pytest.approx(usable.nlargest(10).mean())
    assert not (out / "front.csv").exists()


def test_a_pareto_run_writes_its_front_and_no_page_where_none_is_wanted(with_model: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    terms = ("--maximize", "logp=0:4", "--minimize", "mw=100:300", "--maximize", "qed=0:1", "--pareto")
    found = with_model("optimize", *terms, "--budget", 40, "--batch", 16, "-o", out, "--no-report", "--json")
    assert found.code == 0, found.err
    assert not (out / "report.html").exists()
    front, history = pd.read_csv(out / "front.csv"), pd.read_csv(out / "history.csv")
    assert len(front) == found.json["front"] == history["front"].sum()
    assert history["volume"].is_monotonic_increasing
    again = with_model("optimize", *terms, "--budget", 48, "--batch", 16, "-o", out, "--resume")
    assert again.code == 0, again.err
    assert (out / "report.html").read_text(encoding="utf-8").count(", Pareto front") == 3


def test_a_run_without_a_usable_record_still_has_its_page(with_model: Cli, tmp_path: Path) -> None:
    out = tmp_path / "run"
    found = with_model("optimize", "--maximize", "logp", "--constraint", "mw<=1", "--budget", 20, "--batch", 20, "-o", out)
    assert found.code == 1
    text = (out / "report.html").read_text(encoding="utf-8")
    assert Page(text).open == []
    assert "Nothing that was scored meets every constraint" in text


def test_predictions_and_similarity_are_endpoints_too(with_model: Cli, tmp_path: Path) -> None:
    objective = tmp_path / "objective.toml"
    objective.write_text('maximize = ["logp_lcb", "near=0:1"]\nconstraint = "qed_pred<=0.9"\n', encoding="utf-8")
    common = ("--scorer", "near=similar:Cc1ccc(C#N)cc1", "--budget", 32, "--batch", 16, "-n", 4, "--json")
    found = with_model("optimize", "--objective", objective, *common, "-o", tmp_path / "file")
    assert found.code == 0, found.err
    terms = ("--maximize", "logp_lcb", "--maximize", "near=0:1", "--constraint", "qed_pred<=0.9")
    typed = with_model("optimize", *terms, *common, "-o", tmp_path / "typed")
    assert typed.code == 0, typed.err
    assert typed.json["candidates"] == found.json["candidates"]
    everything, best = (pd.read_csv(tmp_path / "file" / name) for name in ("all.csv", "candidates.csv"))
    assert {"logp_lcb", "near", "qed_pred"} <= set(everything)
    assert {"logp_lcb", "near", "qed_pred", "qed_pred_std"} <= set(best)
    assert everything["near"].between(0, 1).all()
    np.testing.assert_allclose(best["logp_lcb"], best["logp_pred"] - best["logp_pred_std"], rtol=1e-3, atol=1e-3)
    page = (tmp_path / "file" / "report.html").read_text(encoding="utf-8")
    assert page.count('title="predicted by the model">~') == 4
    for name in ("logp_lcb", "qed_pred", "near"):
        assert name in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "without a goal"),
        (["--maximize", "beauty"], "beauty"),
        (["--maximize", "logp_lbc"], "logp_lcb"),
        (["--maximize", "similarity", "--scorer", "similar:C1CC"], "the reference"),
        (["--maximize", "logp", "--constraint", "mw=3"], "mw=3"),
        (["--maximize", "logp", "--sampler", "magic"], "magic"),
        (["--maximize", "x", "--scorer", "x=sklearn:model.pkl"], "trust"),
        (["--maximize", "x", "--scorer", "x"], "module:function"),
    ],
)
def test_what_cannot_be_asked_is_usage(with_model: Cli, tmp_path: Path, arguments: list[str], said: str) -> None:
    found = with_model("optimize", "-o", tmp_path / "run", *arguments)
    assert found.code == 2, found.err
    assert said in found.err


def test_workers_are_search_processes_and_share_a_place(with_model: Cli, tmp_path: Path) -> None:
    common = ["--maximize", "logp", "--batch", "8", "--budget", 16, "--no-report", "--json", "--storage", f"journal:{tmp_path / 'log'}"]
    first = with_model("optimize", *common, "--study", "s", "-o", tmp_path / "one")
    assert first.code == 0, first.err
    # Another command joins the study, here one whose budget is spent.
    joined = with_model("optimize", *common, "--study", "s", "-o", tmp_path / "two")
    assert (joined.code, joined.json["scored"], joined.json["counts"]["drawn"]) == (0, 16, 0), joined.err
    kept = [(tmp_path / folder / "scored.jsonl").read_text(encoding="utf-8") for folder in ("one", "two")]
    assert kept[0] == kept[1]
    other = with_model("optimize", *common, "--study", "s", "-o", tmp_path / "three", "--no-verify")
    assert other.code == 2
    assert "another plan" in other.err
    assert with_model("optimize", *common, "-o", tmp_path / "four", "--workers", 0).code == 2
