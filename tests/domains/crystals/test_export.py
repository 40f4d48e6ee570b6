"""Files for other programs: what is written is read again as the same crystals."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from molvae.dataset.read import iter_rows
from molvae.domains.crystals.export import EXPORTERS, poscar_of, write_poscars, write_xyz, xyz_of
from molvae.domains.crystals.files import READERS
from molvae.domains.crystals.structure import of_structure, parse
from molvae.errors import UsageError
from molvae.records import Candidate, Verdict
from molvae.report import write
from tests.domains.crystals.prototypes import PROTOTYPES

TEXTS = [of_structure(make()).text for make in PROTOTYPES.values()]


@pytest.fixture
def candidates() -> list[Candidate]:
    found = [Candidate(text, f"k{i}", Verdict(True), {"e form": -0.5 * i}, novel=True) for i, text in enumerate(TEXTS)]
    found.insert(1, Candidate("sg999", "", Verdict(False, ('parse: "no" group',))))
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_a_poscar_is_read_as_the_same_crystal(text: str) -> None:
    assert parse(poscar_of(parse(text), f"any\n{text}")).text == text


def test_an_archive_has_a_poscar_for_each_candidate(candidates: list[Candidate], tmp_path: Path) -> None:
    write_poscars(candidates, tmp_path / "a.vasp.zip")
    write_poscars(candidates, tmp_path / "b.vasp.zip")
    assert (tmp_path / "a.vasp.zip").read_bytes() == (tmp_path / "b.vasp.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.vasp.zip") as archive:
        contents = {name: archive.read(name).decode() for name in archive.namelist()}
    assert list(contents)[:3] == ["01_NaCl.vasp", "02_no_crystal.txt", "03_CsCl.vasp"]
    assert "space group 999" in contents.pop("02_no_crystal.txt")
    assert [parse(content).text for content in contents.values()] == TEXTS


def test_extended_xyz_is_read_as_the_same_crystals(candidates: list[Candidate], tmp_path: Path) -> None:
    pytest.importorskip("ase.io", reason="ase is an optional package")
    path = tmp_path / "a.extxyz"
    write_xyz(candidates, path)
    rows = list(iter_rows(path, record_readers=READERS))
    assert [row.text for row in rows] == TEXTS
    assert [row.labels["number"] for row in rows[:3]] == [1, 3, 4]  # the second is no crystal
    assert rows[2].labels["e_form"] == -1.0


def test_a_frame_says_lattice_and_columns() -> None:
    lines = xyz_of(parse(TEXTS[0]), [("novel", True), ("note", 'a "b"\\'), ("e", -0.25)]).splitlines()
    assert int(lines[0]) == len(lines) - 2 == 8
    assert lines[1].startswith('Lattice="5.6')
    assert lines[1].endswith("""novel=T note="a 'b'/" e=-0.25""")


def test_suffixes_of_the_report_reach_the_writers(candidates: list[Candidate], tmp_path: Path) -> None:
    for suffix in EXPORTERS:
        write(candidates, tmp_path / f"out{suffix}", exporters=EXPORTERS)
        assert (tmp_path / f"out{suffix}").stat().st_size > 500
    with pytest.raises(UsageError, match=r"\.vasp\.zip"):
        write(candidates, tmp_path / "out.vasp", exporters=EXPORTERS)
