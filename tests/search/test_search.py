"""The whole search on the tiny model: it is an Optuna study, repeats under a seed, beats drawing from the prior, and survives bad scorers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import optuna
import pytest

import molvae
from molvae.search import Search, Settings
from molvae.search.outcome import Evaluation
from molvae.search.sampler import LatentSampler, Recipe, space

SMALL = Recipe(batch=16, start=32, elite=20, screen=2, tune_steps=2)


def carbons(texts: Sequence[str]) -> list[Evaluation]:
    """More carbons are better."""
    return [Evaluation(float(text.count("C") + text.count("c"))) for text in texts]


def search(model: molvae.Model, budget: int = 120, seed: int = 0, evaluate=carbons, **recipe) -> Search:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings = Settings(budget, seed=seed, recipe=Recipe(**{**vars(SMALL), **recipe}))
    return Search(model.sampler, evaluate, settings, features=model.domain.features)


def test_calls_are_unique_counted_and_recorded_in_the_study(model: molvae.Model):
    one = search(model)
    found = one.run()
    assert found.stopped == "budget"
    assert len(found.pool) == len(found.study.trials) == 120
    texts = [t.user_attrs["text"] for t in found.study.trials]
    assert len(set(texts)) == 120
    assert texts == [s.text for s in found.pool]
    assert found.study.best_value == found.best(1)[0].score == max(e.score for e in carbons(texts))
    assert len(found.study.trials[0].params) == 16


def test_a_seed_fixes_the_search(model: molvae.Model):
    texts = [[s.text for s in search(model, 80, seed).run().pool] for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_searching_beats_drawing(model: molvae.Model):
    def top(**recipe) -> float:
        return search(model, 160, **recipe).run().pool.top_mean(10)

    assert top() > top(start=10_000) + 0.5


def test_a_search_that_stands_still_starts_anew_and_comes_back(model: molvae.Model):
    seen: list[int] = []

    def flat(texts: Sequence[str]) -> list[Evaluation]:
        seen.append(one.latent.since)
        return [Evaluation(min(5.0, e.score)) for e in carbons(texts)]  # many reach the best there is

    one = search(model, 16 * 24, evaluate=flat, patience=4)
    one.run()
    turns = [a for a, b in itertools.pairwise(seen) if a != b]
    assert len(turns) >= 2  # away and back
    assert seen[0] == 0 < max(seen)
    assert all(since == 0 or since % 16 == 0 for since in seen)
    away = max(seen)
    elites = one.pool.elites(20, 20, away)
    assert elites
    assert all(s.call > away for s in elites)


@pytest.mark.parametrize("off", [{"screen": 1}, {"tune_steps": 0}, {"per_group": 1}], ids=str)
def test_every_part_can_be_switched_off(model: molvae.Model, off):
    assert len(search(model, 60, **off).run().pool) == 60


def test_a_failed_score_is_a_failed_trial_and_no_more(model: molvae.Model):
    def moody(texts: Sequence[str]) -> list[Evaluation]:
        return [Evaluation(math.nan if k % 3 == 0 else e.score) for k, e in enumerate(carbons(texts))]

    found = search(model, 96, evaluate=moody).run()
    states = [t.state for t in found.study.trials]
    assert states.count(optuna.trial.TrialState.FAIL) == 6 * 6
    assert all(not math.isnan(s.score) for s in found.best(60))


def test_only_what_is_accepted_is_scored(model: molvae.Model):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    one = Search(model.sampler, carbons, Settings(60, recipe=SMALL), accept=lambda record: "O" not in record.smiles)
    found = one.run()
    assert all("O" not in s.text for s in found.pool)
    assert found.counts["refused"] > 0


def test_the_sampler_is_an_optuna_sampler(model: molvae.Model):
    """In a loop that knows nothing of this package but the record that belongs to a trial."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = LatentSampler(model.sampler, SMALL)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    for _ in range(40):
        trial = study.ask(space(16))
        proposal = sampler.open[trial.number]
        trial.set_user_attr("text", proposal.text)
        trial.set_user_attr("key", proposal.key)
        study.tell(trial, float(len(proposal.text)))
    assert len(sampler.pool) == 40
    assert study.best_value == max(s.score for s in sampler.pool)


def test_a_space_with_nothing_acceptable_ends_without_a_call(model: molvae.Model):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    none = Search(model.sampler, carbons, Settings(8, recipe=Recipe(batch=4, start=4, most_draws=2)), accept=lambda record: False)
    found = none.run()
    assert (found.stopped, len(found.pool)) == ("exhausted", 0)
