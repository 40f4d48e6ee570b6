"""Which of torch's computations of attention is taken; all compute the same.

Axes: B batch, T tokens.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

MOST = 2**23
"""Pairs of tokens, of all rows of a batch, whose weights are kept: 128 MiB a layer for 4 heads."""


def attending(x: Tensor) -> AbstractContextManager[None]:
    """For attention among the tokens of x (B, T, H): step by step where a processor trains on short sequences, else as torch chooses.

    Torch's fused attention keeps no weights, and makes them again for the gradients; on a processor that takes three to four times as long
    as keeping them (30 to 90 tokens, measured), and without gradients is no slower.
    """
    pairs = x.shape[0] * x.shape[1] ** 2
    if x.device.type == "cpu" and torch.is_grad_enabled() and pairs <= MOST:
        plain: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
        return plain
    return contextlib.nullcontext()
