"""One search on one PMO task, with the product's own search and scorers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from molvae.api import Model
from molvae.domains.molecules.oracles import ISOMER_TASKS
from molvae.objectives import Objective
from molvae.scorers import named
from molvae.search import Search, Settings
from molvae.search.outcome import Evaluation, Optimisation


def scorer_of(task: str, definition: str = "corrected") -> str:
    """The task's name among the product's scorers."""
    return f"pmo:{task}" + (f":{definition}" if task in ISOMER_TASKS else "")


def search_side_by_side(
    task: str, model: Model, settings: Settings, definition: str = "corrected", *, verdict: bool = False, workers: int
) -> Optimisation:
    """The same by ``workers`` processes on one study in a file, as ``optimize --workers`` has them. Seconds of the scorer are a worker's mean."""
    with tempfile.TemporaryDirectory() as folder:
        found = model.optimize(
            Objective.of(maximize="score"),
            budget=settings.budget,
            seed=settings.seed,
            scorers=[named(model.domain, scorer_of(task, definition), ["score"])],
            verify=verdict,
            workers=workers,
            out=Path(folder) / "run",
            keep=1,
        ).search
    return replace(found, scorer_seconds=found.scorer_seconds / workers)


def search(task: str, model: Model, settings: Settings, definition: str = "corrected", *, verdict: bool = False) -> Optimisation:
    """Optimise the task. definition: of the isomer scoring. verdict: score only what passes the product's verdict, as ``optimize`` does."""
    scorer = named(model.domain, scorer_of(task, definition))

    def passes(record: Any) -> bool:
        return model.validator.verdict(record).ok

    def evaluate(texts: Sequence[str]) -> list[Evaluation]:
        return [Evaluation(score) for (score,) in scorer(texts)]

    return Search(model.sampler, evaluate, settings, accept=passes if verdict else None, features=model.domain.features).run()
