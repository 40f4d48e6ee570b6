"""Scorers that look at records: texts are parsed once for them, and what is no record is told of in one way."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from molvae.errors import InvalidRecord
from molvae.sample import Sampler
from molvae.scorers import Failure, Outcome, ReportingScorer


class RecordScorer(ReportingScorer):
    """A scorer of the sampler's records. names: its endpoints."""

    def __init__(self, sampler: Sampler, names: Sequence[str]) -> None:
        super().__init__(names)
        self._sampler = sampler

    @abstractmethod
    def judge(self, records: Sequence[Any]) -> list[Outcome]:
        """For each record its values or why there are none."""

    def attempt(self, texts: Sequence[str]) -> list[Outcome]:
        """Values for the texts that are records."""
        out: dict[int, Outcome] = {}
        records: dict[int, Any] = {}
        for place, text in enumerate(texts):
            try:
                records[place] = self._sampler.representation.domain.parse(text)
            except InvalidRecord as error:
                out[place] = Failure("not a record", error.why)
        out |= dict(zip(records, self.judge(list(records.values())), strict=True))
        return [out[place] for place in range(len(texts))]
