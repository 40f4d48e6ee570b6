"""Ask in batches, decode, score, tell, until the budget of scorer calls is spent."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
import torch
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from molvae.errors import InvalidRecord, UsageError
from molvae.sample import Sampler
from molvae.search.pool import Pool, Scored
from molvae.search.sampler import LatentSampler, Recipe, space
from molvae.search.samplers import optuna_sampler
from molvae.search.surrogate import Features

POINT_LEVEL = 0.5  # noise level at which the points of Optuna's own samplers are decoded: precise enough to be a function of the point
WORST = 1e3  # violation of a point that decodes to nothing: visible to samplers, which a failed trial is not


@dataclass(frozen=True)
class Evaluation:
    """What a scorer says of one record. score NaN: it failed. violations: > 0 where a constraint does not hold."""

    score: float
    values: Mapping[str, float] = field(default_factory=dict)
    violations: tuple[float, ...] = ()
    objectives: tuple[float, ...] = ()


Evaluate = Callable[[Sequence[str]], Sequence[Evaluation]]


@dataclass(frozen=True)
class Settings:
    """budget: unique calls of the scorer. sampler: "auto" or "local" is the default one, others are Optuna's. objectives: 1, or their number
    for a Pareto search. constraints: their names, in the order of the violations. seconds: stop after so long, 0 for no limit."""

    budget: int
    seed: int = 0
    sampler: str = "auto"
    objectives: int = 1
    constraints: tuple[str, ...] = ()
    seconds: float = 0.0
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class Progress:
    """calls so far, best score, mean of the ten best, counts of the sampler, seconds."""

    calls: int
    best: float
    top10: float
    counts: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Optimisation:
    """All that was scored, in the order of the calls, and how. stopped: "budget", "time", "exhausted" or "interrupted"."""

    pool: Pool
    study: Study
    seconds: float
    scorer_seconds: float
    counts: Mapping[str, float]
    stopped: str

    def best(self, count: int) -> list[Scored]:
        """The best feasible records."""
        return self.pool.ranked()[:count]


Note = Callable[[Sequence[tuple[Scored, FrozenTrial]]], None]


class Search:
    """One search in one study.

    accept: a test of records before they are scored. storage, name: of the study, as Optuna names them; the trials that are there already
    are taken over and count. note: told of every batch as soon as it is scored, for a journal.
    """

    def __init__(
        self,
        sampler: Sampler,
        evaluate: Evaluate,
        settings: Settings,
        *,
        accept: Callable[[Any], bool] | None = None,
        features: Features | None = None,
        storage: Any = None,
        name: str | None = None,
        note: Note | None = None,
    ) -> None:
        if settings.budget < 1:
            raise UsageError(f"budget {settings.budget}; wanted at least one call of the scorer")
        self.sampler, self.evaluate, self.settings, self.accept, self.note = sampler, evaluate, settings, accept, note
        ours = settings.sampler in ("auto", "local")
        self.latent = LatentSampler(sampler, settings.recipe, seed=settings.seed, accept=accept, features=features)
        self.space = space(sampler.model.latent.width)
        self.study = optuna.create_study(
            directions=["maximize"] * settings.objectives,
            sampler=self.latent if ours else optuna_sampler(settings.sampler, settings.seed),
            storage=storage,
            study_name=name,
            load_if_exists=storage is not None,
        )
        self.ours = ours
        self.scorer_seconds = 0.0
        self.told: dict[str, Evaluation] = {}
        self.interrupted = False
        self.take_over(self.study.get_trials(deepcopy=False))

    @property
    def pool(self) -> Pool:
        """Everything scored so far."""
        return self.latent.pool

    def take_over(self, trials: Sequence[FrozenTrial]) -> None:
        """Records that were scored before, by this study or as read from a journal: never scored again."""
        done: list[tuple[str, str, tuple[float, ...], tuple[float, ...]]] = []
        for trial in trials:
            text, key = trial.user_attrs.get("text"), trial.user_attrs.get("key")
            if not trial.state.is_finished() or not isinstance(text, str) or not isinstance(key, str) or key in self.told:
                continue
            values = tuple(trial.values or ()) if trial.state == TrialState.COMPLETE else ()
            violations = tuple(float(v) for v in trial.user_attrs.get("violations", ()))
            self.told[key] = Evaluation(values[0] if len(values) == 1 else math.nan, {}, violations, values if len(values) > 1 else ())
            done.append((text, key, values, violations))
        if done:
            self.latent.warm(done)
        for trial in trials:
            self.pool.annotate(str(trial.user_attrs.get("key", "")), trial.user_attrs.get("values", {}))

    def run(self, on_progress: Callable[[Progress], None] | None = None) -> Optimisation:
        """Search until the budget or the time is spent, or ``interrupted`` is set."""
        settings, started = self.settings, time.monotonic()
        stopped, idle = "budget", 0
        while len(self.pool) < settings.budget:
            before = len(self.pool)
            if self.interrupted:
                stopped = "interrupted"
                break
            if settings.seconds and time.monotonic() - started > settings.seconds:
                stopped = "time"
                break
            self._batch(min(settings.recipe.batch, settings.budget - before))
            idle = 0 if len(self.pool) > before else idle + 1
            if on_progress is not None:
                on_progress(self._progress(time.monotonic() - started))
            if idle == 50:
                stopped = "exhausted"
                break
        return Optimisation(self.pool, self.study, time.monotonic() - started, self.scorer_seconds, self.latent.report(), stopped)

    # --- one batch -----------------------------------------------------------------------------------------------------------------

    def _batch(self, count: int) -> None:
        """Ask, score what is new, tell. Trials of points that decode to nothing new are told without a call of the scorer."""
        asked: list[tuple[Trial, str, str]] = []
        mine: set[str] = set()
        for _ in range(count):
            trial = self.study.ask(self.space)
            found = self._record(trial)
            if found is None:
                self._tell_nothing(trial)
            elif found[1] in self.told or found[1] in mine:
                self._tell_again(trial, *found)
            else:
                mine.add(found[1])
                asked.append((trial, *found))
        begun = time.monotonic()
        results = self.evaluate([text for _, text, _ in asked]) if asked else []
        self.scorer_seconds += time.monotonic() - begun
        fresh: list[tuple[Scored, FrozenTrial]] = []
        for (trial, text, key), result in zip(asked, results, strict=True):
            frozen = self._tell(trial, text, key, result)
            self.pool.annotate(key, result.values)
            fresh.append((self.pool[key], frozen))
        if self.note is not None and fresh:
            self.note(fresh)

    def _record(self, trial: Trial) -> tuple[str, str] | None:
        """Text and key of the trial's record; None where its point decodes to none that is accepted."""
        if self.ours:
            proposal = self.latent.open.get(trial.number)
            return None if proposal is None else (proposal.text, proposal.key)
        z = torch.tensor([[trial.params[name] for name in self.space]])
        free = torch.full((1, len(self.sampler.representation.labels.names)), torch.nan)
        drawn = self.sampler.draw(z, torch.full((1,), POINT_LEVEL), free, 0.0, 0.0, None)
        if not drawn.finished[0]:
            return None
        try:
            record = self.sampler.representation.record(drawn.tokens[0])
        except InvalidRecord:
            return None
        if self.accept is not None and not self.accept(record):
            return None
        text = self.sampler.representation.domain.write(record)
        return text, text

    def _tell(self, trial: Trial, text: str, key: str, result: Evaluation) -> FrozenTrial:
        trial.set_user_attr("text", text)
        trial.set_user_attr("key", key)
        if result.values:
            trial.set_user_attr("values", dict(result.values))
        self._constrain(trial, 0.0, result.violations)
        values = list(result.objectives) if self.settings.objectives > 1 else [result.score]
        self.told[key] = result
        failed = math.isnan(result.score) or any(math.isnan(v) for v in values)
        frozen = self.study.tell(trial, state=TrialState.FAIL) if failed else self.study.tell(trial, values)
        if not self.ours:
            violations = tuple(float(v) for v in result.violations)
            self.latent.take(text, key, () if failed else tuple(values), violations)
            self.latent.fresh.clear()
        return frozen

    def _tell_nothing(self, trial: Trial) -> None:
        self._constrain(trial, WORST, [WORST] * len(self.settings.constraints))
        self.study.tell(trial, [self._floor()] * self.settings.objectives)

    def _tell_again(self, trial: Trial, text: str, key: str) -> None:
        known = self.told.get(key)
        if known is None or math.isnan(known.score):
            self._tell_nothing(trial)
            return
        self._constrain(trial, 0.0, known.violations)
        self.study.tell(trial, list(known.objectives) if self.settings.objectives > 1 else [known.score])

    def _constrain(self, trial: Trial, record: float, violations: Sequence[float]) -> None:
        """Tell Optuna of the constraints, the first of which is that the point decodes to a record at all."""
        capped = [min(float(v), WORST) for v in violations]
        if capped:
            trial.set_user_attr("violations", capped)
        if not self.ours:
            for name, value in zip(("record", *self.settings.constraints), (record, *capped), strict=True):
                trial.set_constraint(name, value)

    def _floor(self) -> float:
        """A finite value below what was seen, for points without a record."""
        seen = [s.score for s in self.pool if not math.isnan(s.score)]
        return min(seen, default=0.0)

    def _progress(self, seconds: float) -> Progress:
        ranked = self.pool.ranked()
        best = ranked[0].score if ranked else math.nan
        return Progress(len(self.pool), best, self.pool.top_mean(10), self.latent.report(), seconds)
