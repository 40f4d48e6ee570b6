"""Endpoints that the model itself predicts from a record's code: for labels that nobody can compute, or that are dear to measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from molvae.records import Batch
from molvae.representation import only
from molvae.sample import BATCH, Sampler
from molvae.scorers import Failure, Outcome
from molvae.search.parsing import RecordScorer

VIEWS = "_views"
# Of an endpoint's name, and how many predicted standard deviations its value lies from the predicted mean.
SUFFIXES = {"_pred": 0.0, "_lcb": -1.0, "_ucb": 1.0, VIEWS: 0.0}


def split(name: str, labels: Sequence[str]) -> tuple[str, str]:
    """The label that an endpoint's name is about, and the name's suffix; without a suffix the name as it is."""
    if name in labels:
        return name, ""
    return next(((name.removesuffix(s), s) for s in SUFFIXES if name.endswith(s) and name.removesuffix(s) in labels), (name, ""))


def offered(sampler: Sampler) -> list[str]:
    """Names that ``Heads`` knows: NAME_pred, NAME_lcb, NAME_ucb and NAME_views of each label; NAME itself where the domain cannot compute it."""
    if sampler.model.head is None:
        return []
    labels = sampler.representation.labels.names
    bare = [name for name in labels if name not in sampler.representation.domain.properties]
    return bare + [name + suffix for name in labels for suffix in SUFFIXES]


class Heads(RecordScorer):
    """Predicted mean (NAME or NAME_pred), and the mean less (NAME_lcb) or plus (NAME_ucb) one predicted standard deviation.

    A lower confidence bound is what to maximise where the model may be wrong: it asks for a high prediction and for a certain one.
    NAME_views is the mean over the codes that all views give together and each of them alone, weighted by the inverse of the predicted variances,
    since views know different properties well. A search finds records on which the head errs in its favour; it errs less alike for codes that
    different encoders make, as a committee does (Krogh & Vedelsby, NIPS 1994).

    Attributes: ``means``, those of the names that stand for the mean, which candidates carry as their predictions anyway.
    """

    def __init__(self, sampler: Sampler, names: Sequence[str]) -> None:
        super().__init__(sampler, names)
        labels = sampler.representation.labels.names
        parts = [split(name, labels) for name in names]
        self._of = [(labels.index(label), SUFFIXES.get(suffix, 0.0), suffix == VIEWS) for label, suffix in parts]
        self.means = [name for name, (_, away, pooled) in zip(names, self._of, strict=True) if not away and not pooled]
        self._pooled = any(pooled for _, _, pooled in self._of)

    def judge(self, records: Sequence[Any]) -> list[Outcome]:
        """Values for the records that have a code."""
        out: list[Outcome] = [Failure("no code", "the model's vocabulary lacks one of its symbols")] * len(records)
        for start in range(0, len(records), BATCH):
            batch, places = self._sampler.representation.able(records[start : start + BATCH])
            if batch is None:
                continue
            mean, std = self._sampler.predict(self._sampler.modes(batch))
            pooled = self._over_views(batch, mean, std) if self._pooled else mean
            for row, place in enumerate(places):
                values = ((pooled if over else mean)[row, c] + w * std[row, c] for c, w, over in self._of)
                out[start + place] = tuple(float(value) for value in values)
        return out

    def _over_views(self, batch: Batch, mean: Tensor, std: Tensor) -> Tensor:
        """Predictions (n, P) from all views together, which are given, and from each alone, weighted by the inverse of their variances."""
        sampler = self._sampler
        views = sampler.representation.views
        alone = [sampler.predict(sampler.modes(only(batch, view))) for view in views if len(views) > 1]
        means, stds = (torch.stack(list(some)) for some in zip((mean, std), *alone, strict=True))
        weights = stds.square().reciprocal()
        return (weights * means).sum(0) / weights.sum(0)
