"""MOSES's own code and data, from its published wheel ``molsets`` 0.3.1 (MIT licence).

Polykovskiy et al., "Molecular Sets (MOSES)", Frontiers in Pharmacology 2020. The wheel is fetched by pip, checked against a pinned
SHA-256 and unpacked into the cache folder; nothing of it is copied into this project. It was written for RDKit 2019, pandas 0.25 and
NumPy 1.15, so ``import_moses`` lends it the few names that later versions dropped.
"""

from __future__ import annotations

import csv
import gzip
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cosine

from molvae.wheels import Wheel

# The wheel also carries a top-level package "tests", which would shadow ours on sys.path.
WHEEL = Wheel(
    "molsets==0.3.1",
    "molsets-0.3.1-py3-none-any.whl",
    "7f4450e3ebecebe79c3a2a55950c93daddee071120daf64a163d03481e811d34",
    ("moses/",),
)
SPLITS = ("train", "test", "test_scaffolds")


def import_moses(local: Path | None = None) -> ModuleType:
    """Imports the wheel's package ``moses`` (its metrics included) under current RDKit, pandas and SciPy."""
    loaded = sys.modules.get("moses")
    if loaded is not None and hasattr(loaded, "get_all_metrics"):
        return loaded
    folder = str(WHEEL.unpacked(local))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    _lend_modules()
    with _dataframe_append():
        moses = importlib.import_module("moses")
    sys.modules["moses.metrics.metrics"].cos_distance = _cosine_distance  # type: ignore[attr-defined]
    return moses


def _cosine_distance(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """SciPy's cosine distance of count vectors as floats.

    MOSES passes integers; recent SciPy multiplies their squared norms as 64-bit integers, which overflows for 30,000 samples (Frag, Scaf).
    """
    return float(cosine(first.astype(np.float64), second.astype(np.float64)))


def _lend_modules() -> None:
    """Modules that the wheel imports and that may be absent: rdkit.six (gone since 2020) and pyplot (used for its log plots alone)."""
    if importlib.util.find_spec("rdkit.six") is None:
        six = ModuleType("rdkit.six")
        six.iteritems = _iteritems  # type: ignore[attr-defined]
        sys.modules["rdkit.six"] = six
    if importlib.util.find_spec("matplotlib") is None:
        matplotlib, pyplot = ModuleType("matplotlib"), ModuleType("matplotlib.pyplot")
        matplotlib.pyplot = pyplot  # type: ignore[attr-defined]
        sys.modules.update({"matplotlib": matplotlib, "matplotlib.pyplot": pyplot})


def _iteritems(mapping: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    return iter(mapping.items())


@contextmanager
def _dataframe_append() -> Iterator[None]:
    """``DataFrame.append`` (removed in pandas 2), which the wheel calls once at import to join its two tables of structural alerts."""
    import pandas

    if hasattr(pandas.DataFrame, "append"):
        yield
        return
    pandas.DataFrame.append = lambda first, second, sort=False: pandas.concat([first, second], sort=sort)
    try:
        yield
    finally:
        del pandas.DataFrame.append


def split(name: str, local: Path | None = None) -> list[str]:
    """SMILES of one published split: train (1,584,663), test (176,074) or test_scaffolds (176,225)."""
    if name not in SPLITS:
        raise ValueError(f"unknown split {name!r}; known: {', '.join(SPLITS)}")
    with gzip.open(WHEEL.unpacked(local) / "moses" / "dataset" / "data" / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return [row["SMILES"] for row in csv.DictReader(file)]
