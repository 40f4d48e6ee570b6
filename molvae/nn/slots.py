"""Slots of a sentence: strings made of parts, such as the orbits of a crystal, read and written by address.

A number of such a string is found by its part and its place there. Attention must first learn to count what all parts before it hold; with a
slot for each part and place, what a code says of the third orbit's second coordinate is one linear reading, in the encoder and in the decoder.

Axes: B batch, T tokens, V vocabulary, E token width, H width, S slots, R width of a slot.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

PARTS, PLACES = 20, 12
"""Parts of a sentence and places of a part that are told apart; further ones share the last. The closing part has a number of its own."""
SLOTS = PARTS * PLACES
NARROW = 32
"""Width of a slot (R)."""


class Slots(nn.Module):
    """The slot of each token. begins (V,): 1 where a token begins the next part, 2 where it begins the closing part, else 0.

    What comes before the first part is part 0. All that the slots add to a model is silent at the beginning.
    """

    begins: Tensor

    def __init__(self, begins: Tensor, width: int) -> None:
        super().__init__()
        self.register_buffer("begins", begins, persistent=False)
        self.embed = nn.Embedding(SLOTS, width)
        nn.init.zeros_(self.embed.weight)

    def of(self, tokens: Tensor) -> Tensor:
        """tokens (B, T), the sentence or its beginning -> slots (B, T)."""
        kind = self.begins[tokens]
        steps = torch.arange(tokens.shape[1], device=tokens.device)
        last = torch.where(kind > 0, steps, 0).cummax(1).values
        return _slot((kind > 0).cumsum(1), steps - last, (kind == 2).cummax(1).values)


def _slot(part: Tensor, place: Tensor, closing: Tensor) -> Tensor:
    return torch.where(closing, PARTS - 1, part.clamp(max=PARTS - 2)) * PLACES + place.clamp(max=PLACES - 1)


class ReadSlots(Slots):
    """For an encoder: tells tokens (B, T, H) their slots, and reads what stands in all of them."""

    def __init__(self, begins: Tensor, hidden: int, features: int) -> None:
        super().__init__(begins, hidden)
        self.narrow = nn.Linear(hidden, NARROW)
        self.out = nn.Linear(SLOTS * NARROW, features)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def read(self, x: Tensor, slot: Tensor, real: Tensor) -> Tensor:
        """x (B, T, H), slot (B, T), real (B, T, 1) bool -> (B, features). Tokens that share a slot are added."""
        size = x.shape[0]
        inside = (self.narrow(x).float() * real).flatten(0, 1)
        address = (torch.arange(size, device=x.device)[:, None] * SLOTS + slot).flatten()
        table = inside.new_zeros(size * SLOTS, NARROW).index_add(0, address, inside)
        features: Tensor = self.out(table.view(size, -1))
        return features


class WriteSlots(Slots):
    """For a decoder: what the tokens in their slots are told of the code (B, D)."""

    def __init__(self, begins: Tensor, width: int, code: int, hidden: int) -> None:
        super().__init__(begins, width)
        self.read = nn.Linear(code, SLOTS * NARROW)
        self.widen = nn.Linear(NARROW, hidden)
        nn.init.zeros_(self.widen.weight)
        nn.init.zeros_(self.widen.bias)

    def forward(self, tokens: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """tokens (B, T) -> which slot each is in (B, T, E), and what the code says there (B, T, H)."""
        slot = self.of(tokens)
        return self.embed(slot), self.at(self.table(code), slot)

    def table(self, code: Tensor) -> Tensor:
        """(B, S, R)."""
        values: Tensor = self.read(code).unflatten(-1, (SLOTS, NARROW))
        return values

    def at(self, table: Tensor, slot: Tensor) -> Tensor:
        """table (B, S, R), slot (B, T) -> (B, T, H), float32."""
        found: Tensor = self.widen(table.gather(1, slot[..., None].expand(-1, -1, NARROW)))
        return found.float()


class Told:
    """What the tokens of n sequences are told while these are written: code (n, D)."""

    @classmethod
    def of(cls, slots: WriteSlots | None, code: Tensor) -> Told | None:
        """None without slots."""
        return None if slots is None else cls(slots, code)

    def __init__(self, slots: WriteSlots, code: Tensor) -> None:
        self.slots, self.table = slots, slots.table(code)
        self.part = torch.zeros(len(code), dtype=torch.long, device=code.device)
        self.place = self.part - 1
        self.closing = self.part > 0

    def step(self, token: Tensor) -> tuple[Tensor, Tensor]:
        """token (n,) just written, the begin mark first -> which slot it is in (n, E), and what the code says there (n, H)."""
        kind = self.slots.begins[token]
        self.part = self.part + (kind > 0)
        self.place = torch.where(kind > 0, 0, self.place + 1)
        self.closing = self.closing | (kind == 2)
        slot = _slot(self.part, self.place, self.closing)
        return self.slots.embed(slot), self.slots.at(self.table, slot[:, None])[:, 0]

    def keep(self, rows: Tensor) -> None:
        """rows (n,) bool: those that go on."""
        self.part, self.place, self.closing, self.table = self.part[rows], self.place[rows], self.closing[rows], self.table[rows]
