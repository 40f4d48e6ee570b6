"""Regularisers of the rate, with their schedules."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from molvae.nn.latents import kl_to_standard_normal
from molvae.records import Code


class Regulariser(nn.Module, ABC):
    """Contract: forward(code, prior (B, D), progress in [0, 1]) -> (); critic_loss -> () or None for those without a critic."""

    needs_moments: bool

    @abstractmethod
    def forward(self, code: Code, prior: Tensor, progress: float) -> Tensor: ...

    def critic_loss(self, code: Code, prior: Tensor) -> Tensor | None:
        """The loss of the regulariser's own critic, stepped by its own optimiser; None where there is none."""
        return None


class NoRegulariser(Regulariser):
    """For latents that bound their rate themselves, as the noise dial does."""

    needs_moments = False

    def forward(self, code: Code, prior: Tensor, progress: float) -> Tensor:
        return code.z.new_zeros(())


class KL(Regulariser):
    """beta x KL (beta-VAE: Higgins et al. 2017), nats a record, with free bits a dimension (Kingma et al. 1606.04934).

    schedule: "constant"; "linear", 0 to beta over the first ``warmup`` share of training; "cyclic", ``cycles`` ramps (Fu et al. 1903.10145).
    """

    needs_moments = True

    def __init__(self, beta: float, schedule: str = "linear", warmup: float = 0.1, cycles: int = 4, free_bits: float = 0.0) -> None:
        super().__init__()
        if schedule not in ("constant", "linear", "cyclic"):
            raise ValueError(f"unknown schedule {schedule!r}; known: constant, cyclic, linear")
        self.beta, self.schedule, self.warmup, self.cycles, self.free_bits = beta, schedule, warmup, cycles, free_bits

    def weight(self, progress: float) -> float:
        """beta at this share of training."""
        if self.schedule == "constant" or self.warmup <= 0:
            return self.beta
        if self.schedule == "linear":
            return self.beta * min(1.0, progress / self.warmup)
        phase = (progress * self.cycles) % 1.0 if progress < 1.0 else 1.0
        return self.beta * min(1.0, 2.0 * phase)

    def forward(self, code: Code, prior: Tensor, progress: float) -> Tensor:
        if code.moments is None:
            raise ValueError("the KL regulariser needs a latent with moments")
        kl = kl_to_standard_normal(code.moments).mean(0)
        return self.weight(progress) * torch.clamp(kl, min=self.free_bits).sum()
