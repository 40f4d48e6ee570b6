"""Decoding that checks itself: draws are encoded again, and the one whose own code lies nearest to the asked code is the answer.

A noiseless code is a function of its record. A draw whose code is the asked one therefore is the record that was meant, up to records that the
encoder cannot tell apart, and the search needs nothing but the code to know that it has arrived: analysis by synthesis (Yuille & Kersten,
Trends Cogn. Sci. 10, 301, 2006), with the encoder as judge of the decoder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from molvae.errors import InvalidRecord
from molvae.sample import BATCH, Sampler

EACH = 16  # draws for every open code in a round
FOUND = 1e-3  # gap, per square root of a dimension, below which two codes are the same: rounding is 1e-6, the nearest other record .2


@dataclass(frozen=True)
class Inverted:
    """The best record found for a code. text None: no draw was valid. gap: RMS difference between its own code and the asked one, in prior
    standard deviations; ``found``: they are the same. draws: sequences decoded for it."""

    text: str | None
    gap: float
    draws: int

    @property
    def found(self) -> bool:
        """Whether the record has the very code that was asked."""
        return self.gap < FOUND


@torch.no_grad()
def invert(
    sampler: Sampler,
    codes: Tensor,
    *,
    draws: int,
    views: Sequence[str] | None = None,
    targets: Tensor | None = None,
    seed: int = 0,
) -> list[Inverted]:
    """For each noiseless code (n, D) the record that encodes to it, or the nearest found in 1 + ``draws`` sequences.

    The most likely sequence comes first, then rounds of draws at temperature 1. From the second round on, half of them start from a code
    that is pushed away from where the best one so far landed: z + a (z - E(best)). views: those the codes were made from, since each set
    of views has its own code. targets: standardised (n, P), NaN unset. Draws of one code do not depend on the others' but through the
    random stream of the batch.
    """
    out: list[Inverted] = []
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, codes.shape[0], BATCH):
        part = codes[start : start + BATCH]
        wanted = None if targets is None else targets[start : start + BATCH]
        out += _Search(sampler, part, views, wanted, generator).run(draws)
    return out


class _Search:
    """The state of one batch of codes. Axes: n codes, D latent."""

    def __init__(
        self, sampler: Sampler, codes: Tensor, views: Sequence[str] | None, targets: Tensor | None, generator: torch.Generator
    ) -> None:
        self.sampler, self.codes, self.views, self.generator = sampler, codes, views, generator
        size = codes.shape[0]
        self.targets = sampler.unset(size) if targets is None else targets
        self.best: list[str | None] = [None] * size
        self.gap = torch.full((size,), math.inf)
        self.landed = codes.clone()
        self.drawn = [0] * size
        self.tried: list[set[tuple[int, ...]]] = [set() for _ in range(size)]
        self.texts: list[set[str]] = [set() for _ in range(size)]

    def run(self, draws: int) -> list[Inverted]:
        everyone = torch.arange(self.codes.shape[0])
        self._take(everyone, self.codes, 0.0)
        for done in range(0, draws, EACH):
            count = min(EACH, draws - done)
            open_ = torch.nonzero(self.gap >= FOUND).squeeze(1)
            if open_.numel() == 0:
                break
            pushed = count // 2 if done else 0
            self._take(open_.repeat_interleave(count - pushed), None, 1.0)
            if pushed:
                owner = open_.repeat_interleave(pushed)
                far = torch.rand(owner.numel(), 1, generator=self.generator) * 1.5
                self._take(owner, self.codes[owner] + far * (self.codes[owner] - self.landed[owner]), 0.7)
        return [Inverted(t, float(g), d) for t, g, d in zip(self.best, self.gap, self.drawn, strict=True)]

    def _take(self, owner: Tensor, codes: Tensor | None, temperature: float) -> None:
        """Draw one sequence for each owner (m,) from its code or from ``codes`` (m, D), and keep what comes nearer."""
        start = self.codes[owner] if codes is None else codes
        fresh: list[tuple[int, Any]] = []
        for at in range(0, owner.numel(), BATCH):
            part = slice(at, at + BATCH)
            levels = torch.zeros(start[part].shape[0])
            drawn = self.sampler.draw(start[part], levels, self.targets[owner[part]], temperature, 0.0, self.generator)
            for who, tokens, ended in zip(owner[part].tolist(), drawn.tokens, drawn.finished, strict=True):
                self.drawn[who] += 1
                if not ended or tuple(tokens) in self.tried[who]:
                    continue
                self.tried[who].add(tuple(tokens))
                try:
                    record = self.sampler.representation.record(tokens)
                except InvalidRecord:
                    continue
                text = self.sampler.representation.domain.write(record)
                if text not in self.texts[who]:  # one record can be spelt in several ways
                    self.texts[who].add(text)
                    fresh.append((who, record))
        for at in range(0, len(fresh), BATCH):
            self._judge(fresh[at : at + BATCH])

    def _judge(self, fresh: Sequence[tuple[int, Any]]) -> None:
        sampler = self.sampler
        batch, places = sampler.representation.able([record for _, record in fresh], self.views)
        if batch is None:
            return
        able = [fresh[place] for place in places]
        landed = sampler.modes(batch)
        owner = torch.tensor([who for who, _ in able])
        gaps = (landed - self.codes[owner]).square().mean(1).sqrt()
        for row, (who, record) in enumerate(able):
            if gaps[row] < self.gap[who]:
                self.gap[who], self.landed[who] = gaps[row], landed[row]
                self.best[who] = sampler.representation.domain.write(record)
