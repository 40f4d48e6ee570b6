"""Frozen data that the parts hand to one another. Axes: B batch, T tokens, D latent, P properties, N nodes, E edges, F features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class GraphArrays:
    """One graph as categorical integers, each undirected edge once.

    nodes (N, F_node) uint8; edges (E, 2) uint16, node indices; edge_features (E, F_edge) uint8.
    """

    nodes: NDArray[np.uint8]
    edges: NDArray[np.uint16]
    edge_features: NDArray[np.uint8]


@dataclass(frozen=True)
class GraphBatch:
    """B graphs as one disconnected graph; both directions of each edge are present.

    nodes (N, F_node) int64; edge_index (2, 2E) int64; edge_features (2E, F_edge) int64; graph_of (N,) int64 in [0, size).
    """

    nodes: Tensor
    edge_index: Tensor
    edge_features: Tensor
    graph_of: Tensor
    size: int


@dataclass(frozen=True)
class TokenBatch:
    """B token sequences without begin and end marks, padded with 0. tokens (B, T) int64; lengths (B,) int64."""

    tokens: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class Batch:
    """One batch of the model. It carries its size; nothing infers it.

    source, graph and written: the encoder's views of the first ``coded`` records, or None. target: the decoder's sequences, or None.
    labels (B, P) float32, standardised, NaN where unknown.
    """

    size: int
    coded: int
    source: TokenBatch | None
    graph: GraphBatch | None
    target: TokenBatch | None
    labels: Tensor
    written: TokenBatch | None = None


@dataclass(frozen=True)
class Moments:
    """Mean and log-variance of a diagonal Gaussian posterior, (B, D) each."""

    mean: Tensor
    log_variance: Tensor


@dataclass(frozen=True)
class Code:
    """What a latent makes of encoder features.

    z (B, D) the (noised) code; mode (B, D) its noiseless centre; level (B,) noise level in [0, 1]; rate (B,) nats;
    aux () loss of the latent itself (whitening, free bits ...); moments or None for latents without a density.
    """

    z: Tensor
    mode: Tensor
    level: Tensor
    rate: Tensor
    aux: Tensor
    moments: Moments | None


@dataclass(frozen=True)
class Verdict:
    """The outcome of validation: ok, and for each failed check ``name: reason``."""

    ok: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One proposal with its evidence. Unknown numbers are NaN, an unknown novelty is None.

    text: canonical text (SMILES for molecules). key: identity (InChIKey). asked / measured / predicted / predicted_std: property -> value in
    the property's own unit. log_likelihood: log p in nats, at temperature 1, of the token sequence as it was drawn, given its code, noise
    level, targets and guidance, so that scores of different requests do not compare; of a text that was not drawn (``Model.describe``,
    interpolations) log p of its own sequence at level 1 without targets, the model's plain density.
    extra: further columns of a command, e.g. similarity to a seed.
    """

    text: str
    key: str
    verdict: Verdict
    measured: Mapping[str, float] = field(default_factory=dict)
    asked: Mapping[str, float] = field(default_factory=dict)
    predicted: Mapping[str, float] = field(default_factory=dict)
    predicted_std: Mapping[str, float] = field(default_factory=dict)
    novel: bool | None = None
    log_likelihood: float = float("nan")
    extra: Mapping[str, float | str] = field(default_factory=dict)

    def properties(self) -> tuple[str, ...]:
        """Names of the properties this candidate says anything about: the asked ones first, then measured, then predicted."""
        return tuple(dict.fromkeys((*self.asked, *self.measured, *self.predicted, *self.predicted_std)))

    def row(self, text_column: str) -> list[tuple[str, float | str | bool | None]]:
        """The candidate as (column, value) pairs, the one naming scheme of every table and file format.

        Order: text; for each property ``<p>_asked``, ``<p>``, ``<p>_pred``, ``<p>_pred_std`` as far as present; ``verdict`` ("ok" or the
        reasons joined by "; "); ``novel``; ``log_likelihood``; the extra columns.
        """
        parts = (("_asked", self.asked), ("", self.measured), ("_pred", self.predicted), ("_pred_std", self.predicted_std))
        pairs: list[tuple[str, float | str | bool | None]] = [(text_column, self.text)]
        pairs += [(name + suffix, values[name]) for name in self.properties() for suffix, values in parts if name in values]
        verdict = "ok" if self.verdict.ok else "; ".join(self.verdict.reasons) or "failed"
        pairs += [("verdict", verdict), ("novel", self.novel), ("log_likelihood", self.log_likelihood)]
        return pairs + list(self.extra.items())


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a source file as text, with the other columns: a float where the cell is a number, NaN where it is empty, else its text.

    line: 1-based line (row, for Parquet) at which the record starts. error: why the row cannot be used, else None.
    """

    text: str
    labels: dict[str, float | str] = field(default_factory=dict)
    line: int = 0
    name: str | None = None
    error: str | None = None
