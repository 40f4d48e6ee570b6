"""A crystal as a sentence: space group, then letter, element and free coordinates of each orbit, then the lattice's free parameters.

Text: ``sg221@aSr@bTi@cO|20.11`` is strontium titanate. Symbols: ``sg221`` the space group; ``@a`` a Wyckoff letter; ``Sr`` an element;
``:07.24`` a coordinate; ``|20.11`` the volume per atom; ``/24.24`` a ratio of lengths (b/a, c/a); ``^30.05`` an angle. Each number is a
coarse and a fine symbol: coordinates in steps of 1/2304 of the cell, volumes per atom of 0.27 %, ratios of 0.30 %, angles of 0.05 degrees.
The coarse bins are centred on round values (0, 1/4, 1/3, 1/2; a ratio of 1; 60, 90, 120 degrees), where most data lie.

Sequences of this kind: Kazeev et al., Wyckoff Transformer, ICML 2025, arXiv:2503.02407; Cao et al., CrystalFormer, arXiv:2403.15734.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import acos, log
from typing import TypeVar

import numpy as np

from molvae.domains.crystals.symmetry import LETTERS, Floats, Ints, SpaceGroup, space_group, system_of
from molvae.errors import InvalidRecord

ELEMENTS = (
    *("H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca", "Sc"),
    *("Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y", "Zr", "Nb", "Mo"),
    *("Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu"),
    *("Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po"),
    *("At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr"),
)
"""Elements that have a symbol, in the order of their atomic numbers, from 1."""
NUMBER = {symbol: number for number, symbol in enumerate(ELEMENTS, start=1)}

Number = TypeVar("Number", float, Floats)

BINS = 48
STEPS = BINS * BINS
"""Values a number can take: ``BINS`` coarse ones times ``BINS`` fine ones."""
_HALF = BINS // 2
LARGEST = STEPS - _HALF - 1
"""Largest value of a number that does not wrap around (volumes, ratios, angles)."""

SMALLEST_VOLUME, LARGEST_VOLUME = 1.0, 500.0  # Å^3 an atom; diamond has 5.7, most solids 10 to 30
LARGEST_RATIO = 32.0
LEAST_ANGLE, ANGLE_RANGE = 30.0, 120.0  # degrees
FLATTEST = 1e-2  # least volume of a cell of unit lengths
MOST_ATOMS = 200
"""Atoms in the conventional cell, at most."""

VOLUME, RATIO, ANGLE, COORDINATE, FINE = "|", "/", "^", ":", "."
_LATTICE = {
    "triclinic": VOLUME + 2 * RATIO + 3 * ANGLE,
    "monoclinic": VOLUME + 2 * RATIO + ANGLE,
    "orthorhombic": VOLUME + 2 * RATIO,
    "tetragonal": VOLUME + RATIO,
    "trigonal": VOLUME + RATIO,
    "hexagonal": VOLUME + RATIO,
    "cubic": VOLUME,
}
_SYMBOL = re.compile(r"sg\d{1,3}|@[a-zA]|[A-Z][a-z]?|[:|/^.]\d\d", re.ASCII)  # no digits of other scripts


@dataclass(frozen=True, order=True)
class Orbit:
    """Atoms that the space group maps onto one another. letter: index from 0 for a. number: atomic. steps: free coordinates, 0 to 2303."""

    letter: int
    number: int
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """Atoms of one cell: lattice (3, 3), rows in Å; positions (N, 3), fractional in [0, 1); numbers (N,), atomic; orbit (N,), index."""

    lattice: Floats
    positions: Floats
    numbers: Ints
    orbit: Ints

    @property
    def volume(self) -> float:
        """Å^3."""
        return abs(float(np.linalg.det(self.lattice)))


@dataclass(frozen=True)
class Description:
    """What a text says. lattice: the free parameters in steps, as ``lattice_kinds`` lists them for the group's crystal system."""

    group: int
    orbits: tuple[Orbit, ...]
    lattice: tuple[int, ...]

    @cached_property
    def atoms(self) -> int:
        """Atoms in the conventional cell."""
        letters = space_group(self.group).letters
        return sum(letters[orbit.letter].multiplicity for orbit in self.orbits)

    @cached_property
    def conventional(self) -> Cell:
        """The conventional cell in the standard setting. Raises InvalidRecord for angles that close no cell."""
        return self._cell(primitive=False)

    @cached_property
    def primitive(self) -> Cell:
        """The primitive cell: the conventional one without its centring. Raises InvalidRecord for angles that close no cell."""
        return self._cell(primitive=True)

    def _cell(self, primitive: bool) -> Cell:
        group = space_group(self.group)
        lattice = lattice_of(group.system, self.lattice, self.atoms)
        parts: list[Floats] = []
        for orbit in self.orbits:
            letter = group.letters[orbit.letter]
            found = letter.positions(np.array(orbit.steps, float) / STEPS)
            parts.append(found[letter.primitive] if primitive else found)
        sizes = [len(part) for part in parts]
        positions = np.concatenate(parts)
        if primitive:
            positions = (positions @ np.linalg.inv(group.basis)) % 1.0
            lattice = group.basis @ lattice
        numbers = np.repeat([orbit.number for orbit in self.orbits], sizes)
        return Cell(lattice, positions, numbers, np.repeat(np.arange(len(sizes)), sizes))

    def text(self) -> str:
        """The one-line text; ``read`` is its inverse."""
        parts = [f"sg{self.group}"]
        for orbit in self.orbits:
            parts.append(f"@{LETTERS[orbit.letter]}{ELEMENTS[orbit.number - 1]}")
            parts += [_number(COORDINATE, step) for step in orbit.steps]
        parts += [_number(kind, step) for kind, step in zip(lattice_kinds(self.group), self.lattice, strict=True)]
        return "".join(parts)


def _number(kind: str, step: int) -> str:
    coarse, fine = divmod((step + _HALF) % STEPS, BINS)
    return f"{kind}{coarse:02d}{FINE}{fine:02d}"


def step_of(coarse: int, fine: int) -> int:
    """The value in steps that a coarse and a fine bin say, 0 to 2303."""
    return (coarse * BINS + fine - _HALF) % STEPS


def lattice_kinds(group: int) -> str:
    """The kind of each free lattice parameter of a space group: one volume per atom, then ratios (b/a, c/a), then angles."""
    return _LATTICE[system_of(group)]


def leeway(text: str) -> float:
    """Nats by which the likelihood of a text grows where its numbers are read to coarse bins: log of ``BINS`` for each of them."""
    return text.count(FINE) * log(BINS)


def symbols(text: str) -> list[str]:
    """Split a text into its symbols; joined they are the text again. Raises InvalidRecord at the first foreign character."""
    found: list[str] = _SYMBOL.findall(text)
    if sum(map(len, found)) != len(text):
        at = 0
        while match := _SYMBOL.match(text, at):
            at = match.end()
        raise InvalidRecord(text, f"{text[at : at + 10]!r} at position {at + 1} is no symbol of a Wyckoff sequence")
    return found


def vocabulary() -> list[str]:
    """Every symbol there is, in a fixed order."""
    numbers = [f"{kind}{i:02d}" for kind in (COORDINATE, VOLUME, RATIO, ANGLE, FINE) for i in range(BINS)]
    return [f"sg{i}" for i in range(1, 231)] + [f"@{letter}" for letter in LETTERS] + list(ELEMENTS) + numbers


def starting(with_: str) -> frozenset[str]:
    """Symbols that start so: those of ``@`` begin an orbit, those of ``VOLUME`` the lattice."""
    return frozenset(symbol for symbol in vocabulary() if symbol.startswith(with_))


class _Reader:
    """Symbols one after the other, each as what it has to be."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.symbols = symbols(text)
        self.at = 0

    def next(self) -> str:
        return self.symbols[self.at] if self.at < len(self.symbols) else ""

    def take(self, start: str, what: str) -> str:
        symbol = self.next()
        if not symbol.startswith(start):
            raise InvalidRecord(self.text, f"{symbol or 'the end'!r} where {what} is wanted (symbol {self.at + 1})")
        self.at += 1
        return symbol[len(start) :]

    def number(self, kind: str, what: str) -> int:
        coarse, fine = int(self.take(kind, what)), int(self.take(FINE, f"the fine part of {what}"))
        if coarse >= BINS or fine >= BINS:
            raise InvalidRecord(self.text, f"{kind}{coarse:02d}{FINE}{fine:02d}: bins go from 00 to {BINS - 1}")
        if kind != COORDINATE and coarse * BINS + fine < _HALF:
            raise InvalidRecord(self.text, f"{kind}{coarse:02d}{FINE}{fine:02d}: below the least {what}")
        return step_of(coarse, fine)


def read(text: str) -> Description:
    """The description that a text says. Raises InvalidRecord with the reason for everything that breaks a rule.

    Rules: letters do not decrease, positions without freedom are taken once, as many coordinates as the letter is free, the lattice
    parameters of the crystal system, at least one orbit, and at most 200 atoms in the conventional cell. Atoms may be too close: that is
    for the checks to say.
    """
    reader = _Reader(text)
    number = int(reader.take("sg", "a space group"))
    if not 1 <= number <= 230:
        raise InvalidRecord(text, f"space group {number}; they go from 1 to 230")
    group = space_group(number)
    orbits: list[Orbit] = []
    while reader.next().startswith("@"):
        orbits.append(_read_orbit(reader, group, orbits[-1].letter if orbits else 0, {orbit.letter for orbit in orbits}))
    if not orbits:
        raise InvalidRecord(text, "no atoms; at least one orbit, such as @aSr, is wanted")
    names = {VOLUME: "volume per atom", RATIO: "ratio of lengths", ANGLE: "angle"}
    lattice = tuple(reader.number(kind, names[kind]) for kind in lattice_kinds(number))
    if reader.next():
        raise InvalidRecord(text, f"{reader.next()!r} after the end of the lattice (symbol {reader.at + 1})")
    lattice_of(group.system, lattice, 1)
    found = Description(number, tuple(orbits), lattice)
    if found.atoms > MOST_ATOMS:
        raise InvalidRecord(text, f"{found.atoms} atoms in the conventional cell; at most {MOST_ATOMS} are read")
    return found


def _read_orbit(reader: _Reader, group: SpaceGroup, least: int, taken: set[int]) -> Orbit:
    name = reader.take("@", "a letter")
    at = LETTERS.index(name)
    if at >= len(group.letters):
        raise InvalidRecord(reader.text, f"letter {name}; space group {group.number} has a to {LETTERS[len(group.letters) - 1]}")
    if at < least:
        raise InvalidRecord(reader.text, f"letter {name} after {LETTERS[least]}; they must not decrease")
    letter = group.letters[at]
    if not letter.free and at in taken:
        raise InvalidRecord(reader.text, f"letter {name} twice; it is a single place in space group {group.number}")
    symbol = reader.take("", "an element")
    if symbol not in NUMBER:
        raise InvalidRecord(reader.text, f"{symbol or 'the end'!r} where an element is wanted (symbol {reader.at})")
    return Orbit(at, NUMBER[symbol], tuple(reader.number(COORDINATE, "a coordinate") for _ in range(letter.free)))


def volume_step(volume: float) -> int:
    """Steps of a volume per atom in Å^3, not limited to the legal range."""
    return round(log(volume / SMALLEST_VOLUME) / log(LARGEST_VOLUME / SMALLEST_VOLUME) * STEPS)


def volume_of(step: Number) -> Number:
    """Volume per atom in Å^3."""
    found: Number = SMALLEST_VOLUME * np.exp(step / STEPS * log(LARGEST_VOLUME / SMALLEST_VOLUME))
    return found


def _ratio_step(ratio: float) -> int:
    return round((log(ratio) / log(LARGEST_RATIO) + 1) / 2 * STEPS)


def ratio_of(step: Number) -> Number:
    """Of two lengths."""
    found: Number = np.exp((2 * step / STEPS - 1) * log(LARGEST_RATIO))
    return found


def angle_of(step: Number) -> Number:
    """Degrees."""
    return LEAST_ANGLE + ANGLE_RANGE * step / STEPS


def flatness(alpha: float, beta: float, gamma: float) -> float:
    """Volume of a cell with edges of 1 and these angles in degrees; 0 where they close no cell."""
    ca, cb, cc = np.cos(np.radians([alpha, beta, gamma]))
    return float(np.sqrt(max(0.0, 1 + 2 * ca * cb * cc - ca**2 - cb**2 - cc**2)))


def lattice_steps(system: str, gram: Floats, atoms: int) -> tuple[int, ...]:
    """The free parameters of a lattice with this metric (3, 3), in Å^2, and so many atoms, in steps that may lie outside of the range."""
    a, b, c = np.sqrt(np.diag(gram))
    volume = volume_step(float(np.sqrt(np.linalg.det(gram))) / atoms)
    if system == "cubic":
        return (volume,)
    if system in ("tetragonal", "trigonal", "hexagonal"):
        return volume, _ratio_step(c / np.sqrt(a * b))
    lengths = (volume, _ratio_step(b / a), _ratio_step(c / a))
    if system == "orthorhombic":
        return lengths
    cosines = (gram[1, 2] / (b * c), gram[0, 2] / (a * c), gram[0, 1] / (a * b))
    angles = [round((np.degrees(acos(cosine)) - LEAST_ANGLE) / ANGLE_RANGE * STEPS) for cosine in cosines]
    return lengths + ((angles[1],) if system == "monoclinic" else tuple(angles))


def lattice_of(system: str, steps: Sequence[int], atoms: int) -> Floats:
    """The conventional lattice (3, 3), rows in Å, a along x, b in the plane of x and y. Raises InvalidRecord for impossible angles."""
    volume = volume_of(steps[0]) * atoms
    b = c = 1.0
    angles = [90.0, 90.0, 90.0]
    if system in ("tetragonal", "trigonal", "hexagonal"):
        c = ratio_of(steps[1])
        angles[2] = 90.0 if system == "tetragonal" else 120.0
    elif system != "cubic":
        b, c = ratio_of(steps[1]), ratio_of(steps[2])
        if system == "monoclinic":
            angles[1] = angle_of(steps[3])
        elif system == "triclinic":
            angles = [angle_of(step) for step in steps[3:]]
    shape = flatness(*angles)
    if shape < FLATTEST:
        raise InvalidRecord(" ".join(f"{angle:.1f}" for angle in angles), "these angles close no cell with a volume")
    a = (volume / (b * c * shape)) ** (1 / 3)
    ca, cb, cc = np.cos(np.radians(angles))
    sc = np.sin(np.radians(angles[2]))
    y = (ca - cb * cc) / sc
    rows = [[1, 0, 0], [cc, sc, 0], [cb, y, np.sqrt(max(0.0, 1 - cb**2 - y**2))]]
    lattice: Floats = np.array(rows) * (a * np.array([1, b, c]))[:, None]
    # Zeros that the cosine of 90 degrees misses would make the cell of a cubic crystal not quite cubic.
    lattice[np.abs(lattice) < 1e-12 * a] = 0.0
    return lattice
