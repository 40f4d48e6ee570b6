"""Posteriors, noise and decoding of a loaded model, below its public API. Axes: n records, D latent, P properties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molvae.api import Model
from molvae.dataset import Store
from molvae.dataset.batches import Columns
from molvae.errors import InvalidRecord
from molvae.nn.latents import kl_to_standard_normal
from molvae.records import Moments
from molvae.training import EXEMPLARS

CHUNK = 512


@dataclass(frozen=True)
class Posterior:
    """Mean (n, D) and standard deviation (n, D) of each record's code; under the noise dial the mean alone, with standard deviation 0."""

    mean: Tensor
    std: Tensor

    def draw(self, generator: torch.Generator) -> Tensor:
        """One code of each record, (n, D)."""
        return self.mean + self.std * torch.randn(self.mean.shape, generator=generator)


@dataclass(frozen=True)
class Cloud:
    """Centre (D,) and spread (D,) of all codes together: 0 and 1 under the noise dial, measured for a plain VAE."""

    centre: Tensor
    spread: Tensor

    def blurred(self, mean: Tensor, level: float, generator: torch.Generator) -> Tensor:
        """centre + sqrt(1 - t^2) (mean - centre) + t spread eps: the dial's noise, and for a plain VAE noise of the same relative size."""
        noise = torch.randn(mean.shape, generator=generator)
        return self.centre + float(np.sqrt(1 - level * level)) * (mean - self.centre) + level * self.spread * noise


def columns_of(model: Model, store: Store) -> Columns:
    """The store as the model reads it."""
    return model.representation.columns(store, model.vae.label_mean, model.vae.label_std)


@torch.no_grad()
def posterior(model: Model, columns: Columns, rows: NDArray[np.int64]) -> Posterior:
    """Posteriors of the rows, all views read."""
    means, stds = [], []
    for k in range(0, len(rows), CHUNK):
        code = model.vae.encode(columns.batch(rows[k : k + CHUNK]), 0.0)
        means.append(code.mode)
        stds.append(torch.zeros_like(code.mode) if code.moments is None else torch.exp(0.5 * code.moments.log_variance))
    return Posterior(torch.cat(means), torch.cat(stds))


def cloud(model: Model, known: Posterior) -> Cloud:
    """Centre and spread of the aggregate posterior, from the posteriors of many training records."""
    width = known.mean.shape[1]
    if model.vae.latent.dial:
        return Cloud(torch.zeros(width), torch.ones(width))
    return Cloud(known.mean.mean(0), torch.sqrt(known.mean.var(0) + known.std.square().mean(0)))


@torch.no_grad()
def bound(model: Model, columns: Columns, rows: NDArray[np.int64], level: float | None, generator: torch.Generator) -> dict[str, float]:
    """Held-out nats a record without targets, from one sampled code each: nll, kl to N(0, I) and their sum.

    level: of the noise dial; None for a plain VAE. The sum bounds -log p from above; at level 1 the code carries nothing, kl is 0 and the
    sum is -log p itself. At level 0 the kl is infinite.
    """
    known = posterior(model, columns, rows)
    if level is None:
        moments = Moments(known.mean, 2 * torch.log(known.std))
    else:
        shrink = float(np.sqrt(1 - level * level))
        moments = Moments(shrink * known.mean, torch.full_like(known.mean, 2 * float(np.log(level)) if level else -torch.inf))
    if level == 1.0:
        moments = Moments(torch.zeros_like(known.mean), torch.zeros_like(known.mean))
    z = moments.mean + torch.exp(0.5 * moments.log_variance) * torch.randn(known.mean.shape, generator=generator)
    nll = []
    for k in range(0, len(rows), CHUNK):
        target = columns.batch(rows[k : k + CHUNK], 0).target
        if target is None:
            raise ValueError("likelihoods need target sequences in the batch")
        nll.append(model.vae.nll(z[k : k + CHUNK], 0.0 if level is None else level, target))
    kl = float(kl_to_standard_normal(moments).sum(1).mean())
    mean = float(torch.cat(nll).mean())
    return {"nll": mean, "kl": kl, "bound": mean + kl}


def decode(
    model: Model,
    codes: Tensor,
    level: float,
    targets: Tensor | None = None,
    *,
    temperature: float = 1.0,
    guidance: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[Any]:
    """One decode of each code (n, D): the record, or None where the decoder wrote no valid one. targets (n, P) in their own units, NaN unset."""
    asked = None if targets is None else model.vae.standardise(targets)
    out: list[Any] = []
    for k in range(0, len(codes), CHUNK):
        here = slice(k, k + CHUNK)
        shown = None if asked is None else asked[here]
        drawn = model.vae.draw(codes[here], level, shown, temperature=temperature, guidance=guidance, generator=generator)
        out += [_record(model, tokens) if ended else None for tokens, ended in zip(drawn.tokens, drawn.finished, strict=True)]
    return out


def _record(model: Model, tokens: Sequence[int]) -> Any:
    try:
        return model.representation.record(tokens)
    except InvalidRecord:
        return None


def draw_valid(propose: Callable[[int], list[Any]], wanted: int, most: int) -> tuple[list[Any], float]:
    """Valid records, ``wanted`` of them or what ``most`` draws gave, and the valid share of all draws."""
    valid: list[Any] = []
    drawn = 0
    while len(valid) < wanted and drawn < most:
        batch = propose(min(CHUNK, most - drawn))
        drawn += len(batch)
        valid += [record for record in batch if record is not None]
    return valid[:wanted], len(valid) / drawn


def exemplar_rows(model: Model, store: Store) -> NDArray[np.int64]:
    """Rows of the store behind the model's exemplars, in their order. Raises SystemExit where the model was not trained on this store."""
    if model.sampler.exemplars is None:
        raise SystemExit(f"{model.name} carries no exemplars")
    usable = columns_of(model, store).usable(store.rows("train"))
    rows = np.random.default_rng(2).permutation(usable)[:EXEMPLARS]  # as molvae.training.finish chooses them
    index = [store.property_names.index(p) for p in model.properties if p in store.property_names]
    own = model.vae.standardise(torch.from_numpy(np.asarray(store.labels[rows][:, index]))) if len(index) == len(model.properties) else None
    if own is None or own.shape != model.sampler.exemplars.labels.shape:
        raise SystemExit(f"{store.path}: not the data set that {model.name} was trained on")
    if not torch.allclose(own, model.sampler.exemplars.labels, atol=1e-3, equal_nan=True):
        raise SystemExit(f"{store.path}: not the data set that {model.name} was trained on (other labels than its exemplars)")
    return rows
