"""Priors on the code: N(0, I), and exemplars (codes of known records near the targets, noised to the level)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Prior(nn.Module, ABC):
    """Contract: sample(targets (n, P) standardised, NaN unset; level (n,)) -> z (n, D)."""

    @abstractmethod
    def sample(self, targets: Tensor, level: Tensor, generator: torch.Generator | None = None) -> Tensor: ...


class StandardNormal(Prior):
    """N(0, I), whatever is asked: the decoder alone reads the targets."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def sample(self, targets: Tensor, level: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(targets.shape[0], self.width, generator=generator)

    def log_prob(self, z: Tensor) -> Tensor:
        """z (B, D) -> (B,) nats."""
        return -0.5 * (z.square().sum(-1) + self.width * math.log(2 * math.pi))


class Exemplars(Prior):
    """Noised codes of known records, each drawn with a weight that falls with its distance from the targets.

    An aggregate-posterior prior in the sense of VampPrior (Tomczak & Welling 1705.07120) with data as pseudo-inputs. codes (M, D);
    labels (M, P) standardised. The weight is a Gaussian in the mean squared distance over set targets, of width ``bandwidth`` (label
    standard deviations), widened per row until ``least`` exemplars count.
    """

    codes: Tensor
    labels: Tensor

    def __init__(self, codes: Tensor, labels: Tensor, bandwidth: float = 0.05, least: int = 50) -> None:
        super().__init__()
        self.register_buffer("codes", codes)
        self.register_buffer("labels", labels)
        self.bandwidth = bandwidth
        self.least = min(least, codes.shape[0])

    def sample(self, targets: Tensor, level: Tensor, generator: torch.Generator | None = None) -> Tensor:
        chosen = self.choose(targets, generator)
        t = level[:, None]
        noise = torch.randn(targets.shape[0], self.codes.shape[1], generator=generator)
        return torch.sqrt((1 - t * t).clamp(min=0)) * self.codes[chosen] + t * noise

    def choose(self, targets: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Index of one exemplar for each row of targets: (n,)."""
        unique, back = torch.unique(torch.nan_to_num(targets, nan=1e9), dim=0, return_inverse=True)
        chosen = torch.zeros(targets.shape[0], dtype=torch.long)
        for row in range(unique.shape[0]):
            mine = (back == row).nonzero().squeeze(1)
            weights = self._weights(targets[mine[0]])
            chosen[mine] = torch.multinomial(weights, mine.numel(), replacement=True, generator=generator)
        return chosen

    def _weights(self, target: Tensor) -> Tensor:
        set_ = ~torch.isnan(target)
        if not bool(set_.any()):
            return torch.ones(self.codes.shape[0])
        gap = (self.labels[:, set_].float() - target[set_]).square().mean(1)
        gap = torch.nan_to_num(gap, nan=torch.inf)
        reach = max(self.bandwidth**2, float(gap.kthvalue(self.least).values))
        return torch.exp(-0.5 * gap / reach) * (gap <= 4 * reach)
