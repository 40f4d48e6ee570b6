"""The model's density as an endpoint of objectives."""

from __future__ import annotations

import math

import pytest
import torch

import molvae
from molvae.errors import UsageError
from molvae.objectives import Objective
from molvae.rank import log_density
from molvae.scorers import of
from molvae.search.density import COLUMN, Density
from molvae.search.sampler import Recipe

SMALL = Recipe(batch=16, start=32, elite=20, screen=2, tune_steps=1)


def test_it_is_the_density_by_which_candidates_are_ranked(model: molvae.Model) -> None:
    texts = ["Cc1ccccc1", "no molecule", "CCO", "[Au]"]
    scorer = Density(model.sampler)
    found = [row[0] for row in scorer(texts)]
    unset = torch.full((len(model.properties),), torch.nan)
    assert [found[0], found[2]] == pytest.approx(log_density(model.vae, model.representation, ["Cc1ccccc1", "CCO"], unset), rel=1e-4)
    assert math.isnan(found[1])
    assert math.isnan(found[3])
    failures = scorer.attempt(texts)
    assert "vocabulary lacks" in str(failures[3])


def test_without_records_there_is_nothing(model: molvae.Model) -> None:
    assert [math.isnan(row[0]) for row in Density(model.sampler)(["no molecule"])] == [True]


def test_a_search_stays_among_what_the_model_finds_plausible(model: molvae.Model) -> None:
    drawn = model.sample(64, seed=3)
    least = sorted(row[0] for row in Density(model.sampler)(drawn))[32]
    objective = Objective.of(maximize="logp_views", constraint=f"{COLUMN}>={least:.2f}")
    found = model.optimize(objective, budget=48, keep=5, recipe=SMALL)
    values = [row[0] for row in Density(model.sampler)([c.text for c in found.candidates])]
    assert len(values) == 5
    assert min(values) >= least - 0.01
    assert [c.measured[COLUMN] for c in found.candidates] == pytest.approx(values, rel=1e-3, abs=1e-3)


def test_its_name_is_taken(model: molvae.Model) -> None:
    with pytest.raises(UsageError, match="log_density is the model's own prediction"):
        model.optimize(Objective.of(maximize=COLUMN), scorers=[of(f"{COLUMN}=math:sqrt")], budget=4)
