"""From texts to evaluations: endpoints computed by the domain, endpoints from the user's scorers, and the objective that weighs them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from molvae.errors import UsageError
from molvae.objectives import Objective
from molvae.objectives.terms import Bounds
from molvae.protocols import Domain
from molvae.scorers import Guarded
from molvae.search.loop import Evaluation


class Judge:
    """Scores batches of texts for an objective. Endpoints that a scorer provides go before the domain's properties of the same name.

    usual: bounds of terms without their own. Raises UnknownName, UsageError for an objective that these endpoints cannot serve, and for an
    endpoint of two scorers.
    """

    def __init__(self, domain: Domain[Any], objective: Objective, scorers: Sequence[Guarded] = (), usual: Bounds | None = None) -> None:
        provided = [name for scorer in scorers for name in scorer.names]
        if twice := sorted({name for name in provided if provided.count(name) > 1}):
            raise UsageError(f"the endpoint {twice[0]} comes from two scorers; name one of them otherwise, as NAME=module:function")
        self.domain, self.scorers = domain, tuple(scorers)
        self.bound = objective.bind(domain, endpoints=provided, usual=usual)
        self.computed = [name for name in self.bound.names if name not in provided]

    def __call__(self, texts: Sequence[str]) -> list[Evaluation]:
        """One evaluation for each text; what could not be scored has the score NaN."""
        values: list[dict[str, float]] = []
        records = [self.domain.parse(text) for text in texts]
        for record in records:
            values.append({name: self.domain.properties[name].compute(record) for name in self.computed})
        for scorer in self.scorers:
            for mine, theirs in zip(values, scorer.values(texts), strict=True):
                mine.update(theirs)
        return [self._evaluation(record, mine) for record, mine in zip(records, values, strict=True)]

    def _evaluation(self, record: Any, values: Mapping[str, float]) -> Evaluation:
        found = self.bound.judge(values, record)
        violations = tuple(math.inf if math.isnan(v) else v for v in found.violations)
        return Evaluation(found.score, dict(values), violations, found.objectives)

    def failures(self) -> dict[str, int]:
        """Reason -> evaluations lost to it, over all scorers."""
        out: dict[str, int] = {}
        for scorer in self.scorers:
            for reason, count in scorer.failures.items():
                out[reason] = out.get(reason, 0) + count
        return out
