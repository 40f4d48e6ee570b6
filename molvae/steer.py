"""Steering: policy-gradient refinement of the decoder on properties that can be computed.

Likelihood training teaches which records have the asked property only as well as the data show it; a decoder that has to count learns that
slowly. Steering draws K sequences for each of some targets, measures them, and weighs each draw's likelihood by its reward above the mean of
its siblings (REINFORCE with a leave-one-out baseline: Kool et al. 2019; Ahmadian et al. 2402.14740). It runs beside ordinary training steps,
which keep the unconditional distribution and the codes where they are. Draws that are asked for nothing can be steered too, towards values that
are always wanted, such as charges that balance; these move the unconditional distribution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molvae.dataset.batches import pad_rows
from molvae.errors import InvalidRecord, UsageError
from molvae.model import VAE, some_of
from molvae.records import TokenBatch
from molvae.representation import Representation

SINGLE = 2 / 3  # share of the targets that ask for one property alone
WORST = 2.0  # label standard deviations at which the penalty of a deviation ends; an invalid draw counts as this


@dataclass(frozen=True)
class Steer:
    """Adds the steering loss to a training step. rows: targets a step; draws: K for each; weight: of the loss beside the likelihood.

    Targets are of those conditioning properties that can be computed from a record. Where values of computed properties are ``wanted``, a share
    ``unasked`` of the rows has no target, and its draws are judged by how far they are from these: in label standard deviations, in the unit of
    a property that is no label. A draw of which nothing that is wanted is defined is not judged. Raises UsageError where nothing of what is asked
    for can be computed.
    """

    representation: Representation[Any]
    rows: int
    draws: int
    weight: float
    wanted: Mapping[str, float] = field(default_factory=dict)
    unasked: float = 0.5

    def __post_init__(self) -> None:
        known = self.representation.domain.properties
        if unknown := [name for name in self.wanted if name not in known]:
            raise UsageError(f"steer.wanted has {unknown[0]!r}; wanted properties that can be computed: {', '.join(known)}")
        if not self.computed and self.plain < self.rows:
            names = ", ".join(self.representation.labels.names) or "none"
            raise UsageError(f"steering needs a property that can be computed, and there is none among {names}; set steer.rows = 0")

    @property
    def plain(self) -> int:
        """Rows of a step that have no target."""
        return round(self.unasked * self.rows) if self.wanted else 0

    @cached_property
    def computed(self) -> list[int]:
        """Places of the computed properties among the labels."""
        return [at for at, name in enumerate(self.representation.labels.names) if name in self.representation.domain.properties]

    def __call__(self, model: VAE, labels: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """labels (B, P): standardised labels of data, from which the targets are taken -> weighted loss () and parts for the log."""
        targets = self._targets(labels[: self.rows]).repeat_interleave(self.draws, 0)
        level = torch.ones(targets.shape[0], device=targets.device)
        z = torch.randn(targets.shape[0], model.latent.width, device=targets.device)
        model.eval()
        with torch.no_grad():
            drawn = model.draw(z, level, targets)
        model.train()
        records = [self._record(tokens) if ended else None for tokens, ended in zip(drawn.tokens, drawn.finished, strict=True)]
        plain = min(self.plain * self.draws, len(records))
        wanted, asked = self._shortfalls(model, records[:plain]), self._penalties(model, records[plain:], targets[plain:])
        advantage = torch.cat((_above_others(wanted.reshape(1, plain)), _above_others(asked.view(-1, self.draws)))).to(targets.device)
        written = pad_rows(drawn.tokens)
        written = TokenBatch(written.tokens.to(targets.device), written.lengths.to(targets.device))
        nll = model.decoder.nll(model.context(z, level, targets), written)
        ended = torch.tensor(drawn.finished, device=targets.device)
        loss = (advantage * nll)[ended].sum() / targets.shape[0]
        parts = {"steer_deviation": asked.mean()} if len(asked) else {}
        return self.weight * loss, parts | ({"steer_wanted": wanted.nanmean()} if plain else {})

    def _targets(self, labels: Tensor) -> Tensor:
        """What each row is asked for (n, P), standardised, NaN where nothing."""
        targets = torch.full_like(labels, torch.nan)
        targets[:, self.computed] = some_of(labels[:, self.computed], single=SINGLE)
        targets[: self.plain] = torch.nan
        return targets

    def _record(self, tokens: list[int]) -> Any:
        try:
            return self.representation.record(tokens)
        except InvalidRecord:
            return None

    def _penalties(self, model: VAE, records: Sequence[Any], targets: Tensor) -> Tensor:
        """Mean absolute deviation over set targets (n,), label standard deviations, at most WORST."""
        names = self.representation.labels.names
        properties = {at: self.representation.domain.properties[names[at]] for at in self.computed}
        mean, std = model.label_mean.tolist(), model.label_std.tolist()
        out: list[float] = []
        for record, row in zip(records, targets.tolist(), strict=True):
            if record is None:
                out.append(WORST)
                continue
            gaps = [abs((p.compute(record) - mean[k]) / std[k] - row[k]) for k, p in properties.items() if not math.isnan(row[k])]
            out.append(float(np.mean([WORST if math.isnan(g) else min(g, WORST) for g in gaps])) if gaps else 0.0)
        return torch.tensor(out)

    def _shortfalls(self, model: VAE, records: Sequence[Any]) -> Tensor:
        """Mean absolute distance from what is wanted (n,), at most WORST; NaN where none of it is defined."""
        known = self.representation.domain.properties
        std = dict(zip(self.representation.labels.names, model.label_std.tolist(), strict=True))
        out: list[float] = []
        for record in records:
            if record is None:
                out.append(WORST)
                continue
            gaps = [abs(known[name].compute(record) - value) / std.get(name, 1.0) for name, value in self.wanted.items()]
            judged = [min(gap, WORST) for gap in gaps if not math.isnan(gap)]
            out.append(float(np.mean(judged)) if judged else math.nan)
        return torch.tensor(out)


def _above_others(penalty: Tensor) -> Tensor:
    """By how much each draw's penalty is below the mean of the others of its group: (groups, K) -> (groups K,); 0 where it is NaN or alone."""
    judged = ~torch.isnan(penalty)
    known = penalty.masked_fill(~judged, 0.0)
    others = (known.sum(1, keepdim=True) - known) / (judged.sum(1, keepdim=True) - 1).clamp(min=1)
    return torch.where(judged & (judged.sum(1, keepdim=True) > 1), others - known, 0.0).flatten()
