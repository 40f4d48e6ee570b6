"""Conditioning on any subset of property targets, on the noise level, and a running budget.

Axes: B batch, T tokens, P properties, K radial basis features, C condition width. Targets are standardised; NaN is unset.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class RadialBasis(nn.Module):
    """Gaussian bumps on an even grid over [low, high]: (...) -> (..., K). Values outside are clamped to the ends."""

    centres: Tensor

    def __init__(self, low: float, high: float, count: int) -> None:
        super().__init__()
        self.low, self.high, self.count = low, high, count
        self.register_buffer("centres", torch.linspace(low, high, count), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        step = (self.high - self.low) / (self.count - 1)
        features: Tensor = torch.exp(-0.5 * ((x.clamp(self.low, self.high)[..., None] - self.centres) / step).square())
        return features


class Condition(nn.Module):
    """Targets (B, P) and level (B,) -> c (B, C)."""

    def __init__(self, properties: int, width: int, basis: int = 24) -> None:
        super().__init__()
        self.properties = properties
        self.of_target = RadialBasis(-4.0, 4.0, basis)
        self.of_level = RadialBasis(0.0, 1.0, 16)
        self.level = nn.Linear(16, width)
        self.targets = nn.Parameter(torch.randn(properties, basis + 1, width) * 0.05) if properties else None
        self.unset = nn.Parameter(torch.zeros(properties, width)) if properties else None
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, targets: Tensor, level: Tensor) -> Tensor:
        c: Tensor = self.level(self.of_level(level)).float()
        if self.targets is not None and self.unset is not None:
            set_ = ~torch.isnan(targets)
            value = torch.nan_to_num(targets)
            features = torch.cat([self.of_target(value), value.clamp(-4, 4)[..., None]], dim=-1)
            embedded = torch.einsum("bpk,pkc->bpc", features, self.targets.to(features.dtype)).float()
            c = c + torch.where(set_[..., None], embedded, self.unset).sum(1)
        mixed: Tensor = c + self.mix(c).float()
        return mixed


class Budget(nn.Module):
    """How much of each target is still to come: target minus what the tokens so far have contributed.

    A token's contribution is read from a table fitted beforehand (``molvae.nn.ledger``): a[x_t] + W (u[x_{t-1}] * v[x_t]), which is linear in
    counts of tokens and of adjacent pairs. The remainder's radial basis features (on an asinh scale: wide, and fine near zero) are mapped to
    the decoder's input width by a matrix that starts at zero; unset targets add nothing.
    """

    def __init__(self, vocabulary: int, properties: int, width: int, rank: int = 16, basis: int = 32) -> None:
        super().__init__()
        self.ledger = Ledger(vocabulary, properties, rank)
        self.ledger.requires_grad_(False)
        self.basis = RadialBasis(-math.asinh(60.0), math.asinh(60.0), basis)
        self.out = nn.Linear(properties * basis, width, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """tokens (B, T) as the decoder reads them, the begin mark first; targets (B, P) -> (B, T, width)."""
        spent = torch.cumsum(self.ledger.contributions(tokens), dim=1)
        return self.embed(targets[:, None] - self.ledger.start - spent)

    def embed(self, remainder: Tensor) -> Tensor:
        """remainder (..., P), NaN where unset -> (..., width)."""
        features = self.basis(torch.asinh(4.0 * torch.nan_to_num(remainder)))
        features = features * (~torch.isnan(remainder))[..., None]
        drive: Tensor = self.out(features.flatten(-2))
        return drive


class Remaining:
    """The budget of n sequences while they are written. targets (n, P)."""

    @classmethod
    def of(cls, budget: Budget | None, targets: Tensor) -> Remaining | None:
        """None without a budget, and where no target is set, for then it adds nothing."""
        return None if budget is None or bool(torch.isnan(targets).all()) else cls(budget, targets)

    def __init__(self, budget: Budget, targets: Tensor) -> None:
        self.budget = budget
        self.left = targets - budget.ledger.start
        self.previous: Tensor | None = None

    def step(self, token: Tensor) -> Tensor:
        """token (n,) just written, the begin mark first -> what is left, embedded (n, width)."""
        if self.previous is not None:
            self.left = self.left - self.budget.ledger.step(self.previous, token)
        self.previous = token
        return self.budget.embed(self.left)

    def keep(self, rows: Tensor) -> None:
        """rows (n,) bool: those that go on."""
        self.left = self.left[rows]
        self.previous = None if self.previous is None else self.previous[rows]


class Ledger(nn.Module):
    """Additive reading of standardised properties from tokens: y = start + sum_t contributions."""

    def __init__(self, vocabulary: int, properties: int, rank: int) -> None:
        super().__init__()
        self.single = nn.Parameter(torch.zeros(vocabulary, properties))
        self.left = nn.Parameter(torch.randn(vocabulary, rank) * 0.1)
        self.right = nn.Parameter(torch.randn(vocabulary, rank) * 0.1)
        self.mix = nn.Parameter(torch.zeros(rank, properties))
        self.start = nn.Parameter(torch.zeros(properties))

    def contributions(self, tokens: Tensor) -> Tensor:
        """tokens (B, T), the begin mark (which contributes nothing) first -> (B, T, P)."""
        first = tokens.new_zeros(tokens.shape[0], 1, dtype=torch.float32)
        pairs = self.left[tokens[:, :-1]] * self.right[tokens[:, 1:]]
        return torch.cat([first[..., None].expand(-1, 1, self.start.shape[0]), self.single[tokens[:, 1:]] + pairs @ self.mix], dim=1)

    def step(self, previous: Tensor, token: Tensor) -> Tensor:
        """Contribution of one further token: previous (B,), token (B,) -> (B, P)."""
        return self.single[token] + (self.left[previous] * self.right[token]) @ self.mix

    def forward(self, tokens: Tensor, real: Tensor) -> Tensor:
        """tokens (B, T) with the begin mark first, real (B, T) mask -> standardised properties (B, P)."""
        return self.start + (self.contributions(tokens) * real[..., None]).sum(1)
