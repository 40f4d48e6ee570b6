"""Latents: from the views' opinions to a code. ``NoiseDial`` (the default) and ``Gaussian`` (the VAE of Kingma & Welling 1312.6114)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from molvae.nn.encoders import Views
from molvae.records import Code, Moments


class Latent(nn.Module, ABC):
    """Contract: forward(views, level (B,)) -> Code; readout(z, level) is what the decoder sees; project(z) is the nearest legal code."""

    width: int
    dial: bool  # whether level means something to this latent

    @abstractmethod
    def forward(self, views: Views, level: Tensor) -> Code: ...

    @abstractmethod
    def readout(self, z: Tensor, level: Tensor) -> Tensor: ...

    def project(self, z: Tensor) -> Tensor:
        """z (B, D) -> (B, D); Euclidean latents accept every point."""
        return z


class NoiseDial(Latent):
    """A Gaussian posterior of fixed width t around a batch-normalised mean f(x): z = sqrt(1 - t^2) f(x) + t eps.

    Its rate is at most -D ln t nats, so each level t in [0, 1] is a VAE with its own bound; t = 1 is N(0, I) exactly and carries nothing.
    The batch norm (no affine) fixes unit variance; ``whitening`` weighs the squared off-diagonal covariances. The decoder sees
    sqrt(1 - t^2) z, so that pure noise is not shown to it.
    """

    dial = True

    def __init__(self, width: int, whitening: float = 0.1) -> None:
        super().__init__()
        self.width = width
        self.whitening = whitening
        self.norm = nn.BatchNorm1d(width, affine=False, momentum=0.02)

    def forward(self, views: Views, level: Tensor) -> Code:
        weight = torch.softmax(views.log_precision.masked_fill(~views.present[..., None], -math.inf), dim=0)
        mode = self.norm((weight * views.mean).sum(0))
        t = level[:, None]
        z = torch.sqrt((1 - t * t).clamp(min=0)) * mode + t * torch.randn_like(mode)
        rate = -self.width * torch.log(level.clamp(min=1e-6))
        return Code(z, mode, level, rate, self._whiteness(mode), None)

    def readout(self, z: Tensor, level: Tensor) -> Tensor:
        return torch.sqrt((1 - level * level).clamp(min=0))[:, None] * z

    def _whiteness(self, mode: Tensor) -> Tensor:
        if not self.training or mode.shape[0] < 2:
            return mode.new_zeros(())
        covariance = mode.T @ mode / mode.shape[0]
        off = covariance - torch.diag(torch.diagonal(covariance))
        return self.whitening * off.square().sum()


class Gaussian(Latent):
    """Diagonal Gaussian posterior; views and the prior N(0, I) fused as a product of experts (Wu & Goodman 1802.05335). The level is ignored."""

    dial = False

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, views: Views, level: Tensor) -> Code:
        precision = torch.exp(views.log_precision) * views.present[..., None]
        total = 1.0 + precision.sum(0)
        mean = (precision * views.mean).sum(0) / total
        log_variance = -torch.log(total)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean) if self.training else mean
        moments = Moments(mean, log_variance)
        return Code(z, mean, level, kl_to_standard_normal(moments).sum(1), mean.new_zeros(()), moments)

    def readout(self, z: Tensor, level: Tensor) -> Tensor:
        return z


def kl_to_standard_normal(moments: Moments) -> Tensor:
    """KL(N(mean, variance) : N(0, I)) in nats for each dimension: (B, D)."""
    return 0.5 * (moments.mean.square() + moments.log_variance.exp() - 1.0 - moments.log_variance)
