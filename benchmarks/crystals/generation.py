"""CDVAE's measures of generated crystals (Xie et al., ICLR 2022, arXiv:2110.06197; ``scripts/compute_metrics.py`` of txie-93/cdvae).

Validity and coverage are taken over everything generated (10,000 in the publications); diversity and the distances of property
distributions over 1,000 valid crystals drawn from it. Coverage of the true crystals (COV-R): the share of them that have a generated one
within both cutoffs; of the generated (COV-P): the share of them that have a true one within both. As in CDVAE the nearest in structure and
the nearest in composition need not be the same crystal, and the order of the two is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist
from scipy.stats import wasserstein_distance

from benchmarks.crystals.cells import Item, structure
from benchmarks.crystals.fingerprints import Fingerprints
from benchmarks.crystals.property_net import PropertyNet
from benchmarks.crystals.settings import Setting, setting
from benchmarks.crystals.validity import validity

SAMPLES = 1000


@dataclass(frozen=True)
class Coverage:
    """recall: COV-R. precision: COV-P. The others are mean least distances of structure and composition, in both directions."""

    recall: float
    precision: float
    structure_recall: float
    structure_precision: float
    composition_recall: float
    composition_precision: float


@dataclass(frozen=True)
class Distances:
    """Wasserstein distances of the distributions: density in g/cm^3, energy in eV/atom (None without a net), elements a number."""

    density: float
    energy: float | None
    elements: float


@dataclass(frozen=True)
class Generation:
    """structure_valid, composition_valid, valid: shares. diversities: mean distances of fingerprints. unpredicted: without an energy."""

    structure_valid: float
    composition_valid: float
    valid: float
    structure_diversity: float
    composition_diversity: float
    coverage: Coverage
    distances: Distances
    generated: int
    samples: int
    unpredicted: int


def coverage(generated: Fingerprints, true: Fingerprints, cutoffs: Setting) -> Coverage:
    """COV-R and COV-P. Generated crystals without fingerprints cover nothing but count; true ones without are left out."""
    if not len(generated) or not true.known.any():
        raise ValueError(
            f"{len(generated)} generated and {int(true.known.sum())} true crystals with fingerprints; wanted at least one each"
        )
    if not generated.known.any():
        return Coverage(0.0, 0.0, *(float("nan"),) * 4)
    some, others = generated.of(generated.known), true.of(true.known)
    sites, elements = cdist(some.structure, others.structure), cdist(some.composition, others.composition)
    within = [
        (sites.min(axis) <= cutoffs.structure_cutoff) & (elements.min(axis) <= cutoffs.composition_cutoff)
        for axis in (0, 1)  # over the generated for each true one, and the other way round
    ]
    means = [float(distances.min(axis).mean()) for distances in (sites, elements) for axis in (0, 1)]
    return Coverage(float(within[0].mean()), float(within[1].sum() / len(generated)), *means)


def distances(some: Sequence[Item], true: Sequence[Item], energies: tuple[NDArray[np.float64], NDArray[np.float64]] | None) -> Distances:
    """Distances of two sets. energies: of the first and of the second, eV/atom, NaN for those that a net cannot predict, left out."""
    first, second = [structure(item) for item in some], [structure(item) for item in true]
    energy = None
    if energies is not None:
        known = [values[np.isfinite(values)] for values in energies]
        energy = float(wasserstein_distance(*known)) if all(len(values) for values in known) else float("nan")
    return Distances(
        float(wasserstein_distance([float(cell.density) for cell in first], [float(cell.density) for cell in second])),
        energy,
        float(wasserstein_distance([len(cell.composition) for cell in first], [len(cell.composition) for cell in second])),
    )


def generation(
    generated: Sequence[Item | None],
    true: Sequence[Item],
    prints: tuple[Fingerprints, Fingerprints],
    data: str,
    *,
    net: PropertyNet | None,
    seed: int,
    samples: int = SAMPLES,
) -> Generation:
    """All measures. generated: None for what is no crystal. prints: fingerprints of generated and true. net: None leaves out the energy.

    As in CDVAE a crystal without fingerprints is not valid. Raises ValueError where fewer than ``samples`` are.
    """
    found = validity(generated)
    valid = found.both & prints[0].known
    if valid.sum() < samples:
        raise ValueError(
            f"{int(valid.sum())} valid crystals of {len(generated)}; wanted {samples}: generate more, or ask for fewer samples"
        )
    chosen = np.random.default_rng(seed).choice(np.flatnonzero(valid), samples, replace=False)
    some = [item for item in (generated[at] for at in chosen) if item is not None]
    energies = None if net is None else (net.predict(some), net.predict(true))
    kept = prints[0].of(chosen)
    return Generation(
        structure_valid=float(found.structure.mean()),
        composition_valid=float(found.composition.mean()),
        valid=float(valid.mean()),
        structure_diversity=float(pdist(kept.structure).mean()),
        composition_diversity=float(pdist(kept.composition).mean()),
        coverage=coverage(*prints, setting(data)),
        distances=distances(some, true, energies),
        generated=len(generated),
        samples=samples,
        unpredicted=0 if energies is None else int(sum(np.isnan(values).sum() for values in energies)),
    )
