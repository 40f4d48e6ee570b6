"""Reconstruction and structure prediction: does a crystal match the true one, and how far are its atoms off?

CDVAE (Xie et al., ICLR 2022, arXiv:2110.06197) calls a pair a match where pymatgen's StructureMatcher fits it with stol 0.5, angle_tol 10
and ltol 0.3, and counts it only where the reconstructed crystal is valid; DiffCSP (Jiao et al., NeurIPS 2023, arXiv:2309.04475) wants both
valid for one prediction a crystal, and only the prediction for several. Of the true crystals of MP-20 (binary, ternary) 10.7 % are not
valid in composition, of Perov-5 1.3 %, so the gated rates cannot reach 1: both are given, and the ungated one says what was reconstructed.
Distances are ``get_rms_dist``'s, in units of the cube root of the volume per atom.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pymatgen.analysis.structure_matcher import StructureMatcher

from benchmarks.crystals.cells import Item, quietly, structure
from benchmarks.crystals.validity import Flags, validity

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Match:
    """rate: share of all pairs that match. rmse: mean over those that do, NaN where none does. count: pairs."""

    rate: float
    rmse: float
    count: int


@dataclass(frozen=True)
class Reconstruction:
    """ungated: whatever matches. gated: where the prediction is valid, CDVAE's figure. both: where both are, DiffCSP's."""

    ungated: Match
    gated: Match
    both: Match


def matcher() -> StructureMatcher:
    """CDVAE's settings, which all its successors keep."""
    return StructureMatcher(stol=0.5, angle_tol=10, ltol=0.3)


def rms_distances(predicted: Sequence[Item | None], true: Sequence[Item]) -> Floats:
    """Root mean square distance of each pair (N,), NaN where it does not match or where the prediction is None (no crystal)."""
    if len(predicted) != len(true):
        raise ValueError(f"{len(predicted)} predictions for {len(true)} crystals; wanted one each, None where it failed")
    fit = matcher()
    return np.array([_distance(fit, one, other) for one, other in zip(predicted, true, strict=True)], float)


def _distance(fit: StructureMatcher, predicted: Item | None, true: Item) -> float:
    if predicted is None:
        return math.nan
    try:
        with quietly():
            found = fit.get_rms_dist(structure(predicted), structure(true))
    except Exception:  # as in CDVAE: whatever pymatgen stumbles over in an odd cell is no match
        return math.nan
    return math.nan if found is None else float(found[0])


def summary(distances: Floats, counted: Flags | None = None) -> Match:
    """Rate and mean distance; where ``counted`` (N,) is False a pair is no match, though it stays in the denominator."""
    kept = distances if counted is None else np.where(counted, distances, math.nan)
    known = kept[np.isfinite(kept)]
    rate = len(known) / len(kept) if len(kept) else math.nan
    return Match(rate, float(known.mean()) if len(known) else math.nan, len(kept))


def reconstruction(predicted: Sequence[Item | None], true: Sequence[Item]) -> Reconstruction:
    """How well crystals were reconstructed. predicted: one for each true one, None where there is none."""
    distances = rms_distances(predicted, true)
    valid = validity(predicted).both
    return Reconstruction(summary(distances), summary(distances, valid), summary(distances, valid & validity(true).both))


def match_at(
    candidates: Sequence[Sequence[Item | None]], true: Sequence[Item], ks: Sequence[int] = (1, 20)
) -> Mapping[int, Reconstruction]:
    """Structure prediction: the best of the first k candidates of each crystal, for each k.

    As in DiffCSP the best is the valid one with the least distance for the gated figures, and the least distance for the ungated one.
    """
    if len(candidates) != len(true):
        raise ValueError(f"candidates of {len(candidates)} crystals for {len(true)}; wanted a list for each")
    most = max(ks)
    if min((len(row) for row in candidates), default=most) < most:
        raise ValueError(f"a crystal with fewer than {most} candidates; give None for those that failed, or ask for less than match@{most}")
    columns = [[row[at] for row in candidates] for at in range(most)]
    distances = np.stack([rms_distances(column, true) for column in columns])
    valid = np.stack([validity(column).both for column in columns])
    right = validity(true).both
    found = {}
    for k in ks:
        best = _least(distances[:k])
        gated = _least(np.where(valid[:k], distances[:k], math.nan))
        found[k] = Reconstruction(summary(best), summary(gated), summary(gated, right))
    return found


def _least(distances: Floats) -> Floats:
    """Least of each column (K, N) -> (N,), NaN where all are."""
    least = np.where(np.isnan(distances), np.inf, distances).min(axis=0)
    return np.where(np.isinf(least), math.nan, least)
