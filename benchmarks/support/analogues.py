"""Analogues of many seeds at once by latent search: draws around each seed and its best analogues, decoded together. Axes: n draws, D latent.

It is the product's local search with one small pool for each seed: codes are noised at many levels or crossed with the seed's own, decoded
asking for a higher logP and a lower SA score, and what is better and similar enough is encoded again and searched around.
The shares of the moves follow their success over all seeds together (``molvae.search.moves.Shares``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from rdkit import DataStructs
from rdkit.Chem import rdFingerprintGenerator
from torch import Tensor

from benchmarks.support.penalised import Parts, parts
from molvae.api import Model
from molvae.errors import InvalidRecord
from molvae.sample import BATCH, noised
from molvae.search.moves import Shares
from molvae.search.pool import rank_weights

PRINTS = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5)
ASKED = {"logp": 3.0, "sa": -1.5}  # property: the most by which it is asked to differ from the parent


@dataclass(frozen=True)
class Move:
    """kind: "around" a parent or "back", a crossing of it with its seed; level: of the noise."""

    kind: str
    level: float


MOVES = tuple(Move(kind, level) for kind in ("around", "back") for level in LEVELS)


@dataclass(frozen=True)
class Settings:
    """draws: decoded sequences for each seed, invalid ones and repetitions included; batch: of them between two updates; elite: best
    analogues of a seed that are searched around; guidance, temperature: of decoding; verify: only what passes the verdict counts."""

    draws: int = 200
    batch: int = 10
    elite: int = 5
    guidance: float = 1.0
    temperature: float = 1.0
    verify: bool = True


@dataclass(frozen=True)
class Seed:
    """text: as it is scored and compared with. cleaned: as the model reads it, canonical."""

    text: str
    cleaned: str


@dataclass(frozen=True)
class Analogue:
    """One scored analogue; draw: number of the seed's draw that gave it, from 1."""

    text: str
    similarity: float
    parts: Parts
    draw: int


@dataclass
class Line:
    """What is known of one seed: its own parts and fingerprint, the elite (best first), and the trail of ever better analogues.

    parent: the cleaned seed, which is searched around where there is no elite.
    """

    seed: Seed
    own: Parts
    print_: Any
    parent: Analogue
    elite: list[Analogue] = field(default_factory=list)
    trail: list[Analogue] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    calls: int = 0

    def best(self, draws: int) -> Analogue | None:
        """The best improved analogue of the first draws."""
        return next((one for one in reversed(self.trail) if one.draw <= draws), None)


class Lines:
    """The search of all seeds at one least similarity. A call is one distinct analogue, similar enough, whose score is computed."""

    def __init__(self, model: Model, seeds: Sequence[Seed], least: float, settings: Settings, seed: int) -> None:
        self.model, self.least, self.settings = model, least, settings
        self.generator = torch.Generator().manual_seed(seed)
        self.shares = Shares(len(MOVES))
        self.places = {name: model.properties.index(name) for name in ASKED if name in model.properties}
        codes = model.sampler.codes([one.cleaned for one in seeds])
        self.home = codes
        self.codes: dict[str, Tensor] = {one.cleaned: code for one, code in zip(seeds, codes, strict=True)}
        self.lines = [self._line(one) for one in seeds]
        self.drawn, self.valid = len(self.lines), len(self.lines)

    def _line(self, seed: Seed) -> Line:
        """A seed's line; the cleaned seed is its first draw, which is an analogue where cleaning changed the molecule."""
        record, cleaned = self.model.domain.parse(seed.text), self.model.domain.parse(seed.cleaned)
        parent = Analogue(seed.cleaned, 1.0, parts(cleaned.mol), 0)
        line = Line(seed, parts(record.mol), PRINTS.GetFingerprint(record.mol), parent, seen={self.model.domain.write(record)})
        self._take(line, cleaned, 1)
        line.elite = line.elite or [parent]
        return line

    def report(self) -> dict[tuple[str, float], float]:
        """Shares of the moves, (kind, level) -> share."""
        return {(m.kind, m.level): float(share) for m, share in zip(MOVES, self.shares.shares(), strict=True)}

    def run(self) -> list[Line]:
        """All draws of all seeds."""
        while self.drawn < self.settings.draws * len(self.lines):
            self.step(min(self.settings.batch, self.settings.draws - self.drawn // len(self.lines)))
        return self.lines

    def step(self, count: int) -> None:
        """``count`` draws for each seed, and the update after them."""
        n, before = count * len(self.lines), self.drawn // len(self.lines)
        picked = torch.multinomial(torch.from_numpy(self.shares.shares()), n, replacement=True, generator=self.generator)
        moves = [MOVES[k] for k in picked.tolist()]
        owners = [k // count for k in range(n)]
        parents = [self._parent(self.lines[k]) for k in owners]
        records = self._decode(moves, owners, parents)
        draws, hits = torch.bincount(picked, minlength=len(MOVES)).double(), torch.zeros(len(MOVES), dtype=torch.float64)
        for k, record in enumerate(records):
            self.valid += record is not None
            if record is not None and self._take(self.lines[owners[k]], record, before + k % count + 1):
                hits[picked[k]] += 1
        self.shares.learn(draws.numpy(), hits.numpy())
        self.drawn += n
        self._encode()

    def _parent(self, line: Line) -> Analogue:
        if not line.elite:
            return line.parent
        weights = rank_weights(len(line.elite), slope=0.2)
        return line.elite[int(torch.multinomial(weights, 1, generator=self.generator))]

    def _decode(self, moves: Sequence[Move], owners: Sequence[int], parents: Sequence[Analogue]) -> list[Any]:
        """The record of each move, None where it decoded to none."""
        level = torch.tensor([move.level for move in moves])
        own = torch.stack([self.codes[one.text] for one in parents])
        share = torch.rand(len(moves), 1, generator=self.generator)
        crossed = torch.sqrt(share) * own + torch.sqrt(1 - share) * self.home[torch.tensor(owners)]
        back = torch.tensor([move.kind == "back" for move in moves])[:, None]
        z = noised(torch.where(back, crossed, own), level, self.generator)
        targets = self._targets(parents)
        out: list[Any] = []
        for at in range(0, len(moves), BATCH):
            part = slice(at, at + BATCH)
            guidance = self.settings.guidance if self.places else 0.0
            drawn = self.model.sampler.draw(z[part], level[part], targets[part], self.settings.temperature, guidance, self.generator)
            out += [self._record(tokens) if ended else None for tokens, ended in zip(drawn.tokens, drawn.finished, strict=True)]
        return out

    def _targets(self, parents: Sequence[Analogue]) -> Tensor:
        """Standardised targets (n, P): the parent's logP and more, its SA score and less; the rest is free."""
        targets = torch.full((len(parents), len(self.model.properties)), math.nan)
        boldness = torch.rand(len(parents), generator=self.generator)
        for name, place in self.places.items():
            own = torch.tensor([getattr(one.parts, name) for one in parents])
            targets[:, place] = own + ASKED[name] * boldness
        return self.model.vae.standardise(targets)

    def _record(self, tokens: Sequence[int]) -> Any:
        try:
            return self.model.representation.record(tokens)
        except InvalidRecord:
            return None

    def _take(self, line: Line, record: Any, draw: int) -> bool:
        """Judge one drawn record; whether it entered its line's elite."""
        text = self.model.domain.write(record)
        if text in line.seen:
            return False
        line.seen.add(text)
        record = self.model.domain.parse(text)
        similarity = DataStructs.TanimotoSimilarity(line.print_, PRINTS.GetFingerprint(record.mol))
        if similarity < self.least or (self.settings.verify and not self.model.validator.verdict(record).ok):
            return False
        line.calls += 1
        one = Analogue(text, similarity, parts(record.mol), draw)
        best = line.trail[-1].parts.score if line.trail else line.own.score
        if one.parts.score > best:
            line.trail.append(one)
        ranked = sorted([*line.elite, one], key=lambda a: -a.parts.score)[: self.settings.elite]
        entered = any(a is one for a in ranked)
        line.elite = ranked
        return entered

    def _encode(self) -> None:
        """Codes of new elites; what the model cannot read is not searched around."""
        fresh = list(dict.fromkeys(one.text for line in self.lines for one in line.elite if one.text not in self.codes))
        for at in range(0, len(fresh), BATCH):
            part = fresh[at : at + BATCH]
            batch, places = self.model.representation.able([self.model.domain.parse(text) for text in part])
            if batch is None:
                continue
            codes = self.model.sampler.modes(batch)
            self.codes |= {part[place]: codes[row] for row, place in enumerate(places)}
        for line in self.lines:
            line.elite = [one for one in line.elite if one.text in self.codes]
