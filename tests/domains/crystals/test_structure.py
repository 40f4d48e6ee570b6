"""Reading crystals, and every refusal with its reason."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pymatgen.core import DummySpecies, Lattice, Structure

from molvae.domains.crystals.structure import of_structure, parse
from molvae.errors import InvalidRecord
from tests.domains.crystals.prototypes import perovskite, rock_salt, triclinic


@pytest.mark.parametrize("form", ["cif", "poscar", "json"])
def test_formats(form: str) -> None:
    crystal = of_structure(perovskite())
    assert parse(perovskite().to(fmt=form)) == crystal
    assert parse(perovskite().get_primitive_structure().to(fmt=form)) == crystal
    assert crystal.formula == "SrTiO3"


def test_cif_with_symmetry_and_oxidation_states() -> None:
    structure = rock_salt()
    assert parse(structure.to(fmt="cif", symprec=0.01)) == of_structure(structure)
    structure.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    assert of_structure(structure) == of_structure(rock_salt())


def test_deuterium_is_read_as_hydrogen() -> None:
    heavy = Structure(Lattice.cubic(4.08), ["Li", "D"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert of_structure(heavy).formula == "LiH"


def refused(structure: Structure) -> str:
    with pytest.raises(InvalidRecord) as caught:
        of_structure(structure)
    return caught.value.why


def test_refusals_of_structures() -> None:
    cubic = Lattice.cubic(4.0)
    assert "partial occupancy" in refused(Structure(cubic, [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]]))
    assert "no finite number" in refused(Structure(cubic, ["Na"], [[float("nan"), 0, 0]]))
    assert "Na1 and Cl2 are 0.20 Å apart" in refused(Structure(cubic, ["Na", "Cl"], [[0, 0, 0], [0.05, 0, 0]]))
    assert "'X' is no element" in refused(Structure(cubic, [DummySpecies("X")], [[0, 0, 0]]))
    assert "no atoms" in refused(Structure(cubic, [], []))
    assert "Å^3; at least 0.1" in refused(Structure(Lattice([[4, 0, 0], [0, 4, 0], [4, 4, 1e-4]]), ["Na"], [[0, 0, 0]]))


def test_cells_that_are_too_large() -> None:
    many = perovskite()
    many.make_supercell([7, 7, 7])
    assert "1715 atoms; at most 1000" in refused(many)
    some = triclinic()
    some.make_supercell([5, 5, 5])
    assert of_structure(some) == of_structure(triclinic())  # a supercell of a small crystal is fine
    some.perturb(0.3, seed=1)
    assert "625 atoms in the conventional cell; at most 200" in refused(some)


CIF = rock_salt().to(fmt="cif")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        ("nonsense", "no readable Wyckoff text, CIF, POSCAR or JSON"),
        ("{", "no readable pymatgen JSON"),
        (json.dumps({"lattice": 1}), "no readable pymatgen JSON"),
        (CIF[:200], "no readable CIF"),
        (CIF.replace("5.64", "0.00"), "no readable CIF"),
        (CIF.replace("0.50000000", "nan"), "no readable CIF"),
        (CIF.replace("Na", "Qz"), "'Qz' is no element"),
        ("x" * 1_000_001, "1000001 characters"),
    ],
)
def test_refusals_of_texts(text: str, why: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        parse(text)
    assert why in caught.value.why
    assert len(str(caught.value)) < 400


def test_elements_without_electronegativity_are_told_of_by_nobody() -> None:
    code = "from molvae.domains.crystals.structure import parse; print(parse('sg225@aHe@bNa|24.00').formula)"
    done = subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "NaHe"), done.stderr
