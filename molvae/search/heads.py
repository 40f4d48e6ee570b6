"""Endpoints that the model itself predicts from a record's code: for labels that nobody can compute, or that are dear to measure."""

from __future__ import annotations

from collections.abc import Sequence

from molvae.errors import InvalidRecord
from molvae.sample import BATCH, Sampler
from molvae.scorers import Failure, Outcome, ReportingScorer

SUFFIXES = ("_pred", "_lcb", "_ucb")


def offered(sampler: Sampler) -> list[str]:
    """Names that ``Heads`` knows: NAME_pred, NAME_lcb and NAME_ucb of each label; NAME itself where the domain cannot compute it."""
    if sampler.model.head is None:
        return []
    labels = sampler.representation.labels.names
    bare = [name for name in labels if name not in sampler.representation.domain.properties]
    return bare + [name + suffix for name in labels for suffix in SUFFIXES]


class Heads(ReportingScorer):
    """Predicted mean (NAME or NAME_pred), and the mean less (NAME_lcb) or plus (NAME_ucb) one predicted standard deviation.

    A lower confidence bound is what to maximise where the model may be wrong: it asks for a high prediction and for a certain one.
    """

    def __init__(self, sampler: Sampler, names: Sequence[str]) -> None:
        super().__init__(names)
        labels = sampler.representation.labels.names
        self._sampler = sampler
        self._of: list[tuple[int, float]] = []
        for name in names:
            suffix = next((s for s in SUFFIXES if name.endswith(s) and name.removesuffix(s) in labels), "")
            column = labels.index(name.removesuffix(suffix) if suffix else name)
            self._of.append((column, {"_lcb": -1.0, "_ucb": 1.0}.get(suffix, 0.0)))

    def attempt(self, texts: Sequence[str]) -> list[Outcome]:
        """Values for the texts that have a code."""
        out: list[Outcome] = [Failure("no code", "the model's vocabulary lacks one of its symbols")] * len(texts)
        parsed: list[tuple[int, object]] = []
        for place, text in enumerate(texts):
            try:
                parsed.append((place, self._sampler.representation.domain.parse(text)))
            except InvalidRecord as error:
                out[place] = Failure("not a record", error.why)
        for start in range(0, len(parsed), BATCH):
            part = parsed[start : start + BATCH]
            batch, places = self._sampler.representation.able([record for _, record in part])
            if batch is None:
                continue
            mean, std = self._sampler.predict(self._sampler.modes(batch))
            for row, place in enumerate(places):
                out[part[place][0]] = tuple(float(mean[row, c] + w * std[row, c]) for c, w in self._of)
        return out
