"""Practice: reading and writing of records that need not exist, so that a small data set does not teach the codes by heart.

A code must carry what a record is, whatever it is; a few thousand records can be told apart by less. So each training step also encodes and
decodes relatives of the training records, made by the domain (``Domain.vary``): other content, the same grammar. They are seen at low noise
alone, without labels, so neither the prior nor the conditions learn from what does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molvae.config import PracticeConfig
from molvae.dataset.batches import batch_graphs, pad_rows
from molvae.dataset.store import Store
from molvae.errors import InvalidRecord, UsageError
from molvae.model import VAE, to_device
from molvae.records import Batch, GraphArrays
from molvae.representation import Representation

LONG, FEWEST = 40, 16
"""Tokens of a relative above which a step takes fewer of them, as a batch of the longest would take as long as ten others, and how few."""


class Relative:
    """One relative as the model reads and writes it. build: its graph, made when first asked for."""

    def __init__(self, source: list[int], target: list[int], build: Callable[[], GraphArrays]) -> None:
        self.source, self.target, self._build = source, target, build

    @cached_property
    def graph(self) -> GraphArrays:
        return self._build()


def relatives(representation: Representation[Any], texts: Sequence[str], count: int, seed: int | Sequence[int]) -> list[Relative]:
    """``count`` relatives of records drawn at random; ones that the vocabularies cannot write are left out.

    A record is as likely as it is long, for what stands far behind in a string is found in long ones alone.
    Raises UsageError where the domain knows no relatives.
    """
    domain = representation.domain
    if domain.vary is None:
        raise UsageError(f"the {domain.name} domain makes no relatives to practise on; set practice.rows = 0")
    rng = np.random.default_rng(seed)
    found: list[Relative] = []
    lengths = np.array([len(text) for text in texts], np.float64)
    for at in rng.choice(len(texts), count, p=lengths / lengths.sum()):
        try:
            record = domain.vary(domain.parse(texts[at]), rng)
            source, target = representation.reads(record), representation.writes(record)
        except InvalidRecord:
            continue
        found.append(Relative(source, target, partial(domain.graph.build, record)))
    return found


class Practice:
    """Adds the loss of practice to a training step. make: number of a pool, from 0 -> its relatives, the same each time.

    Raises UsageError where there are not enough relatives, or none are made.
    """

    def __init__(self, representation: Representation[Any], make: Callable[[int], Sequence[Relative]], settings: PracticeConfig) -> None:
        self.views, self.labels = representation.views, len(representation.labels.names)
        self.make, self.settings = make, settings
        self.number = -1
        self._turn_to(0)  # before the training's clock runs, and what cannot be made is refused before it

    @classmethod
    def on(cls, representation: Representation[Any], store: Store, settings: PracticeConfig, seed: int) -> Practice:
        """On relatives of a store's training records."""
        texts = store.texts("text", store.rows("train"))
        return cls(representation, lambda number: relatives(representation, texts, settings.pool, (seed, number)), settings)

    def __call__(self, model: VAE, labels: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """labels: of the step's data, on whose device the model computes -> weighted loss () and parts for the log."""
        self._turn_to(step // self.settings.renewed if self.settings.renewed else 0)
        # torch's generator is set anew for each step, so a resumed run practises on the same relatives.
        chosen = self._chosen(int(torch.randint(len(self.pool), ())))
        alone = "sequence" in self.views and float(torch.rand(())) < self.settings.alone
        batch = to_device(self._batch(chosen, ("sequence",) if alone else self.views), labels.device)
        level = torch.rand(batch.size, device=labels.device) * self.settings.level
        with model.latent.steady():  # the prior is that of the data alone
            code = model.encode(batch, level)
        if batch.target is None:
            raise ValueError("practice needs target sequences")
        was = model.decoder.training
        if self.settings.renewed:  # relatives without end cannot be learnt by heart, so nothing has to be dropped against that
            model.decoder.eval()
        try:
            nll = model.nll(code.z, level, batch.target).mean()
        finally:
            model.decoder.train(was)
        return self.settings.weight * (nll + code.aux), {"nll_practice": nll.detach()}

    def _chosen(self, longest: int) -> list[Relative]:
        """A step's relatives, of which the longest is at this place of the order, or, among the first, as far on as the step has rows."""
        parts = -(-len(self.pool[self.order[longest]].target) // LONG)
        rows = min(len(self.pool), max(FEWEST, self.settings.rows // parts), self.settings.rows)
        end = max(longest + 1, rows)
        return [self.pool[at] for at in self.order[end - rows : end]]

    def _turn_to(self, number: int) -> None:
        """Take up the pool of this number: a small pool that stays would be learnt by heart, as small data are."""
        if number == self.number:
            return
        self.pool, self.number = self.make(number), number
        if len(self.pool) < 2:
            what = f"{len(self.pool)} relatives to practise on"
            raise UsageError(f"{what}; at least 2 are wanted: raise practice.pool, or set practice.rows = 0")
        # Alike in length within a batch, which then carries little padding.
        self.order = np.argsort([len(one.target) for one in self.pool], kind="stable")

    def _batch(self, chosen: Sequence[Relative], views: Sequence[str]) -> Batch:
        target = pad_rows([one.target for one in chosen])
        return Batch(
            size=len(chosen),
            coded=len(chosen),
            source=pad_rows([one.source for one in chosen]) if "sequence" in views else None,
            graph=batch_graphs([one.graph for one in chosen]) if "graph" in views else None,
            target=target,
            labels=torch.full((len(chosen), self.labels), torch.nan),
            written=target if "written" in views else None,
        )
