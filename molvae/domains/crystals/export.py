"""Crystals for other programs: extended XYZ, and POSCARs in an archive. CIF is in ``molvae.domains.crystals.files``."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from molvae.domains.crystals.files import write_cif
from molvae.domains.crystals.structure import Crystal, parse
from molvae.domains.crystals.wyckoff import ELEMENTS
from molvae.errors import InvalidRecord
from molvae.records import Candidate

_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal candidates give equal bytes


def poscar_of(crystal: Crystal, title: str) -> str:
    """A POSCAR (VASP 5, direct coordinates) of the conventional cell, atoms of an element together."""
    cell = crystal.conventional
    kinds = list(dict.fromkeys(cell.numbers.tolist()))
    lines = [" ".join(title.split()) or crystal.formula, "1.0"]
    lines += [" ".join(f"{x:18.12f}" for x in row) for row in cell.lattice]
    lines += [" ".join(ELEMENTS[kind - 1] for kind in kinds), " ".join(str(int((cell.numbers == kind).sum())) for kind in kinds), "direct"]
    lines += [" ".join(f"{x:18.12f}" for x in place) for kind in kinds for place in cell.positions[cell.numbers == kind]]
    return "\n".join(lines) + "\n"


def xyz_of(crystal: Crystal, facts: Sequence[tuple[str, float | str | bool]] = ()) -> str:
    """A frame of an extended XYZ file: the conventional cell with its lattice. facts: further keys of the second line."""
    cell = crystal.conventional
    lattice = " ".join(f"{x:.10f}" for x in cell.lattice.ravel())
    words = [f'Lattice="{lattice}"', "Properties=species:S:1:pos:R:3", 'pbc="T T T"', *(f"{_key(key)}={_item(v)}" for key, v in facts)]
    lines = [str(len(cell.numbers)), " ".join(words)]
    places = np.asarray(cell.positions @ cell.lattice)
    lines += [f"{ELEMENTS[n - 1]} " + " ".join(f"{x:.10f}" for x in place) for n, place in zip(cell.numbers, places, strict=True)]
    return "\n".join(lines) + "\n"


def write_xyz(candidates: Sequence[Candidate], path: Path) -> None:
    """Write one frame a candidate that is a crystal, in order, with its place among the candidates (``number``) and every known column."""
    with path.open("w", encoding="utf-8") as stream:
        for number, candidate in enumerate(candidates, start=1):
            try:
                crystal = parse(candidate.text)
            except InvalidRecord:
                continue  # the format has no comments; the gap in the numbers tells
            known = [(k, v) for k, v in candidate.row("wyckoff") if v is not None and not (isinstance(v, float) and math.isnan(v))]
            stream.write(xyz_of(crystal, [("number", str(number)), ("formula", crystal.formula), *known]))


def write_poscars(candidates: Sequence[Candidate], path: Path) -> None:
    """Write a zip archive with one POSCAR a candidate, named by its place and formula: ``1_SrTiO3.vasp``.

    A candidate whose text is no crystal is there as ``2_no_crystal.txt`` with the reason, so that nothing vanishes.
    """
    width = len(str(len(candidates)))
    with zipfile.ZipFile(path, "w") as archive:
        for number, candidate in enumerate(candidates, start=1):
            try:
                crystal = parse(candidate.text)
                name, content = f"{crystal.formula}.vasp", poscar_of(crystal, f"{crystal.formula} {candidate.text}")
            except InvalidRecord as error:
                name, content = "no_crystal.txt", f"{error.why}\n"
            entry = zipfile.ZipInfo(f"{number:0{width}d}_{name}", _EPOCH)
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)


EXPORTERS: Mapping[str, Callable[[Sequence[Candidate], Path], None]] = {
    ".cif": write_cif,
    ".extxyz": write_xyz,
    ".xyz": write_xyz,
    ".vasp.zip": write_poscars,
    ".poscar.zip": write_poscars,
}
"""Writers by suffix. A POSCAR holds one crystal alone, so there is no suffix for several of them in one file."""


def _key(name: str) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name)


def _item(value: float | str | bool) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, float):
        return f"{value:.8g}"
    return value if value.isdecimal() else '"' + " ".join(value.replace("\\", "/").replace('"', "'").split()) + '"'
