"""``molvae stability`` and ``molvae hull build``: tables in, rows out as they come, and what goes wrong on the way."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from molvae import build
from molvae.domains.crystals import domain
from molvae.domains.crystals.stability.service import COLUMNS
from molvae.domains.crystals.structure import of_structure
from molvae.errors import MissingExtra
from molvae.protocols import StabilityPlan, StabilityRow
from tests.cli.conftest import Cli
from tests.domains.crystals.prototypes import caesium_chloride, diamond, perovskite, rock_salt

MOLVAE = Path(sys.executable).parent / "molvae"
ROOT = Path(__file__).resolve().parents[2]
needs_chgnet = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("chgnet", "ase")), reason="needs CHGNet: pip install 'molvae[stability]'"
)


class Engine:
    """Stands in for the potential: the n-th row has n eV/atom; ``stop`` ends the run before that row, ``fail`` fails rows."""

    def __init__(self) -> None:
        self.plans: list[StabilityPlan] = []
        self.given: list[list[str]] = []
        self.stop: int | None = None
        self.fail: set[int] = set()

    def run(self, texts: Sequence[str], plan: StabilityPlan) -> Iterator[tuple[int, StabilityRow]]:
        self.plans.append(plan)
        self.given.append(list(texts))
        return self._rows(texts)

    def _rows(self, texts: Sequence[str]) -> Iterator[tuple[int, StabilityRow]]:
        for count, at in enumerate(reversed(range(len(texts)))):
            if count == self.stop:
                raise KeyboardInterrupt
            values: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
            values |= {
                "formula": "InF",
                "decomposition": "1 InF",
                "coverage": "good",
                "phases": 2,
                "e_form": -1.0 * at,
                "relaxed": texts[at],
            }
            failed = at in self.fail
            yield at, StabilityRow("failed" if failed else "stable", "diverged" if failed else "", values)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    real = domain()
    assert real.stability is not None
    fake = replace(real, stability=replace(real.stability, run=made.run))
    monkeypatch.setattr(build, "domain", lambda name: fake)
    return made


@pytest.fixture
def crystals(tmp_path: Path) -> Path:
    path = tmp_path / "three.csv"
    structures = (rock_salt(), perovskite(), caesium_chloride())
    pd.DataFrame({"cif": [*(s.to(fmt="cif") for s in structures), "broken"], "id": list("abcd")}).to_csv(path, index=False)
    return path


def test_rows_are_written_in_order_and_what_is_broken_is_named(cli: Cli, engine: Engine, crystals: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out.csv"
    done = cli("stability", crystals, "--relax", "--dynamics", "gamma,elastic", "--fmax", 0.02, "--workers", 2, "-o", out)
    assert done.code == 0, done.err
    assert "no readable" in done.err
    found = pd.read_csv(out, dtype={"formula": str}, keep_default_na=False)
    assert list(found["row"]) == [1, 2, 3]
    assert list(found["e_form"]) == [0, -1, -2]
    assert list(found["formula"]) == ["InF"] * 3
    assert list(found["wyckoff"]) == [of_structure(s).text for s in (rock_salt(), perovskite(), caesium_chloride())]
    assert set(found["settings"]) == {"reference=elements relax dynamics=gamma+elastic fmax=0.02"}
    assert (engine.plans[0].dynamics, engine.plans[0].workers, engine.plans[0].relax) == (("gamma", "elastic"), 2, True)
    assert "3 stable" in done.out
    again = cli("stability", crystals, "-o", out)
    assert again.code == 2
    assert "--resume" in again.err


def test_an_interrupted_run_loses_nothing_and_goes_on(cli: Cli, engine: Engine, crystals: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    engine.stop, engine.fail = 2, {2}
    stopped = cli("stability", crystals, "-o", out)
    assert stopped.code == 1
    assert f"2 of 3 rows are safe in {out}" in " ".join(stopped.err.split())
    assert list(pd.read_csv(out)["row"]) == [3, 2]
    with out.open("a") as stream:
        stream.write("1,cut of")  # as where the machine went down
    engine.stop, engine.fail = None, set()
    done = cli("--json", "stability", crystals, "-o", out, "--resume")
    assert done.code == 0, done.err
    assert len(engine.given[-1]) == 2  # row 2 is there, row 3 failed and is tried again
    assert [row["row"] for row in done.json["rows"]] == [1, 2, 3]
    assert [row["formula"] for row in done.json["rows"]] == ["InF"] * 3
    assert list(pd.read_csv(out)["row"]) == [1, 2, 3]
    other = cli("stability", crystals, "--relax", "-o", out, "--resume")
    assert other.code == 2
    assert "computed with settings" in other.err
    assert list(pd.read_csv(out)["row"]) == [1, 2, 3]


def test_words_that_make_no_sense_are_refused(cli: Cli, engine: Engine, crystals: Path, tmp_path: Path) -> None:
    assert "wanted a name that ends so" in cli("stability", crystals, "-o", tmp_path / "x.cif").err
    assert cli("stability", crystals, "--workers", 2, "--cluster", "tcp://x:1").code == 2
    assert cli("stability", crystals, "--resume").code == 2
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    other = cli("stability", crystals, "-o", tmp_path / "other.csv", "--resume")
    assert other.code == 1
    assert "its columns are not those" in other.err
    assert (tmp_path / "other.csv").read_text() == "a,b\n1,2\n"
    assert cli("stability", "broken", "alas").code == 1


def test_where_everything_failed_the_exit_code_says_so(cli: Cli, engine: Engine, crystals: Path, tmp_path: Path) -> None:
    engine.fail = {0, 1, 2}
    done = cli("stability", crystals, "-o", tmp_path / "out.csv")
    assert done.code == 1
    assert "no record could be assessed" in done.err
    assert list(pd.read_csv(tmp_path / "out.csv")["reason"]) == ["diverged"] * 3


def test_other_matter_and_bad_references_are_refused_and_leave_no_file(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert "no stability to compute" in cli("stability", "CCO", "--domain", "molecules", "-o", out).err
    done = cli("stability", of_structure(rock_salt()).text, "--reference", "nowhere", "-o", out)
    assert done.code == 2
    assert "molvae hull build" in done.err
    assert not out.exists()


def test_without_the_extra_the_command_to_install_it_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise MissingExtra("chgnet", "stability")

    monkeypatch.setattr("molvae.domains.crystals.stability.potential.require", absent)
    done = cli("stability", of_structure(rock_salt()).text)
    assert done.code == 1
    assert "pip install 'molvae[stability]'" in done.err


def test_a_hull_is_built_from_files(cli: Cli, tmp_path: Path) -> None:
    table = tmp_path / "mp.csv"
    table.write_text("pretty_formula,formation_energy_per_atom,e_above_hull\nNaCl,-2.1,0\nSrTiO3,-3.4,0.1\nNaPo,-1,0\nKCl,,0\n")
    out = tmp_path / "hull.json"
    done = cli("--json", "hull", "build", "--from", table, "-o", out, "--name", "mine")
    assert done.code == 0, done.err
    assert "row 3: no reference energy of Po" in done.err
    assert {key: done.json[key] for key in ("name", "rows", "left_out", "compositions", "stable", "height")} == {
        **{"name": "mine", "rows": 4, "left_out": 2, "compositions": 2, "stable": 1, "height": 1},
    }
    assert json.loads(out.read_text())["format"] == "molvae-hull"
    assert cli("hull", "build", "-o", out).code == 2
    assert cli("hull", "build", table, "-o", tmp_path / "x.csv").code == 2
    assert cli("hull", "build", tmp_path / "no.csv", "-o", out).code == 1
    assert "MP_API_KEY" in cli("hull", "build", "--mp", "Na-Cl", "-o", out).err


@needs_chgnet
@pytest.mark.slow
def test_the_installed_command_relaxes_against_a_hull(tmp_path: Path) -> None:
    (tmp_path / "mp.csv").write_text("formula,formation_energy_per_atom,e_above_hull\nNaCl,-2.1,0\nSrTiO3,-3.4,0.0\n")
    (tmp_path / "in.cif").write_text(rock_salt().to(fmt="cif") + diamond().to(fmt="cif"))
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    env.pop("MP_API_KEY", None)

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(MOLVAE), *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=110, check=False)

    hull, out = str(tmp_path / "hull.json"), tmp_path / "out.csv"
    assert call("hull", "build", "--from", str(tmp_path / "mp.csv"), "-o", hull).returncode == 0
    done = call("stability", str(tmp_path / "in.cif"), "--relax", "--ensemble", "--reference", hull, "-o", str(out))
    assert done.returncode == 0, done.stderr
    found = pd.read_csv(out)
    assert list(found["formula"]) == ["NaCl", "C"]
    assert found["e_hull"][0] == pytest.approx(found["e_form"][0] + 2.1, abs=1e-4)
    assert list(found["converged"]) == [True, True]
    assert list(found["coverage"]) == ["good", "good"]
    assert list(found["verdict"]) == ["metastable", "unstable"]
    assert (found["e_form_spread"] > 0).all()
