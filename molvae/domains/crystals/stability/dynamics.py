"""Would the crystal stay as it is? Elastic stiffness by finite strains, and phonons at the zone's centre by finite displacements.

A crystal is mechanically stable where its stiffness is positive definite (Born; Mouhat and Coudert, Phys. Rev. B 90, 224104 (2014)). Phonons at
the centre of the zone alone do not show what doubles the cell. Both take an ASE calculator and are independent of CHGNet, which is
too soft: it underestimates curvatures (Deng et al., npj Comput. Mater. 11, 9 (2025)).

Axes: N atoms, V Voigt components (xx, yy, zz, yz, xz, xy).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from molvae.domains.crystals.symmetry import Floats

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

STRAIN = 0.005
DISPLACEMENT = 0.02
"""Å; float32 forces are smooth at this step, and anharmonic terms are still small."""
SOFT = 0.5
"""THz below zero from which on a mode counts as imaginary; what is above may be the noise of float32 forces."""
_GPA = 160.21766208  # of 1 eV/Å^3; CODATA 2014, as ASE
_THZ = 15.633302  # of sqrt(eV / (Å^2 Da)), as a frequency
_INNER = 0.02  # eV/Å left on the atoms of a strained cell
_INNER_STEPS = 100
_VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class Elastic:
    """stiffness (V, V) in GPa with the atoms relaxed in each strained cell; least: its lowest eigenvalue. stable: least > 0."""

    stiffness: NDArray[np.float64]
    least: float
    stable: bool


@dataclass(frozen=True)
class Gamma:
    """frequencies (3N - 3,) in THz in ascending order, imaginary ones as negative. lowest: the first of them, NaN for a single atom."""

    frequencies: tuple[float, ...]
    lowest: float
    stable: bool


def _atoms(structure: Structure, calculator: Any) -> Any:
    from pymatgen.io.ase import AseAtomsAdaptor

    atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
    atoms.calc = calculator
    return atoms


def elastic(structure: Structure, calculator: Any) -> Elastic:
    """The stiffness of a relaxed structure, from 12 strained cells."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = [
            (_strained(structure, calculator, k, STRAIN) - _strained(structure, calculator, k, -STRAIN)) / (2 * STRAIN) for k in range(6)
        ]
    raw = np.stack(columns, axis=1) * _GPA
    stiffness = (raw + raw.T) / 2
    least = float(np.linalg.eigvalsh(stiffness).min()) if np.isfinite(stiffness).all() else math.nan
    return Elastic(stiffness, least, least > 0)


def _strained(structure: Structure, calculator: Any, component: int, strain: float) -> Floats:
    """The stress (V,) in eV/Å^3 under one strain, engineering strain for shear, with the atoms relaxed."""
    from ase.optimize import FIRE

    atoms = _atoms(structure, calculator)
    i, j = _VOIGT[component]
    change = np.eye(3)
    change[i, j] += strain if i == j else strain / 2
    change[j, i] = change[i, j]
    atoms.set_cell(atoms.cell[:] @ change, scale_atoms=True)
    with FIRE(atoms, logfile=None) as optimiser:
        optimiser.run(fmax=_INNER, steps=_INNER_STEPS)
    return np.asarray(atoms.get_stress(), float)


def gamma(structure: Structure, calculator: Any) -> Gamma:
    """The phonons at the zone's centre of a relaxed structure, from 6 displacements of each atom, without the three translations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        atoms = _atoms(structure, calculator)
        hessian = _hessian(atoms)
    masses = np.repeat(atoms.get_masses(), 3)
    dynamical = hessian / np.sqrt(masses[:, None] * masses)
    # Translations are taken out and not only sorted out, as an unstable mode may be lower than they are.
    shifts = np.kron(np.sqrt(atoms.get_masses())[:, None], np.eye(3))
    shifts, _ = np.linalg.qr(shifts)
    rest = np.linalg.svd(shifts, full_matrices=True)[0][:, 3:]
    values = np.linalg.eigvalsh(rest.T @ dynamical @ rest) if rest.shape[1] else np.zeros(0)
    frequencies = np.sign(values) * np.sqrt(np.abs(values)) * _THZ
    lowest = float(frequencies[0]) if len(frequencies) else math.nan
    return Gamma(tuple(frequencies.tolist()), lowest, not lowest < -SOFT)


def _hessian(atoms: Any) -> Floats:
    """Second derivatives (3N, 3N) of the energy in eV/Å^2, with the atoms' images moving along."""
    at = atoms.get_positions()
    rows = []
    for k in range(at.size):
        forces = []
        for sign in (1, -1):
            moved = at.copy()
            moved.flat[k] += sign * DISPLACEMENT
            atoms.set_positions(moved)
            forces.append(np.asarray(atoms.get_forces(), float).ravel())
        rows.append((forces[1] - forces[0]) / (2 * DISPLACEMENT))
    atoms.set_positions(at)
    hessian: Floats = np.array(rows)
    return (hessian + hessian.T) / 2
