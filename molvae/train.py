"""The only training loop, on Lightning Fabric. Every random number of step k follows from (seed, k, rank), so a resumed run is the same run."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from molvae.config import TrainConfig
from molvae.dataset.batches import Columns, Schedule
from molvae.errors import DataError, Diverged
from molvae.model import VAE, Parcel, to_device
from molvae.nn.precision import computes_in_bfloat16
from molvae.trainstate import Log, Progress, load_state, save_batch, save_state


@dataclass(frozen=True)
class Fit:
    """Outcome of ``fit``: the model with the weights to ship (averaged where ema > 0), why it stopped, and where training got to.

    shipped: the step of these weights: the best validation's where patience is set, else the last.
    """

    model: VAE
    stopped: str  # "finished", "patience" or "interrupted"
    progress: Progress
    shipped: int


@dataclass(frozen=True)
class Tick:
    """What a progress callback is told: step, share of the run done, loss parts (means since the last tick), records/s."""

    step: int
    share: float
    parts: Mapping[str, float]
    rate: float


AGREE = 10  # steps between agreements of several processes on the time and on stopping

Extra = Callable[[VAE, Tensor, int], tuple[Tensor, dict[str, Tensor]]]


def pick_precision(wanted: str, accelerator: str) -> str:
    """Resolve "auto": bfloat16 autocast where the hardware multiplies in bfloat16, else float32."""
    if wanted != "auto":
        return wanted
    return "bf16-mixed" if computes_in_bfloat16(accelerator) else "32-true"


def fit(
    model: VAE,
    columns: Columns,
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    validate: Callable[[VAE], Mapping[str, float]] | None = None,
    on_tick: Callable[[Tick], None] | None = None,
    extra: Extra | None = None,
) -> Fit:
    """Train ``model`` on the store's training rows; checkpoints, log.csv and the state for ``resume`` go to ``out``.

    validate: called every ``validate_steps`` with the averaged model; its "valid_nll" decides about patience. extra: a further loss of each
    step, from the model, the batch's labels (B, P) and the step's number, and its parts for the log. SIGTERM and Ctrl-C save and return
    with stopped = "interrupted". Raises Diverged where the loss is not finite.
    """
    precision: Any = pick_precision(config.precision, config.accelerator)
    fabric = Fabric(
        accelerator=config.accelerator, devices=config.devices, strategy="ddp" if config.devices > 1 else "auto", precision=precision
    )
    fabric.launch()
    if config.threads:  # after launch(), which chooses a number of its own where there are several processes
        torch.set_num_threads(config.threads)
    return _Loop(fabric, model, columns, config, out, validate, on_tick, extra).run(resume)


class _Loop:
    def __init__(
        self,
        fabric: Fabric,
        model: VAE,
        columns: Columns,
        config: TrainConfig,
        out: Path,
        validate: Callable[[VAE], Mapping[str, float]] | None,
        on_tick: Callable[[Tick], None] | None,
        extra: Extra | None,
    ) -> None:
        self.fabric, self.columns, self.config, self.out = fabric, columns, config, out
        self.validate, self.on_tick, self.extra = validate, on_tick, extra
        self.bare = model.to(fabric.device)
        self.optimiser = make_optimiser(self.bare, config)
        self.wrapped, self.stepper = fabric.setup(self.bare, self.optimiser)
        self.average = {k: v.detach().clone() for k, v in self.bare.state_dict().items()}
        self.best: dict[str, Tensor] = {}
        self.progress = Progress()
        self.log = Log(out / "log.csv", tensorboard=config.tensorboard)
        self.interrupted = False

    def run(self, resume: bool) -> Fit:
        config = self.config
        if resume:
            self.progress = load_state(self.out, self.bare, self.optimiser, self.average, self.best)
            self.log.rewind(self.progress.step)
            if not config.patience:
                self.best.clear()  # asked to go to the end and ship the last weights
        started = time.monotonic() - self.progress.seconds
        saved = time.monotonic()
        with _signals(self._interrupt):
            parts: list[dict[str, Tensor]] = []
            mark, marked = time.monotonic(), self.progress.step
            share: float | None = None
            for rows in self._batches():
                share, stop = self._agree(share, started)
                if share >= 1.0 or stop:
                    break
                parts.append(self._step(rows, share))
                self.progress.step += 1
                self.progress.seconds = time.monotonic() - started
                step = self.progress.step
                if step % config.log_steps == 0:
                    rate = (step - marked) * len(rows) * config.devices / max(1e-9, time.monotonic() - mark)
                    self._tick(parts, share, rate)
                    parts, mark, marked = [], time.monotonic(), step
                if self.validate is not None and step % config.validate_steps == 0 and not self._validated():
                    return self._finish("patience")
                if time.monotonic() - saved > 60 * config.checkpoint_minutes:
                    self._save()
                    saved = time.monotonic()
            if self.best and not self.interrupted and self.progress.step % config.validate_steps:
                self._validated()  # the last weights stand for election too
        return self._finish("interrupted" if self.interrupted else "finished")

    # --- one step ------------------------------------------------------------------------------------------------------------------

    def _step(self, rows: NDArray[np.int64], share: float) -> dict[str, Tensor]:
        config, step = self.config, self.progress.step
        rank = self.fabric.global_rank
        torch.manual_seed((config.seed * 1_000_003 + step) * 64 + rank)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(config, step, share)
        batch = to_device(self.columns.batch(rows, self._coded(len(rows))), self.fabric.device)
        self.bare.train()
        loss, parts = self.wrapped(Parcel(batch, share))
        if self.extra is not None:
            with self.fabric.autocast():
                more, further = self.extra(self.bare, batch.labels, step)
            loss, parts = loss + more, {**parts, **further}
        if not bool(torch.isfinite(loss)):
            folder = self.out / f"diverged-{step}"
            save_batch(folder, rows, batch, self.bare)
            raise Diverged(step, folder)
        self.optimiser.zero_grad()
        self.fabric.backward(loss)
        # A fixed bound that is always exceeded would give each step the same length. Records of a step are of like length, and the gradients of
        # long ones are larger: they would weigh the less the longer they are, and the model would write too many short ones.
        bound = self.progress.bound(config.clip)
        norm = torch.nn.utils.clip_grad_norm_(self.bare.parameters(), bound)
        self.progress.follow(min(float(norm), bound))
        self.stepper.step()
        self._follow(step)
        return {**parts, "grad_norm": norm.detach()}

    def _coded(self, size: int) -> int:
        """How many records of a batch are encoded; the others are decoded from noise."""
        return round(size * self.config.code_batch / (self.config.code_batch + self.config.prior_batch))

    def _follow(self, step: int) -> None:
        """The averaged weights; early on they follow faster (Tarvainen & Valpola 1703.01780)."""
        decay = min(self.config.ema, (1 + step) / (10 + step)) if self.config.ema else 0.0
        with torch.no_grad():
            live = self.bare.state_dict()
            floats = [k for k, v in live.items() if v.is_floating_point()]
            torch._foreach_lerp_([self.average[k] for k in floats], [live[k] for k in floats], 1.0 - decay)
            for k in live.keys() - set(floats):
                self.average[k].copy_(live[k])

    def _batches(self) -> Iterator[NDArray[np.int64]]:
        rows = self.columns.usable(self.columns.store.rows("train"))
        ranks, rank = self.config.devices, self.fabric.global_rank
        size = (self.config.prior_batch + self.config.code_batch) * ranks
        if not len(rows):
            raise DataError(self.columns.store.path, "none of its training rows can be used: there is nothing to train on")
        if self.bare.latent.dial and self._coded(min(len(rows), size) // ranks) == 1:
            why = f"{len(rows)} usable training rows make batches with one encoded record, and the noise dial's normalisation needs two"
            raise DataError(self.columns.store.path, f"{why}; give more rows, or a larger train.code_batch")
        schedule = Schedule(rows, self.columns.target.lengths(rows), size, self.config.seed)
        # All processes share a batch, whose rows are of like length: with a batch each, every step would wait for the longest.
        for batch in schedule.start(self.progress.step):
            yield batch[rank::ranks]

    def _agree(self, before: float | None, started: float) -> tuple[float, bool]:
        """The share of training done and whether to stop. Several processes take the first one's word, so that all stop at the same step."""
        if self.config.devices == 1:
            return self._share(started), self.interrupted
        if before is not None and self.progress.step % AGREE:
            return before if self.config.minutes else self._share(started), False
        agreed: tuple[float, bool] = self.fabric.broadcast((self._share(started), self.interrupted))
        self.interrupted = agreed[1]
        return agreed

    def _share(self, started: float) -> float:
        if self.config.minutes:
            return (time.monotonic() - started) / (60 * self.config.minutes)
        return self.progress.step / self.config.steps

    # --- now and then --------------------------------------------------------------------------------------------------------------

    def _tick(self, parts: list[dict[str, Tensor]], share: float, rate: float) -> None:
        names = sorted({k for p in parts for k in p})
        means = {k: float(torch.stack([p[k].float() for p in parts if k in p]).mean()) for k in names}
        if self.fabric.is_global_zero:
            lr = self.optimiser.param_groups[0]["lr"]
            self.log.write(self.progress.step, {**means, "lr": lr, "records_per_s": rate, "seconds": self.progress.seconds})
            if self.on_tick is not None:
                self.on_tick(Tick(self.progress.step, share, means, rate))

    def _validated(self) -> bool:
        """Validate with the averaged weights; False where patience has run out."""
        if self.validate is None:
            return True
        with self.averaged():
            values = self.validate(self.bare)
        better = self.progress.judge(values.get("valid_nll", math.nan))
        if better and self.config.patience:
            self.best = {k: v.clone() for k, v in self.average.items()}
        if self.fabric.is_global_zero:
            self.log.write(self.progress.step, {**values, "seconds": self.progress.seconds})
        return better or not self.config.patience or self.progress.stale < self.config.patience

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights in place of the live ones, in evaluation mode."""
        live = {k: v.detach().clone() for k, v in self.bare.state_dict().items()}
        self.bare.load_state_dict(self.average)
        self.bare.eval()
        try:
            yield
        finally:
            self.bare.load_state_dict(live)
            self.bare.train()

    def _save(self) -> None:
        # Each process decides by its own clock, so nothing here may wait for the others.
        if self.fabric.is_global_zero:
            save_state(self.out, self.bare, self.optimiser, self.average, self.best, self.progress)

    def _finish(self, why: str) -> Fit:
        self._save()
        self.fabric.barrier()
        self.log.close()
        self.bare.load_state_dict(self.best or self.average)
        self.bare.eval()
        return Fit(self.bare, why, self.progress, self.progress.best_step if self.best else self.progress.step)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True


def learning_rate(config: TrainConfig, step: int, share: float) -> float:
    """Linear warm-up, then cosine decay, or constant with a cosine decay over the last ``cooldown`` share."""
    warm = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    start = 0.0 if config.schedule == "cosine" else 1.0 - config.cooldown
    fall = 0.0 if share <= start else (share - start) / max(1e-9, 1.0 - start)
    return warm * (config.final_rate + (config.learning_rate - config.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, fall))))


def make_optimiser(model: VAE, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 1711.05101); vectors (biases, norms) are not decayed."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)


@contextlib.contextmanager
def _signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Route SIGTERM and SIGINT to ``handler`` while training; elsewhere than in the main thread signals cannot be set and are left alone."""
    before: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, handler)
    except ValueError:
        before.clear()
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
