"""Reading and writing files: every format gives the same crystal, and a broken part is reported alone."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from molvae.dataset.read import files_in, iter_rows
from molvae.domains.crystals.files import READERS, cif_of, read_xyz, step, write_cif
from molvae.domains.crystals.structure import of_structure, parse
from molvae.errors import DataError, InvalidRecord, UsageError
from molvae.records import Candidate, Row, Verdict
from tests.domains.crystals.prototypes import PROTOTYPES, perovskite, rock_salt


def rows(path: Path) -> list[Row]:
    return list(iter_rows(path, record_readers=READERS))


@pytest.mark.parametrize(
    ("name", "form"), [("a.cif", "cif"), ("a.vasp", "poscar"), ("POSCAR", "poscar"), ("CONTCAR", "poscar"), ("a.json", "json")]
)
def test_every_format_gives_the_same_crystal(tmp_path: Path, name: str, form: str) -> None:
    text = perovskite().to(fmt=form)
    (tmp_path / name).write_text(text)
    with gzip.open(tmp_path / f"{name}.gz", "wt") as stream:
        stream.write(text)
    wanted = of_structure(perovskite()).text
    assert [row.text for row in rows(tmp_path / name)] == [wanted]
    assert [row.text for row in rows(tmp_path / f"{name}.gz")] == [wanted]


def test_extended_xyz(tmp_path: Path) -> None:
    ase = pytest.importorskip("ase.io", reason="ase is an optional package")
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms = AseAtomsAdaptor.get_atoms(rock_salt())
    atoms.info["energy_above_hull"] = 0.25
    ase.write(tmp_path / "a.xyz", atoms, format="extxyz")
    found = rows(tmp_path / "a.xyz")
    assert [(row.text, row.line, row.labels["energy_above_hull"]) for row in found] == [(of_structure(rock_salt()).text, 1, 0.25)]


def test_a_frame_that_is_no_structure_is_a_row_and_the_rest_is_read(tmp_path: Path) -> None:
    pytest.importorskip("ase", reason="needs ASE: pip install 'molvae[ase]'")
    good = 'Lattice="5.64 0 0 0 5.64 0 0 0 5.64" Properties=species:S:1:pos:R:3 pbc="T T T"'
    frames = [f"2\n{good}\nNa 0 0 0\nCl 2.82 2.82 2.82\n", f"1\n{good}\nX 0 0 0\n", f"2\n{good}\nNa 0 0 0\nCl 2.82 2.82 2.82\n"]
    (tmp_path / "a.xyz").write_text("".join(frames))
    rows = list(read_xyz(tmp_path / "a.xyz"))
    assert [row.line for row in rows] == [1, 2, 3]
    assert [bool(row.error) for row in rows] == [False, True, False]


def test_a_broken_block_is_reported_with_its_line_and_the_rest_is_read(tmp_path: Path) -> None:
    good, partial = rock_salt().to(fmt="cif"), Structure.from_dict(rock_salt().as_dict())
    partial[0] = {"Na": 0.5}
    path = tmp_path / "three.cif"
    path.write_text("data_global\n_journal 'x'\n" + good + partial.to(fmt="cif") + perovskite().to(fmt="cif"))
    first, second, third = rows(path)
    assert (first.error, third.error) == (None, None)
    assert "partial occupancy" in str(second.error)
    assert path.read_text().splitlines()[second.line - 1].startswith("data_")
    assert first.line < second.line < third.line


def test_json_lists_and_entries(tmp_path: Path) -> None:
    path = tmp_path / "many.json"
    structure = rock_salt().as_dict()
    path.write_text(json.dumps([structure, {"structure": structure, "energy": -3.5, "material_id": "x-1"}, {"nothing": 1}]))
    first, second, third = rows(path)
    assert first.text == second.text == of_structure(rock_salt()).text
    assert (second.labels, second.name) == ({"energy": -3.5}, "x-1")
    assert "no readable pymatgen JSON" in str(third.error)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.cif", b"hello\n", "no CIF block with a cell"),
        ("a.json", b"{", "no JSON"),
        ("a.json", b"[1, 2]", "no structure in pymatgen's JSON"),
        ("a.cif", b"\x00\x01\x02", "binary"),
        ("a.cif.gz", b"\x1f\x8b\x08\x00broken", "damaged"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=why):
        rows(tmp_path / name)


def test_a_broken_poscar_is_a_row_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "POSCAR").write_text("some words\nand more\n")
    (row,) = rows(tmp_path / "POSCAR")
    assert "no readable" in str(row.error)


def test_folders_are_searched_for_what_the_domain_reads(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.cif", "deep/POSCAR", "notes.md"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in files_in(tmp_path, READERS)] == ["b.cif", "POSCAR"]
    assert files_in(tmp_path / "b.cif", READERS) == [tmp_path / "b.cif"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="a folder without a file to read"):
        files_in(empty, READERS)


def test_tables_in_a_folder_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "POSCAR").write_text("", encoding="utf-8")
    (tmp_path / "deep").mkdir()
    told: list[str] = []
    assert files_in(tmp_path, READERS, told.append) == [tmp_path / "POSCAR"]
    assert told == []
    for name in ("deep/z.csv.gz", "a.tsv", "notes.md"):
        (tmp_path / name).write_text("", encoding="utf-8")
    assert files_in(tmp_path, READERS, told.append) == [tmp_path / "POSCAR"]
    assert told == [f"{tmp_path}: tables in a folder are not read unless they are given themselves: a.tsv, deep/z.csv.gz"]
    (tmp_path / "POSCAR").unlink()
    with pytest.raises(DataError, match=r"given themselves: a\.tsv, deep/z\.csv\.gz"):
        files_in(tmp_path, READERS)


@pytest.mark.parametrize("name", PROTOTYPES)
def test_cif_with_symmetry_reads_back_by_pymatgen(name: str) -> None:
    structure = PROTOTYPES[name]()
    crystal = of_structure(structure)
    text = cif_of(crystal, name, [("energy above hull", 0.5), ("note", "it's")])
    assert "_molvae_energy_above_hull 0.5" in text
    back = Structure.from_str(text, fmt="cif")
    assert len(back) == len(crystal.conventional.numbers)
    assert StructureMatcher().fit(back, structure)
    assert parse(text) == crystal


def test_exported_candidates_keep_their_order_and_their_columns(tmp_path: Path) -> None:
    good = of_structure(perovskite()).text
    candidates = [
        Candidate(good, "k", Verdict(True), measured={"density": 5.1, "band_gap": float("nan")}, novel=True),
        Candidate("nonsense", "", Verdict(False, ("parse: no",))),
        Candidate(of_structure(rock_salt()).text, "l", Verdict(False, ("charges: no",))),
    ]
    write_cif(candidates, tmp_path / "out.cif")
    text = (tmp_path / "out.cif").read_text()
    assert "_molvae_density 5.1" in text
    assert "_molvae_band_gap" not in text
    assert "# 2: no crystal" in text
    assert [row.text for row in rows(tmp_path / "out.cif")] == [candidates[0].text, candidates[2].text]
    assert [row.name for row in rows(tmp_path / "out.cif")] == ["1_SrTiO3", "3_NaCl"]


def test_cleaning_steps() -> None:
    crystal = of_structure(perovskite())
    for passes in ("elements=Sr,Ti,O,F", "contains=Ti", "atoms=1:5", "atoms=:5"):
        assert step(passes).apply(crystal) == crystal
    for drops in ("elements=Sr,Ti", "contains=Li", "atoms=6:20"):
        with pytest.raises(InvalidRecord):
            step(drops).apply(crystal)
    for wrong in ("elements=", "elements=Xx", "contains=", "atoms=few", "colour=red"):
        with pytest.raises(UsageError):
            step(wrong)
