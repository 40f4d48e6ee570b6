"""References: what tables and entries become, the file and its damages, coverage."""

from __future__ import annotations

import gzip
import json
import math
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from pymatgen.entries.computed_entries import ComputedEntry

from molvae.cli import run
from molvae.domains.crystals.stability import Reference, tables
from molvae.domains.crystals.stability.elements import ELEMENTAL, formation_energy, missing
from molvae.domains.crystals.stability.reference import ENOUGH
from molvae.domains.crystals.structure import parse
from molvae.errors import DataError, InvalidRecord, MissingExtra, UsageError
from tests.domains.crystals.prototypes import perovskite, rock_salt


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def made(path: Path, rows: list[dict[str, Any]]) -> Reference:
    return Reference.build([tables.read(table(path, rows))], "mine", path.name)


def test_the_elements_are_those_of_the_materials_project(shared_data: Path) -> None:
    with gzip.open(shared_data / "mp_elemental_reference_entries.json.gz") as stream:
        entries = json.load(stream)
    found = {symbol: (e["energy"] + e["correction"]) / sum(e["composition"].values()) for symbol, e in entries.items()}
    assert pytest.approx(found, abs=1e-5) == ELEMENTAL
    assert len(ELEMENTAL) == 89


def test_formation_energies_count_from_the_elements() -> None:
    assert formation_energy(-3.0, {"Na": 0.5, "Cl": 0.5}) == pytest.approx(-3.0 + (1.32253 + 1.84854) / 2)
    assert math.isnan(formation_energy(-3.0, {"Po": 0.5, "Cl": 0.5}))
    assert missing({"Po": 0.5, "Cl": 0.5}) == ("Po",)


def test_heights_are_kept_where_a_table_knows_the_hull(tmp_path: Path) -> None:
    rows = [
        {"pretty_formula": "NaCl", "formation_energy_per_atom": -2.1, "e_above_hull": 0.0},
        {"pretty_formula": "Na4Cl4", "formation_energy_per_atom": -2.0, "e_above_hull": 0.1},
        {"pretty_formula": "SrTiO3", "formation_energy_per_atom": -3.4, "e_above_hull": 0.15},
        {"pretty_formula": "Sr", "formation_energy_per_atom": 0.0, "e_above_hull": 0.0},
    ]
    reference = made(tmp_path / "t.csv", rows)
    assert [(p.formula, pytest.approx(p.energy), p.kind) for p in reference.phases] == [
        ("NaCl", -2.1, "stable"),
        ("SrTiO3", -3.55, "height"),
    ]
    found = reference.height(tables.fractions_of("SrTiO3"))
    assert (found.energy, found.coverage, found.phases, found.known) == (pytest.approx(-3.55), "good", 1, True)
    assert found.height is not None
    assert [(p.phase.formula, p.phase.kind) for p in found.height.products] == [("SrTiO3", "height")]


def test_compositions_come_from_formulas_cifs_and_our_own_texts(tmp_path: Path) -> None:
    from molvae.domains.crystals.structure import of_structure

    cif = perovskite().to(fmt="cif")
    rows = [{"cif": cif, "formation_energy_per_atom": -3.4, "energy_above_hull": 0}, {"cif": "data_x", "formation_energy_per_atom": -1}]
    known = tables.read(table(tmp_path / "c.csv", rows))
    assert [p.formula for p in known.phases] == ["SrTiO3"]
    assert known.left_out[0][0].endswith("c.csv, row 2")
    ours = tables.read(table(tmp_path / "w.csv", [{"wyckoff": of_structure(rock_salt()).text, "e_form": -2.0}]))
    assert [p.formula for p in ours.phases] == ["NaCl"]
    assert "no e_above_hull" in ours.remarks[0]


def test_records_need_not_all_have_the_same_keys(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    items = [
        {"formula": "NaCl", "formation_energy_per_atom": -2.0},
        {"formula": "KCl", "formation_energy_per_atom": -2.1, "e_above_hull": 0.1},
    ]
    path.write_text(json.dumps([*items, {"formation_energy_per_atom": -1.0}]))
    known = tables.read(path)
    assert [(phase.formula, phase.energy) for phase in known.phases] == [("NaCl", -2.0), ("KCl", pytest.approx(-2.2))]
    assert len(known.left_out) == 1
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(b"formula,formation_energy_per_atom\nNaCl,-2\n" * 50)[:-20])
    with pytest.raises(DataError, match="no table that can be read"):
        tables.read(torn)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"formula": "NaPo", "formation_energy_per_atom": -1}, "no reference energy of Po"),
        ({"formula": "NaCl", "formation_energy_per_atom": ""}, "wanted one in eV an atom"),
        ({"formula": "NaCl", "formation_energy_per_atom": -211}, "wanted one in eV an atom"),
        ({"formula": "NaCl", "formation_energy_per_atom": -2, "e_above_hull": 1e9}, "above the hull"),
        ({"formula": "!?", "formation_energy_per_atom": -2}, "no formula"),
    ],
)
def test_rows_of_no_use_are_left_out_with_the_reason(tmp_path: Path, row: dict[str, Any], why: str) -> None:
    known = tables.read(table(tmp_path / "t.csv", [{"formula": "KCl", "formation_energy_per_atom": -2, "e_above_hull": ""}, row]))
    assert [p.formula for p in known.phases] == ["KCl"]
    assert why in known.left_out[0][1]


def test_files_of_no_use_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="wanted formation_energy_per_atom"):
        tables.read(table(tmp_path / "t.csv", [{"formula": "NaCl", "energy": 3}]))
    with pytest.raises(DataError, match="there is no such file"):
        tables.read(tmp_path / "no.csv")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        tables.read(tmp_path / "x.json")
    (tmp_path / "y.json").write_text("[1]")
    with pytest.raises(DataError, match="ComputedEntries"):
        tables.read(tmp_path / "y.json")
    with pytest.raises(UsageError, match="nothing usable"):
        Reference.build([], "x", "y")


def test_computed_entries_become_phases_and_their_scale_is_looked_at(tmp_path: Path) -> None:
    total = sum(ELEMENTAL[symbol] * n for symbol, n in (("Sr", 1), ("Ti", 1), ("O", 3)))
    entries = [
        ComputedEntry("SrTiO3", total - 5 * 3.0, correction=-5 * 0.4, entry_id="mine-1").as_dict(),
        ComputedEntry("Ti2", 2 * ELEMENTAL["Ti"]).as_dict(),
        {"energy": None, "composition": {"Na": 1}},
    ]
    path = tmp_path / "entries.json.gz"
    path.write_bytes(gzip.compress(json.dumps(entries).encode()))
    known = tables.read(path)
    assert [(p.formula, pytest.approx(p.energy, abs=1e-6), p.name) for p in known.phases[:1]] == [("SrTiO3", -3.4, "mine-1")]
    assert known.remarks == []
    assert "no ComputedEntry" in known.left_out[0][1]
    off = tables.of_entries([ComputedEntry("Ti2", 2 * ELEMENTAL["Ti"] + 1).as_dict()], "x")
    assert "Ti +0.50" in off.remarks[0]


class Rester:
    """Stands in for the Materials Project's client."""

    def __init__(self, key: str) -> None:
        if key != "right":
            raise ValueError("bad key")

    def __enter__(self) -> Rester:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get_entries_in_chemsys(self, symbols: list[str]) -> list[ComputedEntry]:
        assert symbols == ["Na", "Cl"]
        return [ComputedEntry("NaCl", ELEMENTAL["Na"] + ELEMENTAL["Cl"] - 4.2, entry_id="mp-1")]

    @property
    def materials(self) -> Rester:
        return self

    @property
    def summary(self) -> Rester:
        return self

    def search(self, chemsys: list[str], fields: list[str]) -> list[SimpleNamespace]:
        assert chemsys == ["Na", "Cl", "Cl-Na"]
        values = {"formation_energy_per_atom": -2.1, "energy_above_hull": 0.0, "band_gap": None}
        assert set(fields) == {"material_id", "structure", *values}
        return [SimpleNamespace(material_id="mp-22862", structure=rock_salt(), **values)]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ModuleType("mp_api.client")
    client.MPRester = Rester  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mp_api", ModuleType("mp_api"))
    monkeypatch.setitem(sys.modules, "mp_api.client", client)


@pytest.mark.usefixtures("service")
def test_crystals_of_the_materials_project_are_a_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MP_API_KEY", "right")
    assert run(["data", "fetch", "mp:Na-Cl", "--to", str(tmp_path)]) == 0
    found = pd.read_csv(tmp_path / "mp-Na-Cl.csv.gz")
    assert list(found) == ["material_id", "cif", "formation_energy_per_atom", "e_above_hull", "band_gap"]
    assert parse(found["cif"][0]).formula == "NaCl"
    assert math.isnan(found["band_gap"][0])
    monkeypatch.setenv("MP_API_KEY", "wrong")
    assert run(["data", "fetch", "mp:Na-Cl", "--to", str(tmp_path)]) == 1
    assert run(["data", "fetch", "mp:Na-Xx", "--to", str(tmp_path)]) == 2
    assert run(["data", "fetch", "nowhere:Na-Cl"]) == 2
    assert run(["data", "fetch", "mp:Na-Cl", "--from", str(tmp_path / "mp-Na-Cl.csv.gz")]) == 2


@pytest.mark.usefixtures("service")
def test_the_materials_project_is_asked_with_the_users_key(monkeypatch: pytest.MonkeyPatch) -> None:
    known = tables.of_materials_project("Na-Cl", "right")
    assert [(p.formula, pytest.approx(p.energy)) for p in known.phases] == [("NaCl", -2.1)]
    with pytest.raises(DataError, match="bad key"):
        tables.of_materials_project("Na-Cl", "wrong")
    with pytest.raises(UsageError, match="MP_API_KEY"):
        tables.of_materials_project("Na-Cl", None)
    with pytest.raises(UsageError, match="Xx is no element"):
        tables.of_materials_project("Na-Xx", "right")
    monkeypatch.setitem(sys.modules, "mp_api.client", None)
    with pytest.raises(MissingExtra, match=r"molvae\[mp\]"):
        tables.of_materials_project("Na-Cl", "right")


def test_a_reference_survives_its_file(tmp_path: Path) -> None:
    rows = [{"formula": f, "formation_energy_per_atom": -1.0 - i, "e_above_hull": 0.2 * i} for i, f in enumerate(("NaCl", "Li10Ge(PS6)2"))]
    reference = made(tmp_path / "t.csv", rows)
    reference.save(tmp_path / "hull.json")
    again = Reference.load(tmp_path / "hull.json")
    assert (again.name, again.source) == ("mine", "t.csv")
    for one, other in zip(again.phases, reference.phases, strict=True):
        assert (one.formula, one.kind, one.name) == (other.formula, other.kind, other.name)
        assert one.energy == pytest.approx(other.energy, abs=1e-6)
        assert one.fractions == pytest.approx(other.fractions)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": "else"}, "no reference of molvae"),
        ({"version": 2}, "version 2; this molvae reads 1"),
        ({"entries": [{"formula": "NaCl", "energy": "x", "kind": "phase"}]}, r"damaged at entries.0.energy"),
        ({"entries": [{"formula": "NaCl", "energy": -99, "kind": "phase"}]}, r"damaged at entries.0.energy"),
        ({"entries": [{"formula": "!", "energy": -1, "kind": "phase"}]}, r"damaged at entries.0: '!' is no formula"),
        ({"entries": [{"formula": "NaPo", "energy": -1, "kind": "phase"}]}, r"damaged at entries.0: no reference energy of Po"),
        ({"more": 1}, "damaged at more"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    path = tmp_path / "hull.json"
    path.write_text(json.dumps({"format": "molvae-hull", "version": 1, "name": "x", "source": "", "entries": []} | change))
    with pytest.raises(DataError, match=why):
        Reference.load(path)


def test_names_that_are_neither_reference_nor_file_are_refused(tmp_path: Path) -> None:
    assert Reference.open("elements").phases == ()
    with pytest.raises(UsageError, match="wanted 'elements', or the file"):
        Reference.open("mp")
    (tmp_path / "x.json").write_text("x")
    with pytest.raises(DataError, match="no JSON"):
        Reference.open(tmp_path / "x.json")


def test_coverage_grows_with_what_is_known(tmp_path: Path) -> None:
    binaries = [f"Na{i}Cl{j}" for i, j in ((1, 1), (2, 1), (1, 2), (3, 1), (1, 3))][:ENOUGH]
    rows = [{"formula": f, "formation_energy_per_atom": -1.0} for f in binaries]
    wanted = {"Na": 0.4, "Cl": 0.6}
    assert Reference.elements().height({"Na": 0.5, "Po": 0.5}).coverage == "none"
    assert math.isnan(Reference.elements().height({"Na": 0.5, "Po": 0.5}).energy)
    assert Reference.elements().height(wanted).coverage == "elements"
    assert Reference.elements().height(wanted).energy == pytest.approx(0.0)
    few, enough = made(tmp_path / "a.csv", rows[:2]), made(tmp_path / "b.csv", rows)
    assert (few.height(wanted).coverage, few.height(wanted).phases) == ("sparse", 2)
    assert enough.height(wanted).coverage == "good"
    assert enough.height({"Na": 0.25, "Cl": 0.25, "K": 0.5}).coverage == "sparse"
    # An energy of this composition alone does not say where the hull passes.
    assert few.height({"Na": 0.5, "Cl": 0.5}).coverage == "sparse"
    assert enough.height({"K": 0.5, "Br": 0.5}).coverage == "elements"


def test_formulas_of_species_and_of_nothing() -> None:
    assert tables.fractions_of("FeFe2O4") == pytest.approx({"Fe": 3 / 7, "O": 4 / 7})
    with pytest.raises(InvalidRecord, match="no formula"):
        tables.fractions_of("")
    assert tables.reduced(tables.fractions_of("Li20Ge2P4S24")) == "Li10Ge(PS6)2"
