"""``molvae optimize`` with the scorers that molvae brings along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from molvae.domains.molecules.oracles import GUACAMOL
from tests.cli.conftest import Cli

WHEEL = GUACAMOL.found()  # before the test run gets a home folder of its own


def test_they_are_listed_without_a_model(cli: Cli) -> None:
    found = cli("optimize", "--list-scorers", "--json")
    assert found.code == 0
    listed = {line["scorer"]: line for line in found.json}
    assert set(listed) == {"pmo", "guacamol", "docking"}
    assert (len(listed["pmo"]["names"]), len(listed["guacamol"]["names"])) == (23, 20)
    assert "perindopril_mpo" in cli("optimize", "--list-scorers").out


def test_unknown_names_are_refused_with_near_ones(with_model: Cli, tmp_path: Path) -> None:
    found = with_model("optimize", "--scorer", "pmo:perindopril", "--maximize", "perindopril", "-o", tmp_path / "run")
    assert found.code == 2
    assert "did you mean perindopril_mpo?" in " ".join(found.err.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(WHEEL is None, reason=f"{GUACAMOL.file} is neither in $MOLVAE_WHEELS nor in $MOLVAE_HOME/wheels")
def test_a_published_objective_is_maximised(with_model: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLVAE_WHEELS", str(Path(str(WHEEL)).parent))
    options = ("--budget", 16, "--batch", 8, "-n", 3, "--no-report", "-o", tmp_path / "run", "--json")
    found = with_model("optimize", "--scorer", "guacamol:median_molecules_1", "--maximize", "median_molecules_1", *options)
    assert found.code == 0, found.err
    said = json.loads(found.out)
    assert said["scored"] == 16
    assert said["failures"] == {}
    scores = [candidate["median_molecules_1"] for candidate in said["candidates"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
