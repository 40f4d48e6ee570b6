"""``model.optimize``: an objective, a budget, and the search that spends it; the run's folder, from which it goes on after any end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from molvae.errors import UsageError
from molvae.objectives.terms import Bounds
from molvae.records import Candidate
from molvae.sample import Sampler
from molvae.scorers import Scorer
from molvae.search import Optimisation, Progress
from molvae.search.journal import Journal
from molvae.search.judge import Judge
from molvae.search.plan import Plan, Scoring, search_for, usual_bounds
from molvae.search.pool import Scored
from molvae.search.shared import Shelf
from molvae.search.team import Gathered, Interruptible, Job, side_by_side

__all__ = ["Optimised", "Plan", "candidates", "optimise", "usual_bounds"]

FILE, STUDY = "study.journal", "molvae"  # of a folder whose run has several workers


@dataclass(frozen=True)
class Optimised:
    """The outcome: candidates with their evidence, best first; for a Pareto search the front comes first.

    search: everything that was scored and the Optuna study. failures: why evaluations were lost, and how many.
    """

    candidates: list[Candidate]
    front: int
    search: Optimisation
    failures: Mapping[str, int]


def optimise(
    sampler: Sampler,
    plan: Plan,
    scorers: Sequence[Scorer] = (),
    *,
    model_name: str = "",
    bounds: Bounds | None = None,
    scorer_workers: int = 1,
    timeout: float = 60.0,
    keep: int = 100,
    reopen: Callable[[], Sampler] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_search: Callable[[Interruptible], None] | None = None,
) -> Optimised:
    """Run the search. scorer_workers, timeout: of each scorer, seconds for an evaluation. keep: candidates to deliver.

    reopen: makes the sampler anew in another process, for a plan with several workers. on_search: handed the search before it starts, so
    that a signal handler can set ``interrupted``. Raises UsageError, UnknownName, and MolvaeError where every worker was lost.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if plan.workers < 1 or plan.grace <= 0:
        raise UsageError(f"workers={plan.workers}, grace={plan.grace:g}: at least one process is wanted, and some seconds")
    scoring = Scoring(tuple(scorers), scorer_workers, timeout, bounds)
    with scoring.judge(sampler, plan.objective) as judge:
        place, run = _storage(plan), _Run(sampler, plan, judge, on_progress, on_search)
        description = plan.described(model_name, judge)
        journal = None if plan.out is None else Journal(plan.out, description, resume=plan.resume)
        if place is None:
            found, failures = run.alone(journal)
        else:
            found, failures = run.shared(place, journal, description, scoring, reopen)
    front = found.pool.front() if plan.objective.pareto else []
    chosen = [*front, *(s for s in found.pool.best(keep, plan.per_group) if s not in front)][: max(keep, len(front))]
    return Optimised(candidates(sampler, chosen, judge), len(front), found, failures)


@dataclass(frozen=True)
class _Run:
    """One command's search, in memory or in a shared study."""

    sampler: Sampler
    plan: Plan
    judge: Judge
    on_progress: Callable[[Progress], None] | None
    on_search: Callable[[Interruptible], None] | None

    def alone(self, journal: Journal | None, shelf: Shelf | None = None) -> tuple[Optimisation, Mapping[str, int]]:
        """In this process."""
        search = search_for(self.plan, self.sampler, self.judge, shelf=shelf, note=None if journal is None else journal.note)
        if shelf is None:
            had = self._had(journal)
            search.study.add_trials(had)
            search.take_over(had)
        if self.on_search is not None:
            self.on_search(search)
        return search.run(self.on_progress), self.judge.failures()

    def shared(
        self, place: str, journal: Journal | None, description: Mapping[str, Any], scoring: Scoring, reopen: Callable[[], Sampler] | None
    ) -> tuple[Optimisation, Mapping[str, int]]:
        """In a study that others may work on, with all of the plan's workers."""
        name = self.plan.study if self.plan.storage else STUDY
        shelf = Shelf.at(place, name, self.plan.objectives)
        shelf.agree({key: value for key, value in description.items() if key not in ("sampler", "seed")})
        shelf.add(self._had(journal))
        domain = self.sampler.representation.domain
        if self.plan.workers == 1:
            found = self.alone(journal, shelf)
        elif reopen is None:
            raise UsageError(f"workers={self.plan.workers}, but no way to open the model in each of them; hand in reopen")
        else:
            job = Job(reopen, replace(self.plan, storage=place, study=shelf.study.study_name), scoring)
            found = side_by_side(job, shelf, domain, self.on_progress, self.on_search)
        if journal is not None:
            every = Gathered(shelf, domain)
            every.update()
            journal.rewrite(every.rows())
        return found

    def _had(self, journal: Journal | None) -> list[FrozenTrial]:
        return journal.trials(self.sampler.model.latent.width) if journal is not None and self.plan.resume else []


def _storage(plan: Plan) -> str | None:
    """Where the study is kept; None in memory. Raises UsageError for several workers without a place to share."""
    if plan.storage is not None:
        return plan.storage
    file = None if plan.out is None else plan.out / FILE
    if file is not None and (plan.workers > 1 or (plan.resume and file.exists())):
        return f"journal:{file}"
    if plan.workers > 1:
        raise UsageError(f"{plan.workers} workers need a place to share; give out=DIR, or storage=URL and study=NAME")
    return None


def candidates(sampler: Sampler, chosen: Sequence[Scored], judge: Judge) -> list[Candidate]:
    """The records with verdict, novelty, everything measured and predicted, score and origin."""
    domain = sampler.representation.domain
    out: list[Candidate] = []
    for one in chosen:
        record = domain.parse(one.text)
        key = domain.key(record)
        measured = {name: domain.properties[name].compute(record) for name in judge.computed}
        measured |= {name: value for name, value in one.values.items() if name not in judge.means}  # those are among the predictions
        extra: dict[str, float | str] = {"score": one.score} if not math.isnan(one.score) else {}
        extra |= {f"objective {name}": v for name, v in zip((t.name for t in judge.bound.objective.terms), one.objectives, strict=False)}
        extra |= {"call": float(one.call), "origin": one.origin}
        verdict, novel = sampler.validator.verdict(record), sampler.validator.novel(key)
        out.append(Candidate(one.text, key, verdict, measured=measured, novel=novel, extra=extra))
    return sampler.predicted(out)
