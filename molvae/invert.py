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
from molvae.representation import parts_begun
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
    that is pushed away from where the best one so far landed: z + a (z - E(best)). Of strings made of parts, half of such a round are the best one
    with a part or two of another draw instead: each part is right in some draw, but few draws are right in all of many parts.

    views: those the codes were made from, since each set of views has its own code. targets: standardised (n, P), NaN unset. Draws of one code
    do not depend on the others' but through the random stream of the batch.
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
        kinds = parts_begun(sampler.representation.target, sampler.representation.target_bpe)
        self.begins = {token for token, kind in enumerate(kinds) if kind}
        self.parts: list[list[list[int]]] = [[] for _ in range(size)]  # of the best one
        self.others: list[list[list[list[int]]]] = [[] for _ in range(size)]  # of the draws

    def run(self, draws: int) -> list[Inverted]:
        everyone = torch.arange(self.codes.shape[0])
        self._take(everyone, self.codes, 0.0)
        for done in range(0, draws, EACH):
            count = min(EACH, draws - done)
            open_ = torch.nonzero(self.gap >= FOUND).squeeze(1)
            if open_.numel() == 0:
                break
            crossed = count // 2 if done and self.begins else 0
            pushed = (count - crossed) // 2 if done else 0
            self._cross(open_.tolist(), crossed)
            self._take(open_.repeat_interleave(count - crossed - pushed), None, 1.0)
            if pushed:
                owner = open_.repeat_interleave(pushed)
                far = torch.rand(owner.numel(), 1, generator=self.generator) * 1.5
                self._take(owner, self.codes[owner] + far * (self.codes[owner] - self.landed[owner]), 0.7)
        return [Inverted(t, float(g), d) for t, g, d in zip(self.best, self.gap, self.drawn, strict=True)]

    def _take(self, owner: Tensor, codes: Tensor | None, temperature: float) -> None:
        """Draw one sequence for each owner (m,) from its code or from ``codes`` (m, D), and keep what comes nearer."""
        start = self.codes[owner] if codes is None else codes
        complete: list[tuple[int, Sequence[int]]] = []
        for at in range(0, owner.numel(), BATCH):
            part = slice(at, at + BATCH)
            levels = torch.zeros(start[part].shape[0])
            found = self.sampler.draw(start[part], levels, self.targets[owner[part]], temperature, 0.0, self.generator)
            for who, tokens, ended in zip(owner[part].tolist(), found.tokens, found.finished, strict=True):
                self.drawn[who] += 1
                if ended:
                    complete.append((who, tokens))
                    if self.begins:
                        self.others[who].append(self._parted(tokens))
        self._read(complete)

    def _cross(self, owners: Sequence[int], count: int) -> None:
        """``count`` sequences for each owner: its best one with a part or two of one of its draws."""
        made: list[tuple[int, Sequence[int]]] = []
        for who in owners:
            if count and self.parts[who] and self.others[who]:
                self.drawn[who] += count
                made += [(who, self._child(self.parts[who], self.others[who][self._below(len(self.others[who]))])) for _ in range(count)]
        self._read(made)

    def _parted(self, tokens: Sequence[int]) -> list[list[int]]:
        parts: list[list[int]] = [[]]
        for token in tokens:
            if token in self.begins:
                parts.append([])
            parts[-1].append(token)
        return parts

    def _child(self, best: Sequence[list[int]], other: Sequence[list[int]]) -> list[int]:
        """One or two of the parts in which the other differs; where it has more or fewer, the first parts of one and the last of the other."""
        parts = list(best)
        if len(best) == len(other):
            differ = [at for at in range(len(best)) if best[at] != other[at]]
            for _ in range(1 + self._below(2) if differ else 0):
                at = differ[self._below(len(differ))]
                parts[at] = list(other[at])
        else:
            first, second = (best, other) if self._below(2) else (other, best)
            parts = [*first[: 1 + self._below(len(first))], *second[1 + self._below(len(second)) :]]
        return [token for part in parts for token in part]

    def _below(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self.generator))

    def _read(self, sequences: Sequence[tuple[int, Sequence[int]]]) -> None:
        """Judge those sequences, each with its owner, that are records not seen before."""
        fresh: list[tuple[int, Any, list[int]]] = []
        for who, tokens in sequences:
            if tuple(tokens) in self.tried[who]:
                continue
            self.tried[who].add(tuple(tokens))
            try:
                record = self.sampler.representation.record(tokens)
            except InvalidRecord:
                continue
            text = self.sampler.representation.domain.write(record)
            if text not in self.texts[who]:  # one record can be spelt in several ways
                self.texts[who].add(text)
                fresh.append((who, record, list(tokens)))
        for at in range(0, len(fresh), BATCH):
            self._judge(fresh[at : at + BATCH])

    def _judge(self, fresh: Sequence[tuple[int, Any, list[int]]]) -> None:
        sampler = self.sampler
        batch, places = sampler.representation.able([record for _, record, _ in fresh], self.views)
        if batch is None:
            return
        able = [fresh[place] for place in places]
        landed = sampler.modes(batch)
        owner = torch.tensor([who for who, _, _ in able])
        gaps = (landed - self.codes[owner]).square().mean(1).sqrt()
        for row, (who, record, tokens) in enumerate(able):
            if gaps[row] < self.gap[who]:
                self.gap[who], self.landed[who] = gaps[row], landed[row]
                self.best[who] = sampler.representation.domain.write(record)
                self.parts[who] = self._parted(tokens)
