"""``molvae optimize`` through the application."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "without a goal"),
        (["--maximize", "beauty"], "beauty"),
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
