"""``model.optimize``: an objective, a budget, and the search that spends it; the run's folder, from which it goes on after any end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna

from molvae.objectives import Objective
from molvae.objectives.terms import Bounds
from molvae.records import Candidate
from molvae.sample import Sampler
from molvae.scorers import Guarded, Scorer
from molvae.search import Optimisation, Progress, Search, Settings
from molvae.search.journal import Journal
from molvae.search.judge import Judge
from molvae.search.pool import Scored
from molvae.search.sampler import Recipe


@dataclass(frozen=True)
class Plan:
    """What a search is asked to do.

    verify: score only records that pass the verdict. sampler: see ``molvae.search.samplers.NAMES``. storage, study: of Optuna; without a
    storage the study lives in memory, and the folder ``out``, where given, keeps every scored record.
    """

    objective: Objective
    budget: int = 10_000
    sampler: str = "auto"
    seed: int = 0
    verify: bool = True
    novel: bool = False
    seconds: float = 0.0
    storage: str | None = None
    study: str | None = None
    out: Path | None = None
    resume: bool = False
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class Optimised:
    """The outcome: candidates with their evidence, best first; for a Pareto search the front comes first.

    search: everything that was scored and the Optuna study. failures: why evaluations were lost, and how many.
    """

    candidates: list[Candidate]
    front: int
    search: Optimisation
    failures: Mapping[str, int]


def usual_bounds(sampler: Sampler) -> dict[str, tuple[float, float]]:
    """Mean plus and minus two standard deviations of the training data, for terms without bounds of their own."""
    names = sampler.representation.labels.names
    mean, std = sampler.model.label_mean.tolist(), sampler.model.label_std.tolist()
    return {name: (m - 2 * s, m + 2 * s) for name, m, s in zip(names, mean, std, strict=True)}


def optimise(
    sampler: Sampler,
    plan: Plan,
    scorers: Sequence[Scorer] = (),
    *,
    model_name: str = "",
    bounds: Bounds | None = None,
    workers: int = 1,
    timeout: float = 60.0,
    keep: int = 100,
    on_progress: Callable[[Progress], None] | None = None,
    on_search: Callable[[Search], None] | None = None,
) -> Optimised:
    """Run the search. workers, timeout: of each scorer, seconds for an evaluation. keep: candidates to deliver.

    on_search: handed the search before it starts, so that a signal handler can set ``interrupted``. Raises UsageError, UnknownName.
    """
    domain, objective = sampler.representation.domain, plan.objective
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    guarded = [s if isinstance(s, Guarded) else Guarded(s, workers=workers, timeout=timeout) for s in scorers]
    judge = Judge(domain, objective, guarded, {**usual_bounds(sampler), **(bounds or {})})
    journal = None if plan.out is None else Journal(plan.out, described(plan, model_name, guarded), resume=plan.resume)
    count = len(objective.terms) if objective.pareto else 1
    settings = Settings(plan.budget, plan.seed, plan.sampler, count, objective.labels, plan.seconds, plan.recipe)
    try:
        search = Search(
            sampler,
            judge,
            settings,
            accept=_gate(sampler, plan),
            features=domain.features,
            storage=plan.storage,
            name=plan.study,
            note=None if journal is None else journal.note,
        )
        if journal is not None and plan.resume:
            had = journal.trials(sampler.model.latent.width)
            if plan.storage is None:
                search.study.add_trials(had)
            search.take_over(had)
        if on_search is not None:
            on_search(search)
        found = search.run(on_progress)
    finally:
        for one in guarded:
            one.close()
    front = found.pool.front() if objective.pareto else []
    chosen = [*front, *(s for s in found.best(keep) if s not in front)][: max(keep, len(front))]
    return Optimised(candidates(sampler, chosen, judge), len(front), found, judge.failures())


def described(plan: Plan, model_name: str, scorers: Sequence[Guarded]) -> dict[str, Any]:
    """What decides about the scores of a run, and so must be the same when it is resumed."""
    return {
        "model": model_name,
        "objective": plan.objective.to_dict(),
        "endpoints of scorers": [name for scorer in scorers for name in scorer.names],
        "sampler": plan.sampler,
        "seed": plan.seed,
        "verify": plan.verify,
        "novel": plan.novel,
    }


def _gate(sampler: Sampler, plan: Plan) -> Callable[[Any], bool] | None:
    validator, domain = sampler.validator, sampler.representation.domain
    if not plan.verify and not plan.novel:
        return None

    def passes(record: Any) -> bool:
        if plan.verify and not validator.verdict(record).ok:
            return False
        return not plan.novel or validator.novel(domain.key(record)) is not False

    return passes


def candidates(sampler: Sampler, chosen: Sequence[Scored], judge: Judge) -> list[Candidate]:
    """The records with verdict, novelty, everything measured, score and origin."""
    domain = sampler.representation.domain
    out: list[Candidate] = []
    for one in chosen:
        record = domain.parse(one.text)
        key = domain.key(record)
        measured = {**{name: domain.properties[name].compute(record) for name in judge.computed}, **one.values}
        extra: dict[str, float | str] = {"score": one.score} if not math.isnan(one.score) else {}
        extra |= {f"objective {name}": v for name, v in zip((t.name for t in judge.bound.objective.terms), one.objectives, strict=False)}
        extra |= {"call": float(one.call), "origin": one.origin}
        verdict, novel = sampler.validator.verdict(record), sampler.validator.novel(key)
        out.append(Candidate(one.text, key, verdict, measured=measured, novel=novel, extra=extra))
    return sampler.predicted(out)


def plan_for(objective: Objective, **options: Any) -> Plan:
    """A plan with these options, for callers that have them as keywords."""
    return replace(Plan(objective), **options)
