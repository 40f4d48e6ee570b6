"""Where in its sentence a token stands, for strings made of parts, such as the orbits of a crystal.

Axes: B batch, T tokens, V vocabulary, H width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Parts(nn.Module):
    """Number of a token's part and its place in that part, embedded. Adds nothing at the beginning.

    begins (V,) bool: tokens at which a part begins; what comes before the first of them is part 0. By its part and place a number is found
    directly; by its place in the string alone, only by counting what all parts before it hold.
    """

    MOST, LONGEST = 32, 16
    """Parts and places that are told apart; later ones share the last."""

    begins: Tensor

    def __init__(self, begins: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("begins", begins, persistent=False)
        self.part = nn.Parameter(torch.zeros(self.MOST, width))
        self.place = nn.Parameter(torch.zeros(self.LONGEST, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, T), the sentence or its beginning -> (B, T, H)."""
        begins = self.begins[tokens]
        steps = torch.arange(tokens.shape[1], device=tokens.device)
        last = torch.where(begins, steps, 0).cummax(1).values
        return self.embed(begins.cumsum(1), steps - last)

    def embed(self, part: Tensor, place: Tensor) -> Tensor:
        """part (...), place (...), from 0 -> (..., H)."""
        return self.part[part.clamp(max=self.MOST - 1)] + self.place[place.clamp(max=self.LONGEST - 1)]


class Counted:
    """The part and the place of n sequences while they are written."""

    def __init__(self, parts: Parts, size: int) -> None:
        self.parts = parts
        self.part = torch.zeros(size, dtype=torch.long, device=parts.begins.device)
        self.place = self.part - 1

    def step(self, token: Tensor) -> Tensor:
        """token (n,) just written, the begin mark first -> (n, H)."""
        begins = self.parts.begins[token]
        self.part = self.part + begins
        self.place = torch.where(begins, 0, self.place + 1)
        return self.parts.embed(self.part, self.place)

    def keep(self, rows: Tensor) -> None:
        """rows (n,) bool: those that go on."""
        self.part, self.place = self.part[rows], self.place[rows]
