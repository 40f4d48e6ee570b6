"""From a prepared set to batches of the model, in an order that (seed, epoch) fixes. Axes: B batch, T tokens, P properties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molvae.dataset.ragged import Array, Ragged
from molvae.dataset.store import Store
from molvae.records import Batch, GraphArrays, GraphBatch, TokenBatch

WINDOW = 64  # batches that are sorted by length together


def pad_tokens(values: Array, lengths: NDArray[np.int64]) -> TokenBatch:
    """Concatenated tokens and lengths (B,) -> TokenBatch padded with 0."""
    width = max(1, int(lengths.max(initial=0)))
    tokens = np.zeros((len(lengths), width), np.int64)
    tokens[np.arange(width) < lengths[:, None]] = values
    return TokenBatch(torch.from_numpy(tokens), torch.from_numpy(lengths.astype(np.int64)))


def pad_rows(rows: Sequence[Sequence[int]]) -> TokenBatch:
    """Token lists, one a record -> TokenBatch padded with 0."""
    lengths = np.array([len(row) for row in rows], np.int64)
    return pad_tokens(np.array([token for row in rows for token in row], np.int64), lengths)


def join_graphs(
    nodes: tuple[Array, NDArray[np.int64]], edges: tuple[Array, NDArray[np.int64]], edge_features: tuple[Array, NDArray[np.int64]]
) -> GraphBatch:
    """Concatenated columns with their lengths, each undirected edge once -> one graph with both directions of each edge."""
    node_values, node_counts = nodes
    edge_values, edge_counts = edges
    first = np.cumsum(node_counts) - node_counts
    ends = edge_values.astype(np.int64) + np.repeat(first, edge_counts)[:, None]
    index = np.concatenate([ends, ends[:, ::-1]]).T
    features = np.concatenate([edge_features[0], edge_features[0]]).astype(np.int64)
    of = np.repeat(np.arange(len(node_counts)), node_counts)
    return GraphBatch(
        torch.from_numpy(node_values.astype(np.int64)),
        torch.from_numpy(np.ascontiguousarray(index)),
        torch.from_numpy(features),
        torch.from_numpy(of),
        len(node_counts),
    )


def batch_graphs(graphs: Sequence[GraphArrays]) -> GraphBatch:
    """Graphs in memory -> one GraphBatch."""

    def column(parts: list[Array]) -> tuple[Array, NDArray[np.int64]]:
        return np.concatenate(parts), np.array([len(p) for p in parts], np.int64)

    return join_graphs(column([g.nodes for g in graphs]), column([g.edges for g in graphs]), column([g.edge_features for g in graphs]))


@dataclass(frozen=True)
class Columns:
    """What the model reads of a store: tokens of the source and target strings (None where not read), graphs, standardised labels (n, P).

    written: whether the encoder reads the target string too.
    """

    store: Store
    source: Ragged | None
    target: Ragged
    graph: bool
    labels: NDArray[np.float32]
    written: bool = False

    def usable(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows whose strings could all be tokenised."""
        keep = self.target.lengths(rows) > 0
        if self.source is not None:
            keep &= self.source.lengths(rows) > 0
        return rows[keep]

    def batch(self, rows: NDArray[np.int64], coded: int | None = None) -> Batch:
        """The batch of these rows; only the first ``coded`` of them (all where None) get encoder views."""
        coded = len(rows) if coded is None else coded
        seen = rows[:coded]
        return Batch(
            size=len(rows),
            coded=coded,
            source=pad_tokens(*self.source.take(seen)) if self.source is not None and coded else None,
            graph=self._graphs(seen) if self.graph and coded else None,
            target=pad_tokens(*self.target.take(rows)),
            labels=torch.from_numpy(np.ascontiguousarray(self.labels[rows])),
            written=pad_tokens(*self.target.take(seen)) if self.written and coded else None,
        )

    def _graphs(self, rows: NDArray[np.int64]) -> GraphBatch:
        return join_graphs(self.store.nodes.take(rows), self.store.edges.take(rows), self.store.edge_features.take(rows))


@dataclass(frozen=True)
class Schedule:
    """Which rows make up step k: a permutation for each epoch, sorted by length within windows so that batches carry little padding."""

    rows: NDArray[np.int64]
    lengths: NDArray[np.int64]
    size: int
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches an epoch; the remainder of a division is left for the next epoch's order."""
        return max(1, len(self.rows) // self.size)

    def epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        """All batches of an epoch, each of ``size`` rows (fewer where the set is smaller than one batch)."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.rows))[: self.steps_per_epoch * self.size]
        batches: list[NDArray[np.int64]] = []
        for window in np.array_split(order, max(1, round(len(order) / (WINDOW * self.size)))) if len(order) else []:
            ranked = window[np.argsort(self.lengths[window], kind="stable")]
            batches += [ranked[k : k + self.size] for k in range(0, len(ranked), self.size)]
        whole = [b for b in batches if len(b) == self.size]
        rest = np.concatenate([np.empty(0, np.int64), *[b for b in batches if len(b) < self.size]])
        whole += [rest[k : k + self.size] for k in range(0, len(rest), self.size)]
        return [self.rows[rng.permutation(whole[k])] for k in rng.permutation(len(whole))]

    def start(self, step: int) -> Iterator[NDArray[np.int64]]:
        """Batches from step ``step`` on, without end. Raises ValueError where there are no rows."""
        if not len(self.rows):
            raise ValueError("a schedule without rows has no batches")
        epoch, skip = divmod(step, self.steps_per_epoch)
        while True:
            yield from self.epoch(epoch)[skip:]
            epoch, skip = epoch + 1, 0


def standardise(labels: NDArray[np.float32], mean: Tensor, std: Tensor) -> NDArray[np.float32]:
    """(labels - mean) / std, (n, P) float32; NaN stays NaN."""
    return np.asarray((labels - mean.numpy()) / std.numpy(), dtype=np.float32)
