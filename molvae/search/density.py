"""How plausible the model finds a record, as an endpoint: what a search that is guided by predictions must not leave behind.

A model's heads are right about records like those it was trained on. A search for what they like best soon finds others, of which they are
wrong in its favour; the model's own density tells them apart (domain of applicability).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from molvae.rank import COLUMN, density_of
from molvae.sample import Sampler
from molvae.scorers import Failure, Outcome
from molvae.search.parsing import RecordScorer

__all__ = ["COLUMN", "Density"]


class Density(RecordScorer):
    """The endpoint ``log_density``: log p(x) in nats at noise level 1, without targets; see ``molvae.rank``."""

    def __init__(self, sampler: Sampler) -> None:
        super().__init__(sampler, (COLUMN,))

    def judge(self, records: Sequence[Any]) -> list[Outcome]:
        """Values for the records that the model can write."""
        representation = self._sampler.representation
        unset = torch.full((len(representation.labels.names),), torch.nan)
        found = density_of(self._sampler.model, representation, records, unset)
        failure = Failure("no density", "the model's vocabulary lacks one of its symbols")
        return [(value,) if math.isfinite(value) else failure for value in found]
