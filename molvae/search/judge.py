"""From texts to evaluations: endpoints from the domain, from the user's scorers and from the model's heads, and the objective that weighs them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from molvae.errors import UsageError
from molvae.objectives import Objective
from molvae.objectives.terms import Bounds
from molvae.sample import BATCH, Sampler
from molvae.scorers import Guarded, ReportingScorer
from molvae.search.density import COLUMN, Density
from molvae.search.heads import SUFFIXES, Heads, offered
from molvae.search.outcome import NO_SCORE, Evaluation
from molvae.search.pending import Pending


class Judge:
    """Scores batches of texts for an objective.

    Endpoints that a scorer provides go before the domain's properties and the model's labels of the same name. usual: bounds of terms
    without their own. pending: where the scorers' evaluations of the batch under way are kept. Attributes: ``computed``, the endpoints of the
    domain; ``means``, those that are predicted means.

    Raises UnknownName, UsageError for an objective that these endpoints cannot serve, for an endpoint of two scorers, and for a scorer's
    that is called like a prediction (NAME_pred, NAME_lcb, NAME_ucb, NAME_views) or like the model's density (log_density).
    """

    def __init__(
        self,
        sampler: Sampler,
        objective: Objective,
        scorers: Sequence[Guarded] = (),
        usual: Bounds | None = None,
        pending: Pending | None = None,
    ) -> None:
        self.domain, self.scorers, self._pending = sampler.representation.domain, tuple(scorers), pending
        provided, predicted = [name for scorer in scorers for name in scorer.names], [*offered(sampler), COLUMN]
        if twice := sorted({name for name in provided if provided.count(name) > 1}):
            raise UsageError(f"the endpoint {twice[0]} comes from two scorers; name one of them otherwise, as NAME=module:function")
        if taken := [name for name in provided if name in predicted and name.endswith((*SUFFIXES, COLUMN))]:
            raise UsageError(f"the endpoint {taken[0]} is the model's own prediction; name the scorer's otherwise, as NAME=module:function")
        self.bound = objective.bind(self.domain, endpoints=[*provided, *predicted], usual=usual)
        left = [name for name in self.bound.names if name not in provided]
        self.computed = [name for name in left if name in self.domain.properties]
        own = [name for name in left if name not in self.domain.properties and name != COLUMN]
        heads = [Heads(sampler, own)] if own else []
        self.means = frozenset(name for one in heads for name in one.means)
        models: list[ReportingScorer] = [*heads, *([Density(sampler)] if COLUMN in left else [])]
        self._sources = [*self.scorers, *(Guarded(one, workers=0, batch=BATCH) for one in models)]

    def __call__(self, texts: Sequence[str]) -> list[Evaluation]:
        """One evaluation for each text; what could not be scored has the score NaN."""
        values: list[dict[str, float]] = []
        records = [self.domain.parse(text) for text in texts]
        for record in records:
            values.append({name: self.domain.properties[name].compute(record) for name in self.computed})
        for source in self._sources:
            for mine, theirs in zip(values, source.values(texts), strict=True):
                mine.update(theirs)
        return [self._evaluation(*row) for row in zip(texts, records, values, strict=True)]

    def settled(self) -> None:
        """The latest batch was told: its evaluations need not be kept any more."""
        if self._pending is not None:
            self._pending.clear()

    def _evaluation(self, text: str, record: Any, values: Mapping[str, float]) -> Evaluation:
        found = self.bound.judge(values, record)
        violations = tuple(math.inf if math.isnan(v) else v for v in found.violations)
        failed = self._why(text, values) if math.isnan(found.score) else ""
        return Evaluation(found.score, dict(values), violations, found.objectives, failed)

    def _why(self, text: str, values: Mapping[str, float]) -> str:
        """Why a text has no score."""
        said = [source.why[text] for source in self._sources if text in source.why]
        unknown = [f"no {name}" for name in self.computed if not math.isfinite(values[name])]
        return next(iter([*said, *unknown]), NO_SCORE)
