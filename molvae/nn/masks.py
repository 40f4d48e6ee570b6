"""The mask of decoding under a grammar (``molvae.nn.decoders.Mask``)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from molvae.protocols import Prefix


class PrefixMask:
    """``size`` sequences that begin with the same prefix, each followed token by token."""

    def __init__(self, start: Prefix, size: int) -> None:
        self.prefixes = [start] * size

    def allowed(self) -> Tensor:
        """(n, V) bool."""
        return torch.from_numpy(np.stack([prefix.allowed() for prefix in self.prefixes]))

    def advance(self, tokens: Tensor) -> None:
        """tokens (n,): what was written."""
        self.prefixes = [prefix.advance(token) for prefix, token in zip(self.prefixes, tokens.tolist(), strict=True)]

    def keep(self, rows: Tensor) -> None:
        """rows (n,) bool: those that go on."""
        self.prefixes = [prefix for prefix, stays in zip(self.prefixes, rows.tolist(), strict=True) if stays]
