"""Crystals from files (CIF, POSCAR, pymatgen's JSON, extended XYZ) and to CIF (others: ``export``), and cleaning steps that take arguments."""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from numbers import Real  # ASE's integers are NumPy's
from pathlib import Path
from typing import Any

from molvae.domains.crystals.identity import has_elements
from molvae.domains.crystals.structure import Crystal, of_structure, parse
from molvae.domains.crystals.symmetry import LETTERS, space_group
from molvae.domains.crystals.wyckoff import ELEMENTS, NUMBER
from molvae.errors import DataError, InvalidRecord, MissingExtra, UsageError
from molvae.protocols import Step
from molvae.records import Candidate, Row

LARGEST = 64 << 20
"""Bytes of a file that is read whole, at most."""
_BLOCK = re.compile(r"^data_(\S*)", re.MULTILINE | re.IGNORECASE)


def _content(path: Path) -> str:
    """The text of a file, gzipped or not. Raises DataError where it is damaged, too long, or no text."""
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(path, f"the file is damaged or cannot be read ({error}); copy or download it again") from error
    if len(raw) > LARGEST:
        raise DataError(
            path, f"{len(raw) / 1e6:.0f} MB; at most {LARGEST / 1e6:.0f} MB are read as one file. Make it a CSV with a cif column"
        )
    if b"\x00" in raw[:8192]:
        raise DataError(path, "a binary file; wanted text")
    return raw.decode("utf-8", "replace")


def _row(make: Callable[[], Crystal], line: int, name: str | None, labels: Mapping[str, float | str] | None = None) -> Row:
    """One crystal as a row, or a row with the reason why it is none."""
    try:
        return Row(make().text, dict(labels or {}), line, name)
    except InvalidRecord as error:
        return Row("", dict(labels or {}), line, name, error.why)


def read_cif(path: Path) -> Iterator[Row]:
    """Every block of a CIF that has a cell: its Wyckoff text, the block's name, the line where it starts.

    A block that is no crystal comes with ``error`` set. Raises DataError where the file is damaged or no block has a cell.
    """
    text = _content(path)
    starts = [match.start() for match in _BLOCK.finditer(text)] or [0]
    seen = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        block = text[start:end]
        if "_cell_length_a" not in block.lower():
            continue  # a block of remarks on the whole file
        seen += 1
        named = _BLOCK.match(block)
        yield _row(_Parse(block), text.count("\n", 0, start) + 1, named[1] if named else None)
    if not seen:
        raise DataError(path, "no CIF block with a cell (_cell_length_a)")


class _Parse:
    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self) -> Crystal:
        return parse(self.text)


def read_poscar(path: Path) -> Iterator[Row]:
    """The one crystal of a POSCAR. Raises DataError where the file is damaged."""
    text = _content(path)
    yield _row(_Parse(text), 1, text.split("\n", 1)[0].strip() or None)


def read_json(path: Path) -> Iterator[Row]:
    """Structures of pymatgen's JSON: one, a list, or entries with a ``structure`` beside other values, whose numbers become labels.

    line is the number of the structure, from 1. Raises DataError where the file is no JSON or holds no structure.
    """
    try:
        content = json.loads(_content(path))
    except ValueError as error:
        raise DataError(path, f"no JSON: {error}") from error
    items = content if isinstance(content, list) else [content]
    if not any(isinstance(item, dict) and ("lattice" in item or "structure" in item) for item in items):
        raise DataError(
            path, "no structure in pymatgen's JSON; wanted one with lattice and sites, a list of them, or entries with a structure"
        )
    for number, item in enumerate(items, start=1):
        structure = item.get("structure", item) if isinstance(item, dict) else item
        labels = _numbers(item) if structure is not item else {}
        name = next((str(item[key]) for key in ("entry_id", "material_id", "name") if isinstance(item, dict) and item.get(key)), None)
        yield _row(_Parse(json.dumps(structure)), number, name, labels)


def _numbers(item: Mapping[str, Any]) -> dict[str, float | str]:
    return {key: float(value) for key, value in item.items() if isinstance(value, Real) and not isinstance(value, bool)}


def read_xyz(path: Path) -> Iterator[Row]:
    """Frames of an extended XYZ file that have a cell, by ASE; line is the number of the frame, from 1.

    Raises MissingExtra without ASE, DataError where it cannot read the file.
    """
    try:
        from ase.io import iread
    except ImportError as error:
        raise MissingExtra("ase", "ase") from error
    number = 0
    try:
        for number, atoms in enumerate(iread(str(path), format="extxyz"), start=1):
            if not atoms.pbc.all() or atoms.cell.rank < 3:
                yield Row("", line=number, error="a frame without a periodic cell; wanted a Lattice in its second line")
                continue
            yield _row(partial(_of_atoms, atoms), number, None, _numbers(atoms.info))
    except (ValueError, KeyError, IndexError, OSError) as error:
        raise DataError(path, f"no extended XYZ that ASE reads ({error})", number + 1) from error
    if not number:
        raise DataError(path, "no frame")


def _of_atoms(atoms: Any) -> Crystal:
    from pymatgen.io.ase import AseAtomsAdaptor

    try:
        structure = AseAtomsAdaptor.get_structure(atoms)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InvalidRecord("", f"a frame that is no structure ({str(error)[:100]})") from error
    return of_structure(structure)


READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".cif": read_cif,
    ".vasp": read_poscar,
    ".poscar": read_poscar,
    "poscar": read_poscar,
    "contcar": read_poscar,
    ".json": read_json,
    ".xyz": read_xyz,
    ".extxyz": read_xyz,
}
"""Readers by suffix, or by whole name in lower case for files that have none."""


def cif_of(crystal: Crystal, name: str = "crystal", facts: Sequence[tuple[str, float | str]] = ()) -> str:
    """A CIF block of the conventional cell: its symmetry operations, and one atom for each orbit. facts: further ``_molvae_`` items."""
    from pymatgen.core.operations import SymmOp

    group, cell = space_group(crystal.group), crystal.conventional
    lengths, angles = crystal.structure().lattice.abc, crystal.structure().lattice.angles
    lines = [f"data_{re.sub(r'[^A-Za-z0-9_.+-]', '_', name) or 'crystal'}"]
    lines += [f"_cell_length_{axis} {value:.6f}" for axis, value in zip("abc", lengths, strict=True)]
    lines += [f"_cell_angle_{axis} {value:.6f}" for axis, value in zip(("alpha", "beta", "gamma"), angles, strict=True)]
    lines += [f"_cell_volume {cell.volume:.6f}", f"_space_group_IT_number {crystal.group}"]
    lines += [f"_symmetry_space_group_name_H-M '{group.symbol}'", f"_chemical_formula_sum '{crystal.composition.formula}'"]
    lines += [f"_molvae_{re.sub(r'[^A-Za-z0-9_]', '_', key)} {_item(value)}" for key, value in facts]
    lines += ["loop_", "_space_group_symop_operation_xyz"]
    operations = zip(group.rotations, group.translations, strict=True)
    lines += [f"'{SymmOp.from_rotation_and_translation(r, t).as_xyz_str()}'" for r, t in operations]
    columns = ("type_symbol", "label", "symmetry_multiplicity", "Wyckoff_symbol", "fract_x", "fract_y", "fract_z", "occupancy")
    lines += ["loop_", *(f"_atom_site_{column}" for column in columns)]
    at = 0
    for i, orbit in enumerate(crystal.description.orbits):
        symbol, multiplicity = ELEMENTS[orbit.number - 1], group.letters[orbit.letter].multiplicity
        place = " ".join(f"{x:.8f}" for x in cell.positions[at])
        lines.append(f"{symbol} {symbol}{i + 1} {multiplicity} {LETTERS[orbit.letter]} {place} 1")
        at += multiplicity
    return "\n".join(lines) + "\n"


def _item(value: float | str) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split()).replace("'", "`")
    return text if isinstance(value, float) else f"'{text}'"


def write_cif(candidates: Sequence[Candidate], path: Path) -> None:
    """Write one CIF block a candidate, in order, with every known column of the candidate as ``_molvae_`` item.

    A candidate whose text is no crystal is left as a comment, so that nothing vanishes.
    """
    with path.open("w", encoding="utf-8") as stream:
        for number, candidate in enumerate(candidates, start=1):
            try:
                crystal = parse(candidate.text)
            except InvalidRecord as error:
                stream.write(f"# {number}: no crystal: {' '.join(error.why.split())}\n\n")
                continue
            known = [(k, v) for k, v in candidate.row("wyckoff") if v is not None and not (isinstance(v, float) and math.isnan(v))]
            facts = [(k, str(v) if isinstance(v, bool) else v) for k, v in known]
            stream.write(cif_of(crystal, f"{number}_{crystal.formula}", facts) + "\n")


def _keep(specification: str, passes: Callable[[Crystal], bool], name: str, why: str) -> Step[Crystal]:
    def apply(crystal: Crystal) -> Crystal:
        if not passes(crystal):
            raise InvalidRecord(crystal.text, why)
        return crystal

    return Step(name, f"keep crystals with {specification}", apply)


def step(specification: str) -> Step[Crystal]:
    """A filter from text: ``elements=Li,P,S`` (no others), ``contains=Li`` (all of them), ``atoms=1:20`` (in the primitive cell, inclusive).

    Raises UsageError for anything else.
    """
    name, _, arguments = specification.partition("=")
    if name == "contains":
        return _keep(specification, has_elements(arguments), name, f"has not all of {arguments}")
    if name == "elements":
        allowed = {symbol.strip() for symbol in arguments.split(",") if symbol.strip()}
        if not allowed or (unknown := sorted(allowed - NUMBER.keys())):
            raise UsageError(f"{specification!r}: {unknown[0] if allowed else 'no element'} is no element; wanted elements=Li,P,S")
        numbers = {NUMBER[symbol] for symbol in allowed}
        return _keep(specification, lambda c: {o.number for o in c.description.orbits} <= numbers, name, f"has others than {arguments}")
    if name == "atoms":
        low, _, high = arguments.partition(":")
        try:
            smallest, largest = int(low or 1), int(high)
        except ValueError:
            raise UsageError(f"{specification!r}; wanted a range such as atoms=1:20") from None
        return _keep(specification, lambda c: smallest <= len(c.primitive.numbers) <= largest, name, f"atoms outside of {arguments}")
    raise UsageError(f"unknown cleaning step {specification!r}; there are elements=Li,P,S, contains=Li and atoms=1:20")
