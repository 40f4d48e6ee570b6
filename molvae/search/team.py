"""Several search processes of one command on one shared study, and the outcome as the study holds it."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from optuna.logging import WARNING, set_verbosity
from optuna.trial import FrozenTrial

from molvae.protocols import Domain
from molvae.sample import Sampler
from molvae.search.fleet import Fleet, Line, Report
from molvae.search.outcome import Optimisation, Progress
from molvae.search.plan import Plan, Scoring, search_for
from molvae.search.pool import Pool, Scored
from molvae.search.shared import Member, Shelf, Watch, retire
from molvae.search.trials import known, scored


class Interruptible(Protocol):
    """What stops after its batch once ``interrupted`` is set."""

    interrupted: bool


@dataclass(frozen=True)
class Job:
    """The work of each process. reopen: makes the model's sampler; plan: with the storage and the study's name."""

    reopen: Callable[[], Sampler]
    plan: Plan
    scoring: Scoring
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    def member(self, number: int) -> Member:
        """Who a worker is in the study."""
        return Member(self.run, number, self.plan.grace)

    def __call__(self, number: int, line: Line) -> Report:
        """Search until there is a reason to stop."""
        set_verbosity(WARNING)
        sampler = self.reopen()
        with self.scoring.judge(sampler, self.plan.objective, number) as judge:
            shelf = Shelf.at(str(self.plan.storage), self.plan.study, self.plan.objectives)
            search = search_for(self.plan, sampler, judge, shelf=shelf, member=self.member(number))

            def tell(now: Progress) -> None:
                search.interrupted = line.tell(Report(now.counts, search.scorer_seconds))

            search.interrupted = line.stop
            found = search.run(tell)
            return Report(found.counts, found.scorer_seconds, found.stopped)


class Gathered(Watch):
    """What all workers scored, as the study says."""

    def __init__(self, shelf: Shelf, domain: Domain[Any]) -> None:
        super().__init__(shelf.study)
        self.domain, self.pool = domain, Pool()
        self.trials: dict[str, FrozenTrial] = {}

    def update(self) -> None:
        """Read what is new. Of two trials with one key the first counts."""
        for trial in self.look():
            one = known(trial)
            group = self.domain.group(self.domain.parse(one.text))
            self.pool.add([scored(one, len(self.pool) + 1, group, trial.user_attrs.get("values", {}))])
            self.trials.setdefault(one.key, trial)

    def rows(self) -> list[tuple[Scored, FrozenTrial]]:
        """Scored records with their trials, in the order of the trials' numbers."""
        return [(self.pool[key], trial) for key, trial in sorted(self.trials.items(), key=lambda item: item[1].number)]


def side_by_side(
    job: Job,
    shelf: Shelf,
    domain: Domain[Any],
    on_progress: Callable[[Progress], None] | None,
    on_search: Callable[[Interruptible], None] | None,
) -> Optimisation:
    """Search with the plan's workers. Raises UsageError, MolvaeError where every worker was lost."""
    started, due = time.monotonic(), 0.0
    fleet, seen = Fleet(job, job.plan.workers), Gathered(shelf, domain)
    if on_search is not None:
        on_search(fleet)

    def tick() -> None:
        nonlocal due
        begun = time.monotonic()
        if on_progress is None or begun < due:
            return
        seen.update()
        due = time.monotonic() + 9 * (time.monotonic() - begun)  # a database is asked a tenth of the time at most
        ranked = seen.pool.ranked()
        best = ranked[0].score if ranked else math.nan
        on_progress(Progress(len(seen.pool), best, seen.pool.top_mean(10), fleet.counts(), time.monotonic() - started))

    fleet.run(tick, lambda number: retire(shelf.study, job.member(number)))
    final = Gathered(shelf, domain)  # anew, so that calls are numbered as the trials are
    final.update()
    stopped = "budget" if len(final.pool) >= job.plan.budget else _stopped(fleet)
    spent = sum(report.scorer_seconds for report in fleet.reports.values())
    found = Optimisation(final.pool, shelf.study, time.monotonic() - started, spent, fleet.counts(), stopped)
    return replace(found, warnings=tuple(f"{lost}; what it had claimed went to the others" for lost in fleet.lost.values()))


def _stopped(fleet: Fleet) -> str:
    if fleet.interrupted:
        return "interrupted"
    return next((report.stopped for report in fleet.reports.values() if report.stopped not in ("", "budget")), "workers lost")
