"""Predicted endpoints are the heads' own means and bounds, and objectives can name them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import molvae
from molvae.errors import UnknownName, UsageError
from molvae.objectives import Objective
from molvae.optimise import optimise
from molvae.report.write import write
from molvae.sample import Sampler
from molvae.scorers import Guarded, of
from molvae.search.heads import Heads, offered
from molvae.search.journal import NAME
from molvae.search.plan import Plan, Scoring, usual_bounds
from molvae.search.sampler import Recipe

SMALL = Recipe(batch=16, start=32, elite=20, screen=2, tune_steps=1)


@pytest.fixture(scope="module")
def blind(model: molvae.Model) -> Sampler:
    """The tiny model in a domain that cannot compute qed, as if it were a label of the user's."""
    domain = replace(model.domain, properties={k: v for k, v in model.domain.properties.items() if k != "qed"})
    return Sampler(model.vae, replace(model.representation, domain=domain), model.validator)


def test_bounds_lie_one_deviation_from_the_mean(model: molvae.Model):
    texts = ["Cc1ccccc1", "no molecule", "CCO"]
    values = Heads(model.sampler, ["logp_lcb", "logp_pred", "logp_ucb", "mw_pred"])(texts)
    mean, std = model.predict(["Cc1ccccc1", "CCO"])
    at = model.properties.index("logp")
    for row, place in ((0, 0), (1, 2)):
        expected = [mean[row, at] - std[row, at], mean[row, at], mean[row, at] + std[row, at], mean[row, model.properties.index("mw")]]
        assert values[place] == pytest.approx(expected, rel=1e-4)
    assert all(math.isnan(v) for v in values[1])


def test_the_mean_over_views_is_weighted_by_how_sure_each_is(model: molvae.Model):
    texts = ["Cc1ccccc1", "no molecule", "CCO"]
    values = Heads(model.sampler, ["logp_views", "logp_pred", "logp_lcb"])(texts)
    known, at = ["Cc1ccccc1", "CCO"], model.properties.index("logp")
    views = model.representation.views
    assert len(views) > 1
    each = [model.sampler.predict(model.sampler.codes(known, some)) for some in (None, *((view,) for view in views))]
    means, variances = (np.array([np.asarray(pair[of], np.float64)[:, at] for pair in each]) ** power for of, power in ((0, 1), (1, 2)))
    mean, std = model.predict(known)
    for row, place in ((0, 0), (1, 2)):
        expected = [np.average(means[:, row], weights=1 / variances[:, row]), mean[row, at], mean[row, at] - std[row, at]]
        assert values[place] == pytest.approx(expected, rel=1e-4)
    assert math.isnan(values[1][0])
    scorer = Heads(model.sampler, ["logp_views", "logp_pred"])
    assert scorer.means == ["logp_pred"]


def test_what_is_offered(model: molvae.Model):
    assert {"logp_pred", "logp_lcb", "mw_ucb", "mw_views"} <= set(offered(model.sampler))
    assert "logp" not in offered(model.sampler)


class TestObjectives:
    def test_a_search_maximises_what_the_model_is_sure_of(self, model: molvae.Model, tmp_path: Path):
        objective = Objective.of(maximize="logp_lcb", constraint="qed_pred<=0.9")
        found = model.optimize(objective, budget=48, keep=9, recipe=SMALL, out=tmp_path / "run")
        texts = [c.text for c in found.candidates]
        mean, std = model.predict(texts)
        at = model.properties.index("logp")
        assert [c.extra["score"] for c in found.candidates] == pytest.approx((mean - std)[:, at].tolist(), rel=1e-3, abs=1e-3)
        assert all(c.measured["logp_lcb"] == c.extra["score"] and c.predicted["qed"] <= 0.9 for c in found.candidates)
        lines = [json.loads(line) for line in (tmp_path / "run" / NAME).read_text(encoding="utf-8").splitlines()]
        assert len(lines) == 48
        assert all(set(line["values"]) == {"logp_lcb", "qed_pred"} for line in lines)
        # One column for each: qed_pred is what every table calls the prediction of qed.
        write(found.candidates, tmp_path / "found.csv", text_column="smiles")
        header = (tmp_path / "found.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
        assert {"logp_lcb", "logp_pred", "qed_pred"} <= set(header)
        again = model.optimize(objective, budget=64, recipe=SMALL, out=tmp_path / "run", resume=True)
        assert [s.values for s in again.search.pool][:48] == [s.values for s in found.search.pool]

    def test_a_label_that_nobody_can_compute_goes_by_its_own_name(self, blind: Sampler, model: molvae.Model):
        found = optimise(blind, Plan(Objective.of(maximize="qed", minimize="logp_ucb"), budget=32, recipe=SMALL))
        mean, std = model.predict([s.text for s in found.search.pool])
        qed, logp = (model.properties.index(name) for name in ("qed", "logp"))
        for row, one in enumerate(found.search.pool):
            assert one.values["qed"] == pytest.approx(mean[row, qed], rel=1e-3, abs=1e-3)
            assert one.values["logp_ucb"] == pytest.approx(mean[row, logp] + std[row, logp], rel=1e-3, abs=1e-3)
        best = found.candidates[0]
        assert "qed" not in best.measured  # a prediction is never shown as a measurement
        assert best.predicted["qed"] == pytest.approx(found.search.pool[best.text].values["qed"], rel=1e-3, abs=1e-3)

    def test_a_scorer_goes_before_a_label_but_may_not_pose_as_a_prediction(self, blind: Sampler):
        def scorer(name: str) -> Guarded:
            return Guarded(of(f"{name}=builtins:len"), workers=0)

        found = optimise(blind, Plan(Objective.of(maximize="qed"), budget=16, recipe=SMALL), scoring=Scoring((scorer("qed"),)))
        assert all(c.measured["qed"] == len(c.text) for c in found.candidates)
        with pytest.raises(UsageError, match="qed_lcb is the model's own"):
            optimise(blind, Plan(Objective.of(maximize="qed"), budget=16), scoring=Scoring((scorer("qed_lcb"),)))

    def test_unknown_names_are_told_of_them(self, model: molvae.Model):
        with pytest.raises(UnknownName, match=r"logp_lbc.*logp_lcb, logp_pred, logp_ucb"):
            model.optimize(Objective.of(maximize="logp_lbc"), budget=16)
        headless = Sampler(model.vae, model.representation, model.validator)
        head, headless.model.head = headless.model.head, None
        try:
            with pytest.raises(UnknownName) as raised:
                optimise(headless, Plan(Objective.of(maximize="logp_lcb"), budget=16))
        finally:
            headless.model.head = head
        assert "logp_lcb" not in raised.value.known

    def test_predictions_have_the_bounds_and_the_unit_of_their_property(self, model: molvae.Model):
        usual = usual_bounds(model.sampler)
        assert usual["mw"] == usual["mw_pred"] == usual["mw_lcb"] == usual["mw_ucb"]
        assert model.unit("mw_lcb") == model.unit("mw") == "Da"
        assert model.unit("beauty_lcb") == ""
