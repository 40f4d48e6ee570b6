"""Encoders, one for each view of a record, and the set of views that a model reads.

Axes: B batch, T tokens, N nodes, E directed edges, H features, D latent, V views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GINEConv, global_add_pool, global_max_pool, global_mean_pool

from molvae.nn.attention import attending, rounded
from molvae.nn.recurrent import GRULayer
from molvae.nn.slots import ReadSlots
from molvae.records import Batch, GraphBatch, TokenBatch


@dataclass(frozen=True)
class Views:
    """What each view says of the code: mean (V, B, D), log_precision (V, B, D), present (V, B) bool."""

    mean: Tensor
    log_precision: Tensor
    present: Tensor


class SequenceEncoder(nn.Module):
    """Bidirectional GRU over tokens, pooled by mean, maximum and the two final states: TokenBatch -> (B, H)."""

    def __init__(self, vocabulary: int, embed: int, hidden: int, features: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embed)
        self.forwards = GRULayer(embed, hidden)
        self.backwards = GRULayer(embed, hidden)
        self.out = nn.Sequential(nn.Linear(6 * hidden, features), nn.SiLU())

    def forward(self, batch: TokenBatch) -> Tensor:
        length = batch.lengths.clamp(min=1)
        steps = torch.arange(batch.tokens.shape[1], device=length.device)
        real = steps < length[:, None]
        mirrored = torch.where(real, length[:, None] - 1 - steps, steps)
        x = self.embed(batch.tokens)
        start = x.new_zeros(x.shape[0], self.forwards.hidden, dtype=torch.float32)
        ahead = self.forwards(x, start)
        behind = self.backwards(x.gather(1, mirrored[..., None].expand_as(x)), start)
        last = (length - 1)[:, None, None].expand(-1, 1, ahead.shape[2])
        ends = [ahead.gather(1, last).squeeze(1), behind.gather(1, last).squeeze(1)]
        both = torch.cat([ahead, behind], dim=-1)
        mean = (both * real[..., None]).sum(1) / length[:, None]
        peak = both.masked_fill(~real[..., None], -1.0).amax(1)
        features: Tensor = self.out(torch.cat([mean, peak, *ends], dim=-1))
        return features


class SequenceTransformer(nn.Module):
    """Bidirectional transformer over tokens (Vaswani et al. 1706.03762), normalised first, pooled by mean and maximum: TokenBatch -> (B, H).

    Places are learnt; those beyond ``PLACES`` share the last one. A layer adds nothing at the beginning, so that a trained model can be given
    more of them. slots: of width ``hidden``, for strings made of parts; each token is told its own, and what stands in each slot is read
    beside the pooling, into features of its own: (B, 2 H), the pooled ones first.
    """

    PLACES = 512

    def __init__(self, vocabulary: int, hidden: int, features: int, layers: int, heads: int, slots: ReadSlots | None = None) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, hidden)
        self.slots = slots
        self.place = nn.Parameter(torch.randn(self.PLACES, hidden) * 0.1)
        layer = nn.TransformerEncoderLayer(hidden, heads, 4 * hidden, 0.0, "gelu", batch_first=True, norm_first=True)
        # Without nested tensors training and evaluation take the same path, so that a seed fixes both.
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(hidden), enable_nested_tensor=False)
        for name, parameter in self.layers.named_parameters():
            if ".self_attn.out_proj." in name or ".linear2." in name:
                nn.init.zeros_(parameter)
        self.out = nn.Sequential(nn.Linear(2 * hidden, features), nn.SiLU())

    def forward(self, batch: TokenBatch) -> Tensor:
        tokens = rounded(batch.tokens)
        steps = torch.arange(tokens.shape[1], device=tokens.device)
        length = batch.lengths.clamp(min=1)
        real = (steps < length[:, None])[..., None]
        x = self.embed(tokens) + self.place[steps.clamp(max=self.PLACES - 1)]
        if self.slots is not None:
            slot = self.slots.of(tokens)
            x = x + self.slots.embed(slot)
        with attending(x):
            x = self.layers(x, src_key_padding_mask=~real.squeeze(-1)).float()
        mean = (x * real).sum(1) / length[:, None]
        peak = x.masked_fill(~real, -torch.inf).amax(1)
        features: Tensor = self.out(torch.cat([mean, peak], dim=-1))
        if self.slots is None:
            return features
        return torch.cat([features, F.silu(self.slots.read(x, slot, real))], dim=-1)


class GraphEncoder(nn.Module):
    """Graph isomorphism network with edge features (GINE: Hu et al. 1905.12265), pooled by sum, mean and maximum: GraphBatch -> (B, H)."""

    node_offsets: Tensor
    edge_offsets: Tensor

    def __init__(self, node_sizes: tuple[int, ...], edge_sizes: tuple[int, ...], hidden: int, layers: int, features: int) -> None:
        super().__init__()
        self.register_buffer("node_offsets", _offsets(node_sizes), persistent=False)
        self.register_buffer("edge_offsets", _offsets(edge_sizes), persistent=False)
        self.nodes = nn.Embedding(sum(node_sizes), hidden)
        self.edges = nn.ModuleList(nn.Embedding(sum(edge_sizes), hidden) for _ in range(layers))
        self.convs = nn.ModuleList(
            GINEConv(nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.SiLU(), nn.Linear(2 * hidden, hidden))) for _ in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
        self.out = nn.Sequential(nn.Linear(3 * hidden, features), nn.SiLU())

    def forward(self, graph: GraphBatch) -> Tensor:
        kind = graph.nodes.device.type
        # On a processor in float32: each batch has other numbers of nodes and edges, see ``rounded``.
        with torch.autocast(kind, enabled=kind != "cpu" and torch.is_autocast_enabled(kind)):
            return self._read(graph)

    def _read(self, graph: GraphBatch) -> Tensor:
        x = self.nodes(graph.nodes + self.node_offsets).sum(1)
        which = graph.edge_features + self.edge_offsets
        for embed, conv, norm in zip(self.edges, self.convs, self.norms, strict=True):
            x = x + conv(norm(x), graph.edge_index, embed(which).sum(1)).float()
        of, size = graph.graph_of, graph.size
        # The sum is divided by a typical size so that the three poolings have like scales.
        pooled = [global_add_pool(x, of, size) / 20.0, global_mean_pool(x, of, size), global_max_pool(x, of, size)]
        features: Tensor = self.out(torch.cat(pooled, dim=-1))
        return features


class DividedOpinion(nn.Module):
    """Of a string with slots, (B, 2 H) -> (B, 2 D): the code's leading ``summary`` dimensions are read from the pooled features, the others
    from the slots.

    What all parts are together does not depend on which of them stands first, so it is not to be spelt by slots, of which each would have to
    learn it anew; and slots alone tell the decoder the rest, so they would leave it no room in the code.
    """

    def __init__(self, features: int, width: int, summary: int) -> None:
        super().__init__()
        self.whole, self.parts = nn.Linear(features, 2 * summary), nn.Linear(features, 2 * (width - summary))

    def forward(self, features: Tensor) -> Tensor:
        pooled, placed = features.chunk(2, dim=-1)
        (mean, precision), (means, precisions) = self.whole(pooled).chunk(2, dim=-1), self.parts(placed).chunk(2, dim=-1)
        return torch.cat([mean, means, precision, precisions], dim=-1)


class Encoder(nn.Module):
    """The views that a model reads, each with its opinion on the code: Batch -> Views.

    In training a record keeps one view alone with that view's probability in ``alone``, or loses it with probability ``view_dropout``, so that
    every view alone encodes too. An encoder that is added to a trained model must learn alone at first: beside trained ones its precision
    falls to nothing before it can. summary: see ``DividedOpinion``; for views without slots it means nothing.
    """

    def __init__(
        self,
        width: int,
        features: int,
        view_dropout: float,
        alone: Sequence[float],
        sequence: SequenceEncoder | SequenceTransformer | None = None,
        graph: GraphEncoder | None = None,
        written: SequenceEncoder | SequenceTransformer | None = None,
        summary: int = 0,
    ) -> None:
        super().__init__()
        views = [view for view in (sequence, graph, written) if view is not None]
        count = len(views)
        if count == 0:
            raise ValueError("an encoder needs at least one view: sequence, graph or written")
        self.sequence = sequence
        self.graph = graph
        self.written = written
        self.view_dropout = view_dropout
        self.alone = tuple(alone)[:count]
        if len(self.alone) != count or sum(self.alone) + count * view_dropout > 1.0 + 1e-6:
            raise ValueError(
                f"alone {tuple(alone)} and view_dropout {view_dropout} for {count} views; wanted one each, adding up to 1 at most"
            )
        self.width = width
        self.opinions = nn.ModuleList(
            DividedOpinion(features, width, summary)
            if isinstance(view, SequenceTransformer) and view.slots is not None
            else nn.Linear(features, 2 * width)
            for view in views
        )

    def forward(self, batch: Batch) -> Views:
        inputs = ((self.sequence, batch.source), (self.graph, batch.graph), (self.written, batch.written))
        features = [None if given is None else view(given) for view, given in inputs if view is not None]
        some = next((f for f in features if f is not None), None)
        if some is None:
            raise ValueError("this batch has none of the views that the model reads")
        means, precisions, present = [], [], []
        for opinion, feature in zip(self.opinions, features, strict=True):
            pair = some.new_zeros(some.shape[0], 2 * self.width) if feature is None else opinion(feature)
            mean, precision = pair.float().chunk(2, dim=-1)
            means.append(mean)
            precisions.append(4.0 * torch.tanh(precision / 4.0))
            present.append(torch.full((some.shape[0],), feature is not None, dtype=torch.bool, device=some.device))
        mask = torch.stack(present)
        return Views(torch.stack(means), torch.stack(precisions), self._drop(mask) if self.training else mask)

    def _drop(self, present: Tensor) -> Tensor:
        count, size = present.shape
        if count < 2 or not bool(present.all()):
            return present
        which = torch.eye(count, dtype=torch.bool, device=present.device)
        # What a record may keep: one view alone, all but one, or (the last column) all.
        choices = torch.cat([which, ~which, torch.ones(count, 1, dtype=torch.bool, device=present.device)], dim=1)
        chances = torch.tensor([*self.alone, *[self.view_dropout] * count], device=present.device)
        chances = torch.cat([chances, (1.0 - chances.sum()).clamp(min=0.0)[None]])
        return choices[:, torch.multinomial(chances, size, replacement=True)]


def _offsets(sizes: tuple[int, ...]) -> Tensor:
    return torch.tensor([0, *sizes[:-1]]).cumsum(0)
