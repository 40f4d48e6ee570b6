"""What a search is asked to do, and the parts that are made from it, the same in every process that takes part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from molvae.objectives import Objective
from molvae.objectives.terms import Bounds
from molvae.sample import Sampler
from molvae.scorers import Guarded, Scorer
from molvae.search.heads import SUFFIXES
from molvae.search.judge import Judge
from molvae.search.loop import Search
from molvae.search.outcome import Note, Settings
from molvae.search.pending import Pending, Seen
from molvae.search.sampler import Recipe
from molvae.search.shared import GRACE, Member, Shelf


@dataclass(frozen=True)
class Plan:
    """What a search is asked to do.

    verify: score only records that pass the verdict. sampler: see ``molvae.search.samplers.NAMES``. storage, study: of Optuna; without a
    storage the study lives in memory, and the folder ``out``, where given, keeps every scored record. workers: search processes; several
    share a study in the storage, by default a file in ``out``. Others, on other machines too, join it by the same storage and study.
    grace: seconds of silence after which a worker of a shared study is taken for dead. seeds: records to score first and to search around.
    again: records that a killed run was at, which are scored first but not searched around.
    per_group: most records of one group (scaffold) among the candidates and in the elite that is searched around; 0 for no limit.
    constraints: what the sampler was made to fulfil exactly (``Sampler.within``), for the run's description.
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
    workers: int = 1
    grace: float = GRACE
    recipe: Recipe = field(default_factory=Recipe)
    seeds: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    per_group: int = 0
    constraints: Mapping[str, str] = field(default_factory=dict)

    @property
    def objectives(self) -> int:
        """1, or their number for a Pareto search."""
        return len(self.objective.terms) if self.objective.pareto else 1

    def settings(self) -> Settings:
        """Of one search process."""
        # A small budget is not to be spent on draws of the prior before the search begins.
        recipe = replace(self.recipe, start=min(self.recipe.start, max(1, self.budget // 5)))
        recipe = replace(recipe, per_group=min(recipe.per_group, self.per_group)) if self.per_group else recipe
        return Settings(self.budget, self.seed, self.sampler, self.objectives, self.objective.labels, self.seconds, recipe)

    def described(self, model_name: str, judge: Judge) -> dict[str, Any]:
        """What decides about the scores of a run, and so must be the same when it is resumed. The objective has the bounds that it is judged by."""
        return {
            "model": model_name,
            "objective": judge.bound.objective.to_dict(),
            "endpoints of scorers": [name for scorer in judge.scorers for name in scorer.names],
            "sampler": self.sampler,
            "seed": self.seed,
            "verify": self.verify,
            "novel": self.novel,
            **({"constraints": dict(self.constraints)} if self.constraints else {}),
        }

    def noted(self) -> dict[str, Any]:
        """What else a run was made with, for its record: this may be another when it is resumed."""
        return {
            "budget": self.budget,
            "recipe": asdict(self.recipe),
            "seeds": list(self.seeds),
            "per_group": self.per_group,
            "seconds": self.seconds,
            "workers": self.workers,
        }

    def gate(self, sampler: Sampler) -> Callable[[Any], bool] | None:
        """The test that records must pass before they are scored."""
        validator, domain = sampler.validator, sampler.representation.domain
        if not self.verify and not self.novel:
            return None

        def passes(record: Any) -> bool:
            if self.verify and not validator.verdict(record).ok:
                return False
            return not self.novel or validator.novel(domain.key(record)) is not False

        return passes


@dataclass(frozen=True)
class Scoring:
    """The user's scorers and how they are run.

    workers, timeout, retries: of each; seconds for each text of a call, further tries after a crash, a time-out or an exception. batch: texts in
    one call of those that take several at once (``ReportingScorer.together``). bounds: of terms without their own. folder: where evaluations are
    kept until their batch is told, ``seen`` those that are known from before (``molvae.search.pending``).
    """

    scorers: tuple[Scorer, ...] = ()
    workers: int = 1
    timeout: float = 60.0
    retries: int = 1
    batch: int = 16
    bounds: Bounds | None = None
    folder: Path | None = None
    seen: Seen = field(default_factory=dict)

    @contextmanager
    def judge(self, sampler: Sampler, objective: Objective, number: int = 0) -> Iterator[Judge]:
        """The judge of search process ``number``, whose scorers end with the context. Raises as ``Judge`` does."""
        pending = None if self.folder is None else Pending(self.folder, number)
        with ExitStack() as stack:
            guarded = [stack.enter_context(self._guarded(scorer)) for scorer in self.scorers]
            for one in guarded:
                one.know(self.seen.get(tuple(one.names), {}))
                one.keep = None if pending is None else partial(pending.keep, one.names)
            try:
                yield Judge(sampler, objective, guarded, {**usual_bounds(sampler), **(self.bounds or {})}, pending)
            finally:
                for one in guarded:
                    one.keep = None  # a guard of the user's own goes on after this search

    def _guarded(self, scorer: Scorer) -> Guarded:
        if isinstance(scorer, Guarded):
            return scorer
        size = self.batch if getattr(scorer, "together", False) else 1
        return Guarded(scorer, workers=self.workers, timeout=self.timeout, retries=self.retries, batch=size)


def usual_bounds(sampler: Sampler) -> dict[str, tuple[float, float]]:
    """Mean plus and minus two standard deviations of the training data, of labels and their predictions, for terms without bounds."""
    names = sampler.representation.labels.names
    mean, std = sampler.model.label_mean.tolist(), sampler.model.label_std.tolist()
    return {name + end: (m - 2 * s, m + 2 * s) for name, m, s in zip(names, mean, std, strict=True) for end in (*SUFFIXES, "")}


def search_for(
    plan: Plan,
    sampler: Sampler,
    judge: Judge,
    *,
    shelf: Shelf | None = None,
    had: Sequence[FrozenTrial] = (),
    note: Note | None = None,
    member: Member | None = None,
) -> Search:
    """The search that a plan describes, in memory or in a shared study. had: scored before, and not in the study yet."""
    member = member or Member(grace=plan.grace)
    search = Search(
        sampler,
        judge,
        plan.settings(),
        accept=plan.gate(sampler),
        features=sampler.representation.domain.features,
        storage=None if shelf is None else shelf.storage,
        name=plan.study if shelf is None else shelf.study.study_name,
        note=note,
        settled=judge.settled,
        member=member,
    )
    search.study.add_trials(had)
    search.take_over(had)
    search.plant(*(_shared(texts, member.number, plan.workers, search.ours) for texts in (plan.seeds, plan.again)))
    return search


def _shared(texts: Sequence[str], number: int, workers: int, ours: bool) -> list[str]:
    """A worker's share of what is given, followed by the others', should they be lost; what Optuna's samplers are given waits in the study."""
    return [*texts[number::workers], *(text for at, text in enumerate(texts) if at % workers != number and ours)]
