"""The random forests behind the PMO tasks gsk3b and jnk3, as plain NumPy arrays.

Both were pickled by scikit-learn 0.23 (Li et al., "Multi-objective de novo drug design", 2018; shipped by TDC and by ``molscore``), which
current versions refuse to load. The pickles are read here by an unpickler that knows NumPy arrays and nothing else, so neither an old
scikit-learn nor trust in the file is needed; the arrays are kept as .npz under runs/oracles.

``python -m benchmarks.support.forests FILE`` checks the conversion: it predicts 1,000 molecules of FILE (SMILES, one a line, .gz or not)
here and with scikit-learn 1.2.2 in an environment made for that, and compares.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import importlib
import os
import pickle
import random
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from benchmarks.support.wheels import MOLSCORE

NAMES = ("gsk3b", "jnk3")
ARRAYS = Path(__file__).resolve().parents[2] / "runs" / "oracles"
REFERENCE = ("scikit-learn==1.2.2", "numpy<2")  # the last version that reads these pickles
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


def pickled(name: str, local: Path | None = None) -> Path:
    """The pickle of one of NAMES inside the unpacked wheel ``molscore``."""
    return MOLSCORE.unpacked(local) / "molscore" / "data" / "models" / "molopt" / f"{name}_current.pkl"


@functools.cache
def load(name: str, local: Path | None = None) -> Forest:
    """One of NAMES: from its .npz, which is made on the first call."""
    if name not in NAMES:
        raise ValueError(f"unknown forest {name!r}; known: {', '.join(NAMES)}")
    path = ARRAYS / f"{name}-{MOLSCORE.sha256[:12]}.npz"
    if not path.is_file():
        forest = convert(pickled(name, local))
        path.parent.mkdir(parents=True, exist_ok=True)
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


# --- the check against scikit-learn ---------------------------------------------------------------------------------------------------

_PREDICT = """
import pickle, sys
import numpy as np
features, model, out = sys.argv[1:]
np.save(out, pickle.load(open(model, "rb")).predict_proba(np.load(features))[:, 1])
"""


def reference(python: Path, name: str, features: NDArray[Any], local: Path | None = None) -> NDArray[np.float64]:
    """Predictions (n) of the original pickle by the scikit-learn of another interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "features.npy", Path(folder) / "answer.npy"
        np.save(given, features)
        command = [str(python), "-W", "ignore", "-c", _PREDICT, str(given), str(pickled(name, local)), str(answer)]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        return np.asarray(np.load(answer), dtype=np.float64)


def _environment(folder: Path) -> Path:
    """The interpreter of a new virtual environment with the scikit-learn that reads the pickles (it has wheels up to Python 3.11)."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    if subprocess.run([str(python), "-m", "pip", "install", "--quiet", *REFERENCE], check=False).returncode != 0:
        raise SystemExit(f"could not install {' '.join(REFERENCE)}; give an interpreter that has it with --python")
    return python


def _molecules(path: Path, n: int) -> list[Chem.Mol]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        lines = [line.split()[0] for line in file if line.strip()]
    read = (Chem.MolFromSmiles(smiles) for smiles in random.Random(0).sample(lines, min(n, len(lines))))
    return [molecule for molecule in read if molecule is not None]


def main(arguments: list[str]) -> None:
    """Compares the arrays with scikit-learn's own predictions; exits with a message where they differ by more than 1e-9."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.support.forests", description=__doc__.partition("\n")[0])
    parser.add_argument("smiles", type=Path, help="SMILES, one a line, .gz or not")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--python", type=Path, help=f"interpreter with {REFERENCE[0]} (default: a new environment)")
    parser.add_argument("--molscore", type=Path, help=f"local copy of {MOLSCORE.file} (else pip fetches it)")
    options = parser.parse_args(arguments)
    features = fingerprints(_molecules(options.smiles, options.n))
    with tempfile.TemporaryDirectory() as folder:
        python = options.python or _environment(Path(folder) / "environment")
        for name in NAMES:
            ours = load(name, options.molscore).predict(features)
            difference = np.abs(ours - reference(python, name, features, options.molscore)).max()
            print(f"{name}: {len(features)} molecules, mean {ours.mean():.4f}, largest difference {difference:.2g}")
            if difference > 1e-9:
                raise SystemExit(f"{name}: the converted forest does not predict what scikit-learn predicts")


if __name__ == "__main__":
    main(sys.argv[1:])
