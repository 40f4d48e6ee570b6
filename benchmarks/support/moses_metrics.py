"""The MOSES distribution metrics, computed by MOSES's own code and against its own statistics of the two test sets."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.support.molsets import import_moses

Statistics = dict[str, NDArray[np.float64]]


def metrics(smiles: list[str], *, train: Sequence[str], threads: int, molsets: Path | None = None) -> dict[str, float]:
    """Every MOSES metric of generated SMILES, invalid ones included, as ``moses.get_all_metrics`` computes them.

    train: the molecules that Novelty compares with. threads: of torch and of the pool that handles molecules. molsets: the local wheel.
    Names are MOSES's: valid, unique@1000, unique@10000, FCD, SNN, Frag and Scaf each /Test and /TestSF, IntDiv, IntDiv2, Filters, logP, SA,
    QED, weight (Wasserstein distances to the test set), Novelty. Published protocol: 30,000 samples; FCD grows for fewer.
    """
    if not smiles:
        raise ValueError("no samples: MOSES metrics need at least two molecules, 30,000 for figures that compare with published ones")
    moses = import_moses(molsets)
    from moses.metrics import metrics as code

    # Forked, for the workers must inherit the imported wheel; MOSES's own Pool(n_jobs) relies on the same default of its day.
    with _torch_threads(threads), _network_once(code), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(threads, initializer=_silence) as pool:
            values = moses.get_all_metrics(list(smiles), k=[1000, 10000], n_jobs=1, pool=pool, train=list(train))
    return {name: float(value) for name, value in values.items()}


def statistics(smiles: Sequence[str], *, threads: int) -> Statistics:
    """Mean (512,) and covariance (512, 512) of ChemNet's activations over SMILES; ValueError for one that does not parse."""
    from fcd_torch import FCD

    with _torch_threads(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return dict(FCD(n_jobs=1).precalc(list(smiles)))


def reference_statistics(name: str = "test", *, molsets: Path | None = None) -> Statistics:
    """The wheel's own statistics of its split ``test`` or ``test_scaffolds``, for ``fcd``."""
    import_moses(molsets)
    from moses.dataset import get_statistics

    return dict(get_statistics(name)["FCD"])


def fcd(smiles: Sequence[str], reference: Statistics, *, threads: int) -> float:
    """Fréchet ChemNet distance (Preuer et al. 2018, network of fcd_torch) of valid SMILES to reference statistics.

    A quick look during development: small samples score high (against the test set's statistics, training molecules themselves score about
    .24 at 10,000 and .48 at 5,000), so compare equal sizes only.
    """
    from fcd_torch import FCD

    own = statistics(smiles, threads=threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return float(FCD(n_jobs=1).metric(reference, own))


def _silence() -> None:
    """In each worker: RDKit's parse errors and deprecation notes off (the share of invalid strings is counted), one torch thread."""
    from rdkit import RDLogger

    RDLogger.DisableLog("rdApp.*")
    torch.set_num_threads(1)


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _network_once(code: ModuleType) -> Iterator[None]:
    """MOSES runs ChemNet twice over the same molecules (FCD/Test, FCD/TestSF); the same statistics are kept for the second call."""
    original = code.FCDMetric
    kept: dict[tuple[str, ...], Any] = {}

    class OnceFCD(original):  # type: ignore[misc, valid-type]
        def precalc(self, smiles_list: list[str]) -> Any:
            key = tuple(smiles_list)
            if key not in kept:
                kept[key] = super().precalc(smiles_list)
            return kept[key]

    code.FCDMetric = OnceFCD
    try:
        yield
    finally:
        code.FCDMetric = original
