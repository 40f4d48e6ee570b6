"""Ask in batches, decode, score, tell, until the budget of scorer calls is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from molvae.errors import InvalidRecord, UsageError
from molvae.sample import Sampler
from molvae.search.moves import GIVEN, Proposal
from molvae.search.outcome import NO_SCORE, Evaluate, Evaluation, Note, Optimisation, Progress, Settings
from molvae.search.pool import Pool, Scored
from molvae.search.sampler import LatentSampler
from molvae.search.samplers import optuna_sampler
from molvae.search.shared import Member, Shared, Shelf
from molvae.search.storage import sync
from molvae.search.surrogate import Features
from molvae.search.trials import Known, code_at, finished, is_scored, known, open_trial, point, space

POINT_LEVEL = 0.5  # noise level at which the points of Optuna's own samplers are decoded: precise enough to be a function of the point
WAIT = 0.3  # seconds between two looks, where others are at all that the budget has left
GIVEN_TEXT = "given"  # attribute of a trial that waits with the text of its record
WORST = 1e3  # violation of a point that decodes to nothing: visible to samplers, which a failed trial is not


@dataclass(frozen=True)
class Ticket:
    """A trial under way. trial: absent where it was entered with its proposal's code, in one write, rather than asked for."""

    number: int
    text: str
    key: str
    trial: Trial | None = None


class Search:
    """One search in one study.

    accept: a test of records before they are scored. storage, name: of the study, as ``Shelf`` and Optuna name them; the trials that
    are there already are taken over and count. A study in a storage is one that others may work on too, see ``shared``, and member says who
    this worker is among them. note: told of every batch as soon as it is scored, for a journal; settled: called once the study has it too.
    """

    def __init__(
        self,
        sampler: Sampler,
        evaluate: Evaluate,
        settings: Settings,
        *,
        accept: Callable[[Any], bool] | None = None,
        features: Features | None = None,
        storage: BaseStorage | str | None = None,
        name: str | None = None,
        note: Note | None = None,
        settled: Callable[[], None] | None = None,
        member: Member | None = None,
    ) -> None:
        if settings.budget < 1:
            raise UsageError(f"budget {settings.budget}; wanted at least one call of the scorer")
        self.sampler, self.evaluate, self.settings, self.accept = sampler, evaluate, settings, accept
        self.note, self.settled = note, settled
        self.ours = settings.sampler in ("auto", "local")
        if isinstance(storage, str):
            shelf = Shelf.at(storage, name, settings.objectives)
        else:
            shelf = Shelf.of(InMemoryStorage() if storage is None else storage, name, settings.objectives)
        self.storage, self.study = shelf.storage, shelf.study
        self.shared = None if storage is None else Shared(self.study, self.storage, member or Member())
        seed = settings.seed if self.shared is None else self.shared.seed(settings.seed)
        self.latent = LatentSampler(sampler, settings.recipe, seed=seed, accept=accept, features=features)
        self.study.sampler = self.latent if self.ours else optuna_sampler(settings.sampler, seed)
        self.space = space(sampler.model.latent.width)
        self.scorer_seconds = 0.0
        self.told: dict[str, Evaluation] = {}
        self.interrupted = False
        if self.shared is not None:
            self.take_over(self.shared.look())

    def plant(self, seeds: Sequence[str], again: Sequence[str] = ()) -> int:
        """Score these records first, and search around the seeds. How many are left to score. Raises InvalidRecord.

        again: records of a batch that a kill cut short, which were proposed before.
        """
        parse = self.sampler.representation.domain.parse
        planted = self.latent.plant([parse(text) for text in seeds])
        there = {proposal.text for proposal in planted}
        planted += self.latent.plant([parse(text) for text in again if text not in there], seeds=False)
        if not self.ours:
            self.latent.queue.clear()
            self.latent.planted = 0
            for proposal in planted:
                # Optuna's samplers know points alone, and a point need not decode to the record that it is the code of.
                self.study.enqueue_trial(point(proposal.z), user_attrs={GIVEN_TEXT: proposal.text})
        return len(planted)

    @property
    def pool(self) -> Pool:
        """Everything scored so far."""
        return self.latent.pool

    def take_over(self, trials: Sequence[FrozenTrial]) -> None:
        """Records that were scored before, by others or as read from a journal: never scored again."""
        first = not self.told
        done: list[Known] = []
        for trial in trials:
            if not is_scored(trial) or (one := known(trial)).key in self.told:
                continue
            several = one.values if len(one.values) > 1 else ()
            self.told[one.key] = Evaluation(one.values[0] if len(one.values) == 1 else math.nan, {}, one.violations, several, one.failed)
            done.append(one)
        if done and first:
            self.latent.warm(done)
        elif done:
            self.latent.share(done)
        for trial in trials:
            self.pool.annotate(str(trial.user_attrs.get("key", "")), trial.user_attrs.get("values", {}))

    def run(self, on_progress: Callable[[Progress], None] | None = None) -> Optimisation:
        """Search until the budget or the time is spent, or ``interrupted`` is set."""
        started = time.monotonic()
        if self.shared is not None:
            self.shared.enter()
        try:
            stopped = self._search(started, on_progress)
        finally:
            if self.shared is not None:
                self.shared.leave()
                sync(self.storage)
        return Optimisation(self.pool, self.study, time.monotonic() - started, self.scorer_seconds, self.latent.report(), stopped)

    def _search(self, started: float, on_progress: Callable[[Progress], None] | None) -> str:
        """Batches, until there is a reason to stop, which is returned."""
        settings, idle = self.settings, 0
        while True:
            others = self._catch_up()
            room = settings.budget - len(self.pool) - others
            if len(self.pool) >= settings.budget:
                return "budget"
            if self.interrupted:
                return "interrupted"
            if settings.seconds and time.monotonic() - started > settings.seconds:
                return "time"
            if room > 0:
                # What the user brings along is batches of its own, for the search goes on from there.
                size = min(self.latent.planted or settings.recipe.batch, settings.recipe.batch, room)
                idle = 0 if self._batch(size) else idle + 1
            else:
                time.sleep(WAIT)  # others are at the rest; should they die over it, it is this worker's
            if on_progress is not None:
                on_progress(self._progress(time.monotonic() - started))
            if idle == 50:
                return "exhausted"

    def _catch_up(self) -> int:
        """Take over what others scored; how many records they are at."""
        if self.shared is None:
            return 0
        self.take_over(self.shared.look())
        self.latent.avoid = frozenset(self.shared.claims.values())
        return self.shared.others(self.told)

    # --- one batch -----------------------------------------------------------------------------------------------------------------

    def _batch(self, count: int) -> int:
        """Ask, score what is new, tell. How many were scored."""
        tickets = self._ask(count) if self.shared is None else self._claim(self.shared, count)
        begun = time.monotonic()
        results = self.evaluate([ticket.text for ticket in tickets]) if tickets else []
        self.scorer_seconds += time.monotonic() - begun
        fresh: list[tuple[Scored, FrozenTrial]] = []
        for ticket, result in zip(tickets, results, strict=True):
            frozen = self._tell(ticket, result)
            self.pool.annotate(ticket.key, result.values)
            fresh.append((self.pool[ticket.key], frozen))
        if self.note is not None and fresh:
            self.note(fresh)
        if self.shared is not None:
            sync(self.storage)
        if self.settled is not None:
            self.settled()
        return len(fresh)

    def _ask(self, count: int) -> list[Ticket]:
        """Trials with records to score. Those of points that decode to nothing new are told without a call of the scorer."""
        asked: dict[str, Ticket] = {}
        trials = []
        for _ in range(count):
            trials.append(trial := self.study.ask(self.space))
            if self.shared is not None:
                # At once, for a trial without an owner is taken for what a dead worker left, and asking for a batch can take long.
                trial.set_user_attr("worker", self.shared.member.token)
        for trial, found in zip(trials, self._records(trials), strict=True):
            if found is None:
                self._tell_nothing(trial)
            elif found[1] in self.told or found[1] in asked:
                self._tell_again(trial, found[1])
            else:
                asked[found[1]] = Ticket(trial.number, *found, trial)
        return list(asked.values())

    def _claim(self, shared: Shared, count: int) -> list[Ticket]:
        """The same in a shared study, of trials that no other worker has."""
        proposals: dict[str, Proposal] = {}
        if self.ours:
            # Entered with their codes, in one write each: asking writes each dimension by itself, to a file or a database.
            proposals = {p.key: p for p in self.latent.take_next(count)}
            rows = [(p.text, p.key, shared.member.token, self.latent.name_of(p), self.latent.code(p)) for p in proposals.values()]
            self.study.add_trials([open_trial(*row) for row in rows])
            asked = {p.key: Ticket(-1, p.text, p.key) for p in proposals.values()}
        else:
            asked = {ticket.key: ticket for ticket in self._ask(count)}
            for ticket in asked.values():
                for name, value in (("text", ticket.text), ("key", ticket.key)):
                    shared.note(ticket.number, name, value)
        if not asked:
            return []
        # Trials that were asked for had their numbers long before they named their records.
        settled = shared.settle(asked, self.told, self.settings.budget, numbered=self.ours)
        self.take_over(settled.scored)
        for key, number in settled.refused.items():
            self._give_up(shared, replace(asked[key], number=number))
        back = [key for key in settled.refused if key not in self.told]
        self._propose_again([proposals[key] for key in back if key in proposals], [asked[key] for key in back])
        if self.ours:
            self.latent.open |= {number: proposals[key] for key, number in settled.held.items()}
        return [replace(asked[key], number=number) for key, number in settled.held.items()]

    def _propose_again(self, proposals: Sequence[Proposal], tickets: Sequence[Ticket]) -> None:
        """Of what was refused, that which the user brought along: the other worker may have backed off too."""
        given = [p for p in proposals if p.move == GIVEN]
        self.latent.queue.extendleft(given)
        self.latent.planted += len(given)
        for trial in (ticket.trial for ticket in tickets if ticket.trial is not None and GIVEN_TEXT in ticket.trial.user_attrs):
            self.study.enqueue_trial(trial.params, user_attrs={GIVEN_TEXT: trial.user_attrs[GIVEN_TEXT]})

    def _give_up(self, shared: Shared, ticket: Ticket) -> None:
        """End a trial on a record that another worker has."""
        if ticket.trial is not None and ticket.key in self.told:
            shared.note(ticket.number, "again", True)
            self._tell_again(ticket.trial, ticket.key)
        else:
            self.study.tell(ticket.number, state=TrialState.PRUNED)
        shared.told(ticket.key)

    def _records(self, trials: Sequence[Trial]) -> list[tuple[str, str] | None]:
        """Text and key of each trial's record; None where its point decodes to none that is accepted."""
        if self.ours:
            proposals = [self.latent.open.get(trial.number) for trial in trials]
            return [None if p is None else (p.text, p.key) for p in proposals]
        z = torch.stack([code_at({name: trial.params[name] for name in self.space}) for trial in trials])
        count = len(trials)
        drawn = self.sampler.draw(z, torch.full((count,), POINT_LEVEL), self.sampler.unset(count), 0.0, 0.0, None)
        given = [trial.user_attrs.get(GIVEN_TEXT) for trial in trials]
        found = [self._read(tokens) if ended else None for tokens, ended in zip(drawn.tokens, drawn.finished, strict=True)]
        return [(str(text), str(text)) if text is not None else one for text, one in zip(given, found, strict=True)]

    def _read(self, tokens: Sequence[int]) -> tuple[str, str] | None:
        try:
            record = self.sampler.representation.record(tokens)
        except InvalidRecord:
            return None
        if self.accept is not None and not self.accept(record):
            return None
        text = self.sampler.representation.domain.write(record)
        return text, text

    def _tell(self, ticket: Ticket, result: Evaluation) -> FrozenTrial:
        several = self.settings.objectives > 1
        values = tuple(result.objectives) if several else (result.score,)
        if math.isnan(result.score) or any(math.isnan(v) for v in values):
            values = ()
        one = Known(ticket.text, ticket.key, values, _capped(result.violations), failed="" if values else result.failed or NO_SCORE)
        try:
            frozen = self._finish(ticket, one, result)
        except UpdateFinishedTrialError:
            # This worker was silent for so long, say on a machine put to sleep, that others took it for dead and failed its trial. What it
            # scored is told in a trial of its own; where another scored the record again since, readers keep to the first of the two.
            params = () if ticket.trial is None else tuple(ticket.trial.params.values())
            proposal = self.latent.open.pop(ticket.number, None)
            code = params if proposal is None else self.latent.code(proposal)
            frozen = finished(one, result.values, code, len(self.space))
            self.study.add_trial(frozen)
            self.latent.share([one])
        self.told[ticket.key] = result
        if self.shared is not None:
            self.shared.told(ticket.key)
        return frozen

    def _finish(self, ticket: Ticket, one: Known, result: Evaluation) -> FrozenTrial:
        """Tell the trial, and the sampler where it does not hear of it from the study."""
        self._note(ticket, "values", dict(result.values))
        if ticket.trial is not None:
            self._note(ticket, "text", one.text)
            self._note(ticket, "key", one.key)
            self._constrain(ticket.trial, 0.0, result.violations)
        elif one.violations:
            self._note(ticket, "violations", list(one.violations))
        if not one.values:
            self._note(ticket, "failed", one.failed)
        frozen = self.study.tell(ticket.number, list(one.values)) if one.values else self.study.tell(ticket.number, state=TrialState.FAIL)
        if not self.ours:
            self.latent.share([one])
        return frozen

    def _note(self, ticket: Ticket, name: str, value: object) -> None:
        if ticket.trial is not None:
            ticket.trial.set_user_attr(name, value)
        elif self.shared is not None:
            self.shared.note(ticket.number, name, value)

    def _tell_nothing(self, trial: Trial) -> None:
        self._constrain(trial, WORST, [WORST] * len(self.settings.constraints))
        self.study.tell(trial, self._floor())

    def _tell_again(self, trial: Trial, key: str) -> None:
        found = self.told.get(key)
        values = () if found is None else found.objectives if self.settings.objectives > 1 else (found.score,)
        if found is None or not values or any(math.isnan(value) for value in values):
            self._tell_nothing(trial)
            return
        self._constrain(trial, 0.0, found.violations)
        self.study.tell(trial, list(values))

    def _constrain(self, trial: Trial, record: float, violations: Sequence[float]) -> None:
        """Tell Optuna of the constraints, the first of which is that the point decodes to a record at all."""
        capped = _capped(violations)
        if capped:
            trial.set_user_attr("violations", list(capped))
        if not self.ours:
            for name, value in zip(("record", *self.settings.constraints), (record, *capped), strict=True):
                trial.set_constraint(name, value)

    def _floor(self) -> list[float]:
        """The worst that was seen of each objective, for points without a record."""
        several = self.settings.objectives > 1
        seen = [s.objectives if several else (s.score,) for s in self.pool if (s.objectives if several else not math.isnan(s.score))]
        return [min(values) for values in zip(*seen, strict=True)] or [0.0] * self.settings.objectives

    def _progress(self, seconds: float) -> Progress:
        ranked = self.pool.ranked()
        best = ranked[0].score if ranked else math.nan
        return Progress(len(self.pool), best, self.pool.top_mean(10), self.latent.report(), seconds)


def _capped(violations: Sequence[float]) -> tuple[float, ...]:
    return tuple(min(float(v), WORST) for v in violations)
