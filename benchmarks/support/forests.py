"""The check of the converted forests (``molvae.domains.molecules.forests``) against scikit-learn's own predictions.

``python -m benchmarks.support.forests FILE`` predicts 1,000 molecules of FILE (SMILES, one a line, .gz or not) with the arrays and with
scikit-learn 1.2.2 in an environment made for that, and compares.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from molvae.domains.molecules.forests import NAMES, fingerprints, load, model_file

REFERENCE = ("scikit-learn==1.2.2", "numpy<2")  # the last version that reads these pickles

_PREDICT = """
import pickle, sys
import numpy as np
features, model, out = sys.argv[1:]
np.save(out, pickle.load(open(model, "rb")).predict_proba(np.load(features))[:, 1])
"""


def reference(python: Path, name: str, features: NDArray[Any]) -> NDArray[np.float64]:
    """Predictions (n) of the original pickle by the scikit-learn of another interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "features.npy", Path(folder) / "answer.npy"
        np.save(given, features)
        command = [str(python), "-W", "ignore", "-c", _PREDICT, str(given), str(model_file(name)), str(answer)]
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
    options = parser.parse_args(arguments)
    features = fingerprints(_molecules(options.smiles, options.n))
    with tempfile.TemporaryDirectory() as folder:
        python = options.python or _environment(Path(folder) / "environment")
        for name in NAMES:
            ours = load(name).predict(features)
            difference = np.abs(ours - reference(python, name, features)).max()
            print(f"{name}: {len(features)} molecules, mean {ours.mean():.4f}, largest difference {difference:.2g}")
            if difference > 1e-9:
                raise SystemExit(f"{name}: the converted forest does not predict what scikit-learn predicts")


if __name__ == "__main__":
    main(sys.argv[1:])
