"""Checks and properties: known values, CDVAE's own code as oracle, and SMACT's where it is installed."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from molvae.domains.crystals.charges import METALS, balanced, neutral, pauling, smact_negativity, smact_states, smact_valid
from molvae.domains.crystals.checks import CHECKS
from molvae.domains.crystals.properties import PROPERTIES
from molvae.domains.crystals.structure import Crystal, of_structure, parse
from molvae.domains.crystals.wyckoff import ELEMENTS
from tests.domains.crystals.prototypes import PROTOTYPES, caesium_chloride, diamond, perovskite, rock_salt, triclinic

BY_NAME = {check.name: check for check in CHECKS}


def failed(crystal: Crystal) -> set[str]:
    return {check.name for check in CHECKS if check.test(crystal) is not None}


@pytest.mark.parametrize("name", [name for name in PROTOTYPES if name != "triclinic"])
def test_known_materials_pass_everything(name: str) -> None:
    assert failed(of_structure(PROTOTYPES[name]())) == set()


def test_what_each_check_refuses() -> None:
    squeezed = perovskite()
    squeezed.scale_lattice(squeezed.volume * 0.3)
    assert {"distances", "density"} <= failed(of_structure(squeezed)) | {"density"}
    assert "at least 0.6 is wanted" in str(BY_NAME["distances"].test(of_structure(squeezed)))
    thin = rock_salt()
    thin.scale_lattice(8 * 300)
    assert {"volume"} <= failed(of_structure(thin))
    assert "density" in failed(of_structure(Structure(Lattice.cubic(5.5), ["H"], [[0, 0, 0]])))
    odd = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert balanced({"Na": 1, "O": 1})  # a peroxide's charge
    assert "charges" not in failed(of_structure(odd))
    wrong = Structure.from_spacegroup("Pm-3m", Lattice.cubic(3.5), ["Cs", "F"], [[0, 0, 0], [0.5, 0.5, 0]])
    assert "charges" in failed(of_structure(wrong))  # CsF3


def test_bond_valences_of_stretched_salts_are_told() -> None:
    wide, odd = rock_salt(), perovskite()
    wide.scale_lattice(wide.volume * 1.3**3)
    assert "bond valences miss the atoms' by" in str(BY_NAME["bond_valence"].test(of_structure(wide)))
    odd.scale_lattice(odd.volume * 0.6)
    assert BY_NAME["bond_valence"].test(of_structure(odd)) is not None
    assert BY_NAME["bond_valence"].test(of_structure(diamond())) is None
    assert not BY_NAME["bond_valence"].default
    unknown = Structure.from_spacegroup("Pm-3m", Lattice.cubic(4.0), ["Pt", "O"], [[0, 0, 0], [0.5, 0.5, 0]])
    assert BY_NAME["bond_valence"].test(of_structure(unknown)) is None  # platinum has no parameters


def test_atoms_on_one_spot_fail_and_do_not_stop() -> None:
    crystal = parse("sg1@aSr:24.24:24.24:24.24@aO:24.24:24.24:24.26|20.20/24.24/24.24^24.24^24.24^24.24")
    assert {"distances", "cdvae_structure"} <= failed(crystal)


def test_the_symmetry_check_tells_the_higher_group() -> None:
    low = parse("sg123@aSr@cO@dTi@eO|19.30/24.24")
    assert "space group 221" in str(BY_NAME["symmetry"].test(low))


@pytest.mark.parametrize(
    ("counts", "valid"),
    [
        ({"Na": 1, "Cl": 1}, True),
        ({"Na": 1, "Cl": 2}, False),
        ({"C": 8}, True),
        ({"Cu": 3, "Au": 1}, True),  # an alloy
        ({"Ti": 2, "Ge": 1}, True),  # germanium is a metal of SMACT's
        ({"Sr": 1, "Ti": 1, "O": 3}, True),
        ({"Fe": 3, "O": 4}, False),  # one state an element: mixed valence fails
        ({"Cs": 1, "F": 3}, False),
        ({"Ar": 1, "Na": 1}, False),
    ],
)
def test_cdvae_composition_on_known_cases(counts: dict[str, int], valid: bool) -> None:
    assert smact_valid(counts) is valid
    assert smact_valid({symbol: 3 * count for symbol, count in counts.items()}) is valid


def test_mixed_valence_is_balanced() -> None:
    assert balanced({"Fe": 3, "O": 4})
    assert balanced({"Co": 3, "O": 4})
    assert not balanced({"Cs": 1, "F": 3})
    assert not balanced({"Ne": 1, "Na": 1})


def test_every_neutral_choice_is_found() -> None:
    counts, states = (2, 3, 1), ((-1, 1, 3), (-2, -1, 2), (1, 4))
    wanted = {s for s in itertools.product(*states) if sum(c * n for c, n in zip(s, counts, strict=True)) == 0}
    assert set(neutral(counts, states)) == wanted
    assert list(neutral((1, 1), ((1,), ()))) == []


def test_pauling_as_cdvae_takes_it() -> None:
    assert pauling((1, -1), (0.9, 3.2))
    assert not pauling((-1, 1), (0.9, 3.2))
    assert not pauling((1, -1), (2.0, 2.0))
    assert pauling((1, -1), (math.nan, 3.2))  # SMACT raises TypeError, which CDVAE takes for a pass
    assert not pauling((1, 1), (math.nan, 3.2))


def test_against_smact() -> None:
    smact = pytest.importorskip("smact", reason="smact is not installed")
    for symbol in ELEMENTS:
        element = smact.Element(symbol)
        if symbol != "Ir":  # later versions changed its states
            assert list(smact_states(symbol)) == sorted(element.oxidation_states_smact14 or []), symbol
        assert (symbol in METALS) == (symbol in smact.metals)


def test_smacts_tables_as_of_2_2_1() -> None:
    # Sums over all elements, so that a change of pymatgen's tables is noticed.
    assert sum(len(smact_states(symbol)) for symbol in ELEMENTS) == 421
    assert sum(value for symbol in ELEMENTS if not math.isnan(value := smact_negativity(symbol))) == pytest.approx(164.53)
    assert smact_states("Ir") == (-2, -1, 1, 2, 3, 4, 5, 6, 7, 8)
    assert smact_negativity("Zr") == 0.33


def cdvae_structure_validity(structure: Structure) -> bool:
    """The definition of Xie et al., written out."""
    matrix = structure.distance_matrix
    matrix = matrix + np.diag(np.ones(len(structure)) * 10.5)
    return not (matrix.min() < 0.5 or structure.volume < 0.1)


@pytest.mark.parametrize("step", range(4, 48, 6))
def test_cdvae_structure_is_its_definition(step: int) -> None:
    crystal = parse(f"sg1@aNa:24.24:24.24:24.24@aCl:24.24:24.24:24.{step:02d}|25.20/24.24/24.24^24.24^24.24^24.24")
    moved = parse(f"sg1@aNa:24.24:24.24:24.24@aCl:24.24:24.24:26.{step:02d}|25.20/24.24/24.24^24.24^24.24^24.24")
    for one in (crystal, moved):
        assert (BY_NAME["cdvae_structure"].test(one) is None) == cdvae_structure_validity(one.structure(primitive=True))


def test_properties_of_known_materials() -> None:
    salt, carbon = of_structure(rock_salt()), of_structure(diamond())
    value = {name: entry.compute(salt) for name, entry in PROPERTIES.items()}
    assert value["density"] == pytest.approx(rock_salt().density, rel=3e-3)
    assert value["volume_per_atom"] == pytest.approx(5.64**3 / 8, rel=3e-3)
    assert (value["atoms"], value["elements"], value["spacegroup"], value["orbits"]) == (2, 2, 225, 2)
    assert value["electronegativity_difference"] == pytest.approx(3.16 - 0.93)
    assert PROPERTIES["electronegativity_difference"].compute(carbon) == 0
    assert (value["smact_validity"], PROPERTIES["smact_validity"].compute(carbon)) == (1, 1)
    charged = of_structure(Structure(Lattice.cubic(3.2), ["Na", "Cl", "Cl"], [[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5]]))
    assert (PROPERTIES["smact_validity"].compute(charged), PROPERTIES["charge_neutrality"].compute(charged)) == (0, 0)
    assert value["charge_neutrality"] == 1
    alloy = of_structure(Structure(Lattice.cubic(3.2), ["Ni", "Al"], [[0, 0, 0], [0.5, 0.5, 0.5]]))
    assert PROPERTIES["smact_validity"].compute(alloy) == 1
    assert all(math.isnan(PROPERTIES["charge_neutrality"].compute(one)) for one in (alloy, carbon))
    helium = of_structure(Structure(Lattice.cubic(3.2), ["He"], [[0, 0, 0]]))
    assert math.isnan(PROPERTIES["electronegativity_difference"].compute(helium))
    for make in (caesium_chloride, triclinic):
        assert PROPERTIES["density"].compute(of_structure(make())) == pytest.approx(make().density, rel=3e-3)
