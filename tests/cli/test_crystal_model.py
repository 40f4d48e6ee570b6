"""``molvae generate`` with a model of crystals: exact constraints, cells and a page, stability beside them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Cli
from tests.fixtures_model import Tiny


def test_the_command_writes_cells_and_a_page(cli: Cli, crystal_run: Path, tmp_path: Path) -> None:
    cif, table, page = tmp_path / "out.cif", tmp_path / "out.csv", tmp_path / "out.html"
    arguments = ("--target", "density=4±3", "--chemsys", "Sr-Ti-O", "-o", cif, "-o", table, "--report", page)
    done = cli("generate", "--model", crystal_run, "-n", "3", *arguments)
    assert done.code == 0, done.err
    assert cif.read_text().count("data_") == 3
    assert list(pd.read_csv(table)["density"].between(1, 7)) == [True] * 3
    assert "chemsys Sr-Ti-O" in page.read_text()


def test_a_folder_gets_cells_a_table_and_the_page(cli: Cli, crystal_run: Path, tmp_path: Path) -> None:
    done = cli("generate", "--model", crystal_run, "-n", "2", "-o", tmp_path / "cells")
    assert done.code == 0, done.err
    assert {path.name for path in (tmp_path / "cells").iterdir()} == {"candidates.csv", "candidates.cif", "report.html"}
    assert (tmp_path / "cells" / "candidates.cif").read_text().count("data_") == 2


def test_a_search_and_neighbours_tell_what_crystals_are(cli: Cli, crystal_run: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.csv"
    known.write_text("wyckoff\nsg225@aNa@bCl|22.31\n")
    terms = ("--maximize", "density", "--budget", 8, "--batch", 8, "--no-report", "-o", tmp_path / "run", "--known", known)
    done = cli("optimize", "--model", crystal_run, *terms)
    assert done.code == 0, done.err
    found = pd.read_csv(tmp_path / "run" / "candidates.csv")
    assert {"formula", "symmetry", "prototype", "nearest", "nearest_kind", "formula_known"} <= set(found)
    near = cli("neighbours", "--model", crystal_run, found["wyckoff"][0], "-n", 2, "--radius", 1, "-o", tmp_path / "near.csv")
    assert "prototype" in pd.read_csv(tmp_path / "near.csv"), near.err


def test_molecules_have_no_composition_to_ask_for(cli: Cli, tiny: Tiny) -> None:
    done = cli("generate", "--model", tiny.checkpoint, "-n", "3", "--composition", "CH4")
    assert done.code == 2
    assert "no constraint of the molecules domain" in done.err


def test_candidates_say_what_they_are_and_which_known_crystal_is_nearest(cli: Cli, crystal_run: Path, tmp_path: Path) -> None:
    known, table = tmp_path / "known.csv", tmp_path / "out.csv"
    first = "sg225@aNa@bCl|22.31"
    known.write_text(f"wyckoff\n{first}\nnonsense\n")
    done = cli("generate", "--model", crystal_run, "-n", "2", "--known", known, "-o", table)
    assert done.code == 0, done.err
    assert "known.csv:3" in done.err
    found = pd.read_csv(table)
    assert (found["nearest"] == first).all()
    assert found["nearest_similarity"].between(0, 1).all()
    assert found["nearest_kind"].isin(["same", "type", "similar"]).all()
    assert found["prototype"].str.contains("_").all()
    assert found["symmetry"].notna().all()
    assert cli("generate", "--model", crystal_run, "-n", "1", "--known", tmp_path / "absent.csv").code != 0


@pytest.mark.slow
def test_stability_is_part_of_the_evidence(cli: Cli, crystal_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("chgnet", reason="the extra stability is not installed")
    known = tmp_path / "known.csv"
    known.write_text("formula,formation_energy_per_atom,e_above_hull\nNaCl,-2.1,0\n")
    assert cli("hull", "build", "--from", known, "-o", tmp_path / "hull.json").code == 0
    table, page = tmp_path / "out.csv", tmp_path / "out.html"
    asked = ("--chemsys", "Na-Cl", "--reference", tmp_path / "hull.json", "-o", table, "--report", page)
    done = cli("generate", "--model", crystal_run, "-n", "2", *asked)
    assert done.code == 0, done.err
    found = pd.read_csv(table)
    assert found["e_form"].notna().all()
    assert (found["reference"] == "hull").all()
    assert (found["phases"] >= 1).all()
    assert found["stability"].isin(["stable", "metastable", "unstable", "no verdict"]).all()
    assert "Convex hull" in page.read_text()


def test_molecules_have_no_stability_to_compute(cli: Cli, tiny: Tiny) -> None:
    done = cli("generate", "--model", tiny.checkpoint, "-n", "1", "--relax")
    assert done.code == 2
    assert "molecules have no stability" in done.err
