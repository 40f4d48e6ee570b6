"""The Wyckoff text: known crystals, round trips in all 230 groups, and one text whatever cell the crystal is given in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure
from pymatgen.core.operations import SymmOp

from molvae.domains.crystals import wyckoff
from molvae.domains.crystals.neighbours import neighbours
from molvae.domains.crystals.standard import describe
from molvae.domains.crystals.structure import of_structure, parse
from molvae.domains.crystals.symmetry import GROUPS, space_group
from molvae.domains.crystals.wyckoff import Cell, Description, Orbit, lattice_kinds, read, step_of, symbols, vocabulary
from molvae.errors import InvalidRecord
from tests.domains.crystals.prototypes import GROUPS as EXPECTED
from tests.domains.crystals.prototypes import PROTOTYPES


def moved(structure: Structure, seed: int, supercell: bool = True) -> Structure:
    """The same crystal: atoms reordered, origin shifted, another cell, turned."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(structure))
    other = Structure(structure.lattice, [structure[int(i)].specie for i in order], structure.frac_coords[order] + rng.random(3))
    if supercell:
        other.make_supercell([[1, 0, 0], [1, 2, 0], [0, -1, 1]])
    other.apply_operation(SymmOp.from_axis_angle_and_translation(rng.random(3) + 0.1, 360 * rng.random()))
    return other


def moved_cell(cell: Cell, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(cell.numbers))
    turn = SymmOp.from_axis_angle_and_translation(rng.random(3) + 0.1, 360 * rng.random()).rotation_matrix
    return cell.lattice @ turn.T, (cell.positions[order] + rng.random(3)) % 1.0, cell.numbers[order]


def random_description(number: int, rng: np.random.Generator) -> Description | None:
    """A crystal of this group, elements all different: one orbit on any letter, and three on the most general one that leaves room.

    None where atoms would be too close.
    """
    group = space_group(number)
    general = max(at for at, letter in enumerate(group.letters) if 3 * letter.multiplicity <= 150)
    first = int(rng.choice([at for at, letter in enumerate(group.letters) if letter.multiplicity <= 48]))
    chosen = [first, *[general] * (3 if group.letters[general].free else 1)]
    if not group.letters[first].free:
        chosen = list(dict.fromkeys(chosen)) if first == general else chosen
    orbits = [
        Orbit(at, z, tuple(rng.integers(wyckoff.STEPS, size=group.letters[at].free).tolist()))
        for at, z in zip(chosen, (3, 14, 26, 53), strict=False)
    ]
    ranges = {"|": (1200, 1400), "/": (1120, 1300), "^": (1000, 1350)}
    lattice = tuple(int(rng.integers(*ranges[kind])) for kind in lattice_kinds(number))
    found = Description(number, tuple(sorted(orbits)), lattice)
    return found if not len(neighbours(found.primitive, 0.8).distance) else None


@pytest.mark.parametrize("name", PROTOTYPES)
def test_known_crystals(name: str) -> None:
    structure = PROTOTYPES[name]()
    crystal = of_structure(structure)
    assert crystal.group == EXPECTED[name]
    for primitive in (False, True):
        assert StructureMatcher(primitive_cell=False).fit(
            crystal.structure(primitive=primitive), structure.get_primitive_structure()
        ) or StructureMatcher().fit(crystal.structure(primitive=primitive), structure)
    assert read(crystal.text) == crystal.description


def test_texts_of_known_crystals() -> None:
    assert of_structure(PROTOTYPES["perovskite"]()).text == "sg221@aTi@bSr@dO|19.30"
    diamond = of_structure(PROTOTYPES["diamond"]())
    assert diamond.text.startswith("sg227@aC|")
    assert diamond.primitive.volume == pytest.approx(3.567**3 / 4, rel=2e-3)
    rutile = of_structure(PROTOTYPES["rutile"]())
    oxygen = rutile.description.orbits[1].steps[0] / wyckoff.STEPS
    assert min(abs(oxygen - 0.305), abs(oxygen - 0.195)) < 1e-3


@pytest.mark.parametrize("name", PROTOTYPES)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=3)
def test_one_text_whatever_the_cell(name: str, seed: int) -> None:
    structure = PROTOTYPES[name]()
    wanted = of_structure(structure)
    assert of_structure(moved(structure, seed)) == wanted
    assert of_structure(moved(structure.get_primitive_structure(), seed)) == wanted
    assert of_structure(moved(structure, seed).get_reduced_structure()) == wanted
    assert parse(wanted.text) == wanted
    assert of_structure(wanted.structure()) == wanted


@pytest.mark.parametrize("number", range(1, GROUPS + 1))
def test_round_trip_in_every_group(number: int) -> None:
    rng = np.random.default_rng(number)
    made = next(found for found in iter(lambda: random_description(number, rng), object()) if found is not None)
    assert read(made.text()) == made
    cell = made.primitive
    found = describe(*moved_cell(cell, 1))
    if all(len(space_group(number).letters) - 1 == orbit.letter for orbit in made.orbits[1:]):
        assert found.group == number  # three atoms of different elements in general places leave no more symmetry
    again = describe(*moved_cell(found.conventional, 2))
    assert again.group == found.group
    for one in (found, again):
        # Atoms on special places alone may repeat in a smaller cell than the group's.
        times = len(cell.numbers) // len(one.primitive.numbers)
        assert sorted(np.tile(one.primitive.numbers, times)) == sorted(cell.numbers)
        assert one.primitive.volume * times == pytest.approx(cell.volume, rel=4e-3)
        if len(cell.numbers) <= 50:
            structures = [Structure(Lattice(c.lattice), c.numbers, c.positions) for c in (cell, one.primitive)]
            assert StructureMatcher(primitive_cell=times > 1).fit(*structures)
    off = max((steps_apart(a, b) for a, b in zip(found.orbits, again.orbits, strict=True)), default=0)
    assert off <= 3 or len(cell.numbers) > 50  # rounding alone


def steps_apart(one: Orbit, other: Orbit) -> int:
    """Largest difference of coordinates, in steps, around the cell; a large number for different places."""
    if (one.letter, one.number) != (other.letter, other.number):
        return wyckoff.STEPS
    half = wyckoff.STEPS // 2
    return max((abs((a - b + half) % wyckoff.STEPS - half) for a, b in zip(one.steps, other.steps, strict=True)), default=0)


def test_mirror_images_stay_apart() -> None:
    right = PROTOTYPES["quartz"]()
    left = Structure(Lattice(right.lattice.matrix @ np.diag([1.0, 1.0, -1.0])), right.species, right.frac_coords)
    assert {of_structure(right).group, of_structure(left).group} == {152, 154}


def test_symbols_and_vocabulary() -> None:
    words = vocabulary()
    assert len(set(words)) == len(words)
    for make in PROTOTYPES.values():
        text = of_structure(make()).text
        assert "".join(symbols(text)) == text
        assert set(symbols(text)) <= set(words)
    with pytest.raises(InvalidRecord, match="'!' at position 6 is no symbol"):
        symbols("sg221!")


@given(step=st.integers(0, wyckoff.STEPS - 1))
def test_coarse_and_fine_bins_hold_every_step(step: int) -> None:
    made = Description(1, (Orbit(0, 6, (step, 0, 0)),), (1000, 1152, 1152, 1152, 1152, 1152))
    assert read(made.text()) == made
    coarse, fine = divmod((step + 24) % wyckoff.STEPS, 48)
    assert step_of(coarse, fine) == step


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sg0@aSr|20.20", "space group 0"),
        ("sg221", "no atoms"),
        ("sg221@aSr", "volume per atom is wanted"),
        ("sg221@zSr|20.20", "space group 221 has a to n"),
        ("sg221@bSr@aTi|20.20", "must not decrease"),
        ("sg221@aSr@aTi|20.20", "single place"),
        ("sg221@aQq|20.20", "'Qq' where an element is wanted"),
        ("sg221@eSr|20.20", "a coordinate is wanted"),
        ("sg221@aSr|20.20|20.20", "after the end of the lattice"),
        ("sg221@aSr|50.20", "bins go from 00 to 47"),
        ("sg221@aSr|00.03", "below the least volume"),
        ("sg221@aSr|20.20/24.24", "after the end of the lattice"),
        ("sg1@aSr:24.24:24.24:24.24|20.20/24.24/24.24^05.24^05.24^40.24", "close no cell"),
        ("@aSr|20.20", "a space group is wanted"),
    ],
)
def test_texts_that_break_a_rule(text: str, why: str) -> None:
    with pytest.raises(InvalidRecord, match=why.replace("(", r"\(")):
        read(text)


def test_cells_outside_of_what_the_text_can_say() -> None:
    sparse = Structure(Lattice.cubic(12), ["H"], [[0, 0, 0]])
    with pytest.raises(InvalidRecord, match=r"volume per atom of 1\.73e\+03 Å\^3; 1 to 500 is wanted"):
        of_structure(sparse)
    needle = Structure(Lattice.tetragonal(3, 150), ["Si"] * 3, [[0, 0, 0], [0, 0, 0.31], [0, 0, 0.63]])
    with pytest.raises(InvalidRecord, match="factor of more than about 32"):
        of_structure(needle)
