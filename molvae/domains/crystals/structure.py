"""Crystals: reading with reasons, one canonical text, identity, similarity.

A record is what its canonical text says (``molvae.domains.crystals.wyckoff``): symmetrised, and rounded to 1/2304 of the cell. A Wyckoff text is
taken as it stands; CIF, POSCAR and pymatgen's JSON are symmetrised and brought to the canonical choice of axes and origin.
"""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from molvae.domains.crystals import standard, wyckoff
from molvae.domains.crystals.charges import negativity
from molvae.domains.crystals.neighbours import neighbours
from molvae.domains.crystals.symmetry import Floats
from molvae.domains.crystals.wyckoff import ELEMENTS, LARGEST_VOLUME, MOST_ATOMS, NUMBER, SMALLEST_VOLUME, Cell, Description
from molvae.errors import InvalidRecord

if TYPE_CHECKING:
    from pymatgen.core.composition import Composition
    from pymatgen.core.structure import Structure

LONGEST = 1_000_000
"""Longest text that ``parse`` accepts, in characters."""
MOST_SITES = 1000
"""Atoms of an input cell, at most; a supercell may have more than the conventional cell's 200."""
LEAST_DISTANCE = 0.5
"""Å; atoms of an input cell that are closer are refused, as a position was then written twice."""
_LEAST_VOLUME = 0.1  # Å^3
_LARGEST_BOX = 4e6  # Å^3; the neighbour search divides the box around a cell into cubes of half an Å
_LONG = 20_000  # characters; shorter CIFs cannot hold too many atoms
_CIF = re.compile(r"^\s*(data_|_cell_length_a\b|loop_)", re.MULTILINE)
_NOT_FINITE = "a coordinate or lattice parameter that is no finite number"
_PLAINER = (
    ("Singular matrix", "a cell without a volume"),
    ("thickness=", "a cell without a volume"),
    ("float NaN", _NOT_FINITE),
    ("float infinity", _NOT_FINITE),
    ("modulo by zero", "no atoms"),
    ("at least 1 site", "no atoms"),
    ("index out of range", "it ends before everything is said, or is something else"),
    ("zip() argument", "a table with a value too few or too many"),
    ("exceeded tolerance", "several atoms on one spot, or occupancies that add up to more than 1"),
)
"""What pymatgen's words mean, where a reader could not tell."""


@dataclass(frozen=True)
class Crystal:
    """A crystal. Make it with ``parse``. text: its Wyckoff sequence, a fixed point of ``parse``, by which crystals are equal or not."""

    text: str

    @cached_property
    def description(self) -> Description:
        """Space group, orbits and lattice. Raises InvalidRecord where the text is none of ``parse``."""
        return wyckoff.read(self.text)

    @property
    def group(self) -> int:
        """Space group number as the text says it; the atoms may have more symmetry."""
        return self.description.group

    @property
    def conventional(self) -> Cell:
        """Atoms of the conventional cell. Shared: do not change it."""
        return self.description.conventional

    @property
    def primitive(self) -> Cell:
        """Atoms of the primitive cell. Shared: do not change it."""
        return self.description.primitive

    @property
    def counts(self) -> dict[str, int]:
        """Atoms of each element in the primitive cell."""
        numbers, counts = np.unique(self.primitive.numbers, return_counts=True)
        return {ELEMENTS[z - 1]: count for z, count in zip(numbers.tolist(), counts.tolist(), strict=True)}

    @cached_property
    def composition(self) -> Composition:
        """Elements and their counts in the primitive cell."""
        from pymatgen.core.composition import Composition

        _announced()
        return Composition(self.counts)

    @property
    def formula(self) -> str:
        """Reduced formula, such as SrTiO3."""
        return str(self.composition.reduced_formula)

    def structure(self, *, primitive: bool = False) -> Structure:
        """A new pymatgen Structure of the conventional (or primitive) cell."""
        return structure_of(self.primitive if primitive else self.conventional)

    def __reduce__(self) -> tuple[Any, ...]:
        return Crystal, (self.text,)


@lru_cache(maxsize=1)
def _announced() -> None:
    """Let pymatgen say once, unheard, which elements have no electronegativity; it keeps the values, and sorts every formula by them."""
    for symbol in ELEMENTS:
        negativity(symbol)


def structure_of(cell: Cell) -> Structure:
    """A cell as a pymatgen Structure."""
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure

    return Structure(Lattice(cell.lattice), [ELEMENTS[number - 1] for number in cell.numbers], cell.positions)


def parse(text: str) -> Crystal:
    """Read one crystal: a Wyckoff text, or a CIF (its first block), POSCAR or pymatgen JSON of a structure.

    Deuterium and tritium are read as hydrogen; charges and magnetic moments are left out. Raises InvalidRecord with the reason for broken
    texts, partial occupancies, dummy atoms, elements beyond lawrencium, coordinates that are not finite, cells without a volume, atoms less
    than 0.5 Å apart, more than 1,000 atoms or 200 in the conventional cell, and what the Wyckoff text cannot say.
    """
    given = text.strip()
    if not given:
        raise InvalidRecord(text, "empty; a Wyckoff text, CIF, POSCAR or pymatgen JSON is wanted")
    if len(given) > LONGEST:
        raise InvalidRecord(text, f"{len(given)} characters; at most {LONGEST} are read")
    if given.startswith("sg") and "\n" not in given:
        return crystal_of(wyckoff.read(given))
    return of_structure(_structure(given), text)


def crystal_of(description: Description) -> Crystal:
    """The crystal of a description, its orbits in order."""
    return Crystal(replace(description, orbits=tuple(sorted(description.orbits))).text())


def of_structure(structure: Structure, text: str = "") -> Crystal:
    """The crystal of a pymatgen Structure. text: what it was read from, for messages. Raises InvalidRecord as ``parse`` does."""
    try:
        cell = _checked(structure)
        return crystal_of(standard.describe(cell.lattice, cell.positions, cell.numbers))
    except InvalidRecord as error:
        raise InvalidRecord(text or str(structure.formula), error.why) from error


def _structure(text: str) -> Structure:
    told: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                return _read(text)
            finally:
                told += [str(warning.message) for warning in caught]
    except Exception as error:  # pymatgen's readers raise whatever the broken text makes them stumble over
        if isinstance(error, InvalidRecord):
            raise InvalidRecord(text, error.why) from error
        kind = "pymatgen JSON" if text.startswith("{") else "CIF" if _CIF.search(text) else "Wyckoff text, CIF, POSCAR or JSON"
        said = " ".join(str(error).split()) or type(error).__name__
        # A CIF's real fault is the last line of a warning, the error says only that no structure is left.
        why = next((line.strip().splitlines()[-1].strip() for line in reversed(told) if "No structure parsed" in line), said)
        why = f"it lacks {why}" if re.fullmatch(r"'\w+'", why) else next((plain for part, plain in _PLAINER if part in why), why)
        raise InvalidRecord(text, f"no readable {kind}: {why[:200]}") from error


def _read(text: str) -> Structure:
    from pymatgen.core.structure import Structure
    from pymatgen.io.cif import CifFile
    from pymatgen.io.vasp.inputs import Poscar

    if text.startswith("{"):
        return Structure.from_dict(json.loads(text))
    if _CIF.search(text):
        if len(text) > _LONG:  # building 10,000 sites takes half a minute, counting them a moment
            sizes = [
                len(block["_atom_site_fract_x"]) for block in CifFile.from_str(text).data.values() if "_atom_site_fract_x" in block.data
            ]
            _refuse_many(sizes[0] if sizes else 0)
        return Structure.from_str(text, fmt="cif")
    poscar = Poscar.from_str(text)
    if not poscar.true_names:
        raise InvalidRecord(text, "a POSCAR without the names of its elements; write them in the line before the numbers of atoms")
    return poscar.structure


def _refuse_many(sites: int) -> None:
    if sites > MOST_SITES:
        raise InvalidRecord("", f"{sites} atoms; at most {MOST_SITES} are read, and {MOST_ATOMS} in the conventional cell")


def _checked(structure: Structure) -> Cell:
    """The arrays of a structure. Raises InvalidRecord, without a text, for everything that ``parse`` refuses."""
    if not len(structure):
        raise InvalidRecord("", "no atoms")
    _refuse_many(len(structure))
    if not structure.is_ordered:
        site = next(site for site in structure if not site.is_ordered)
        raise InvalidRecord("", f"a site with partial occupancy ({site.species}); every site must hold one whole atom")
    numbers = np.array([_atomic_number(site.specie) for site in structure], np.int64)
    lattice = np.array(structure.lattice.matrix, float)
    positions = np.array(structure.frac_coords, float)
    if not (np.isfinite(lattice).all() and np.isfinite(positions).all()):
        raise InvalidRecord("", _NOT_FINITE)
    _check_size(lattice, len(numbers))
    cell = Cell(lattice, positions % 1.0, numbers, np.arange(len(numbers)))
    pairs = neighbours(cell, LEAST_DISTANCE)
    if len(pairs.distance):
        at = int(pairs.distance.argmin())
        one, other = (ELEMENTS[numbers[i] - 1] + str(i + 1) for i in (pairs.first[at], pairs.second[at]))
        raise InvalidRecord("", f"atoms {one} and {other} are {pairs.distance[at]:.2f} Å apart; at least {LEAST_DISTANCE} is wanted")
    return cell


def _check_size(lattice: Floats, atoms: int) -> None:
    """Raises InvalidRecord for lattices (3, 3) in which a search of neighbours is senseless or takes the memory of the machine."""
    volume = abs(float(np.linalg.det(lattice)))
    if volume < _LEAST_VOLUME:
        raise InvalidRecord("", f"a cell of {volume:.2g} Å^3; at least {_LEAST_VOLUME:g} is wanted")
    if not SMALLEST_VOLUME <= volume / atoms <= LARGEST_VOLUME:
        low, high = f"{SMALLEST_VOLUME:g}", f"{LARGEST_VOLUME:g}"
        raise InvalidRecord("", f"a volume per atom of {volume / atoms:.3g} Å^3; {low} to {high} is wanted")
    if float(np.prod(np.abs(lattice).sum(0))) > _LARGEST_BOX:
        raise InvalidRecord("", "a cell so flat or skewed that neighbours cannot be searched; give the reduced cell")


def _atomic_number(specie: Any) -> int:
    symbol = str(getattr(specie, "symbol", specie))
    symbol = "H" if symbol in ("D", "T") else symbol
    if symbol not in NUMBER:
        raise InvalidRecord("", f"{symbol!r} is no element from H to {ELEMENTS[-1]}")
    return NUMBER[symbol]


def write(crystal: Crystal) -> str:
    """The canonical text; ``parse(write(c)) == c``."""
    return crystal.text


def group(crystal: Crystal) -> str:
    """The reduced formula, by which a grouped split keeps polymorphs together."""
    return crystal.formula


def read_text(text: str) -> Crystal:
    """The crystal of a Wyckoff text alone. Raises InvalidRecord."""
    return crystal_of(wyckoff.read(text))
