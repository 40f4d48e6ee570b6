"""Checkpoints: what is written comes back, and whatever is wrong with a folder is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import molvae
from molvae import checkpoint
from molvae.checkpoint import Checkpoint
from molvae.errors import CheckpointError, DataError
from tests.fixtures_model import Tiny, tiny_config


@pytest.fixture
def folder(tiny: Tiny, tmp_path: Path) -> Path:
    """A copy of the tiny model to break."""
    return Path(shutil.copytree(tiny.checkpoint, tmp_path / "copy"))


def some() -> Checkpoint:
    weights = {"a": torch.randn(3, 4), "steps": torch.tensor(7), "big": torch.tensor([1e6, -1e6])}
    return Checkpoint(
        tiny_config(),
        {"domain": "molecules", "version": "0"},
        weights,
        {"x": 0.5},
        "# card\n",
        {"codes": torch.zeros(2, 3)},
        {"known.npz": b"abc"},
    )


def test_round_trip(tmp_path: Path) -> None:
    saved = some()
    checkpoint.save(saved, tmp_path / "c")
    back = checkpoint.load(tmp_path / "c")
    assert back.config == saved.config
    assert back.weights.keys() == saved.weights.keys()
    assert all(torch.equal(back.weights[k], saved.weights[k]) for k in saved.weights)
    assert (back.metrics, back.card, back.files) == (saved.metrics, saved.card, saved.files)
    assert torch.equal(back.exemplars["codes"], saved.exemplars["codes"])
    assert back.representation["domain"] == "molecules"


def test_half_precision_leaves_what_it_cannot_hold(tmp_path: Path) -> None:
    saved = some()
    checkpoint.save(saved, tmp_path / "c", half=True)
    assert load_file(tmp_path / "c" / "weights.safetensors")["a"].dtype == torch.float16
    back = checkpoint.load(tmp_path / "c").weights
    assert back["a"].dtype == torch.float32
    assert torch.allclose(back["a"], saved.weights["a"], atol=2e-3)
    assert torch.equal(back["big"], saved.weights["big"])
    assert int(back["steps"]) == 7


def test_saving_replaces_the_whole_folder(tmp_path: Path) -> None:
    checkpoint.save(some(), tmp_path / "c")
    (tmp_path / "c" / "stray").write_text("x")
    checkpoint.save(some(), tmp_path / "c")
    assert not (tmp_path / "c" / "stray").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rewrite(name: str, **changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        values = json.loads((folder / name).read_text())
        values.update(changes)
        (folder / name).write_text(json.dumps({k: v for k, v in values.items() if v is not None}))

    return change


def other_weights(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    weights["decoder.out.bias"] = torch.zeros(3)
    save_file(weights, folder / "weights.safetensors")


def without_labels(folder: Path) -> None:
    save_file({"codes": load_file(folder / "exemplars.safetensors")["codes"]}, folder / "exemplars.safetensors")


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "no representation": (lambda f: (f / "representation.json").unlink(), "representation.json is missing"),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "weights.safetensors is missing"),
    "no config": (lambda f: (f / "config.toml").unlink(), "config.toml"),
    "no metrics": (lambda f: (f / "metrics.json").unlink(), "metrics.json is missing"),
    "truncated weights": (lambda f: truncate(f / "weights.safetensors"), "weights.safetensors is corrupt"),
    "empty weights": (lambda f: (f / "weights.safetensors").write_bytes(b""), "weights.safetensors is corrupt"),
    "truncated exemplars": (lambda f: truncate(f / "exemplars.safetensors"), "exemplars.safetensors is corrupt"),
    "exemplars without labels": (without_labels, "codes without labels"),
    "truncated representation": (lambda f: truncate(f / "representation.json"), "representation.json is not readable"),
    "binary representation": (lambda f: (f / "representation.json").write_bytes(b"\xff\x00"), "representation.json is not readable"),
    "a list": (lambda f: (f / "representation.json").write_text("[]"), "holds list"),
    "foreign": (rewrite("representation.json", kind="other"), "is not one of molvae's"),
    "newer": (rewrite("representation.json", format=99, version="9.9"), "format 99 (written by molvae 9.9)"),
    "no domain": (rewrite("representation.json", domain=None), "names no domain"),
    "unknown domain": (rewrite("representation.json", domain="tea"), "unknown domain 'tea'"),
    "no vocabulary": (rewrite("representation.json", source=None), "representation.json is damaged"),
    "damaged vocabulary": (rewrite("representation.json", source={"view": "selfies", "vocabulary": {}}), "representation.json is damaged"),
    "unknown string": (rewrite("representation.json", target={"view": "tea", "vocabulary": {}}), "representation.json is damaged"),
    "other graphs": (rewrite("representation.json", node_sizes=[1, 2]), "graph columns differ"),
    "other weights": (other_weights, "the weights do not fit"),
    "unknown setting": (lambda f: (f / "config.toml").write_text("[train]\nnonsense = 1\n"), "train.nonsense"),
    "no TOML": (lambda f: (f / "config.toml").write_text("= ="), "no readable TOML"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(folder: Path, name: str) -> None:
    damage, said = DAMAGE[name]
    damage(folder)
    with pytest.raises(CheckpointError) as caught:
        molvae.load(folder)
    assert said in str(caught.value)
    assert str(folder) in str(caught.value)
    assert caught.value.path == folder


def test_damaged_known_keys(folder: Path) -> None:
    truncate(folder / "known.npz")
    with pytest.raises(DataError, match="known keys"):
        molvae.load(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        checkpoint.load(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="no such folder"):
        molvae.load(tmp_path / "file")


def test_extras_may_be_absent(folder: Path) -> None:
    (folder / "exemplars.safetensors").unlink()
    (folder / "known.npz").unlink()
    (folder / "card.md").unlink()
    model = molvae.load(folder)
    assert len(model.generate(3).candidates) == 3
    assert model.describe("CCc1ccncc1").novel is None
    with pytest.raises(molvae.MolvaeError, match="no exemplars"):
        model.generate(3, prior="exemplars")
    with pytest.raises(molvae.MolvaeError, match="no list of its training records"):
        model.generate(3, novel=True)


def test_shipped_encoders_take_a_quarter_and_move_codes_little(tiny: Tiny, tmp_path: Path) -> None:
    saved = checkpoint.load(tiny.checkpoint)
    name, matrix = "encoder.big.weight", torch.randn(160, 128)
    whole = replace(saved, weights={name: matrix, "decoder.big.weight": matrix, "encoder.vector": torch.randn(40_000)})
    checkpoint.save(whole, tmp_path / "shipped", half=True)
    stored = load_file(tmp_path / "shipped" / "weights.safetensors")
    assert (stored[name].dtype, stored["decoder.big.weight"].dtype) == (torch.int8, torch.float16)
    back = checkpoint.load(tmp_path / "shipped").weights
    assert set(back) == set(whole.weights)
    assert all(back[k].dtype == torch.float32 for k in back)
    step = matrix.abs().amax(1, keepdim=True) / 127
    assert bool(((back[name] - matrix).abs() <= 0.5001 * step).all())
    checkpoint.save(replace(whole, weights=back), tmp_path / "again", half=True)
    assert all(torch.equal(v, back[k]) for k, v in checkpoint.load(tmp_path / "again").weights.items())
