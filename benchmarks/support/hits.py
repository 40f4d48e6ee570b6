"""Profiles of three properties, and four ways to find molecules inside them, by the scorer calls they take.

A call is one distinct molecule that passes the verdict and whose properties are then computed; a hit is one whose three properties all lie
inside. This holds for every way. Invalid draws, repetitions and failures of the verdict are free, for they are seen without the scorer.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from molvae.api import Model
from molvae.dataset import Store
from molvae.errors import InvalidRecord
from molvae.objectives import Objective
from molvae.request import Range, Request
from molvae.sample import BATCH
from molvae.search import Search, Settings
from molvae.search.outcome import Evaluation
from molvae.search.sampler import Recipe

WAYS = ("conditional", "optimize", "prior", "screening")


@dataclass(frozen=True)
class Profile:
    """limits: property -> (low, high), both included. words: what it stands for."""

    words: str
    limits: Mapping[str, tuple[float, float]]

    def holds(self, model: Model, record: Any) -> bool:
        """Whether a record is a hit."""
        return all(low <= model.domain.properties[name].compute(record) <= high for name, (low, high) in self.limits.items())


# With the share of ZINC-250k's training molecules inside.
PROFILES: Mapping[str, Profile] = {
    "cns": Profile("drug for the central nervous system, 15.8 %", {"logp": (2.0, 3.5), "tpsa": (40.0, 75.0), "qed": (0.8, 1.0)}),
    "lead": Profile("small lead that is easy to make, 4.0 %", {"logp": (1.0, 3.0), "mw": (250.0, 350.0), "sa": (1.0, 2.2)}),
    "fragment": Profile("fragment that is easy to make, 0.75 %", {"logp": (0.0, 2.0), "mw": (150.0, 230.0), "sa": (1.0, 2.5)}),
    "peripheral": Profile("drug kept out of the brain, 0.17 %", {"logp": (-1.0, 1.0), "tpsa": (110.0, 140.0), "qed": (0.7, 1.0)}),
    "large_soluble": Profile("large, soluble and easy to make, 0.15 %", {"logp": (0.0, 1.0), "mw": (350.0, 420.0), "sa": (1.0, 2.5)}),
}


@dataclass(frozen=True)
class Effort:
    """wanted: hits; most: calls after which a way gives up; recipe: of the search."""

    wanted: int = 100
    most: int = 30_000
    recipe: Recipe = field(default_factory=Recipe)


@dataclass
class Tally:
    """Counts calls and hits; ``full`` once enough were found or the calls are spent."""

    model: Model
    profile: Profile
    effort: Effort
    seen: set[str] = field(default_factory=set)
    calls: int = 0
    at: list[int] = field(default_factory=list)  # calls at each hit
    texts: list[str] = field(default_factory=list)
    novel: int = 0

    @property
    def full(self) -> bool:
        """Whether to stop."""
        return len(self.at) >= self.effort.wanted or self.calls >= self.effort.most

    def take(self, records: Iterable[Any]) -> None:
        """Count records, in order, until full."""
        for record in records:
            if self.full:
                return
            text = self.model.domain.write(record)
            if text not in self.seen:
                self.seen.add(text)
                if self.model.validator.verdict(record).ok:
                    self.count(record, self.profile.holds(self.model, record))

    def count(self, record: Any, hit: bool) -> None:
        """Count one call on a record that passed the verdict."""
        self.calls += 1
        if hit and len(self.at) < self.effort.wanted:
            self.at.append(self.calls)
            self.texts.append(self.model.domain.write(record))
            self.novel += self.model.validator.novel(self.model.domain.key(record)) is True


def find(model: Model, profile: Profile, way: str, effort: Effort, seed: int, store: Path) -> dict[str, Any]:
    """One run of one of WAYS: calls at each hit, calls in all, and the share of the hits that are no training molecules."""
    tally = Tally(model, profile, effort)
    started = time.process_time()
    if way == "optimize":
        optimised(model, tally, seed)
    else:
        source = training(model, store, seed) if way == "screening" else drawn(model, profile if way == "conditional" else None, seed)
        for batch in source:
            tally.take(batch)
            if tally.full:
                break
    return {
        "way": way,
        "seed": seed,
        "calls": tally.calls,
        "hits": len(tally.at),
        "at": tally.at,
        "novel": tally.novel / len(tally.at) if tally.at else float("nan"),
        "smiles": tally.texts[:10],
        "cpu_seconds": time.process_time() - started,
    }


@torch.no_grad()
def drawn(model: Model, profile: Profile | None, seed: int, most: int = 4000) -> Iterator[list[Any]]:
    """Batches of valid records: draws from the prior, with values inside the profile's limits shown as ``model.generate`` does, or without.

    Ends after ``most`` batches.
    """
    ranges = () if profile is None else tuple(Range(name, *limits) for name, limits in profile.limits.items() if name in model.properties)
    request = Request(BATCH, ranges=ranges)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(most):
        found = model.sampler.propose(request, BATCH, generator, None)
        yield list(_records(model, found.tokens, found.finished))


def _records(model: Model, tokens: Sequence[Sequence[int]], finished: Sequence[bool]) -> Iterator[Any]:
    for ids, ended in zip(tokens, finished, strict=True):
        try:
            record = model.representation.record(ids) if ended else None
        except InvalidRecord:
            record = None
        if record is not None:
            yield record


def training(model: Model, path: Path, seed: int) -> Iterator[Iterator[Any]]:
    """The training molecules in random order, as a library is screened."""
    store = Store.open(path)
    rows = np.random.default_rng(seed).permutation(store.rows("train"))
    for at in range(0, len(rows), BATCH):
        yield map(model.domain.parse, store.texts("text", rows[at : at + BATCH]))


def optimised(model: Model, tally: Tally, seed: int) -> None:
    """The product's search, with the limits as ranges of an objective, until the tally is full."""
    objective = Objective.of(range={name: list(limits) for name, limits in tally.profile.limits.items()})
    bound, domain = objective.bind(model.domain), model.domain

    def evaluate(texts: Sequence[str]) -> list[Evaluation]:
        out = []
        for record in map(domain.parse, texts):
            values = {name: domain.properties[name].compute(record) for name in bound.names}
            out.append(Evaluation(bound.judge(values, record).score, values))
            if not tally.full:
                tally.count(record, tally.profile.holds(model, record))
        search.interrupted = tally.full
        return out

    settings = Settings(tally.effort.most, seed, recipe=tally.effort.recipe)
    search = Search(model.sampler, evaluate, settings, accept=lambda record: model.validator.verdict(record).ok, features=domain.features)
    search.run()
