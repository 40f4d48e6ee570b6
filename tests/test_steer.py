"""Steering: rewards are the measured deviations, and following them lowers the deviation."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import molvae
from molvae import config as settings
from molvae.errors import ConfigError, UsageError
from molvae.model import some_of
from molvae.steer import WORST, Steer, _above_others
from molvae.training import train
from tests.fixtures_model import Tiny, tiny_config


def test_penalties_are_the_measured_deviations(model: molvae.Model) -> None:
    steer = Steer(model.representation, 2, 2, 1.0)
    record = model.domain.parse("Cc1ccc(OC)cc1CC")
    mean, std = model.vae.label_mean, model.vae.label_std
    value = (model.domain.properties["logp"].compute(record) - float(mean[0])) / float(std[0])
    targets = torch.tensor([[value + 0.5, math.nan, math.nan], [value - 9.0, math.nan, math.nan], [0.0, 0.0, 0.0]])
    found = steer._penalties(model.vae, [record, record, None], targets)
    assert found.tolist() == pytest.approx([0.5, WORST, WORST], abs=1e-4)


def test_targets_show_one_label_or_some() -> None:
    torch.manual_seed(0)
    shown = (~torch.isnan(some_of(torch.zeros(6000, 4), single=2 / 3))).sum(1)
    assert int(shown.min()) == 1
    assert float((shown == 1).float().mean()) == pytest.approx(2 / 3 + 1 / 12, abs=0.02)
    assert float((shown == 4).float().mean()) == pytest.approx(1 / 12, abs=0.02)


def test_steering_lowers_the_deviation_of_raw_draws(tiny: Tiny, tmp_path) -> None:
    def deviation(model: molvae.Model) -> float:
        found = model.generate(400, targets={"logp": (2.0, 0.1)}, verify=False, unique=False, max_draws=3000, seed=3)
        return found.raw_deviation["logp"]

    store = molvae.Store.open(tiny.store)
    config = tiny_config(steer__rows=16, steer__draws=4, train__steps=40, train__learning_rate=2e-3)
    train(store, config, tmp_path / "steered", start=tiny.checkpoint)
    plain = tiny_config(train__steps=40, train__learning_rate=2e-3)
    train(store, plain, tmp_path / "plain", start=tiny.checkpoint)
    assert deviation(molvae.load(tmp_path / "steered")) < deviation(molvae.load(tmp_path / "plain"))


def test_steering_runs_in_one_process() -> None:
    with pytest.raises(ConfigError, match="one process"):
        settings.override(settings.Config(), {"steer.rows": 8, "train.devices": 2})


def test_only_computed_properties_are_steered(model: molvae.Model) -> None:
    def of(*names: str, **more: object) -> Steer:
        return Steer(replace(model.representation, labels=replace(model.representation.labels, names=names)), 2, 2, 1.0, **more)

    assert of("measured", "logp", "dose").computed == [1]
    shown = ~torch.isnan(of("measured", "logp", "dose")._targets(torch.zeros(2, 3)))
    assert shown.tolist() == [[False, True, False]] * 2
    plain = of("measured", wanted={"qed": 1.0}, unasked=1.0)
    assert plain.plain == 2
    assert torch.isnan(plain._targets(torch.zeros(2, 1))).all()
    with pytest.raises(UsageError, match="none among measured, dose"):
        of("measured", "dose")
    with pytest.raises(UsageError, match="'dose'; wanted properties that can be computed: logp"):
        of("logp", wanted={"dose": 1.0})


def test_draws_without_a_target_are_judged_by_what_is_wanted(model: molvae.Model) -> None:
    steer = Steer(model.representation, 4, 2, 1.0, {"hbd": 1.0}, 0.5)
    targets = steer._targets(torch.zeros(4, 3))
    assert torch.isnan(targets[:2]).all()
    assert not torch.isnan(targets[2:]).all(1).any()
    records = [model.domain.parse(text) for text in ("CCO", "CCC", "OCC(O)C(O)C(O)C(O)CO")]
    assert steer._shortfalls(model.vae, [*records, None]).tolist() == [0.0, 1.0, WORST, WORST]


def test_advantages_are_above_the_others_of_a_group() -> None:
    penalty = torch.tensor([[0.0, 1.0, 2.0, math.nan], [1.0, math.nan, math.nan, math.nan]])
    assert _above_others(penalty).tolist() == [1.5, 0.0, -1.5, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_steering_moves_draws_that_are_asked_for_nothing(tiny: Tiny, tmp_path: Path) -> None:
    def heaviest(**more: object) -> float:
        config = tiny_config(train__steps=40, train__learning_rate=2e-3, **more)
        train(molvae.Store.open(tiny.store), config, tmp_path / f"with{len(more)}", start=tiny.checkpoint)
        found = molvae.load(tmp_path / f"with{len(more)}")
        return float(
            np.mean([found.domain.properties["mw"].compute(found.domain.parse(text)) for text in found.sample(300, seed=1, unique=False)])
        )

    assert heaviest(steer__rows=16, steer__draws=4, steer__wanted={"mw": 185.0}, steer__unasked=1.0) > heaviest() + 2
