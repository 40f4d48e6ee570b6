"""How plausible the model finds a record, as an endpoint: what a search that is guided by predictions must not leave behind.

A model's heads are right about records like those it was trained on. A search for what they like best soon finds others, of which they are
wrong in its favour; the model's own density tells them apart (domain of applicability).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from molvae.errors import InvalidRecord
from molvae.rank import COLUMN, log_density
from molvae.sample import Sampler
from molvae.scorers import Failure, Outcome, ReportingScorer

__all__ = ["COLUMN", "Density"]


class Density(ReportingScorer):
    """The endpoint ``log_density``: log p(x) in nats at noise level 1, without targets; see ``molvae.rank``."""

    def __init__(self, sampler: Sampler) -> None:
        super().__init__((COLUMN,))
        self._sampler = sampler

    def attempt(self, texts: Sequence[str]) -> list[Outcome]:
        """Values for the texts that the model can write."""
        out: list[Outcome] = [Failure("no density", "the model's vocabulary lacks one of its symbols")] * len(texts)
        parsed: list[int] = []
        for place, text in enumerate(texts):
            try:
                self._sampler.representation.domain.parse(text)
            except InvalidRecord as error:
                out[place] = Failure("not a record", error.why)
            else:
                parsed.append(place)
        unset = torch.full((len(self._sampler.representation.labels.names),), torch.nan)
        found = log_density(self._sampler.model, self._sampler.representation, [texts[place] for place in parsed], unset)
        for place, value in zip(parsed, found, strict=True):
            if math.isfinite(value):
                out[place] = (value,)
        return out
