"""One search on one PMO task, with the product's own search and scorers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from molvae.api import Model
from molvae.domains.molecules.oracles import ISOMER_TASKS
from molvae.scorers import named
from molvae.search import Search, Settings
from molvae.search.loop import Evaluation, Optimisation


def search(task: str, model: Model, settings: Settings, definition: str = "corrected", *, verdict: bool = False) -> Optimisation:
    """Optimise the task. definition: of the isomer scoring. verdict: score only what passes the product's verdict, as ``optimize`` does."""
    scorer = named(model.domain, f"pmo:{task}" + (f":{definition}" if task in ISOMER_TASKS else ""))

    def passes(record: Any) -> bool:
        return model.validator.verdict(record).ok

    def evaluate(texts: Sequence[str]) -> list[Evaluation]:
        return [Evaluation(score) for (score,) in scorer(texts)]

    return Search(model.sampler, evaluate, settings, accept=passes if verdict else None, features=model.domain.features).run()
