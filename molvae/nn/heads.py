"""Property heads: a mean and an uncertainty for each property, read from the code."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class PropertyHead(nn.Module):
    """Residual network on z (B, D) -> mean (B, P), std (B, P), standardised units. ``spread`` (P,) recalibrates std after training.

    width: leading dimensions of z that are read.
    """

    spread: Tensor

    def __init__(self, width: int, properties: int, hidden: int = 256, layers: int = 2) -> None:
        super().__init__()
        self.width = width
        self.enter = nn.Linear(width, hidden)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, 2 * hidden), nn.SiLU(), nn.Linear(2 * hidden, hidden))
            for _ in range(layers)
        )
        self.out = nn.Linear(hidden, 2 * properties)
        self.register_buffer("spread", torch.ones(properties))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        x = self.enter(z[:, : self.width]).float()
        for block in self.blocks:
            x = x + block(x).float()
        mean, raw = self.out(x).float().chunk(2, dim=-1)
        return mean, torch.exp(raw.clamp(-6.0, 3.0)) * self.spread

    def loss(self, z: Tensor, labels: Tensor) -> Tensor:
        """beta-NLL (Seitzer et al. 2203.09168, beta = 1/2) over known labels (B, P; NaN unknown): a mean over entries, ()."""
        mean, std = self(z)
        known = ~torch.isnan(labels)
        error = (mean - torch.nan_to_num(labels)) / std
        nll = torch.log(std) + 0.5 * error.square() + 0.5 * math.log(2 * math.pi)
        loss: Tensor = (nll * std.detach() * known).sum() / known.sum().clamp(min=1)
        return loss
