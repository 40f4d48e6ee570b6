"""``molvae validate`` and ``molvae data`` with crystals: tables, files of several formats, folders, and what is broken among them."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pandas as pd
import pytest

from molvae.dataset import Store
from molvae.domains.crystals.structure import of_structure
from tests.cli.conftest import Cli
from tests.domains.crystals.prototypes import PROTOTYPES, perovskite, rock_salt, rutile, wurtzite


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "crystals.csv.gz"
    with gzip.open(path, "wt", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["material_id", "cif", "formation_energy_per_atom"])
        for number, make in enumerate(PROTOTYPES.values()):
            writer.writerow([f"m-{number}", make().to(fmt="cif"), -0.1 * number])
        writer.writerow(["m-again", perovskite().to(fmt="cif", symprec=0.01), ""])
        writer.writerow(["m-broken", "data_x\n_cell_length_a 3", 1.0])
    return path


def test_files_of_a_folder_are_judged_and_broken_ones_are_reported(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "found"
    (folder / "deep").mkdir(parents=True)
    squeezed = rock_salt()
    squeezed.scale_lattice(25)
    (folder / "a.cif").write_text(perovskite().to(fmt="cif") + squeezed.to(fmt="cif"))
    (folder / "deep" / "POSCAR").write_text(wurtzite().to(fmt="poscar"))
    (folder / "broken.json").write_text("{")
    (folder / "c.vasp").write_text("no\ncrystal\n")
    out = tmp_path / "judged.csv"
    cifs = tmp_path / "judged.cif"
    text = of_structure(perovskite()).text
    arguments = ("--properties", "density,spacegroup", "--checks", "default,cdvae_structure,cdvae_composition", "-o", out, "-o", cifs)
    done = cli("validate", "--domain", "crystals", folder, text, *arguments)
    assert done.code == 0, done.err
    assert "broken.json" in done.err
    found = pd.read_csv(out, keep_default_na=False)
    assert [Path(source).name.split(":")[0] for source in found["source"]] == ["a.cif", "a.cif", "c.vasp", "POSCAR", ""]
    assert list(found["wyckoff"][[0, 4]]) == [text, text]
    assert found["verdict"][0] == found["verdict"][3] == "ok"
    assert "distances" in found["verdict"][1]
    assert found["verdict"][2].startswith("parse: no readable")
    assert str(found["duplicate_of"][4]) in ("0", "0.0")
    assert float(found["density"][0]) == pytest.approx(perovskite().density, rel=3e-3)
    assert cifs.read_text().count("\ndata_") + cifs.read_text().startswith("data_") == 4
    assert cli("validate", "--domain", "crystals", folder, "--strict").code == 1


def test_files_say_that_they_are_crystals_and_what_is_known_of_them(cli: Cli, tmp_path: Path) -> None:
    folder, empty, out = tmp_path / "found", tmp_path / "empty", tmp_path / "judged.csv"
    folder.mkdir()
    empty.mkdir()
    (folder / "a.cif").write_text(rutile(0.305).to(fmt="cif"))
    (folder / "b.cif").write_text(rutile(0.317).to(fmt="cif"))  # another key, the same crystal by StructureMatcher
    (folder / "c.cif").write_text(rock_salt().to(fmt="cif"))
    known = tmp_path / "known.cif"
    known.write_text(rutile().to(fmt="cif"))
    done = cli("validate", folder, empty, "--known", known, "-o", out)
    assert done.code == 0, done.err
    assert "a folder without a file to read" in done.err
    found = pd.read_csv(out)
    assert found["duplicate_of"].fillna(-1).tolist() == [-1, 0, -1]
    assert found["nearest_kind"].tolist()[:2] == ["same", "same"]
    assert found["formula_known"].tolist() == ["yes", "yes", "no"]


def test_the_rest_of_a_folder_is_prepared_and_polymorphs_stay_together(cli: Cli, tmp_path: Path) -> None:
    folder, out = tmp_path / "mine", tmp_path / "prepared"
    folder.mkdir()
    for name, make in PROTOTYPES.items():
        (folder / f"{name}.cif").write_text(make().to(fmt="cif"))
    (folder / "notes.json").write_text('{"who": "me"}')
    (folder / "torn.cif").write_text("data_x\n_cell")
    done = cli("data", "prepare", folder, "-o", out, "--properties", "density", "--workers", 1)
    assert done.code == 0, done.err
    assert "notes.json" in done.err
    assert "torn.cif" in done.err
    store = Store.open(out)
    assert len(store) == len(PROTOTYPES)
    assert store.manifest["request"]["split"] == "group"
    rejected = (out / "rejected.csv").read_text()
    assert "no CIF block" in rejected
    assert "no structure in pymatgen's JSON" in rejected
    alone = cli("data", "prepare", folder / "torn.cif", "-o", tmp_path / "none")
    assert alone.code == 1
    assert "torn.cif" in alone.err


def test_a_table_with_a_cif_column_is_prepared(cli: Cli, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "prepared"
    done = cli("data", "prepare", table, "-o", out, "--domain", "crystals", "--properties", "density", "--split", "group", "--workers", 1)
    assert done.code == 0, done.err
    store = Store.open(out)
    assert list(store.property_names) == ["density", "formation_energy_per_atom"]
    assert len(store) == len(PROTOTYPES)
    rejected = (out / "rejected.csv").read_text()
    assert "no readable CIF" in rejected
    assert "duplicate of" in rejected
    again = cli("data", "prepare", table, "-o", out, "--domain", "crystals", "--properties", "density", "--split", "group", "--workers", 1)
    assert again.code == 0


def test_the_checks_are_listed_and_an_unknown_domain_is_refused(cli: Cli) -> None:
    done = cli("validate", "--domain", "crystals", "--list-checks")
    assert done.code == 0
    assert "cdvae_composition" in done.out
    wrong = cli("validate", "--domain", "metals", "x")
    assert wrong.code == 2
    assert "known: crystals, molecules" in wrong.err
