"""Relaxation of a crystal's cell and atoms by CHGNet, watched at every step.

FIRE (Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006)) on atoms and the logarithm of the cell's deformation (ASE's FrechetCellFilter).
"""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from molvae.domains.crystals.stability import potential
from molvae.domains.crystals.structure import Crystal, of_structure
from molvae.errors import InvalidRecord

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

STEPS, FMAX = 500, 0.05
"""Most steps, and the largest force left (eV/Å) of a relaxed crystal; the forces on the cell count as well."""
VOLUMES = (0.25, 4.0)
"""Volume against the start, beyond which the crystal has collapsed or come apart."""
HOPELESS = 1e3
"""eV/Å; no force of a crystal is that large, and no step from there leads back."""
DEEPEST = -30.0
"""eV an atom; the lowest of the elements has -14, so that anything below is a hole of the potential."""


@dataclass(frozen=True)
class Relaxed:
    """What became of a crystal. Unknown numbers are NaN.

    structure: the primitive cell as it was last, None where there is nothing to judge: it diverged, collapsed, or has no energy. text: its
    canonical Wyckoff text, empty where it has none. energy, energy_before: eV an atom. force: the largest left, eV/Å. volume_change: relative.
    rms: of the atoms' shifts in units of (volume / atoms)^(1/3), lattices scaled to equal volumes, by pymatgen's StructureMatcher; NaN where it
    no longer finds the structure. group_before, group: space groups, 0 where none is found. reason: why there is no result, or why it is not
    converged; else empty.
    """

    structure: Structure | None
    text: str
    energy: float
    energy_before: float
    force: float
    steps: int
    converged: bool
    volume_change: float
    rms: float
    group_before: int
    group: int
    seconds: float
    reason: str = ""


def relax(
    crystal: Crystal, *, fmax: float = FMAX, steps: int = STEPS, seconds: float = math.inf, calculator: Any = None, move: bool = True
) -> Relaxed:
    """Relax the primitive cell until no force is above ``fmax``, for at most so many steps or seconds.

    calculator: of ASE; CHGNet's default version where None. move: False takes energy and forces where the crystal stands.
    A crystal that diverges, collapses or overflows comes back with ``reason`` and without a structure. Raises MissingExtra.
    """
    potential.require()
    from pymatgen.io.ase import AseAtomsAdaptor

    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structure = crystal.structure(primitive=True)
        atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
        atoms.calc = calculator or potential.calculator()
        run = _Run(atoms, fmax, started + seconds)
        try:
            reason = run.go(steps if move else 0)
        except Exception as error:  # the network's and ASE's own: isolated atoms, singular cells, numbers that overflow
            reason, run.lost = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", True
        final = None if run.lost else AseAtomsAdaptor.get_structure(atoms)
        return _report(crystal, structure, final, run, reason, time.monotonic() - started)


class _Run:
    """One relaxation under way. lost: nothing of it can be used."""

    def __init__(self, atoms: Any, fmax: float, until: float) -> None:
        self.atoms, self.fmax, self.until = atoms, fmax, until
        self.first = self.energy = self.force = math.nan
        self.steps = 0
        self.lost = self.converged = False

    def go(self, most: int) -> str:
        """Until converged, lost, or out of steps or time; returns the reason for which it is not converged."""
        from ase.filters import FrechetCellFilter
        from ase.optimize import FIRE

        volume = self.atoms.get_volume()
        # The first look comes before the filter, which would take logarithms of what is not finite.
        if reason := self._look(self.atoms, volume):
            return reason
        self.first = self.energy
        cell = FrechetCellFilter(self.atoms)
        if not most:
            self._look(cell, volume)
            self.converged = self.force <= self.fmax
            return ""
        with FIRE(cell, logfile=None) as optimiser:
            for converged in optimiser.irun(fmax=self.fmax, steps=most):
                self.converged = bool(converged)
                self.steps = int(optimiser.nsteps)
                if reason := self._look(cell, volume):
                    return reason
                if time.monotonic() > self.until and not self.converged:
                    return f"out of time after {self.steps} steps, with {self.force:.3g} eV/Å left"
        return "" if self.converged else f"not converged after {self.steps} steps, with {self.force:.3g} eV/Å left"

    def _look(self, moved: Any, volume: float) -> str:
        """Why it makes no sense to go on, or an empty text."""
        self.energy = float(self.atoms.get_potential_energy()) / len(self.atoms)
        self.force = float(np.sqrt((np.asarray(moved.get_forces(), float) ** 2).sum(1).max()))
        ratio = self.atoms.get_volume() / volume
        self.lost = True
        if not (math.isfinite(self.energy) and math.isfinite(self.force) and math.isfinite(ratio)):
            return f"diverged: energy or forces are no finite numbers at step {self.steps}"
        if self.force > HOPELESS or self.energy < DEEPEST:
            return f"diverged: {self.energy:.3g} eV an atom and {self.force:.3g} eV/Å at step {self.steps}"
        if not VOLUMES[0] <= ratio <= VOLUMES[1]:
            return f"{'collapsed' if ratio < 1 else 'came apart'}: {ratio:.2f} of its volume at step {self.steps}"
        self.lost = False
        return ""


def _report(crystal: Crystal, before: Structure, final: Structure | None, run: _Run, reason: str, seconds: float) -> Relaxed:
    text, group, rms, change = "", 0, math.nan, math.nan
    if final is not None:
        change = final.volume / before.volume - 1
        try:
            found = of_structure(final)
            text, group = found.text, found.group
        except InvalidRecord as error:
            reason = reason or f"relaxed, but no canonical text: {error.why}"
        rms = _rms(before, final)
    return Relaxed(
        final,
        text,
        math.nan if final is None else run.energy,
        run.first,
        run.force,
        run.steps,
        run.converged and final is not None,
        change,
        rms,
        crystal.group,
        group,
        seconds,
        reason,
    )


def _rms(before: Structure, after: Structure) -> float:
    from pymatgen.analysis.structure_matcher import StructureMatcher

    try:
        found = StructureMatcher().get_rms_dist(before, after)
    except Exception:  # lattices so skewed that none of the matcher's supercells fits
        return math.nan
    return math.nan if found is None else float(found[0])
