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


@torch.no_grad()
def log_density(model: VAE, representation: Representation[Any], texts: Sequence[str], targets: Tensor) -> list[float]:
    """log p(x | targets) of each text in nats, with the leeway of the decoder's string; NaN for what it cannot write."""
    leeway = representation.target.leeway or (lambda string: 0.0)
    strings: list[tuple[int, list[int], float]] = []
    for place, text in enumerate(texts):
        record = representation.domain.parse(text)
        try:
            strings.append((place, representation.writes(record), leeway(representation.target.write(record))))
        except InvalidRecord:
            continue
    found = [math.nan] * len(texts)
    for start in range(0, len(strings), _BATCH):
        part = strings[start : start + _BATCH]
        tokens = pad_rows([ids for _, ids, _ in part])
        z = torch.randn(len(part), model.latent.width, generator=torch.Generator().manual_seed(0)).to(model.device)
        target = TokenBatch(tokens.tokens.to(model.device), tokens.lengths.to(model.device))
        nats = model.nll(z, 1.0, target, targets.expand(len(part), -1).to(model.device))
        for (place, _, more), cost in zip(part, nats.tolist(), strict=True):
            found[place] = more - cost
    return found
