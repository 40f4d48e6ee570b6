"""A checkpoint is one folder of plain files, read without unpickling:

config.toml (every setting), representation.json (format, version, domain, vocabularies, graph columns, labels), weights.safetensors,
metrics.json, card.md, and extras: exemplars.safetensors (codes and labels for the exemplar prior), known.* (identities for novelty).
"""

from __future__ import annotations

import json
import math
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

FORMAT = 2
READABLE = (1, 2)  # format 1 has no tensors in eight bits
SCALE = "::scale"
EIGHT_BIT = "encoder."  # weights whose rounding to eight bits moves a code by less than the least noise level that is trained
SMALLEST = 16_384  # numbers in a matrix below which eight bits save nothing to speak of
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
    """Write the folder, replacing an older checkpoint in one rename.

    half: for shipping, store float32 weights as float16 where it can hold them, and the encoders' matrices as signed bytes with a scale for each row.
    """
    path = Path(path)
    scratch = path.with_name(path.name + ".new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    (scratch / "config.toml").write_text(settings.dump(checkpoint.config), encoding="utf-8")
    representation = {"kind": KIND, "format": FORMAT, **checkpoint.representation}
    (scratch / "representation.json").write_text(json.dumps(representation, indent=1), encoding="utf-8")
    weights = {k: v.detach().contiguous() for k, v in checkpoint.weights.items()}
    save_file(_shrunk(weights) if half else weights, scratch / "weights.safetensors")
    if checkpoint.exemplars:
        save_file({k: v.contiguous() for k, v in checkpoint.exemplars.items()}, scratch / "exemplars.safetensors")
    (scratch / "metrics.json").write_text(json.dumps(finite(checkpoint.metrics), indent=1, allow_nan=False), encoding="utf-8")
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
    if representation.get("format") not in READABLE:
        found, writer = representation.get("format"), representation.get("version")
        raise CheckpointError(
            path, f"it has format {found!r} (written by molvae {writer}), and this version reads up to {FORMAT}; update molvae"
        )
    try:
        config = settings.load(path / "config.toml")
    except ConfigError as error:
        raise CheckpointError(path, f"config.toml does not fit this version: {error}") from error
    weights = _restored(_read_tensors(path, "weights.safetensors"))
    exemplars = _read_tensors(path, "exemplars.safetensors") if (path / "exemplars.safetensors").exists() else {}
    known = {p.name: p.read_bytes() for p in path.iterdir() if p.name.startswith("known.")}
    card = (path / "card.md").read_text(encoding="utf-8") if (path / "card.md").exists() else ""
    return Checkpoint(config, representation, weights, _read_json(path, "metrics.json"), card, exemplars, known)


def finite(value: Any) -> Any:
    """Nested values as strict JSON has them: numbers that are unknown or infinite become None."""
    if isinstance(value, Mapping):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def swap(scratch: Path, path: Path) -> None:
    """Put the folder ``scratch`` in the place of ``path``, so that a kill leaves one of the two whole."""
    old = path.with_name(path.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.replace(old)
    scratch.replace(path)
    shutil.rmtree(old, ignore_errors=True)


def _shrunk(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    for name, value in weights.items():
        if value.dtype != torch.float32:
            out[name] = value
        elif name.startswith(EIGHT_BIT) and value.ndim == 2 and value.numel() >= SMALLEST:
            scale = value.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
            out[name] = torch.round(value / scale).to(torch.int8)
            out[name + SCALE] = scale
        else:
            short = value.half()
            # The variance of a code before its normalisation can be too large for float16, and cut off it is another code.
            out[name] = short if bool(torch.isfinite(short).all()) else value
    return out


def _restored(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    for name, value in stored.items():
        if name.endswith(SCALE):
            continue
        if name + SCALE in stored:
            out[name] = value.float() * stored[name + SCALE]
        else:
            out[name] = value.float() if value.dtype == torch.float16 else value
    return out


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        values = json.loads((path / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            path, f"{name} is missing; this is no checkpoint, or a copy of it was cut short: give a folder that 'molvae train' wrote"
        ) from None
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
