"""A causal transformer as decoder (Vaswani et al. 1706.03762), with the code and the condition in every block.

Axes: B batch, T tokens, H width, N heads, D width of a head. Each block is normalised first, its norms scaled and shifted by the context
(Peebles & Xie 2212.09748), its branches closed at the beginning; places are told by rotation (Su et al. 2104.09864).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from molvae.nn.attention import attending, rounded, training_on_processor
from molvae.nn.condition import Budget, Remaining
from molvae.nn.decoders import Context, Decoder, Stream, nats, shift
from molvae.nn.slots import Told, WriteSlots
from molvae.records import TokenBatch
from molvae.tokens import PAD

BASE = 10_000.0  # of the wavelengths of the rotation


class TransformerDecoder(Decoder):
    """Causal transformer; the code and the condition reach every block, and a running budget the tokens.

    slots: of width ``embed``, for strings made of parts; each token is told its own, and gets what the code says for it. Without them what
    reaches the norms is the same for all places, and a token must make out of it what its own place needs, such as one number of many.
    """

    def __init__(
        self,
        vocabulary: int,
        code: int,
        condition: int,
        embed: int,
        hidden: int,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        budget: Budget | None = None,
        slots: WriteSlots | None = None,
    ) -> None:
        super().__init__()
        if hidden % heads or (hidden // heads) % 2:
            raise ValueError(f"a width of {hidden} and {heads} heads; wanted a width that is an even multiple of the heads")
        self.embed = nn.Embedding(vocabulary, embed)
        self.widen = nn.Linear(embed, hidden)
        self.context = nn.Sequential(nn.Linear(code + condition, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.first = nn.Linear(hidden, hidden)
        self.drives = nn.ModuleList(nn.Linear(hidden, 4 * hidden) for _ in range(layers))
        self.blocks = nn.ModuleList(Block(hidden, heads, dropout) for _ in range(layers))
        for parameter in self.drives.parameters():
            nn.init.zeros_(parameter)
        self.norm = nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, vocabulary)
        self.budget, self.slots = budget, slots

    def nll(self, context: Context, target: TokenBatch) -> Tensor:
        read, write = map(rounded, shift(target))
        x = self.embed(read).float()
        if self.budget is not None:
            x = x + self.budget(read, context.targets)
        where, said = self.slots(read, context.code) if self.slots is not None else (0.0, 0.0)
        first, drives = self.begin(context)
        x = self.widen(x + where).float() + first + said
        for block, drive in zip(self.blocks, drives, strict=True):
            x, _ = block(x, drive, None)
        if not training_on_processor(x):
            return nats(self.out(self.norm(x[write != PAD])), write)
        # Of the padding too: a choice of places would be of another size each time, see ``rounded``.
        logits = self.out(self.norm(x)).float()
        each = F.cross_entropy(logits.flatten(0, 1), write.flatten(), ignore_index=PAD, reduction="none")
        return each.view(write.shape).sum(1)

    def stream(self, context: Context) -> Stream:
        return _Stream(self, context)

    def begin(self, context: Context) -> tuple[Tensor, list[Tensor]]:
        """What the code and the condition add to every token (B, 1, H), and to the norms of each block (B, 1, 4H)."""
        c = self.context(torch.cat([context.code, context.condition.to(context.code.dtype)], dim=-1))[:, None]
        return self.first(c).float(), [drive(c).float() for drive in self.drives]


class Block(nn.Module):
    """Attention, then a perceptron of four times the width, with dropout on what each adds."""

    def __init__(self, hidden: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norms = nn.ModuleList(nn.LayerNorm(hidden, elementwise_affine=False) for _ in range(2))
        self.query_key_value = nn.Linear(hidden, 3 * hidden)
        self.close = nn.Linear(hidden, hidden)
        self.wide, self.narrow = nn.Linear(hidden, 4 * hidden), nn.Linear(4 * hidden, hidden)
        for last in (self.close, self.narrow):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, drive: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (B, T, H), drive (B, 1, 4H) of the norms, past (2, B, N, T0, D): keys and values of what came before -> x, and those of all so far."""
        scale, shift_, scale_too, shift_too = drive.chunk(4, dim=-1)
        heads = self.query_key_value(self.norms[0](x) * (1 + scale) + shift_).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        before = 0 if past is None else past.shape[3]
        query, key = rotated(heads[:2], before)
        kept = torch.stack([key, heads[2].to(key.dtype)])
        if past is not None:
            kept = torch.cat([past, kept], dim=3)
        with attending(x):
            # One new token sees all that came before it; a whole sequence sees what is not ahead.
            seen = F.scaled_dot_product_attention(query, kept[0], kept[1], is_causal=past is None)
        x = x + F.dropout(self.close(seen.transpose(1, 2).flatten(2)).float(), self.dropout, self.training)
        wide = F.gelu(self.wide(self.norms[1](x) * (1 + scale_too) + shift_too))
        x = x + F.dropout(self.narrow(wide).float(), self.dropout, self.training)
        return x, kept


def rotated(x: Tensor, before: int) -> Tensor:
    """x (..., T, D), its first place the ``before``-th -> each pair of features turned by an angle proportional to the place."""
    half = x.shape[-1] // 2
    speed = BASE ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.arange(before, before + x.shape[-2], device=x.device, dtype=torch.float32)[:, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    one, two = x[..., :half], x[..., half:]
    return torch.cat([one * cos - two * sin, two * cos + one * sin], dim=-1)


class _Stream:
    """One running decode: keys and values of every block for the rows still being written."""

    def __init__(self, decoder: TransformerDecoder, context: Context) -> None:
        self.decoder = decoder
        self.first, self.drives = decoder.begin(context)
        self.past: list[Tensor | None] = [None] * len(self.drives)
        self.remaining = Remaining.of(decoder.budget, context.targets)
        self.told = Told.of(decoder.slots, context.code)

    def step(self, token: Tensor) -> Tensor:
        d = self.decoder
        x = d.embed(token).float()
        if self.remaining is not None:
            x = x + self.remaining.step(token)
        where, said = self.told.step(token) if self.told is not None else (0.0, 0.0)
        x = (d.widen(x + where).float() + said)[:, None] + self.first
        for k, block in enumerate(d.blocks):
            x, self.past[k] = block(x, self.drives[k], self.past[k])
        logits: Tensor = d.out(d.norm(x[:, 0])).float()
        return logits

    def keep(self, rows: Tensor) -> None:
        self.first, self.drives = self.first[rows], [drive[rows] for drive in self.drives]
        self.past = [None if past is None else past[:, rows] for past in self.past]
        for each in (self.remaining, self.told):
            if each is not None:
                each.keep(rows)
