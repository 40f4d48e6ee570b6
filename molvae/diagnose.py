"""What every training log reports: held-out likelihood, collapse diagnostics, free-running reconstruction, errors of the heads.

Nothing here is teacher-forced but the likelihoods. Axes: B batch, D latent, P properties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molvae.dataset.batches import Columns
from molvae.model import VAE, to_device
from molvae.records import Batch

CHUNK = 256
INFORMED = 2048  # records of the mixture in `information`


def chunks(columns: Columns, rows: NDArray[np.int64]) -> list[Batch]:
    """The rows as batches with all views."""
    return [columns.batch(rows[k : k + CHUNK]) for k in range(0, len(rows), CHUNK)]


@torch.no_grad()
def modes(model: VAE, batches: Sequence[Batch]) -> Tensor:
    """Noiseless codes (n, D)."""
    return torch.cat([model.encode(b, 0.0).mode for b in batches])


@torch.no_grad()
def mean_nll(model: VAE, batches: Sequence[Batch], codes: Tensor, level: float, *, with_targets: bool = False) -> float:
    """Held-out nats a record at the level, unconditionally or with all targets shown."""
    total, count, at = 0.0, 0, 0
    for batch in batches:
        if batch.target is None:
            raise ValueError("likelihoods need target sequences in the batch")
        mode = codes[at : at + batch.size]
        at += batch.size
        z = np.sqrt(max(0.0, 1 - level * level)) * mode + level * torch.randn_like(mode) if model.latent.dial else mode
        total += float(model.nll(z, level, batch.target, batch.labels if with_targets else None).sum())
        count += batch.size
    return total / count


@torch.no_grad()
def reconstruction(model: VAE, batches: Sequence[Batch], codes: Tensor, level: float = 0.0) -> float:
    """Share of records whose most likely free-running decode is their own sequence, token for token."""
    right, count, at = 0, 0, 0
    for batch in batches:
        if batch.target is None:
            raise ValueError("reconstruction needs target sequences in the batch")
        mode = codes[at : at + batch.size]
        at += batch.size
        t = level if model.latent.dial else 0.0
        z = np.sqrt(1 - t * t) * mode + t * torch.randn_like(mode)
        drawn = model.draw(z, t, temperature=0.0)
        for tokens, wanted, length in zip(drawn.tokens, batch.target.tokens.tolist(), batch.target.lengths.tolist(), strict=True):
            right += tokens == wanted[:length]
        count += batch.size
    return right / count


@torch.no_grad()
def head_errors(model: VAE, batches: Sequence[Batch], codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Predicted mean, std and truth (n, P) in the properties' own units."""
    mean, std = model.predict(codes)
    truth = torch.cat([b.labels for b in batches]) * model.label_std + model.label_mean
    return mean, std, truth


@torch.no_grad()
def information(mean: Tensor, log_variance: Tensor) -> float:
    """I(x; z) in nats of Gaussian posteriors (N, D), by Monte Carlo: mean of log q(z|x) - log q(z), q(z) the mixture over the N records.

    At most ln N. Source: Hoffman & Johnson, ELBO surgery (2016), which calls it the index-code mutual information.
    """
    mean, log_variance = mean[:INFORMED].double(), log_variance[:INFORMED].double()
    z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
    precision = torch.exp(-log_variance)
    # log q(z_i | x_j) but for a constant; the square is written out, so that nothing of size N x N x D is made.
    square = z.square() @ precision.T - 2 * z @ (mean * precision).T + (mean.square() * precision).sum(1)
    told = -0.5 * (square + log_variance.sum(1))
    return float((told.diagonal() - told.logsumexp(1) + math.log(len(mean))).mean())


@torch.no_grad()
def diagnose(model: VAE, columns: Columns, rows: NDArray[np.int64], names: Sequence[str]) -> dict[str, float]:
    """The validation row: valid_nll (decides about patience), the five collapse diagnostics of the model, MAE of each head."""
    torch.manual_seed(0)
    batches = [to_device(batch, model.device) for batch in chunks(columns, rows)]
    codes = modes(model, batches)
    shuffled = codes[torch.randperm(codes.shape[0]).to(codes.device)]
    middle = 0.5 if model.latent.dial else 0.0
    told = mean_nll(model, batches, codes, middle)
    out = {
        "valid_nll_code": told,
        "valid_nll_shuffled_change": mean_nll(model, batches, shuffled, middle) - told,
        "valid_reconstruction": reconstruction(model, batches, codes),
        "valid_active_units": float((codes.var(0) > 0.01).sum()),
    }
    if model.latent.dial:
        out["valid_nll_prior"] = mean_nll(model, batches, codes, 1.0)
        out["valid_nll_targets"] = mean_nll(model, batches, codes, 1.0, with_targets=True)
        out["valid_nll"] = out["valid_nll_prior"] + told
    else:
        coded = [model.encode(b) for b in batches]
        out["valid_kl"] = float(torch.cat([code.rate for code in coded]).mean())
        out["valid_nll"] = told + out["valid_kl"]
        known = [code.moments for code in coded if code.moments is not None]
        out["valid_information"] = information(*(torch.cat(part) for part in zip(*((m.mean, m.log_variance) for m in known), strict=True)))
    # I(x; z) is bounded by what the code saves: the entropy estimate at t = 1 minus the likelihood given the code.
    if model.latent.dial:
        out["valid_information"] = out["valid_nll_prior"] - mean_nll(model, batches, codes, 0.0)
    if model.head is not None:
        mean, _, truth = head_errors(model, batches, codes)
        out |= {f"valid_mae_{n}": float(v) for n, v in zip(names, (mean - truth).abs().nanmean(0), strict=True)}
    return out
