"""The fingerprints by which CDVAE compares sets of crystals (Xie et al., ICLR 2022, arXiv:2110.06197, appendix B).

Structure: CrystalNN's order parameters of the sites (Zimmermann and Jain, RSC Adv. 10, 6063 (2020)), averaged over the cell. Composition:
Magpie's statistics of the elements (Ward et al., npj Comput. Mater. 2, 16028 (2016)), scaled. Both by matminer, which is optional.

CDVAE's means and standard deviations of the Magpie features are read from the wheel ``wyckoff-transformer`` 2.3.0 (Apache-2.0), whose
evaluation repeats them; its code is parsed, not run.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.crystals.cells import Item, quietly, structure
from molvae.domains.crystals.structure import Crystal
from molvae.errors import DataError, MissingExtra
from molvae.wheels import Wheel

WHEEL = Wheel(
    "wyckoff-transformer==2.3.0",
    "wyckoff_transformer-2.3.0-py3-none-any.whl",
    "121ef3c8c0023a6ac1d7e8bf2a1eb19000698c4ceb78ed67ec140b0844a22c07",
    ("wyckoff_transformer/evaluation/cdvae_metrics.py",),
    python="3.12",
)
SITE, MAGPIE = 61, 132
"""Sizes of the two fingerprints."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scaler:
    """Means and standard deviations (132,) of Magpie's features."""

    means: Floats
    deviations: Floats

    def __call__(self, features: Floats) -> Floats:
        """Features (N, 132) scaled; unknown ones become 0, the mean."""
        return np.nan_to_num((features - self.means) / self.deviations, nan=0.0)


@dataclass(frozen=True)
class Fingerprints:
    """structure (N, 61); composition (N, 132), scaled; rows of NaN where a crystal has none. known (N,): whether it has."""

    structure: Floats
    composition: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether each crystal has fingerprints (N,)."""
        return np.isfinite(self.structure).all(axis=1)

    def __len__(self) -> int:
        return len(self.structure)

    def of(self, chosen: NDArray[Any]) -> Fingerprints:
        """Those of some crystals, by index or flag."""
        return Fingerprints(self.structure[chosen], self.composition[chosen])


def scaler(local: Path | None = None) -> Scaler:
    """CDVAE's scaling. local: a copy of the wheel. Raises DataError where it cannot be had or read."""
    path = WHEEL.unpacked(local) / "wyckoff_transformer" / "evaluation" / "cdvae_metrics.py"
    return read_scaler(path)


def read_scaler(path: Path) -> Scaler:
    """The scaling from the lists ``_CompScalerMeans`` and ``_CompScalerStds`` of a Python file. Raises DataError."""
    found: dict[str, Floats] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.startswith("_CompScaler"):
            found[node.targets[0].id] = np.array(ast.literal_eval(node.value), float)
    values = [found.get(name) for name in ("_CompScalerMeans", "_CompScalerStds")]
    if any(value is None or value.shape != (MAGPIE,) for value in values):
        raise DataError(path, f"wanted two lists of {MAGPIE} numbers, _CompScalerMeans and _CompScalerStds; found {sorted(found)}")
    return Scaler(*values)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def _featurisers() -> tuple[Any, Any]:
    try:
        from matminer.featurizers.composition.composite import ElementProperty
        from matminer.featurizers.site.fingerprint import CrystalNNFingerprint
    except ImportError as error:
        raise MissingExtra("matminer", "crystalbench") from error
    # Without imputation, as in the version of matminer that CDVAE used; the scaler replaces what is unknown.
    return CrystalNNFingerprint.from_preset("ops"), ElementProperty.from_preset("magpie", impute_nan=False)


def fingerprint(item: Item | None) -> tuple[Floats, Floats]:
    """Structure (61,) and composition (132,), not scaled; NaN where CrystalNN fails, which CDVAE counts as an invalid crystal.

    Of a ``Crystal`` one site of each orbit is looked at, for its symmetry makes the others the same.
    """
    sites, elements = _featurisers()
    unknown = np.full(SITE, np.nan), np.full(MAGPIE, np.nan)
    if item is None:
        return unknown
    cell = structure(item)
    orbits = item.primitive.orbit if isinstance(item, Crystal) else np.arange(len(cell))
    _, chosen, counts = np.unique(orbits, return_index=True, return_counts=True)
    try:
        with quietly():
            composition = np.array(elements.featurize(cell.composition), float)
            return np.average([sites.featurize(cell, int(at)) for at in chosen], axis=0, weights=counts), composition
    except Exception:  # as in CDVAE: CrystalNN and its order parameters raise whatever odd cells make them stumble over
        return unknown


def fingerprints(items: Sequence[Item | None], scale: Scaler, *, workers: int = 1) -> Fingerprints:
    """Fingerprints of each crystal, in order. workers: processes. Raises MissingExtra without matminer."""
    _featurisers()
    if workers > 1 and len(items) > workers:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            found = list(pool.map(fingerprint, items, chunksize=min(32, len(items) // workers)))
    else:
        found = [fingerprint(item) for item in items]
    sites = np.array([one for one, _ in found], float).reshape(len(found), SITE)
    return Fingerprints(sites, scale(np.array([other for _, other in found], float).reshape(len(found), MAGPIE)))
