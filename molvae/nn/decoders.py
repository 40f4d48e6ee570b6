"""Decoders: likelihood of a token sequence given a code and a condition, and draws from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from molvae.errors import MolvaeError
from molvae.nn.condition import Budget, Remaining
from molvae.nn.recurrent import GRULayer
from molvae.records import TokenBatch
from molvae.tokens import BEGIN, END, PAD

STEPS = 8  # of a usual decode


@dataclass(frozen=True)
class Context:
    """What the decoder reads beside its own tokens: code (B, D) as the latent reads it out, condition (B, C), targets (B, P), NaN unset."""

    code: Tensor
    condition: Tensor
    targets: Tensor

    def rows(self, which: Tensor) -> Context:
        """The chosen rows."""
        return Context(self.code[which], self.condition[which], self.targets[which])


@dataclass(frozen=True)
class Drawn:
    """Sequences without marks, their log-likelihood in nats (B,) float64 at temperature 1, and whether the end mark was reached."""

    tokens: list[list[int]]
    log_likelihood: list[float]
    finished: list[bool]


class Mask(Protocol):
    """Which tokens may come next in the sequences that are being written, such as those of a grammar. Axes: n rows still written, V tokens."""

    def allowed(self) -> Tensor:
        """(n, V) bool, at least one true in each row."""

    def advance(self, tokens: Tensor) -> None:
        """tokens (n,): what was written."""

    def keep(self, rows: Tensor) -> None:
        """rows (n,) bool: those that go on."""


class Stream(Protocol):
    """One running decode of n rows."""

    def step(self, token: Tensor) -> Tensor:
        """token (n,) just written -> logits (n, V) of the next, float32."""

    def keep(self, rows: Tensor) -> None:
        """rows (n,) bool: those that go on."""


class Decoder(nn.Module, ABC):
    """Contract: nll(context, target) -> (B,) nats a record; stream(context) -> the same distribution, one token after the other."""

    budget: Budget | None

    @abstractmethod
    def nll(self, context: Context, target: TokenBatch) -> Tensor: ...

    @abstractmethod
    def stream(self, context: Context) -> Stream: ...

    @torch.no_grad()
    def draw(
        self,
        context: Context,
        *,
        temperature: float = 1.0,
        guidance: float = 0.0,
        unconditional: Context | None = None,
        max_length: int = 128,
        prefix: TokenBatch | None = None,
        mask: Mask | None = None,
        generator: torch.Generator | None = None,
    ) -> Drawn:
        """temperature 0 takes the most likely token. With guidance w, logits are (1 + w) conditional - w unconditional (Ho & Salimans 2207.12598).

        prefix: tokens that each sequence begins with, of any length; what follows is drawn. mask: what it forbids has no probability, and the
        log-likelihood is that of the masked distribution.
        """
        streams = [self.stream(context)]
        if guidance != 0.0 and unconditional is not None:
            streams.append(self.stream(unconditional))
        size, device = context.code.shape[0], context.code.device
        written = torch.zeros(size, max_length, dtype=torch.long, device=device)
        score = torch.zeros(size, dtype=torch.float64, device=device)
        finished = torch.zeros(size, dtype=torch.bool, device=device)
        live = torch.arange(size, device=device)
        token = torch.full((size,), BEGIN, device=device)
        for step in range(max_length):
            log_p = _next(streams, token, guidance, mask)
            token = _chosen(log_p, temperature, generator)
            if prefix is not None and step < prefix.tokens.shape[1]:
                given = prefix.tokens[live, step]
                # What a mask forbids is not written, whoever asks for it.
                open_ = (given != PAD) & (log_p.gather(1, given[:, None]).squeeze(1) > -torch.inf)
                token = torch.where(open_, given, token)
            score[live] += log_p.gather(1, token[:, None]).squeeze(1).double()
            if mask is not None:
                mask.advance(token)
            ends = token == END
            finished[live[ends]] = True
            written[live[~ends], step] = token[~ends]
            if bool(ends.any()):
                live, token = live[~ends], token[~ends]
                if live.numel() == 0:
                    break
                for stream in streams:
                    stream.keep(~ends)
                if mask is not None:
                    mask.keep(~ends)
        rows = [[t for t in row if t != PAD] for row in written.tolist()]
        return Drawn(rows, score.tolist(), finished.tolist())


def _next(streams: Sequence[Stream], token: Tensor, guidance: float, mask: Mask | None) -> Tensor:
    """Log-probabilities (n, V) of the next token."""
    logits = streams[0].step(token)
    if len(streams) > 1:
        logits = (1.0 + guidance) * logits - guidance * streams[1].step(token)
    logits[:, PAD] = logits[:, BEGIN] = -torch.inf
    if mask is not None:
        logits = logits.masked_fill(~mask.allowed().to(logits.device), -torch.inf)
    return F.log_softmax(logits, dim=-1)


def _chosen(log_p: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """One token (n,) a row of log-probabilities (n, V): the most likely at temperature 0, else drawn. MolvaeError: not finite."""
    if temperature <= 0:
        return log_p.argmax(-1)
    p = log_p if temperature == 1.0 else F.log_softmax(log_p / temperature, dim=-1)
    # By inversion: one random number a row, where torch.multinomial draws one a token, a quarter of the time of a decode.
    below = p.exp().cumsum(-1, dtype=torch.float64)
    total = below[:, -1:]
    if not bool(torch.isfinite(total).all()):
        raise MolvaeError("the decoder's probabilities are not finite: its weights are damaged, or its training diverged")
    u = torch.rand(total.shape, dtype=torch.float64, device=total.device, generator=generator)
    return torch.searchsorted(below, u * total, right=True).squeeze(1)  # right: what has no probability is never met


def nats(logits: Tensor, write: Tensor) -> Tensor:
    """logits (R, V) of the R real places of write (B, T) -> negative log-likelihood (B,) of each row."""
    real = write != PAD
    each = F.cross_entropy(logits.float(), write[real], reduction="none")
    return torch.zeros(write.shape, dtype=each.dtype, device=each.device).masked_scatter(real, each).sum(1)


class RecurrentDecoder(Decoder):
    """GRU decoder with the code and the condition at every step and in the initial state, and a running budget on its inputs."""

    def __init__(
        self,
        vocabulary: int,
        code: int,
        condition: int,
        embed: int,
        hidden: int,
        layers: int = 1,
        dropout: float = 0.0,
        budget: Budget | None = None,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embed)
        self.context = nn.Sequential(nn.Linear(code + condition, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.starts = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(layers))
        self.drives = nn.ModuleList(nn.Linear(hidden, 3 * hidden) for _ in range(layers))
        self.layers = nn.ModuleList(GRULayer(embed if k == 0 else hidden, hidden) for k in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, vocabulary)
        self.budget = budget

    def nll(self, context: Context, target: TokenBatch) -> Tensor:
        read, write = shift(target)
        x = self.embed(read).float()
        if self.budget is not None:
            x = x + self.budget(read, context.targets)
        states, drives = self._begin(context)
        for layer, state, drive in zip(self.layers, states, drives, strict=True):
            x = self.dropout(layer(x, state, drive))
        return nats(self.out(x[write != PAD]), write)

    def _begin(self, context: Context) -> tuple[list[Tensor], list[Tensor]]:
        c = self.context(torch.cat([context.code, context.condition.to(context.code.dtype)], dim=-1))
        states = [torch.tanh(start(c)).float() for start in self.starts]
        return states, [drive(c) for drive in self.drives]

    def stream(self, context: Context) -> Stream:
        return _Stream(self, context)


class _Stream:
    """One running decode: states, drives and what is left of the budget for the rows still being written."""

    def __init__(self, decoder: RecurrentDecoder, context: Context) -> None:
        self.decoder = decoder
        self.layers = [_gru(layer) for layer in decoder.layers]
        self.states, self.drives = decoder._begin(context)
        self.remaining = Remaining.of(decoder.budget, context.targets)
        vocabulary, rows = decoder.embed.num_embeddings, context.code.shape[0]
        # What each token brings to the first gates, all at once: cheaper than row by row, where rows times steps are more than tokens.
        pays = self.remaining is None and STEPS * rows >= vocabulary
        self.table = self.layers[0].from_input(decoder.embed.weight.float()) if pays else None

    def step(self, token: Tensor) -> Tensor:
        x = self.states[-1]
        for k, layer in enumerate(self.layers):
            gates = layer.from_input(x) if k else self._first(token)
            x = self.states[k] = layer.cell(gates + self.drives[k], self.states[k])
        logits: Tensor = self.decoder.out(x).float()
        return logits

    def _first(self, token: Tensor) -> Tensor:
        """What the first layer's gates read (n, 3H)."""
        gates: Tensor
        if self.table is not None:
            gates = self.table[token]
        else:
            x = self.decoder.embed(token).float()
            if self.remaining is not None:
                x = x + self.remaining.step(token)
            gates = self.layers[0].from_input(x)
        return gates

    def keep(self, rows: Tensor) -> None:
        self.states = [s[rows] for s in self.states]
        self.drives = [s[rows] for s in self.drives]
        if self.remaining is not None:
            self.remaining.keep(rows)


def _gru(layer: nn.Module) -> GRULayer:
    if not isinstance(layer, GRULayer):
        raise TypeError(f"a {type(layer).__name__} among the decoder's layers; wanted GRULayer")
    return layer


def shift(target: TokenBatch) -> tuple[Tensor, Tensor]:
    """TokenBatch (B, T) -> what the decoder reads (begin mark first) and writes (end mark last), (B, T + 1) each, padded with 0."""
    size = target.tokens.shape[0]
    begin = target.tokens.new_full((size, 1), BEGIN)
    read = torch.cat([begin, target.tokens], dim=1)
    write = torch.cat([target.tokens, target.tokens.new_zeros(size, 1)], dim=1)
    return read, write.scatter(1, target.lengths[:, None], END)
