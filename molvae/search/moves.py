"""Proposals: draws from the prior, moves around elites at many radii and crossings of two elites, in shares that follow recent success."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molvae.dataset.batches import pad_rows
from molvae.errors import InvalidRecord
from molvae.nn.precision import quick
from molvae.sample import BATCH, Sampler, noised
from molvae.search.pool import Pool, rank_weights

AROUND = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CROSS = (0.1, 0.3, 0.5, 0.7)
GROW = (0.3, 0.6, 1.0)
GRAFT = (0.1, 0.4)
GIVEN = -1  # move of records that the user brings along
FORGET = 0.9  # weight of the credit so far when a new batch comes in (DESIGN: discounted success)
FLOOR = 0.01  # least share of every move, so that none is forgotten


@dataclass(frozen=True)
class Move:
    """kind: "prior", "around" one elite or "cross" of two; "grow" keeps the beginning of an elite's sequence and draws the rest around its
    code, "graft" draws the rest around another elite's. level: noise level at which the code is drawn and decoded."""

    kind: str
    level: float

    @property
    def name(self) -> str:
        """For reports and trial attributes."""
        return self.kind if self.kind == "prior" else f"{self.kind} {self.level:g}"


MOVES: tuple[Move, ...] = (
    Move("prior", 1.0),
    *(Move("around", t) for t in AROUND),
    *(Move("cross", t) for t in CROSS),
    *(Move("grow", t) for t in GROW),
    *(Move("graft", t) for t in GRAFT),
)


@dataclass(frozen=True)
class Proposal:
    """A decoded, valid record that was not scored yet. z (D,): the code it was decoded from. nats: its negative log-likelihood there."""

    z: Tensor
    record: Any
    text: str
    key: str
    move: int
    nats: float = 0.0


class Shares:
    """Shares of the moves. credit: discounted successes per draw, with a prior of one success in ten draws."""

    def __init__(self, count: int) -> None:
        self.draws = np.full(count, 10.0)
        self.hits = np.full(count, 1.0)

    def shares(self) -> NDArray[np.float64]:
        """(moves,) summing to 1."""
        rate = self.hits / self.draws
        return np.asarray((1 - FLOOR * len(rate)) * rate / rate.sum() + FLOOR)

    def learn(self, draws: NDArray[np.float64], hits: NDArray[np.float64]) -> None:
        """draws (moves,): sequences drawn since the last call; hits (moves,): those that entered the elite."""
        self.draws = FORGET * self.draws + draws + (1 - FORGET) * 10.0
        self.hits = FORGET * self.hits + hits + (1 - FORGET) * 0.1


class Mover:
    """Draws proposals with a sampler's model. Axes: n draws, D latent."""

    def __init__(self, sampler: Sampler, generator: torch.Generator, moves: Sequence[Move] = MOVES) -> None:
        self.sampler, self.generator, self.moves = sampler, generator, tuple(moves)
        self.shares = Shares(len(self.moves))
        self.drawn = np.zeros(len(self.moves))
        self.counts = {"drawn": 0, "valid": 0, "new": 0}
        self.read: dict[tuple[int, ...], str] = {}  # what sequences are, "" for none

    def propose(self, pool: Pool, elites: Sequence[Sequence[int]], codes: Tensor, count: int, taken: set[str]) -> list[Proposal]:
        """Decode ``count`` codes; what is valid, unscored and not in ``taken`` (keys, which grows).

        elites: token sequences, best first; codes (E, D): theirs.
        """
        picked = self._pick(count, len(elites))
        z, level, begun = self._codes(picked, codes, elites)
        free = self.sampler.unset(count)
        out: list[Proposal] = []
        for at in range(0, count, BATCH):
            part = slice(at, at + BATCH)
            with quick(self.sampler.model.device):
                drawn = self.sampler.draw(z[part], level[part], free[part], 1.0, 0.0, self.generator, pad_rows(begun[part]))
            for row, (tokens, ended) in enumerate(zip(drawn.tokens, drawn.finished, strict=True), start=at):
                proposal = self._read(tokens, z[row], int(picked[row]), pool, taken) if ended else None
                if proposal is not None:
                    taken.add(proposal.key)
                    self.counts["new"] += 1
                    out.append(replace(proposal, nats=-drawn.log_likelihood[row - at]))
        np.add.at(self.drawn, picked, 1.0)
        self.counts["drawn"] += count
        return out

    def learn(self, moves: Sequence[int]) -> None:
        """Tell which moves the records that entered the elite came from."""
        hits = np.bincount(np.asarray(moves, np.int64), minlength=len(self.moves)).astype(np.float64)
        self.shares.learn(self.drawn, hits)
        self.drawn = np.zeros(len(self.moves))

    def _read(self, tokens: Sequence[int], z: Tensor, move: int, pool: Pool, taken: set[str]) -> Proposal | None:
        """The proposal, if the tokens are a record that is new. Most draws near an elite were drawn before, so what they are is kept."""
        sequence = tuple(tokens)
        text = self.read.get(sequence)
        known = text is not None
        if text == "" or (text and (text in pool or text in taken)):
            self.counts["valid"] += text != ""
            return None
        try:
            record = self.sampler.representation.record(tokens)
        except InvalidRecord:
            self.read[sequence] = ""
            return None
        self.counts["valid"] += 1
        text = self.sampler.representation.domain.write(record)
        self.read[sequence] = text
        if not known and (text in pool or text in taken):
            return None
        return Proposal(z, record, text, text, move)

    def _pick(self, count: int, elites: int) -> NDArray[np.int64]:
        share = torch.from_numpy(self.shares.shares())
        if elites < 2:
            share = torch.tensor([float(m.kind == "prior" or (elites == 1 and m.kind == "around")) for m in self.moves])
        return np.asarray(torch.multinomial(share, count, replacement=True, generator=self.generator).numpy())

    def _codes(
        self, picked: NDArray[np.int64], codes: Tensor, elites: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor, list[Sequence[int]]]:
        """Codes (n, D), levels (n,) and the tokens that are given of the picked moves."""
        level = torch.tensor([self.moves[k].level for k in picked], dtype=torch.float32)
        width = self.sampler.model.latent.width
        if codes.shape[0] == 0:
            return torch.randn(len(picked), width, generator=self.generator), level, [()] * len(picked)
        weights = rank_weights(codes.shape[0])
        first, second = (torch.multinomial(weights, len(picked), replacement=True, generator=self.generator) for _ in range(2))
        one, other = codes[first], codes[second]
        share = torch.rand(len(picked), 1, generator=self.generator)
        # Weights whose squares add up to one keep the variance of the codes.
        crossed = torch.sqrt(share) * one + torch.sqrt(1 - share) * other
        kinds = [self.moves[k].kind for k in picked]
        cross, graft = (torch.tensor([kind == which for kind in kinds])[:, None] for which in ("cross", "graft"))
        z = noised(torch.where(cross, crossed, torch.where(graft, other, one)), level, self.generator)
        begun: list[Sequence[int]] = [()] * len(picked)
        for row, (kind, source, part) in enumerate(zip(kinds, first.tolist(), share.squeeze(1).tolist(), strict=True)):
            if kind in ("grow", "graft"):
                begun[row] = elites[source][: 1 + int(part * (len(elites[source]) - 1))]
        return z, level, begun
