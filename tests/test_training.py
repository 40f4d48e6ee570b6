"""Training that goes wrong, stops early or is told to stop; what its log says; the plain VAE's schedules at work."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from molvae import api, checkpoint, training
from molvae import config as settings
from molvae.config import Config
from molvae.dataset import Store, prepare
from molvae.dataset.batches import Schedule
from molvae.domains.molecules import domain
from molvae.errors import CheckpointError, DataError, Diverged, MissingExtra, UnknownName, UsageError
from molvae.nn.regularisers import KL
from molvae.train import Tick
from molvae.training import train
from tests.fixtures_model import Tiny, tiny_config, tiny_smiles

BAD = {"train__learning_rate": 1e30, "train__warmup_steps": 0}
PLAIN: dict[str, Any] = {"latent__kind": "gaussian", "latent__width": 4, "regulariser__kind": "kl", "train__prior_batch": 0}


def quick(**overrides: object) -> Config:
    """A few steps of small batches."""
    few: dict[str, object] = {"train__steps": 6, "train__log_steps": 1, "train__prior_batch": 4, "train__code_batch": 8}
    return tiny_config(**{**few, **overrides})


def series(folder: Path, name: str) -> list[float]:
    """The logged values of one name in their order."""
    with (folder / "log.csv").open(newline="") as file:
        return [float(value) for _, named, value in csv.reader(file) if named == name]


def steps_of(folder: Path) -> list[str]:
    with (folder / "log.csv").open(newline="") as file:
        return [step for step, named, _ in csv.reader(file) if named == "nll"]


def test_a_loss_that_is_no_number_is_saved_and_the_run_can_begin_anew(tiny: Tiny, tmp_path: Path) -> None:
    store, out = Store.open(tiny.store), tmp_path / "run"
    with pytest.raises(Diverged, match=r"--resume and a lower --set train\.learning_rate") as caught:
        train(store, quick(**BAD), out)
    saved = caught.value.saved
    assert saved == out / f"diverged-{caught.value.step}"
    rows = load_file(saved / "batch.safetensors")["rows"].numpy()
    assert len(rows) == 12
    assert set(rows) <= set(store.rows("train"))
    assert (saved / "weights.safetensors").exists()
    assert not (out / "state").exists()
    with pytest.raises(Diverged):
        train(store, quick(**BAD), out)
    assert train(store, quick(), out, resume=True).stopped == "finished"
    assert steps_of(out) == ["1", "2", "3", "4", "5", "6"]
    assert saved.is_dir()
    with pytest.raises(UsageError, match="go on with --resume"):
        train(store, quick(), out)


def test_what_began_with_another_model_begins_anew_with_it_alone(tiny: Tiny, tmp_path: Path) -> None:
    store, out = Store.open(tiny.store), tmp_path / "run"
    config = settings.override(settings.load(tiny.checkpoint / "config.toml"), {"train.steps": 1})
    bad = settings.override(config, {"train.steps": 5, "train.learning_rate": 1e30, "train.warmup_steps": 0})
    with pytest.raises(Diverged):
        train(store, bad, out, start=tiny.checkpoint)
    with pytest.raises(UsageError, match="say --start again"):
        train(store, config, out, resume=True)
    done = train(store, config, out, resume=True, start=tiny.checkpoint)
    assert done.metrics["started_from"][0]["steps"] == 250
    with pytest.raises(Diverged):
        train(store, bad, tmp_path / "other", start=tiny.checkpoint)
    assert "started_from" not in train(store, quick(), tmp_path / "other").metrics


def test_a_trained_model_learns_other_labels(tiny: Tiny, tmp_path: Path) -> None:
    """What it knows of structures stays, what it knows of labels begins afresh, on the scale of the new data."""
    store = prepare(domain, tiny.source, tmp_path / "data", properties=("tpsa", "mw"), label_columns=(), workers=1)
    config = settings.load(tiny.checkpoint / "config.toml")
    with pytest.raises(UnknownName, match="logp"):
        train(store, config, tmp_path / "old", start=tiny.checkpoint)
    config = settings.override(config, {"condition.properties": ["tpsa", "mw"], "train.steps": 1, "train.learning_rate": 1e-9})
    train(store, config, tmp_path / "run", start=tiny.checkpoint)
    old, new = checkpoint.load(tiny.checkpoint), checkpoint.load(tmp_path / "run" / "checkpoint")
    assert new.representation["labels"] == ["tpsa", "mw"]
    assert new.weights["label_mean"].tolist() == pytest.approx(store.label_scale().mean.tolist(), rel=1e-3)
    assert new.weights["head.out.weight"].shape[0] == 4
    assert new.weights["decoder.budget.ledger.single"].abs().max() > 0
    kept = [k for k in old.weights if k.startswith("decoder.") and "budget" not in k]
    assert kept
    for name in kept:
        torch.testing.assert_close(new.weights[name].float(), old.weights[name].float(), atol=2e-3, rtol=0.02)


def test_a_trained_model_gets_a_wider_code(tiny: Tiny, tmp_path: Path) -> None:
    """What makes or reads the code begins afresh where its size is new, and is named; a decoder of another size is refused."""
    store, said = Store.open(tiny.store), list[str]()
    old = checkpoint.load(tiny.checkpoint)
    config = settings.load(tiny.checkpoint / "config.toml")
    wider = {"latent.width": config.latent.width + 8, "train.steps": 1, "train.learning_rate": 1e-9}
    train(store, settings.override(config, wider), tmp_path / "run", start=tiny.checkpoint, on_note=said.append)
    assert "begun afresh, for its size is new: decoder.context.0.weight, encoder.opinions.0.bias, encoder.opinions.0.weight" in said[-1]
    new = checkpoint.load(tmp_path / "run" / "checkpoint").weights
    assert new["decoder.context.0.weight"].shape[1] == old.weights["decoder.context.0.weight"].shape[1] + 8
    kept = [
        k for k in old.weights if k.startswith(("decoder.out.", "decoder.embed.", "encoder.graph.")) and old.weights[k].is_floating_point()
    ]
    assert kept
    for name in kept:
        torch.testing.assert_close(new[name].float(), old.weights[name].float(), atol=2e-3, rtol=0.02)
    with pytest.raises(CheckpointError, match="do not fit"):
        train(store, settings.override(config, {"decoder.hidden": config.decoder.hidden * 2}), tmp_path / "no", start=tiny.checkpoint)
    plain = {"latent.kind": "gaussian", "regulariser.kind": "kl", "train.prior_batch": 0}
    with pytest.raises(CheckpointError, match="of the kind 'dial', not 'gaussian'"):
        train(store, settings.override(config, plain), tmp_path / "no", start=tiny.checkpoint)


def test_a_folder_of_something_else_is_left_alone(tiny: Tiny, tmp_path: Path) -> None:
    store = Store.open(tiny.store)
    (tmp_path / "config.toml").write_text("mine")
    (tmp_path / "log.csv").write_text("mine")
    with pytest.raises(UsageError, match="something else"):
        train(store, quick(), tmp_path)
    with pytest.raises(CheckpointError, match="no run to resume"):
        train(store, quick(), tmp_path, resume=True)
    assert (tmp_path / "config.toml").read_text() == (tmp_path / "log.csv").read_text() == "mine"


def test_another_data_set_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    store, out = Store.open(tiny.store), tmp_path / "run"
    other = prepare(domain, tiny.source, tmp_path / "other", properties=("logp", "qed", "mw"), label_columns=(), seed=5, workers=1)
    train(store, quick(train__steps=1), out)
    with pytest.raises(UsageError, match=r"another data set .*252 rows"):
        train(other, quick(train__steps=2), out, resume=True)
    assert train(store, quick(train__steps=2), out, resume=True).steps == 2
    (out / "data.json").unlink()  # of an older version
    assert train(other, quick(train__steps=3), out, resume=True).steps == 3


def test_rows_that_the_vocabularies_cannot_write(tiny: Tiny, tmp_path: Path) -> None:
    foreign = "C[Se]C\nCC[Se]C\nCCC[Se]C\nCCCC[Se]C\n"

    def stored(name: str, text: str) -> Store:
        (tmp_path / f"{name}.smi").write_text(text)
        return prepare(domain, tmp_path / f"{name}.smi", tmp_path / name, properties=("logp", "qed", "mw"), fractions=(1, 0, 0), workers=1)

    config = settings.override(settings.load(tiny.checkpoint / "config.toml"), {"train.steps": 1})
    with pytest.raises(DataError, match=r"none of its 4 training rows can be used.*\[Se\]"):
        train(stored("foreign", foreign), config, tmp_path / "run", start=tiny.checkpoint)
    said: list[str] = []
    train(stored("some", foreign + "\n".join(tiny_smiles()[:6])), config, tmp_path / "run", start=tiny.checkpoint, on_note=said.append)
    assert said[0].startswith("4 of 10 rows are left out (4 of training)")
    assert "[Se]" in said[0]
    with pytest.raises(DataError, match="2 usable training rows make batches with one"):
        train(stored("two", "\n".join(tiny_smiles()[:2])), config, tmp_path / "two-run", start=tiny.checkpoint)
    with pytest.raises(ValueError, match="without rows"):
        next(Schedule(np.empty(0, np.int64), np.empty(0, np.int64), 4, 0).start(0))


def test_one_record_left_over_does_not_end_a_training(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tiny.store)
    monkeypatch.setattr("molvae.diagnose.CHUNK", len(store.rows("train")) - 1)
    assert train(store, quick(train__steps=1), tmp_path / "run").stopped == "finished"


def judged_by(losses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Validations that find these losses, one after another."""
    monkeypatch.setattr(training, "diagnose", lambda *_: {"valid_nll": losses.pop(0)})
    monkeypatch.setattr(training, "_measure", lambda *_: {"odd": float("nan"), "by": {"a": [float("inf")]}})


def test_patience_stops_and_ships_the_best_weights(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tiny.store)
    config = quick(
        train__steps=30,
        train__validate_steps=2,
        train__patience=2,
        latent__kind="gaussian",
        **{k: v for k, v in PLAIN.items() if k not in ("latent__kind", "latent__width")},
    )
    judged_by([5.0, 3.0, 4.0, 3.5], monkeypatch)
    done = train(store, config, tmp_path / "run")
    assert (done.stopped, done.steps, done.metrics["shipped_step"]) == ("patience", 8, 4)
    judged_by([5.0, 3.0], monkeypatch)
    short = settings.override(config, {"train.steps": 30, "train.patience": 0})
    train(store, short, tmp_path / "four", on_tick=stop_at(4, signal.SIGINT))
    state = load_file(tmp_path / "run" / "state" / "state.safetensors")
    four = load_file(tmp_path / "four" / "state" / "state.safetensors")
    best = {k.removeprefix("best."): v for k, v in state.items() if k.startswith("best.")}
    assert best
    assert all(torch.equal(v, four[f"average.{k}"]) for k, v in best.items())
    shipped = checkpoint.load(tmp_path / "run" / "checkpoint").weights["decoder.embed.weight"]
    assert torch.allclose(shipped, best["decoder.embed.weight"], atol=1e-3)
    metrics = (tmp_path / "run" / "checkpoint" / "metrics.json").read_text()
    assert json.loads(metrics, parse_constant=pytest.fail)["by"] == {"a": [None]}
    assert "NaN" not in (tmp_path / "run" / "checkpoint" / "card.md").read_text()


def test_codes_are_normalised_as_the_decoder_learnt_to_read_them(tiny: Tiny, tmp_path: Path) -> None:
    """Statistics of codes of all views alone would move the codes of single views away from what training showed the decoder."""
    train(Store.open(tiny.store), tiny_config(), tmp_path / "run")
    state = load_file(tmp_path / "run" / "state" / "state.safetensors")
    shipped = load_file(tmp_path / "run" / "checkpoint" / "weights.safetensors")
    for name in ("latent.norm.running_mean", "latent.norm.running_var"):
        torch.testing.assert_close(shipped[name].float(), state[f"average.{name}"].float(), atol=1e-3, rtol=1e-2)


def test_a_resumed_run_remembers_its_best_weights(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, config = Store.open(tiny.store), quick(train__steps=9, train__validate_steps=2, train__patience=5)
    for name, stops in (("through", []), ("halves", [5])):
        judged_by([5.0, 3.0, 4.0, 3.5, 6.0], monkeypatch)
        for step in stops:
            assert train(store, config, tmp_path / name, on_tick=stop_at(step, signal.SIGTERM)).stopped == "interrupted"
        done = train(store, config, tmp_path / name, resume=bool(stops))
        assert (done.stopped, done.steps, done.metrics["shipped_step"]) == ("finished", 9, 4)
    a, b = (load_file(tmp_path / name / "state" / "state.safetensors") for name in ("through", "halves"))
    assert a.keys() == b.keys()
    assert [k for k in a if not torch.equal(a[k], b[k])] == []
    assert json.loads((tmp_path / "halves" / "state" / "progress.json").read_text())["best_step"] == 4


def stop_at(step: int, number: signal.Signals) -> Callable[[Tick], None]:
    def tick(tick: Tick) -> None:
        if tick.step == step:
            signal.raise_signal(number)

    return tick


def test_the_state_of_a_run_without_validation_is_strict_json(tiny: Tiny, tmp_path: Path) -> None:
    train(Store.open(tiny.store), quick(train__steps=1), tmp_path / "run")
    text = (tmp_path / "run" / "state" / "progress.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["best"] is None


def test_tensorboard_is_an_extra(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, config = Store.open(tiny.store), quick(train__steps=2, train__tensorboard=True)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match=r"pip install 'molvae\[tensorboard\]'"):
        train(store, config, tmp_path / "run")
    written: list[tuple[str, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "run")

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, step))

        def close(self) -> None:
            written.append(("closed", 0))

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    train(store, config, tmp_path / "run")  # what the failure left does not stand in the way
    assert {("nll", 1), ("nll", 2), ("grad_norm", 2), ("lr", 1)} <= set(written)
    assert written[-1] == ("closed", 0)


def test_tensorboard_writes_events(tiny: Tiny, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train(Store.open(tiny.store), quick(train__steps=1, train__tensorboard=True), tmp_path / "run")
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


@pytest.mark.parametrize("kind", ["dial", "gaussian"])
def test_the_log_carries_losses_and_collapse_diagnostics(tiny: Tiny, tmp_path: Path, kind: str) -> None:
    plain = PLAIN if kind == "gaussian" else {}
    train(Store.open(tiny.store), quick(train__steps=4, train__validate_steps=2, **plain), tmp_path / "run")
    for name in ("nll", "nll_code", "rate", "aux", "head", "grad_norm", "lr", "records_per_s"):
        assert len(series(tmp_path / "run", name)) == 4, name
    own = ["valid_information", "valid_nll_prior" if kind == "dial" else "valid_kl"]
    for name in ["valid_nll", "valid_nll_shuffled_change", "valid_reconstruction", "valid_active_units", "valid_mae_logp", *own]:
        assert len(series(tmp_path / "run", name)) == 2, name
    width = 16 if kind == "dial" else 4
    assert all(0 <= units <= width for units in series(tmp_path / "run", "valid_active_units"))


@pytest.mark.parametrize(("schedule", "cycles"), [("constant", 1), ("linear", 1), ("cyclic", 2)])
def test_beta_follows_its_schedule(tiny: Tiny, tmp_path: Path, schedule: str, cycles: int) -> None:
    course = {"regulariser__schedule": schedule, "regulariser__cycles": cycles, "regulariser__warmup": 0.5, "regulariser__beta": 3.0}
    train(Store.open(tiny.store), quick(train__steps=12, **PLAIN, **course), tmp_path / "run")
    paid, rate = np.array(series(tmp_path / "run", "aux")), np.array(series(tmp_path / "run", "rate"))
    wanted = [KL(3.0, schedule, 0.5, cycles).weight(step / 12) for step in range(12)]
    assert paid / rate == pytest.approx(wanted, rel=1e-4)
    assert len(set(wanted)) > 3 or schedule == "constant"


def test_free_bits_hold_the_rate(tiny: Tiny, tmp_path: Path) -> None:
    """Under a heavy beta the code collapses; with free bits it is pressed no further than to them."""
    heavy = {**PLAIN, "regulariser__beta": 30.0, "regulariser__schedule": "constant", "train__steps": 40, "train__code_batch": 16}
    for free in (0.0, 0.5):
        train(Store.open(tiny.store), quick(**heavy, regulariser__free_bits=free), tmp_path / str(free))
    collapsed, held = (series(tmp_path / free, "rate")[-10:] for free in ("0.0", "0.5"))
    assert max(collapsed) < 0.5
    assert min(held) > 2 * max(collapsed)
    assert min(series(tmp_path / "0.5", "aux")) >= 30.0 * 4 * 0.5 * 0.999


@pytest.mark.slow
def test_sigterm_ends_the_command_and_it_goes_on(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(settings.dump(quick(train__steps=100_000)), encoding="utf-8")
    program = str(Path(sys.executable).with_name("molvae"))
    words = [program, "train", "--data", str(tiny.store), "--config", "c.toml", "--out", "run"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        until = time.monotonic() + 90
        while not (tmp_path / "run" / "log.csv").exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert "go on with: molvae train" in said
    reached = json.loads((tmp_path / "run" / "state" / "progress.json").read_text())["step"]
    more = [program, "train", "--data", str(tiny.store), "--out", "run", "--resume", "--set", f"train.steps={reached + 3}"]
    done = subprocess.run(more, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert steps_of(tmp_path / "run")[-1] == str(reached + 3)


def test_a_transformer_decoder_trains_generates_and_is_loaded_again(tiny: Tiny, tmp_path: Path) -> None:
    config = tiny_config(decoder__kind="transformer", decoder__layers=2, decoder__heads=4, train__steps=120, train__learning_rate=0.003)
    train(Store.open(tiny.store), config, tmp_path / "run")
    model = api.load(tmp_path / "run")
    found = model.generate(5, targets={"mw": (150.0, 60.0)}, seed=0)
    assert len(found.candidates) == 5
    assert found.candidates == api.load(tmp_path / "run").generate(5, targets={"mw": (150.0, 60.0)}, seed=0).candidates


def test_heads_that_do_not_fit_the_width_are_told() -> None:
    with pytest.raises(UsageError, match="hidden is 64 and heads 5"):
        tiny_config(decoder__kind="transformer", decoder__heads=5)
