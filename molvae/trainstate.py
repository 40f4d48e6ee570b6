"""What a training run keeps on disk beside its checkpoint: the state for an exact resume, the log, the batch of a diverged step."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from molvae.checkpoint import finite, swap
from molvae.errors import CheckpointError, MissingExtra
from molvae.records import Batch

FOLDER = "state"
NORM_SHARE = 0.02  # of each step in the running mean of gradient norms
LEFT = ("plan.json", "ledger.json", "start.json", "data.json", "log.csv", FOLDER + ".new")


@dataclass
class Progress:
    """Where training stands: steps done, seconds of training, best held-out loss, its step, validations since, running mean of gradient norms."""

    step: int = 0
    seconds: float = 0.0
    best: float = math.inf
    stale: int = 0
    best_step: int = 0
    norm: float = 0.0

    def bound(self, times: float) -> float:
        """The largest gradient norm that passes uncut; infinite before the first, and for 0 times."""
        return times * self.norm if times and self.norm else math.inf

    def follow(self, norm: float) -> None:
        """Note the norm of a step as it was used."""
        self.norm = self.norm + (norm - self.norm) * NORM_SHARE if self.norm else norm

    def judge(self, loss: float) -> bool:
        """Note a held-out loss; True where it is the best so far."""
        if loss < self.best:
            self.best, self.stale, self.best_step = loss, 0, self.step
            return True
        self.stale += 1
        return False


def has_state(out: Path) -> bool:
    """Whether a run in ``out`` came as far as its first saved state."""
    return (out / FOLDER).exists() or (out / (FOLDER + ".old")).exists()


def clear(out: Path) -> None:
    """Remove what a run without a saved state left in its folder, if one did. The batches of diverged steps stay."""
    if not (out / "plan.json").exists() or not ((out / "config.toml").exists() or (out / "data.json").exists()):
        return
    for name in LEFT:
        place = out / name
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
    for events in out.glob("events.out.tfevents.*"):
        events.unlink()


def save_state(
    out: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: Mapping[str, Tensor],
    best: Mapping[str, Tensor],
    progress: Progress,
) -> None:
    """Write everything that ``load_state`` needs, in one rename. best: averaged weights of the best validation, empty where none are kept."""
    scratch = out / (FOLDER + ".new")
    scratch.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()} | {f"average.{k}": v for k, v in average.items()}
    tensors |= {f"best.{k}": v for k, v in best.items()}
    names = {id(p): n for n, p in model.named_parameters()}
    for parameter, state in optimiser.state.items():
        tensors |= {f"optimiser.{names[id(parameter)]}.{k}": v for k, v in state.items()}
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, scratch / "state.safetensors")
    (scratch / "progress.json").write_text(json.dumps(finite(asdict(progress)), allow_nan=False), encoding="utf-8")
    swap(scratch, out / FOLDER)


def load_state(
    out: Path, model: nn.Module, optimiser: torch.optim.Optimizer, average: dict[str, Tensor], best: dict[str, Tensor]
) -> Progress:
    """Restore a run; ``best`` is filled where the state has such weights. Raises CheckpointError where ``out`` holds none, or another model's."""
    folder = out / FOLDER
    if not folder.exists():
        folder = out / (FOLDER + ".old")
    try:
        tensors = load_file(folder / "state.safetensors")
        values: dict[str, Any] = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
        progress = Progress(**(values | {"best": math.inf if values["best"] is None else values["best"]}))
    except FileNotFoundError:
        raise CheckpointError(out, "there is no training state to resume from; start without --resume") from None
    except (SafetensorError, OSError, ValueError, LookupError, TypeError) as error:
        raise CheckpointError(folder, f"the training state is corrupt ({error}); start without --resume") from error
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "best": {}, "optimiser": {}}
    for name, value in tensors.items():
        part, rest = name.split(".", 1)
        parts[part][rest] = value
    try:
        model.load_state_dict(parts["model"])
    except RuntimeError as error:
        raise CheckpointError(
            folder, f"this training state belongs to another configuration; use the folder's own config.toml ({error})"
        ) from None
    for k, v in parts["average"].items():
        average[k].copy_(v)
    best.update({k: v.to(average[k].device) for k, v in parts["best"].items()})
    parameters = dict(model.named_parameters())
    for name, value in parts["optimiser"].items():
        parameter, key = name.rsplit(".", 1)
        optimiser.state[parameters[parameter]][key] = value.to(parameters[parameter].device)  # where the fused step wants it
    return progress


def save_batch(folder: Path, rows: NDArray[np.int64], batch: Batch, model: nn.Module) -> None:
    """Keep the rows, tensors and weights of a step for inspection."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {"rows": torch.from_numpy(rows.copy()), "labels": batch.labels}
    if batch.target is not None:
        tensors |= {"target": batch.target.tokens, "target_lengths": batch.target.lengths}
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, folder / "batch.safetensors")
    save_file({k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}, folder / "weights.safetensors")


class Log:
    """Rows of numbers by step, in CSV (columns step, name, value) and on wish in TensorBoard."""

    def __init__(self, path: Path, tensorboard: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise MissingExtra("tensorboard", "tensorboard") from error
            self.board = SummaryWriter(str(path.parent))

    def rewind(self, step: int) -> None:
        """Drop rows of steps after ``step``, which a resumed run writes again."""
        if not self.path.exists():
            return
        with self.path.open(newline="") as file:
            rows = [row for row in csv.reader(file) if row and (row[0] == "step" or int(row[0]) <= step)]
        scratch = self.path.with_suffix(".new")
        with scratch.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        scratch.replace(self.path)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one row for each value."""
        fresh = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(["step", "name", "value"])
            writer.writerows([step, name, f"{value:.6g}"] for name, value in values.items())
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush TensorBoard, where it is used."""
        if self.board is not None:
            self.board.close()
