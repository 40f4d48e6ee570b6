"""A checkpoint is one folder of plain files, read without unpickling:

config.toml (every setting), representation.json (format, version, domain, vocabularies, graph columns, labels), weights.safetensors,
metrics.json, card.md, and extras: exemplars.safetensors (codes and labels for the exemplar prior), known.* (identities for novelty).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from molvae import config as settings
from molvae.errors import CheckpointError, ConfigError

FORMAT = 1
KIND = "molvae-checkpoint"


@dataclass(frozen=True)
class Checkpoint:
    """What a folder holds. weights: name -> tensor; exemplars: codes, labels (may be empty); files: further files to carry along, name -> bytes."""

    config: settings.Config
    representation: Mapping[str, Any]
    weights: Mapping[str, Tensor]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""
    exemplars: Mapping[str, Tensor] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def save(checkpoint: Checkpoint, path: Path | str, *, half: bool = False) -> Path:
    """Write the folder, replacing an older checkpoint in one rename. ``half`` stores float32 weights as float16 (for shipping)."""
    path = Path(path)
    scratch = path.with_name(path.name + ".new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    (scratch / "config.toml").write_text(settings.dump(checkpoint.config), encoding="utf-8")
    representation = {"kind": KIND, "format": FORMAT, **checkpoint.representation}
    (scratch / "representation.json").write_text(json.dumps(representation, indent=1), encoding="utf-8")
    save_file({k: _shrink(v) if half else v.detach().contiguous() for k, v in checkpoint.weights.items()}, scratch / "weights.safetensors")
    if checkpoint.exemplars:
        save_file({k: v.contiguous() for k, v in checkpoint.exemplars.items()}, scratch / "exemplars.safetensors")
    (scratch / "metrics.json").write_text(json.dumps(dict(checkpoint.metrics), indent=1), encoding="utf-8")
    (scratch / "card.md").write_text(checkpoint.card, encoding="utf-8")
    for name, data in checkpoint.files.items():
        (scratch / name).write_bytes(data)
    swap(scratch, path)
    return path


def load(path: Path | str) -> Checkpoint:
    """Read a checkpoint folder; weights come back as float32. Raises CheckpointError where it is missing, corrupt, foreign or newer."""
    path = Path(path)
    if not path.is_dir():
        raise CheckpointError(path, "there is no such folder; 'molvae models list' names the shipped models")
    representation = _read_json(path, "representation.json")
    if representation.get("kind") != KIND:
        raise CheckpointError(path, "representation.json is not one of molvae's; this folder holds something else")
    if representation.get("format") != FORMAT:
        found, writer = representation.get("format"), representation.get("version")
        raise CheckpointError(path, f"it has format {found!r} (written by molvae {writer}), and this version reads {FORMAT}; update molvae")
    try:
        config = settings.load(path / "config.toml")
    except ConfigError as error:
        raise CheckpointError(path, f"config.toml does not fit this version: {error}") from error
    weights = {k: v.float() if v.dtype == torch.float16 else v for k, v in _read_tensors(path, "weights.safetensors").items()}
    exemplars = _read_tensors(path, "exemplars.safetensors") if (path / "exemplars.safetensors").exists() else {}
    known = {p.name: p.read_bytes() for p in path.iterdir() if p.name.startswith("known.")}
    card = (path / "card.md").read_text(encoding="utf-8") if (path / "card.md").exists() else ""
    return Checkpoint(config, representation, weights, _read_json(path, "metrics.json"), card, exemplars, known)


def swap(scratch: Path, path: Path) -> None:
    """Put the folder ``scratch`` in the place of ``path``, so that a kill leaves one of the two whole."""
    old = path.with_name(path.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.replace(old)
    scratch.replace(path)
    shutil.rmtree(old, ignore_errors=True)


def _shrink(value: Tensor) -> Tensor:
    value = value.detach().contiguous()
    if value.dtype != torch.float32:
        return value
    return value.clamp(-65504, 65504).half()


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        values = json.loads((path / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(path, f"{name} is missing; this is no checkpoint, or a copy of it was cut short") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(path, f"{name} is not readable ({error}); get a fresh copy") from error
    if not isinstance(values, dict):
        raise CheckpointError(path, f"{name} holds {type(values).__name__}, wanted an object; get a fresh copy")
    return values


def _read_tensors(path: Path, name: str) -> dict[str, Tensor]:
    try:
        return load_file(path / name)
    except FileNotFoundError:
        raise CheckpointError(path, f"{name} is missing; a copy of it was cut short") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(path, f"{name} is corrupt ({error}); get a fresh copy") from error
