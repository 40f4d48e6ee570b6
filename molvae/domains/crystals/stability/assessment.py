"""A crystal's stability with its evidence: formation energy, energy above a named hull, decomposition, and what the numbers are worth."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from molvae.domains.crystals.stability import dynamics, potential
from molvae.domains.crystals.stability.elements import formation_energy, missing
from molvae.domains.crystals.stability.hull import Product
from molvae.domains.crystals.stability.reference import Coverage, Hull, Reference
from molvae.domains.crystals.stability.relaxation import FMAX, STEPS, Relaxed, relax
from molvae.domains.crystals.structure import Crystal

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

Outcome = Literal["stable", "metastable", "unstable", "no verdict", "failed"]
METASTABLE = 0.1
"""eV an atom above the hull, up to which a crystal counts as metastable: 90 % of the metastable ones of the ICSD have at most about .07 (Sun
et al., Sci. Adv. 2, e1600225 (2016))."""


@dataclass(frozen=True)
class Settings:
    """How to assess. relaxed: relax first. versions: of CHGNet, the first gives the energies, the others say how far they disagree.

    dynamics: ``elastic`` and ``gamma``, on what was relaxed. threshold: eV an atom, see ``METASTABLE``. seconds: for one crystal.
    """

    relaxed: bool = False
    fmax: float = FMAX
    steps: int = STEPS
    versions: tuple[str, ...] = potential.MODELS[:1]
    dynamics: tuple[str, ...] = ()
    threshold: float = METASTABLE
    seconds: float = math.inf


@dataclass(frozen=True)
class Assessment:
    """What is known of a crystal's stability. Unknown numbers are NaN.

    e_form: eV an atom against the elements. e_hull: eV an atom above the hull of ``reference``; negative below it. coverage, phases: what that
    hull is worth at the composition (``Reference.height``). decomposition: the mixture on the hull. spread: the largest difference of formation
    energies between the versions of CHGNet, a hint of the error and no bound of it. verdict: refused where the hull is covered too thinly.
    reason: why there is no verdict, or no result at all. least_stiffness in GPa, lowest_mode in THz.
    """

    text: str
    formula: str
    reference: str
    e_form: float = math.nan
    e_hull: float = math.nan
    coverage: Coverage = "none"
    phases: int = 0
    decomposition: tuple[Product, ...] = ()
    verdict: Outcome = "failed"
    reason: str = ""
    spread: float = math.nan
    relaxed: Relaxed | None = None
    least_stiffness: float = math.nan
    lowest_mode: float = math.nan
    versions: tuple[str, ...] = field(default=())


def assess(crystal: Crystal, reference: Reference, settings: Settings | None = None) -> Assessment:
    """The stability of a crystal against a reference.

    A crystal that cannot be relaxed comes back with verdict ``failed`` and the reason. Raises MissingExtra.
    """
    settings = settings or Settings()
    done = relax(
        crystal,
        fmax=settings.fmax,
        steps=settings.steps,
        seconds=settings.seconds,
        calculator=potential.calculator(settings.versions[0]),
        move=settings.relaxed,
    )
    if done.structure is None:
        return Assessment(crystal.text, crystal.formula, reference.name, reason=done.reason, relaxed=done)
    fractions = {element.symbol: float(x) for element, x in done.structure.composition.fractional_composition.items()}
    e_form = formation_energy(done.energy, fractions)
    hull = reference.height(fractions)
    e_hull = e_form - hull.energy if hull.coverage in ("sparse", "good") else math.nan
    verdict, reason = judge(e_hull, hull, fractions, settings, done)
    spread = _spread(done.structure, e_form, settings.versions)
    stiffness, mode, against, unknown = _dynamics(done.structure, settings)
    if (against or unknown) and verdict in ("stable", "metastable"):
        # What is soft or imaginary away from the minimum may be neither in it.
        verdict = "unstable" if against and settings.relaxed and done.converged else "no verdict"
    return Assessment(
        crystal.text,
        crystal.formula,
        reference.name,
        e_form,
        e_hull,
        hull.coverage,
        hull.phases,
        hull.height.products if hull.height is not None and hull.phases else (),
        verdict,
        "; ".join(part for part in (reason, *against, *unknown) if part),
        spread,
        done,
        stiffness,
        mode,
        settings.versions,
    )


def judge(e_hull: float, hull: Hull, fractions: dict[str, float], settings: Settings, done: Relaxed) -> tuple[Outcome, str]:
    """The verdict and what limits it. Energy above a partial hull is a lower bound, so that it can show instability but not stability."""
    if hull.coverage == "none":
        return "no verdict", f"no reference energy of {', '.join(missing(fractions))}"
    if hull.coverage == "elements":
        return "no verdict", "the reference knows no competing compound of these elements, so the formation energy is all there is"
    if e_hull > settings.threshold and (done.converged or not settings.relaxed):
        # An unrelaxed crystal lies above what it relaxes to, so that height alone says nothing of it.
        if settings.relaxed:
            return "unstable", ""
        return "no verdict", "above the threshold as it stands; relax it to know (--relax)"
    if hull.coverage == "sparse":
        return "no verdict", f"{hull.phases} competing compositions are too few to call it stable"
    if not done.converged and settings.relaxed:
        return "no verdict", done.reason or "not converged"
    return ("stable" if e_hull <= 0 else "metastable"), ""


def _spread(structure: Structure, e_form: float, versions: tuple[str, ...]) -> float:
    if len(versions) < 2:
        return math.nan
    found = [e_form, *potential.energies(structure, versions[1:]).values()]
    return max(found) - min(found)


def _dynamics(structure: Structure, settings: Settings) -> tuple[float, float, list[str], list[str]]:
    """Least stiffness (GPa), lowest mode (THz), what speaks against the crystal, and what could not be computed."""
    stiffness = mode = math.nan
    against: list[str] = []
    unknown: list[str] = []
    calculator = potential.calculator(settings.versions[0]) if settings.dynamics else None
    if "elastic" in settings.dynamics:
        try:
            stiffness = dynamics.elastic(structure, calculator).least
        except (ValueError, ArithmeticError, RuntimeError) as error:
            unknown.append(f"no stiffness ({error})")
        if stiffness <= 0:
            against.append(f"stiffness not positive definite: least eigenvalue {stiffness:.1f} GPa")
        elif math.isnan(stiffness) and not unknown:
            unknown.append("no stiffness (stresses that are no numbers)")
    if "gamma" in settings.dynamics:
        try:
            phonons = dynamics.gamma(structure, calculator)
        except (ValueError, ArithmeticError, RuntimeError) as error:
            unknown.append(f"no phonons ({error})")
        else:
            mode = phonons.lowest
            against += [] if phonons.stable else [f"imaginary mode at the zone's centre: {-phonons.lowest:.1f}i THz"]
    return stiffness, mode, against, unknown


def failed(text: str, formula: str, reference: str, reason: str) -> Assessment:
    """The assessment of a crystal that was lost to a crash, a time limit, or its text."""
    return Assessment(text, formula, reference, reason=reason)
