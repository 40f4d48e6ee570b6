"""Stiffness and phonons against other ways to the same numbers, with a potential that needs no network (ASE's EMT)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.core.operations import SymmOp

from molvae.domains.crystals.stability import dynamics

emt = pytest.importorskip("ase.calculators.emt", reason="needs ASE: pip install 'molvae[stability]'")
COPPER = 3.5896  # Å; the lattice constant of EMT's copper


def copper(a: float = COPPER) -> Structure:
    return Structure(Lattice.cubic(a), ["Cu"] * 4, [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def gold_copper() -> Structure:
    return Structure(Lattice.cubic(3.06), ["Cu", "Au"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def test_the_stiffness_gives_the_bulk_modulus_of_the_energy_curve() -> None:
    found = dynamics.elastic(copper(), emt.EMT())
    c = found.stiffness
    assert c[0, 0] == pytest.approx(c[1, 1], rel=1e-3)
    assert c[3, 3] == pytest.approx(c[5, 5], rel=1e-3)
    assert np.abs(c[:3, 3:]).max() < 0.1
    volumes, energies = [], []
    for strain in (-0.003, 0.0, 0.003):
        atoms = copper(COPPER * (1 + strain)).to_ase_atoms()
        atoms.calc = emt.EMT()
        volumes.append(atoms.get_volume())
        energies.append(atoms.get_potential_energy())
    curvature = 2 * np.polyfit(volumes, energies, 2)[0]
    assert (c[0, 0] + 2 * c[0, 1]) / 3 == pytest.approx(volumes[1] * curvature * 160.21766, rel=0.02)
    assert found.stable
    assert found.least == pytest.approx(min(c[3, 3], c[0, 0] - c[0, 1]), rel=0.01)


def test_a_stretched_crystal_is_mechanically_unstable() -> None:
    found = dynamics.elastic(copper(COPPER * 1.25), emt.EMT())
    assert not found.stable
    assert found.least < 0


def test_the_modes_are_those_of_ases_vibrations(tmp_path: Path) -> None:
    from ase import units
    from ase.vibrations import Vibrations

    found = dynamics.gamma(gold_copper(), emt.EMT())
    atoms = gold_copper().to_ase_atoms()
    atoms.calc = emt.EMT()
    vibrations = Vibrations(atoms, name=f"{tmp_path}/modes", delta=dynamics.DISPLACEMENT)
    vibrations.run()
    thz = np.sort((vibrations.get_frequencies() * units.invcm).real / (units._hplanck / units._e * 1e12))[3:]
    assert found.frequencies == pytest.approx(thz, rel=1e-3)
    assert found.stable


def test_one_atom_has_no_mode_and_a_saddle_has_an_imaginary_one() -> None:
    alone = dynamics.gamma(copper().get_primitive_structure(), emt.EMT())
    assert alone.frequencies == ()
    assert np.isnan(alone.lowest)
    assert alone.stable
    stretched = dynamics.gamma(copper(COPPER * 1.3), emt.EMT())
    assert stretched.lowest < -dynamics.SOFT
    assert not stretched.stable


def test_turning_the_crystal_changes_no_frequency() -> None:
    turned = gold_copper()
    turned.apply_operation(SymmOp.from_axis_angle_and_translation([1, 2, 3], 40))
    assert dynamics.gamma(turned, emt.EMT()).frequencies == pytest.approx(dynamics.gamma(gold_copper(), emt.EMT()).frequencies, rel=2e-3)
