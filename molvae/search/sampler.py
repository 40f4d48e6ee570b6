"""The default sampler: an Optuna sampler made for the latent space of a model that decodes, re-encodes and can be tuned."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from molvae.nn.precision import quick
from molvae.sample import Sampler
from molvae.search.moves import GIVEN, MOVES, Mover, Proposal, Shares
from molvae.search.pool import Pool, Scored, labelled
from molvae.search.surrogate import Features, TanimotoGP
from molvae.search.trials import Known, point, scored, space
from molvae.search.tune import Tuner


@dataclass(frozen=True)
class Recipe:
    """Parts of the sampler, each of which can be switched off for its ablation.

    batch: proposals between two updates. start: draws of the prior before anything else, where nothing is given to search around; beside_seeds:
    where something is, in whole batches. elite, per_group: size of the elite and most of one
    scaffold in it. screen: decoded proposals for each one that is scored, 1 for none. learn_from: best and newest records that the surrogate
    learns from. tune_steps, tune_rate: updates of the decoder's copy after each batch, 0 for none; fewer, in proportion, where less than the
    share ``fresh`` of draws is new, because a decoder that writes what is known has learnt enough of it. likelihood: weight, in standard deviations
    of the surrogate for each 10 nats, of the decoder's own doubt about a proposal. patience: batches without a newcomer in the ten best
    after which the search starts anew, blind to what was found before; after the next time it goes on from all. kinds: of moves, see ``moves.Move``.
    """

    batch: int = 64
    start: int = 256
    beside_seeds: int = 0
    elite: int = 100
    per_group: int = 20
    screen: int = 4
    learn_from: tuple[int, int] = (400, 400)
    tune_steps: int = 4
    tune_rate: float = 3e-4
    fresh: float = 0.4
    likelihood: float = 0.0
    patience: int = 12
    kinds: tuple[str, ...] = ("prior", "around", "cross", "grow", "graft")
    most_draws: int = 40  # decoded sequences for each proposal wanted, before a smaller batch is accepted


class LatentSampler(BaseSampler):
    """Proposes codes whose decoded records are valid, unscored and promising.

    Usable as any Optuna sampler with ``study.ask(space(width))``; ``open[trial.number]`` is the record that was decoded from the code
    asked for. It learns from ``tell`` alone: the trial's user attributes "text" and "key" must name the record, its value is maximised.
    accept: a test that proposals must pass before they are asked, such as the domain's verdict.
    """

    def __init__(
        self,
        sampler: Sampler,
        recipe: Recipe,
        *,
        seed: int = 0,
        accept: Any = None,
        features: Features | None = None,
    ) -> None:
        self.recipe, self.accept, self.features = recipe, accept, features
        self.start, self.planted, self.longest_given = recipe.start, 0, 0
        self.since = 0  # call after which the search started anew
        self.representation = sampler.representation
        self.generator = torch.Generator().manual_seed(seed)
        self.rng = np.random.default_rng(seed)
        self.base = sampler
        self.tuner = Tuner(sampler.model, recipe.tune_rate, self.generator) if recipe.tune_steps else None
        model = sampler.model if self.tuner is None else self.tuner.model
        moves = [m for m in MOVES if m.kind in recipe.kinds]
        self.mover = Mover(Sampler(model, sampler.representation, sampler.validator), self.generator, moves)
        self.pool = Pool()
        self.queue: deque[Proposal] = deque()
        self.aside: list[Proposal] = []  # given, but others are at it; should they be lost, it is this worker's
        self.open: dict[int, Proposal] = {}
        self.fresh: list[Scored] = []
        self.records: dict[str, Any] = {}  # of the fresh ones, by key
        self.moves: dict[str, int] = {}
        self.prints: dict[str, NDArray[np.float32]] = {}
        self.tokens: dict[str, list[int]] = {}
        self.stale, self.best10 = 0, -math.inf
        self.share_new = 1.0
        self.several = False
        self.refused = 0
        self.avoid: frozenset[str] = frozenset()

    # --- Optuna's side -------------------------------------------------------------------------------------------------------------

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All dimensions of the code together."""
        return space(self.base.model.latent.width)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """The next proposal's code."""
        proposal = self.next()
        if proposal is None:  # nothing valid and new was found in all these draws: a point without a record, which costs no call
            return point(torch.randn(len(search_space), generator=self.generator))
        self.open[trial.number] = proposal
        return point(proposal.z)

    def plant(self, records: Sequence[Any], *, seeds: bool = True) -> list[Proposal]:
        """Propose these records before anything else; of seeds, search around them (and around ``recipe.beside_seeds`` draws of the prior) instead
        of drawing ``recipe.start`` records from the prior.

        Returns those that are proposed; the rest are not accepted, or scored already.
        """
        domain = self.representation.domain
        able = {domain.write(record): record for record in records if self.accept is None or self.accept(record)}
        texts = {text: record for text, record in able.items() if text not in self.pool}
        batch, places = self.representation.able(list(texts.values()))
        codes = torch.zeros(len(texts), self.base.model.latent.width)  # what has no code is scored, but not searched around
        if batch is not None and batch.target is not None:
            codes[places] = self.base.modes(batch)
            self.longest_given = max(self.longest_given, int(batch.target.lengths.max()) if seeds else 0)
        planted = [Proposal(z, record, text, text, GIVEN) for z, (text, record) in zip(codes, texts.items(), strict=True)]
        self.queue.extend(planted)
        self.planted += len(planted)
        if seeds and able:
            self.start = min(self.start, len(able)) + self.recipe.beside_seeds
        return planted

    def next(self) -> Proposal | None:
        """The next proposal; None where all draws held nothing new. ``avoid`` holds keys that others are scoring at this moment."""
        if not self.queue:
            self._fill()
        while self.queue:
            proposal = self.queue.popleft()
            self.planted -= proposal.move == GIVEN
            if proposal.key in self.avoid and proposal.move == GIVEN:
                self.aside.append(proposal)
            elif proposal.key not in self.pool and proposal.key not in self.avoid:
                return proposal
        return None

    def take_next(self, count: int) -> list[Proposal]:
        """The next proposals, fewer where the draws hold no more."""
        out: list[Proposal] = []
        while len(out) < count and (proposal := self.next()) is not None:
            out.append(proposal)
        return out

    def code(self, proposal: Proposal) -> list[float]:
        """The proposal's point in the search space."""
        return list(point(proposal.z).values())

    def name_of(self, proposal: Proposal) -> str:
        """The move that made it."""
        return "given" if proposal.move == GIVEN else self.mover.moves[proposal.move].name

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        """Parameters that are none of the code's."""
        if not isinstance(param_distribution, FloatDistribution):
            raise TypeError(f"{param_name} is a {type(param_distribution).__name__}; this sampler knows codes, which are floats")
        return float(self.rng.uniform(param_distribution.low, param_distribution.high))

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Learn the outcome of one trial, and update everything once a batch of them is in."""
        proposal = self.open.pop(trial.number, None)
        text = trial.user_attrs.get("text")
        if not isinstance(text, str) or state == TrialState.PRUNED:  # without a record, or set aside without a score
            return
        done = tuple(float(v) for v in values) if state == TrialState.COMPLETE and values else ()
        violations = tuple(float(v) for v in trial.user_attrs.get("violations", ()))
        said = str(trial.user_attrs.get("failed", ""))
        self.take(Known(text, str(trial.user_attrs.get("key", text)), done, violations, failed=said), proposal)
        if len(self.fresh) >= self.recipe.batch or not self.open:
            self._update()

    # --- what was scored -----------------------------------------------------------------------------------------------------------

    def share(self, done: Sequence[Known]) -> None:
        """Take over what other workers scored; it counts at the next update, but credits none of this worker's moves."""
        mine, self.fresh = self.fresh, []
        for one in done:
            self.take(one)
        self.fresh = mine

    def take(self, said: Known, proposal: Proposal | None = None) -> None:
        """Note a scored record. A failure or a violated constraint takes it out of the ranking; neither is proposed again."""
        domain = self.representation.domain
        record = proposal.record if proposal is not None else domain.parse(said.text)
        origin = said.origin or ("given" if proposal is None else self.name_of(proposal))
        one = scored(replace(said, origin=origin), len(self.pool) + 1, domain.group(record), {})
        self.several = self.several or bool(one.objectives)
        self.pool.add([one])
        if proposal is not None and proposal.move != GIVEN:
            self.moves[one.key] = proposal.move
        if self.features is not None and not math.isnan(one.rank):
            self.prints[one.key] = self.features([record])[0]
        self.fresh.append(one)
        self.records[one.key] = record

    def warm(self, done: Sequence[Known]) -> None:
        """Take over an earlier run, in the order of its calls, and tune on its elites as that run had."""
        for one in done:
            self.take(one)
        updates = min(100, (len(self.pool) - self.start) // self.recipe.batch)
        self._update()
        elites = self._elites()
        for _ in range(1, updates):
            self._tune(elites)

    def _update(self) -> None:
        """After a batch: credit the moves, encode new elites, tune the copy, notice stagnation."""
        fresh, self.fresh = self.fresh, []
        if not fresh:
            return
        if self.several:
            objectives = max(len(s.objectives) for s in fresh)
            if objectives:
                self.pool.weigh(self.rng.dirichlet(np.ones(objectives)).tolist())
        elites = self._elites()
        inside = {s.key for s in elites}
        self.mover.learn([self.moves[s.key] for s in fresh if s.key in inside and s.key in self.moves])
        tenth = self.pool.threshold(10, self.since)
        # With several objectives the ranks of two batches are not on one scale, so there is no telling.
        self.stale = 0 if tenth > self.best10 or self.several else self.stale + 1
        self.best10 = max(tenth, self.best10)
        if self.stale >= self.recipe.patience:
            self._anew()
        else:
            self._tune(elites)
        self.records.clear()

    def _tune(self, elites: Sequence[Scored]) -> None:
        known = [s for s in elites if s.key in self.tokens]
        if self.tuner is not None and known and not self._early():
            steps = max(1, round(self.recipe.tune_steps * min(1.0, self.share_new / self.recipe.fresh)))
            self.tuner.step([self.tokens[s.key] for s in known], self._codes(known), steps)

    def _anew(self) -> None:
        """Leave what was found alone, or come back to it: a second search that starts elsewhere ends elsewhere."""
        self.since = 0 if self.since else len(self.pool)
        self.stale, self.best10, self.share_new = 0, -math.inf, 1.0
        self.mover.shares = Shares(len(self.mover.moves))
        if self.tuner is not None:
            self.tuner.reset()

    def _early(self) -> bool:
        """Whether there is too little to search around yet."""
        return len(self.pool) - self.since < (self.recipe.start if self.since else self.start)

    def _elites(self) -> list[Scored]:
        elites = self.pool.elites(self.recipe.elite, self.recipe.per_group, self.since)
        self._encode([s for s in elites if s.key not in self.pool.codes])
        return [s for s in elites if s.key in self.pool.codes]

    def _encode(self, scored: Sequence[Scored]) -> None:
        # Seeds from outside may have no code; they are scored but not searched around.
        parse = self.representation.domain.parse
        batch, places = self.representation.able([self.records[one.key] if one.key in self.records else parse(one.text) for one in scored])
        if batch is None or batch.target is None:
            return
        with quick(self.base.model.device):
            codes = self.base.modes(batch).float()
        for row, place in enumerate(places):
            key = scored[place].key
            self.pool.codes[key] = codes[row]
            self.tokens[key] = batch.target.tokens[row, : int(batch.target.lengths[row])].tolist()

    def _codes(self, scored: Sequence[Scored]) -> Tensor:
        return torch.stack([self.pool.codes[s.key] for s in scored]) if scored else torch.zeros(0, self.base.model.latent.width)

    # --- proposing -----------------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Queue a batch of proposals: draw, drop what is not accepted, let the surrogate choose."""
        recipe = self.recipe
        self.aside = [p for p in self.aside if p.key not in self.pool]
        if free := [p for p in self.aside if p.key not in self.avoid]:
            self.aside = [p for p in self.aside if p.key in self.avoid]
            self.queue.extend(free)
            self.planted += len(free)
            return
        if self.tuner is not None and not self.tuner.replay:
            self.tuner.remember(2048, self.longest_given)
        elites = [] if self._early() else self._elites()
        codes, sequences = self._codes(elites), [self.tokens[s.key] for s in elites]
        gp = self._surrogate() if elites else None
        wanted = recipe.batch * (recipe.screen if gp is not None else 1)
        taken: set[str] = set(self.avoid)
        found: list[Proposal] = []
        drawn = 0
        while len(found) < wanted and drawn < recipe.most_draws * recipe.batch:
            count = max(64, min(512, 2 * (wanted - len(found))))
            new = self.mover.propose(self.pool, sequences, codes, count, taken)
            drawn += count
            good = [p for p in new if self.accept is None or self.accept(p.record)]
            self.refused += len(new) - len(good)
            found += good
        self.share_new += 0.3 * (len(found) / drawn - self.share_new)
        self.queue.extend(found[: recipe.batch] if gp is None else self._screened(gp, found))

    def _surrogate(self) -> TanimotoGP | None:
        if self.features is None or self.recipe.screen <= 1:
            return None
        best, newest = self.recipe.learn_from
        known = [s for s in labelled(self.pool, newest, best, self.since) if s.key in self.prints]
        if len(known) < 50:
            return None
        return TanimotoGP(np.stack([self.prints[s.key] for s in known]), np.array([s.rank for s in known]))

    def _screened(self, gp: TanimotoGP, found: Sequence[Proposal]) -> list[Proposal]:
        """The batch with the highest upper confidence bounds, each of the batch with its own boldness: mean + b std, b exponential."""
        if self.features is None:
            return list(found)
        mean, std = gp.predict(self.features([p.record for p in found]))
        mean = mean - 0.1 * self.recipe.likelihood * np.array([p.nats for p in found])
        chosen: list[int] = []
        left = np.ones(len(found), bool)
        for bold in self.rng.exponential(1.0, min(self.recipe.batch, len(found))):
            best = int(np.argmax(np.where(left, mean + bold * std, -np.inf)))
            left[best] = False
            chosen.append(best)
        return [found[k] for k in chosen]

    def report(self) -> Mapping[str, float]:
        """Counts for the progress line and the record of the run."""
        shares = dict(zip([m.name for m in self.mover.moves], self.mover.shares.shares().tolist(), strict=True))
        return {**self.mover.counts, "refused": self.refused, "stale": self.stale, **{f"share {k}": v for k, v in shares.items()}}
