"""A small unconditional GRU language model over token ids, trained for a fixed wall-clock time: the yardstick for string languages."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from molvae.tokens import BEGIN, END, PAD

S = TypeVar("S")


class Grammar(Protocol[S]):
    """What ``draw`` needs of a state machine that knows the legal next tokens."""

    def start(self) -> S: ...

    def choose(
        self, states: Sequence[S | None], logits: Tensor, *, temperature: float, generator: torch.Generator | None
    ) -> tuple[list[int], list[S | None]]: ...


@dataclass(frozen=True)
class Rows:
    """N token sequences without marks, end to end. ids (sum of lengths,) int16; ends (N,) int64, where each row ends."""

    ids: NDArray[np.int16]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Rows:
        ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
        return cls(np.fromiter((token for row in rows for token in row), dtype=np.int16, count=int(ends[-1])), ends)

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.ends, prepend=0)

    def batch(self, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """(inputs, targets), (B, T) int64 each: begin + tokens and tokens + end, padded with 0."""
        width = int(self.lengths[chosen].max()) + 1
        inputs = np.full((len(chosen), width), PAD, dtype=np.int64)
        targets = inputs.copy()
        inputs[:, 0] = BEGIN
        for row, index in enumerate(chosen):
            tokens = self.ids[self.ends[index - 1] if index else 0 : self.ends[index]]
            inputs[row, 1 : len(tokens) + 1] = tokens
            targets[row, : len(tokens)] = tokens
            targets[row, len(tokens)] = END
        return torch.from_numpy(inputs), torch.from_numpy(targets)


class LanguageModel(nn.Module):
    """One GRU layer written as a loop over its cell, which CPU autocast to bfloat16 speeds up (the fused ``nn.GRU`` it does not)."""

    def __init__(self, vocabulary: int, embedding: int = 256, hidden: int = 512) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, embedding)
        self.input = nn.Linear(embedding, 3 * hidden)
        self.recurrent = nn.Linear(hidden, 3 * hidden)
        self.output = nn.Linear(hidden, vocabulary)
        self.hidden = hidden

    def cell(self, gates: Tensor, state: Tensor) -> Tensor:
        """gates (B, 3H) from the input, state (B, H) -> new state (B, H)."""
        recurrent = self.recurrent(state)
        i_reset, i_update, i_new = gates.float().chunk(3, 1)
        h_reset, h_update, h_new = recurrent.float().chunk(3, 1)
        update = torch.sigmoid(i_update + h_update)
        new = torch.tanh(i_new + torch.sigmoid(i_reset + h_reset) * h_new)
        return new + update * (state - new)

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, T) ids -> (B, T, V) logits of the next token."""
        gates = self.input(self.embed(inputs))
        state = gates.new_zeros(len(inputs), self.hidden, dtype=torch.float32)
        states = []
        for step in range(inputs.shape[1]):
            state = self.cell(gates[:, step], state)
            states.append(state)
        return self.output(torch.stack(states, 1))

    def nll(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """(B,) nats of each sequence, its end included."""
        logits = self(inputs).float()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, reduction="none").view(targets.shape).sum(1)


def batches(rows: Rows, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Endless shuffled batches of rows of similar length."""
    lengths = rows.lengths
    while True:
        order = rng.permutation(len(rows))
        for start in range(0, len(order) - size + 1, size * 64):
            pool = order[start : start + size * 64]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            chunks = [pool[at : at + size] for at in range(0, len(pool) - size + 1, size)]
            for chunk in rng.permutation(len(chunks)):
                yield chunks[chunk]


@dataclass(frozen=True)
class Training:
    """What a training run did: optimiser steps, molecules seen, mean loss (nats a molecule) of the last 200 steps.

    clock: which seconds were limited, ``cpu`` or ``wall``. Far apart, the two say that other work shared the processor.
    """

    steps: int
    molecules: int
    clock: str
    wall_s: float
    cpu_s: float
    last_loss: float


CLOCKS = {"cpu": time.process_time, "wall": time.monotonic}


def train(
    model: LanguageModel, rows: Rows, *, seconds: float, clock: str, batch: int, seed: int, rate: tuple[float, float] = (1e-3, 1e-5)
) -> Training:
    """AdamW for ``seconds`` of ``clock``; the rate goes from the first to the second of ``rate`` as a cosine of the time spent.

    With one thread, processor time stays comparable between runs on a shared machine, where wall-clock time does not.
    """
    now = CLOCKS[clock]
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate[0], weight_decay=1e-2)
    stream = batches(rows, batch, np.random.default_rng(seed))
    losses: list[float] = []
    begin, begin_wall, begin_cpu = now(), time.monotonic(), time.process_time()
    last_print = begin_wall
    model.train()
    while (spent := now() - begin) < seconds:
        optimiser.param_groups[0]["lr"] = rate[1] + (rate[0] - rate[1]) * 0.5 * (1 + math.cos(math.pi * spent / seconds))
        inputs, targets = rows.batch(next(stream))
        with torch.autocast("cpu", torch.bfloat16):
            nats = model.nll(inputs, targets)
        # Tokens, not molecules, weigh equally within a batch of one length bucket; across buckets the scale is the same either way.
        loss = nats.sum() / (targets != PAD).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        losses.append(nats.detach().mean().item())
        if time.monotonic() - last_print > 60:
            last_print = time.monotonic()
            print(f"{spent / 60:5.1f} min, step {len(losses)}, {np.mean(losses[-200:]):.2f} nats a molecule", flush=True)
    wall_s, cpu_s = time.monotonic() - begin_wall, time.process_time() - begin_cpu
    return Training(len(losses), len(losses) * batch, clock, wall_s, cpu_s, float(np.mean(losses[-200:])))


@torch.inference_mode()
def held_out_nats(model: LanguageModel, rows: Rows, batch: int = 256) -> float:
    """Mean nats a sequence, in float32."""
    model.eval()
    order = np.argsort(rows.lengths, kind="stable")
    return sum(float(model.nll(*rows.batch(order[at : at + batch])).sum()) for at in range(0, len(order), batch)) / len(rows)


@torch.inference_mode()
def draw(
    model: LanguageModel, n: int, *, known: int, longest: int, generator: torch.Generator, grammar: Grammar[S] | None = None
) -> list[list[int] | None]:
    """n sequences at temperature 1, without marks; None where a sequence met no legal token or did not end within ``longest`` tokens.

    known: ids from this one on never occur. grammar: restricts every step to its legal tokens.
    """
    model.eval()
    done: list[list[int] | None] = [None] * n
    drawn: list[list[int]] = [[] for _ in range(n)]
    states: list[S | None] = [] if grammar is None else [grammar.start() for _ in range(n)]
    active = list(range(n))
    tokens = torch.full((n,), BEGIN)
    hidden = torch.zeros(n, model.hidden)
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(longest + 1):
            hidden = model.cell(model.input(model.embed(tokens)), hidden)
            logits = model.output(hidden).float()[:, :known]
            logits[:, :END] = -torch.inf
            if grammar is None:
                noise = torch.empty_like(logits).exponential_(generator=generator).log_()
                chosen: list[int] = (logits - noise).argmax(1).tolist()
            else:
                chosen, states = grammar.choose(states, logits, temperature=1.0, generator=generator)
            going = []
            for place, token in enumerate(chosen):
                row = active[place]
                if token == END:
                    done[row] = drawn[row]
                elif token != PAD:
                    drawn[row].append(token)
                    going.append(place)
            if not going:
                break
            active = [active[place] for place in going]
            states = [states[place] for place in going] if grammar is not None else states
            keep = torch.tensor(going)
            hidden, tokens = hidden[keep], torch.tensor([chosen[place] for place in going])
    return done
