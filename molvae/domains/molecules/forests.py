"""The random forests behind the PMO tasks gsk3b and jnk3, as plain NumPy arrays.

Both were pickled by scikit-learn 0.23 (Li et al., "Multi-objective de novo drug design", 2018; shipped by TDC and by ``molscore``), which
current versions refuse to load. The pickles are read here by an unpickler that knows NumPy arrays and nothing else, so neither an old
scikit-learn nor trust in the file is needed; the arrays are kept as .npz beside the unpacked wheel. ``benchmarks.support.forests`` checks
the conversion against the predictions of the scikit-learn that reads the pickles.
"""

from __future__ import annotations

import functools
import importlib
import pickle
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from molvae.errors import UnknownName
from molvae.wheels import Wheel

NAMES = ("gsk3b", "jnk3")
MOLSCORE = Wheel(
    "molscore==1.9.5",
    "molscore-1.9.5-py3-none-any.whl",
    "6ebc2af51891dddc03d0f4ee94c52381caefe74d06552d55cbac2cb33461e6a1",
    ("molscore/data/models/molopt/",),
)
BITS = 2048
LEAF = -1


@dataclass(frozen=True)
class Forest:
    """The trees of a two-class forest, their N nodes laid end to end.

    ``roots`` (T): node numbers. ``left``, ``right`` (N): children, a leaf's being itself. ``feature``, ``threshold`` (N): go left where
    the feature is at most the threshold. ``share`` (N): share of the second class among the training rows at the node.
    """

    roots: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    share: NDArray[np.float64]

    def predict(self, features: NDArray[Any]) -> NDArray[np.float64]:
        """Probability (n) of the second class for feature rows (n, F): the mean over trees of the reached leaf's share."""
        values = np.ascontiguousarray(features, dtype=np.float32)  # as scikit-learn compares
        rows = np.arange(len(values))[:, None]
        nodes = np.tile(self.roots, (len(values), 1))
        while True:
            goes_left = values[rows, self.feature[nodes]] <= self.threshold[nodes]
            following = np.where(goes_left, self.left[nodes], self.right[nodes])
            if np.array_equal(following, nodes):
                return np.asarray(self.share[nodes].mean(axis=1))
            nodes = following


class _Held:
    """Stands for a scikit-learn object of the pickle and keeps its state; a tree's nodes and values are in that state."""

    def __init__(self, *_: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state


class _ArraysOnly(pickle.Unpickler):
    """Builds NumPy arrays and inert stand-ins for scikit-learn's classes; anything else in the file is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "sklearn":
            return _Held
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if module == "numpy.core.multiarray" and name in {"_reconstruct", "scalar"}:
            return getattr(importlib.import_module("numpy._core.multiarray"), name)
        raise pickle.UnpicklingError(f"{module}.{name} in a file that should hold a forest of decision trees alone")


def convert(path: Path) -> Forest:
    """Reads a pickled scikit-learn RandomForestClassifier of two classes (versions 0.21 to 1.2) into arrays."""
    with path.open("rb") as file:
        state = _ArraysOnly(file).load().state
    if not np.array_equal(state["classes_"], [0, 1]):
        raise ValueError(f"{path}: classes {state['classes_']}; wanted 0 and 1")
    trees = [estimator.state["tree_"].state for estimator in state["estimators_"]]
    sizes = [tree["node_count"] for tree in trees]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    nodes = np.concatenate([tree["nodes"] for tree in trees])
    values = np.concatenate([tree["values"][:, 0, :] for tree in trees])
    own = np.arange(len(nodes))
    start = np.repeat(roots, sizes)
    leaf = nodes["left_child"] == LEAF
    return Forest(
        roots=roots,
        left=np.where(leaf, own, nodes["left_child"] + start),
        right=np.where(leaf, own, nodes["right_child"] + start),
        feature=np.where(leaf, 0, nodes["feature"]).astype(np.int64),
        threshold=nodes["threshold"].astype(np.float64),
        share=values[:, 1] / values.sum(axis=1),
    )


def model_file(name: str) -> Path:
    """The pickled model of that name inside the unpacked wheel ``molscore``. Raises DataError."""
    return MOLSCORE.unpacked() / "molscore" / "data" / "models" / "molopt" / f"{name}_current.pkl"


@functools.cache
def load(name: str) -> Forest:
    """One of NAMES: from its .npz, which is made on the first call. Raises UnknownName, DataError."""
    if name not in NAMES:
        raise UnknownName("forest", name, list(NAMES))
    pickled = model_file(name)
    path = MOLSCORE.folder() / f"{name}.npz"
    if not path.is_file():
        forest = convert(pickled)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as scratch:
            np.savez_compressed(scratch, **{field.name: getattr(forest, field.name) for field in fields(Forest)})
        Path(scratch.name).replace(path)
    with np.load(path, allow_pickle=False) as arrays:
        return Forest(**{field.name: arrays[field.name] for field in fields(Forest)})


@functools.cache
def _generator() -> Any:
    return rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=BITS)


def fingerprints(molecules: Sequence[Chem.Mol]) -> NDArray[np.uint8]:
    """Features (n, 2048) of both forests as TDC's oracles compute them: Morgan bits of radius 2.

    ``molscore`` feeds them radius 3 ("ECFP6"), which is neither what they were trained on nor what the published results used.
    """
    return np.array([_generator().GetFingerprintAsNumPy(molecule) for molecule in molecules], dtype=np.uint8).reshape(-1, BITS)
