"""Fitting the running budget's ledger: properties as sums over tokens and adjacent pairs of tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from molvae.nn.condition import Ledger
from molvae.nn.decoders import shift
from molvae.records import TokenBatch
from molvae.tokens import PAD


def fit_ledger(ledger: Ledger, target: TokenBatch, labels: Tensor, *, steps: int = 600, batch: int = 2048, seed: int = 0) -> list[float]:
    """Fit by ridge regression on token counts, then Adam on all parts. labels (n, P), NaN unknown. Returns R^2 a property on a held-out tenth."""
    generator = torch.Generator().manual_seed(seed)
    read, _ = shift(target)
    order = torch.randperm(read.shape[0], generator=generator)
    held, train = order[: max(1, read.shape[0] // 10)], order[max(1, read.shape[0] // 10) :]
    if train.numel() == 0:
        return [float("nan")] * labels.shape[1]
    _ridge(ledger, read[train], labels[train])
    parameters = [ledger.single, ledger.left, ledger.right, ledger.mix, ledger.start]
    for p in parameters:
        p.requires_grad_(True)
    optimiser = torch.optim.Adam(parameters, lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = train[torch.randint(train.numel(), (batch,), generator=generator)]
        tokens, y = read[rows], labels[rows]
        known = ~torch.isnan(y)
        loss = ((ledger(tokens, tokens != PAD) - torch.nan_to_num(y)).square() * known).sum() / known.sum().clamp(min=1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    ledger.requires_grad_(False)
    ledger.zero_grad(set_to_none=True)  # what is left of them would count in the norm by which training clips
    return _r_squared(ledger, read[held], labels[held])


@torch.no_grad()
def _ridge(ledger: Ledger, read: Tensor, labels: Tensor) -> None:
    vocabulary, properties = ledger.single.shape
    gram = torch.zeros(vocabulary + 1, vocabulary + 1, dtype=torch.float64)
    moment = torch.zeros(vocabulary + 1, properties, dtype=torch.float64)
    for tokens, y in zip(read.split(8192), labels.split(8192), strict=True):
        counts = torch.zeros(tokens.shape[0], vocabulary + 1)
        counts.scatter_add_(1, tokens, torch.ones_like(tokens, dtype=torch.float32))
        counts[:, : PAD + 2] = 0.0  # padding and the begin mark contribute nothing
        counts[:, -1] = 1.0
        full = ~torch.isnan(y).any(1)
        gram += (counts[full].T @ counts[full]).double()
        moment += (counts[full].T @ y[full].float()).double()
    gram += torch.eye(vocabulary + 1, dtype=torch.float64)
    solution = torch.linalg.solve(gram, moment).float()
    ledger.single.copy_(solution[:-1])
    ledger.start.copy_(solution[-1])


@torch.no_grad()
def _r_squared(ledger: Ledger, read: Tensor, labels: Tensor) -> list[float]:
    error = (ledger(read, read != PAD) - labels).square()
    spread = labels - labels.nanmean(0)
    return [float(v) for v in 1.0 - error.nanmean(0) / spread.square().nanmean(0)]
