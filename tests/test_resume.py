"""A run that was stopped and resumed is the run that was not stopped, bit for bit."""

from __future__ import annotations

import csv
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import molvae
from molvae import config as settings
from molvae.dataset import Store
from molvae.errors import CheckpointError, UsageError
from molvae.train import Tick
from molvae.training import train
from molvae.trainstate import NORM_SHARE, Progress
from tests.fixtures_model import Tiny, tiny_config

LOGGED_TIMES = ("records_per_s", "seconds")


def stop_at(step: int) -> object:
    def tick(tick: Tick) -> None:
        if tick.step == step:
            signal.raise_signal(signal.SIGINT)

    return tick


def logged(folder: Path) -> list[list[str]]:
    with (folder / "log.csv").open(newline="") as file:
        return [row for row in csv.reader(file) if row[1] not in LOGGED_TIMES]


def same(first: Path, second: Path) -> None:
    a, b = load_file(first), load_file(second)
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == []


def test_resumed_training_is_the_same_training(tiny: Tiny, tmp_path: Path) -> None:
    store = Store.open(tiny.store)
    config = tiny_config(train__steps=40, train__log_steps=10, train__validate_steps=10)
    through, halves = tmp_path / "through", tmp_path / "halves"
    assert train(store, config, through, name="x").stopped == "finished"
    stopped = train(store, config, halves, name="x", on_tick=stop_at(20))  # type: ignore[arg-type]
    assert (stopped.stopped, stopped.steps) == ("interrupted", 20)
    resumed = train(store, config, halves, name="x", resume=True)
    assert (resumed.stopped, resumed.steps) == ("finished", 40)
    same(through / "state" / "state.safetensors", halves / "state" / "state.safetensors")
    for name in ("weights", "exemplars"):
        same(through / "checkpoint" / f"{name}.safetensors", halves / "checkpoint" / f"{name}.safetensors")
    assert logged(through) == logged(halves)
    for name in ("config.toml", "representation.json", "known.npz"):
        assert (through / "checkpoint" / name).read_bytes() == (halves / "checkpoint" / name).read_bytes()


def test_a_kill_between_two_saves_loses_nothing(tiny: Tiny, tmp_path: Path) -> None:
    """Rows logged after the last saved state are written again, not twice; of two states in mid-swap the old one is taken."""
    store = Store.open(tiny.store)
    config = tiny_config(train__steps=20, train__log_steps=5)
    out = tmp_path / "run"
    train(store, config, out, on_tick=stop_at(10))  # type: ignore[arg-type]
    with (out / "log.csv").open("a", newline="") as file:
        csv.writer(file).writerow([15, "nll", "1"])
    (out / "state").rename(out / "state.old")
    train(store, config, out, resume=True)
    steps = [row[0] for row in logged(out) if row[1] == "nll"]
    assert steps == ["5", "10", "15", "20"]


def test_what_cannot_be_resumed(tiny: Tiny, tmp_path: Path) -> None:
    store = Store.open(tiny.store)
    config = tiny_config(train__steps=2)
    with pytest.raises(CheckpointError, match="no run to resume"):
        train(store, config, tmp_path / "run", resume=True)
    train(store, config, tmp_path / "run")
    with pytest.raises(UsageError, match="holds a training run already"):
        train(store, config, tmp_path / "run")
    with pytest.raises(CheckpointError, match="another configuration"):
        train(store, tiny_config(train__steps=4, latent__width=8), tmp_path / "run", resume=True)
    state = tmp_path / "run" / "state" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="corrupt"):
        train(store, tiny_config(train__steps=4), tmp_path / "run", resume=True)
    (tmp_path / "run" / "state" / "progress.json").unlink()
    state.unlink()
    with pytest.raises(CheckpointError, match="no training state"):
        train(store, config, tmp_path / "run", resume=True)


@pytest.mark.slow
def test_two_processes_train_one_model(tiny: Tiny, tmp_path: Path) -> None:
    """Data-parallel training through the command, which Fabric starts again for the second process."""
    config = tiny_config(train__steps=20, train__devices=2, train__checkpoint_minutes=0.01)
    (tmp_path / "two.toml").write_text(settings.dump(config), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("molvae")), "train", "--data", str(tiny.store), "--config", "two.toml", "--out", "two"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    progress = json.loads((tmp_path / "two" / "state" / "progress.json").read_text())
    assert progress["step"] == 20
    assert (tmp_path / "two" / "checkpoint" / "weights.safetensors").exists()


def test_an_encoder_can_be_added_to_a_trained_model(tiny: Tiny, tmp_path: Path) -> None:
    store = Store.open(tiny.store)
    first, more = (
        tiny_config(train__steps=3, encoder__views=["sequence"]),
        tiny_config(train__steps=1, encoder__views=["sequence", "written"]),
    )
    train(store, first, tmp_path / "first")
    train(store, more, tmp_path / "more", start=tmp_path / "first" / "checkpoint")
    more_card = molvae.load(tmp_path / "more").card
    assert "1 steps" in more_card
    assert "after 3 steps" in more_card
    assert molvae.load(tmp_path / "more").encode(["CCO"], views=["written"]).shape == (1, 16)
    with pytest.raises(CheckpointError, match="must begin with"):
        train(store, tiny_config(encoder__views=["graph"]), tmp_path / "other", start=tmp_path / "first" / "checkpoint")
    with pytest.raises(CheckpointError, match="do not fit"):
        train(
            store, tiny_config(encoder__views=["sequence"], decoder__layers=2), tmp_path / "other2", start=tmp_path / "first" / "checkpoint"
        )


def test_gradients_are_cut_only_where_they_are_far_beyond_what_is_usual() -> None:
    progress = Progress()
    assert progress.bound(10.0) == math.inf  # nothing is known yet
    for norm in (100.0, 400.0):
        progress.follow(norm)
    assert progress.bound(10.0) == pytest.approx(10 * (100 + 300 * NORM_SHARE))
    assert progress.bound(0.0) == math.inf
