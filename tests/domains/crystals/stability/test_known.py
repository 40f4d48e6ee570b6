"""Labels of structure types, and the nearest known crystal."""

from __future__ import annotations

import math

import pytest
from pymatgen.core import Structure

from molvae.domains.crystals.stability import Library, prototype
from molvae.domains.crystals.structure import Crystal, of_structure
from tests.domains.crystals import prototypes as types


def crystal(structure: Structure) -> Crystal:
    return of_structure(structure)


@pytest.mark.parametrize(
    ("make", "label"),
    [
        (types.rock_salt, "AB_cF8_225_a_b"),
        (types.caesium_chloride, "AB_cP2_221_a_b"),
        (types.perovskite, "ABC3_cP5_221_a_b_c"),
        (types.diamond, "A_cF8_227_a"),
        (types.wurtzite, "AB_hP4_186_b_b"),
        (types.rutile, "AB2_tP6_136_a_f"),
        (types.quartz, "AB2_hP9_154_a_c"),
        (types.corundum, "A2B3_hR10_167_c_e"),
        (types.zirconia, "AB2_mP12_14_e_2e"),
    ],
)
def test_labels_of_well_known_types(make: object, label: str) -> None:
    assert callable(make)
    assert prototype(crystal(make())) == label


def test_labels_depend_neither_on_the_setting_nor_on_the_elements() -> None:
    structure = types.perovskite()
    bigger = structure.copy()
    bigger.make_supercell([2, 1, 1])
    other = structure.copy()
    other.replace_species({"Sr": "Ba", "Ti": "Ce", "O": "Zr"})
    assert prototype(crystal(structure)) == prototype(crystal(bigger)) == prototype(crystal(other))


def test_the_same_structure_is_found_before_its_type_and_what_is_similar() -> None:
    strained = types.rock_salt()
    strained.scale_lattice(strained.volume * 1.02)
    potassium = types.rock_salt()
    potassium.replace_species({"Na": "K"})
    known = [crystal(make()) for make in (types.caesium_chloride, types.perovskite)]
    same = Library([*known, crystal(potassium), crystal(strained)]).nearest(crystal(types.rock_salt()))
    assert same is not None
    assert (same.at, same.kind, same.rms) == (3, "same", pytest.approx(0.0, abs=1e-3))
    of_type = Library([*known, crystal(potassium)]).nearest(crystal(types.rock_salt()))
    assert of_type is not None
    assert (of_type.at, of_type.kind) == (2, "type")
    similar = Library(known).nearest(crystal(types.rock_salt()))
    assert similar is not None
    assert similar.kind == "similar"
    assert math.isnan(similar.rms)
    assert Library([]).nearest(crystal(types.rock_salt())) is None
