"""A Gaussian process that guesses the score of decoded proposals, so that a call of the scorer goes to the most promising ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.stats import rankdata

NOISE = 0.05
Features = Callable[[Sequence[Any]], NDArray[np.float32]]


def tanimoto(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Tanimoto similarity of count or bit vectors (n, F), (m, F) -> (n, m); for counts the form a.b / (|a|^2 + |b|^2 - a.b)."""
    inner = a @ b.T
    total = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None, :] - inner
    return np.asarray(inner / np.maximum(total, 1e-9), np.float32)


class TanimotoGP:
    """GP regression with a Tanimoto kernel of unit amplitude on standardised, half rank-transformed scores (as GP BO of Tripp et al. 2021)."""

    def __init__(self, features: NDArray[np.float32], scores: NDArray[np.float64]) -> None:
        self.x = features
        normal = (rankdata(scores) - 0.5) / len(scores)
        spread = scores.std() or 1.0
        self.y = 0.5 * (scores - scores.mean()) / spread + 0.5 * np.sqrt(12) * (normal - 0.5)
        kernel = tanimoto(features, features).astype(np.float64)
        kernel[np.diag_indices_from(kernel)] += NOISE
        self.chol = cholesky(kernel, lower=True)
        self.weights = cho_solve((self.chol, True), self.y)

    def predict(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation (n,) in the transformed scale."""
        cross = tanimoto(features, self.x).astype(np.float64)
        mean = cross @ self.weights
        half = solve_triangular(self.chol, cross.T, lower=True)
        variance = np.maximum(1e-9, 1.0 - np.square(half).sum(0))
        return np.asarray(mean), np.sqrt(variance)
