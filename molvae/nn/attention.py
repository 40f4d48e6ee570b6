"""What makes a transformer's training quick on a processor, without a change to what it computes.

Axes: B batch, T tokens.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from molvae.tokens import PAD

MOST = 2**23
"""At most so many pairs of tokens, of all rows of a batch, whose weights are kept: 128 MiB a layer for 4 heads."""


def training_on_processor(x: Tensor) -> bool:
    """Whether gradients are wanted of a computation that begins with x, and a processor computes them."""
    return x.device.type == "cpu" and torch.is_grad_enabled()


def attending(x: Tensor) -> AbstractContextManager[None]:
    """For attention among the tokens of x (B, T, H): step by step where a processor trains on not too many, else as torch chooses.

    Torch's fused attention keeps no weights, and makes them again for the gradients; on a processor that takes several times as long
    as keeping them. Without gradients it is no slower.
    """
    if training_on_processor(x) and x.shape[0] * x.shape[1] ** 2 <= MOST:
        plain: AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
        return plain
    return contextlib.nullcontext()


def rounded(tokens: Tensor) -> Tensor:
    """tokens (B, T) -> the same padded to one of few widths, where a processor trains in bfloat16: multiples of 8 up to 64, then of 32.

    Products in bfloat16 are computed there by code that oneDNN generates for each shape it meets, which takes longer than a product of this
    size; it keeps the code of some shapes only.
    """
    width = tokens.shape[1]
    if not training_on_processor(tokens) or not torch.is_autocast_enabled("cpu"):
        return tokens
    return F.pad(tokens, (0, -width % (8 if width <= 64 else 32)), value=PAD)
