"""``model.optimize``: an objective, a budget, and the search that spends it; the run's folder, from which it goes on after any end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
from optuna.trial import FrozenTrial

import molvae
from molvae.distinct import Distinct
from molvae.errors import UsageError
from molvae.objectives import Objective
from molvae.protocols import Domain
from molvae.records import Candidate
from molvae.sample import Sampler
from molvae.search import Optimisation, Progress
from molvae.search.journal import STUDY, STUDY_NAME, Journal
from molvae.search.judge import Judge
from molvae.search.pending import forget, gather
from molvae.search.plan import Plan, Scoring, search_for
from molvae.search.pool import Pool, Scored
from molvae.search.samplers import check as check_sampler
from molvae.search.shared import Shelf
from molvae.search.team import Gathered, Interruptible, Job, side_by_side


@dataclass(frozen=True)
class Optimised:
    """The outcome: candidates with their evidence, best first; for a Pareto search the front comes first.

    objective: with the bounds that were used. search: everything that was scored and the Optuna study. warnings: what a user may not expect.
    """

    candidates: list[Candidate]
    front: int
    objective: Objective
    search: Optimisation
    warnings: tuple[str, ...] = ()

    @property
    def failures(self) -> dict[str, int]:
        """Why records have no score, and how many, those of earlier sessions and other workers among them."""
        return self.search.pool.failures()


def optimise(
    sampler: Sampler,
    plan: Plan,
    *,
    model_name: str = "",
    scoring: Scoring | None = None,
    keep: int = 100,
    reopen: Callable[[], Sampler] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_search: Callable[[Interruptible], None] | None = None,
) -> Optimised:
    """Run the search. scoring: the user's scorers. keep: candidates to deliver.

    reopen: makes the sampler anew in another process, for a plan with several workers. on_search: handed the search before it starts, so
    that a signal handler can set ``interrupted``. Raises UsageError, UnknownName, and MolvaeError where every worker was lost.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if plan.workers < 1 or plan.grace <= 0:
        raise UsageError(f"workers={plan.workers}, grace={plan.grace:g}: at least one process is wanted, and some seconds")
    check_sampler(plan.sampler, plan.objectives)
    plan, refused = _able(plan, sampler)
    scoring = scoring or Scoring()
    if plan.out is not None:
        seen = gather(plan.out) if plan.resume else {}
        plan = replace(plan, again=tuple(dict.fromkeys(text for rows in seen.values() for text in rows)))
        scoring = replace(scoring, folder=plan.out, seen=seen)
    with scoring.judge(sampler, plan.objective) as judge:
        place, run = _storage(plan), _Run(sampler, plan, judge, on_progress, on_search)
        description = plan.described(model_name, judge)
        noted = {"molvae": molvae.__version__, **plan.noted()}
        journal = None if plan.out is None else Journal(plan.out, description, noted, resume=plan.resume)
        found = run.alone(journal) if place is None else run.shared(place, journal, description, scoring, reopen)
    if plan.objectives > 1:
        found.pool.weigh([1 / plan.objectives] * plan.objectives)
    chosen, front = _chosen(found.pool, plan, sampler.representation.domain, keep)
    if plan.out is not None:
        forget(plan.out)
    return Optimised(candidates(sampler, chosen, judge), front, judge.bound.objective, found, (*refused, *found.warnings))


def _able(plan: Plan, sampler: Sampler) -> tuple[Plan, list[str]]:
    """The plan with those seeds alone that may be scored, and what is to be said of the others. Raises InvalidRecord."""
    passes, parse = plan.gate(sampler), sampler.representation.domain.parse
    able = tuple(text for text in plan.seeds if passes is None or passes(parse(text)))
    gates = " and ".join(name for name, asked in (("pass the verdict", plan.verify), ("be new", plan.novel)) if asked)
    lost = len(plan.seeds) - len(able)
    return replace(plan, seeds=able), [f"{lost} of {len(plan.seeds)} seeds left out, for records must {gates}"] if lost else []


def _chosen(pool: Pool, plan: Plan, domain: Domain[Any], keep: int) -> tuple[list[Scored], int]:
    """The records to deliver, the front first, and how many are on it. Each once, though two texts may stand for one record."""
    front = {one.key: one for one in (pool.front() if plan.objective.pareto else ())}
    seen = Distinct(domain)
    groups: Counter[str] = Counter()
    out: list[Scored] = []
    for one in [*front.values(), *(s for s in pool.ranked() if s.key not in front)]:
        if one.key not in front and len(out) >= keep:
            break
        if one.key not in front and one.group and plan.per_group and groups[one.group] >= plan.per_group:
            continue
        key = domain.key(domain.parse(one.text))
        if seen.find(key, one.text) is not None:
            continue
        seen.add(key, one.text)
        groups[one.group] += 1
        out.append(one)
    return out, sum(one.key in front for one in out)


@dataclass(frozen=True)
class _Run:
    """One command's search, in memory or in a shared study."""

    sampler: Sampler
    plan: Plan
    judge: Judge
    on_progress: Callable[[Progress], None] | None
    on_search: Callable[[Interruptible], None] | None

    def alone(self, journal: Journal | None, shelf: Shelf | None = None) -> Optimisation:
        """In this process."""
        had = self._had(journal) if shelf is None else ()
        search = search_for(self.plan, self.sampler, self.judge, shelf=shelf, had=had, note=None if journal is None else journal.note)
        if self.on_search is not None:
            self.on_search(search)
        return search.run(self.on_progress)

    def shared(
        self, place: str, journal: Journal | None, description: Mapping[str, Any], scoring: Scoring, reopen: Callable[[], Sampler] | None
    ) -> Optimisation:
        """In a study that others may work on, with all of the plan's workers."""
        name = self.plan.study if self.plan.storage else STUDY_NAME
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
    file = None if plan.out is None else plan.out / STUDY
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
