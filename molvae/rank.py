"""Candidates by how plausible the model finds them.

Under exact constraints a sequence is drawn from prod p(token | prefix) / p(allowed | prefix), not from what the model's density p(x) leaves
where they hold: shares that the rules take away are spread over what is left at that place, however unlikely the whole becomes. p itself ranks
what was drawn. Strings with different numbers of continuous parameters compare by a density: a string of more digits is one of more
neighbours that say nearly the same (``SequenceView.leeway``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from molvae.dataset.batches import pad_rows
from molvae.errors import InvalidRecord
from molvae.model import VAE
from molvae.records import Candidate, TokenBatch
from molvae.representation import Representation

DRAWN, LIKELY = "drawn", "likely"
AMONG = 20  # at least so many accepted candidates are compared; among more, the best become alike
COLUMN = "log_density"
_BATCH = 512


def ranked(model: VAE, representation: Representation[Any], candidates: Sequence[Candidate], targets: Tensor) -> list[Candidate]:
    """The most plausible first, with the column ``log_density``: log p(x | targets) in nats, with leeway. targets (P,): standardised.

    Equal ones stay in their order; what the model cannot write as it was read comes last.
    """
    density = log_density(model, representation, [c.text for c in candidates], targets)
    order = sorted(range(len(candidates)), key=lambda at: -density[at] if math.isfinite(density[at]) else math.inf)
    return [replace(candidates[at], extra={**candidates[at].extra, COLUMN: density[at]}) for at in order]


def log_density(model: VAE, representation: Representation[Any], texts: Sequence[str], targets: Tensor) -> list[float]:
    """``density_of`` the records of these texts. Raises InvalidRecord."""
    return density_of(model, representation, [representation.domain.parse(text) for text in texts], targets)


def density_of(model: VAE, representation: Representation[Any], records: Sequence[Any], targets: Tensor) -> list[float]:
    """log p(x | targets) of each record in nats, with the leeway of the decoder's string; NaN for what it cannot write."""
    leeway = representation.target.leeway or (lambda string: 0.0)
    found = [math.nan] * len(records)
    rows: dict[int, list[int]] = {}
    for place, record in enumerate(records):
        try:
            rows[place] = representation.writes(record)
        except InvalidRecord:
            continue
        found[place] = leeway(representation.target.write(record))
    for place, nats in zip(rows, log_likelihood(model, list(rows.values()), targets), strict=True):
        found[place] += nats
    return found


@torch.no_grad()
def log_likelihood(model: VAE, rows: Sequence[Sequence[int]], targets: Tensor | None = None) -> list[float]:
    """log p in nats of the decoder's tokens of each record at noise level 1, where codes say nothing. targets (P,): standardised, None: unset."""
    out: list[float] = []
    for start in range(0, len(rows), _BATCH):
        tokens = pad_rows(rows[start : start + _BATCH])
        size = tokens.tokens.shape[0]
        z = torch.randn(size, model.latent.width, generator=torch.Generator().manual_seed(0)).to(model.device)
        target = TokenBatch(tokens.tokens.to(model.device), tokens.lengths.to(model.device))
        wanted = None if targets is None else targets.expand(size, -1).to(model.device)
        out += (-model.nll(z, 1.0, target, wanted)).tolist()
    return out
