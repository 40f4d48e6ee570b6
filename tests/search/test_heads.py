"""Predicted endpoints are the heads' own means and bounds."""

from __future__ import annotations

import math

import pytest

import molvae
from molvae.search.heads import Heads, offered


def test_bounds_lie_one_deviation_from_the_mean(model: molvae.Model):
    texts = ["Cc1ccccc1", "no molecule", "CCO"]
    values = Heads(model.sampler, ["logp_lcb", "logp_pred", "logp_ucb", "mw_pred"])(texts)
    mean, std = model.predict(["Cc1ccccc1", "CCO"])
    at = model.properties.index("logp")
    for row, place in ((0, 0), (1, 2)):
        expected = [mean[row, at] - std[row, at], mean[row, at], mean[row, at] + std[row, at], mean[row, model.properties.index("mw")]]
        assert values[place] == pytest.approx(expected, rel=1e-4)
    assert all(math.isnan(v) for v in values[1])


def test_what_is_offered(model: molvae.Model):
    assert {"logp_pred", "logp_lcb", "mw_ucb"} <= set(offered(model.sampler))
    assert "logp" not in offered(model.sampler)
