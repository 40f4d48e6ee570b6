"""Latents: from the views' opinions to a code. ``NoiseDial`` (the default) and ``Gaussian`` (the VAE of Kingma & Welling 1312.6114)."""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager

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

    def steady(self) -> AbstractContextManager[None]:
        """What is encoded within leaves no trace in the statistics of the codes."""
        return contextlib.nullcontext()


class Normalised(nn.BatchNorm1d):
    """Unit variance of each dimension over the data, not over a batch: raw codes (B, D) -> (B, D), no affine.

    A batch holds records of alike length, hence alike in kind: by its own mean and variance (batch norm) it would lose what they share, such as
    a space group, and in use, with those of the data, the decoder would see codes it never met. So the values are those of the running
    statistics, in training too; only the gradient goes through the batch's deviation, so that nothing is gained by larger codes (batch
    renormalisation, Ioffe 1702.03275). The first batches, before the statistics say anything, are normalised by their own.
    """

    FIRST = 100

    def __init__(self, width: int, momentum: float) -> None:
        super().__init__(width, affine=False, momentum=momentum)
        self.steady = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return super().forward(x)
        seen, mean, variance = int(self.num_batches_tracked), self.running_mean.clone(), self.running_var.clone()
        if not self.steady:
            with torch.no_grad():
                pace = max(self.momentum or 0.0, 1.0 / (seen + 1))
                self.running_mean.lerp_(x.mean(0), pace)
                self.running_var.lerp_((x - self.running_mean).square().mean(0), pace)
                self.num_batches_tracked += 1
        if seen < self.FIRST:
            return (x - x.mean(0)) / (x.var(0, unbiased=False) + self.eps).sqrt()
        off = x - mean
        deviation = (off.square().mean(0) + self.eps).sqrt()
        return off / deviation * (deviation.detach() / (variance + self.eps).sqrt())


class NoiseDial(Latent):
    """A Gaussian posterior of fixed width t around a normalised mean f(x): z = sqrt(1 - t^2) f(x) + t eps.

    Its rate is at most -D ln t nats, so each level t in [0, 1] is a VAE with its own bound; t = 1 is N(0, I) exactly and carries nothing.
    The normalisation fixes unit variance; ``whitening`` weighs the squared off-diagonal covariances. The decoder sees
    sqrt(1 - t^2) z, so that pure noise is not shown to it.
    """

    dial = True

    def __init__(self, width: int, whitening: float = 0.1) -> None:
        super().__init__()
        self.width = width
        self.whitening = whitening
        self.norm = Normalised(width, momentum=0.02)

    def forward(self, views: Views, level: Tensor) -> Code:
        weight = torch.softmax(views.log_precision.masked_fill(~views.present[..., None], -math.inf), dim=0)
        mode = self.norm((weight * views.mean).sum(0))
        t = level[:, None]
        z = torch.sqrt((1 - t * t).clamp(min=0)) * mode + t * torch.randn_like(mode)
        rate = -self.width * torch.log(level.clamp(min=1e-6))
        return Code(z, mode, level, rate, self._whiteness(mode), None)

    def readout(self, z: Tensor, level: Tensor) -> Tensor:
        return torch.sqrt((1 - level * level).clamp(min=0))[:, None] * z

    @contextlib.contextmanager
    def steady(self) -> Iterator[None]:
        self.norm.steady = True
        try:
            yield
        finally:
            self.norm.steady = False

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
