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

    Targets are of those conditioning properties that can be computed from a record. Where values of some of them are ``wanted``, a share
    ``unasked`` of the rows has no target, and its draws are judged by these. Raises UsageError where no property can be computed, or one that is
    wanted is not among them.
    """

    representation: Representation[Any]
    rows: int
    draws: int
    weight: float
    wanted: Mapping[str, float] = field(default_factory=dict)
    unasked: float = 0.5

    def __post_init__(self) -> None:
        if not self.computed:
            names = ", ".join(self.representation.labels.names) or "none"
            raise UsageError(f"steering needs a property that can be computed, and there is none among {names}; set steer.rows = 0")
        known = [self.representation.labels.names[at] for at in self.computed]
        if unknown := [name for name in self.wanted if name not in known]:
            raise UsageError(
                f"steer.wanted has {unknown[0]!r}; wanted some of the conditioning properties that can be computed: {', '.join(known)}"
            )

    @cached_property
    def computed(self) -> list[int]:
        """Places of the computed properties among the labels."""
        return [at for at, name in enumerate(self.representation.labels.names) if name in self.representation.domain.properties]

    def __call__(self, model: VAE, labels: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """labels (B, P): standardised labels of data, from which the targets are taken -> weighted loss () and parts for the log."""
        targets, judged = (one.repeat_interleave(self.draws, 0) for one in self._targets(model, labels[: self.rows]))
        level = torch.ones(targets.shape[0], device=targets.device)
        z = torch.randn(targets.shape[0], model.latent.width, device=targets.device)
        model.eval()
        with torch.no_grad():
            drawn = model.draw(z, level, targets)
        model.train()
        penalty = self._penalties(model, drawn.tokens, drawn.finished, judged)
        groups = penalty.view(-1, self.draws)
        others = (groups.sum(1, keepdim=True) - groups) / (self.draws - 1)
        advantage = (others - groups).flatten().to(targets.device)
        written = pad_rows(drawn.tokens)
        written = TokenBatch(written.tokens.to(targets.device), written.lengths.to(targets.device))
        nll = model.decoder.nll(model.context(z, level, targets), written)
        ended = torch.tensor(drawn.finished, device=targets.device)
        loss = (advantage * nll)[ended].sum() / targets.shape[0]
        return self.weight * loss, {"steer_deviation": penalty.mean()}

    def _targets(self, model: VAE, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What each of n rows is asked for, and what its draws are judged by: twice (n, P), standardised, NaN where nothing."""
        targets = torch.full_like(labels, torch.nan)
        targets[:, self.computed] = some_of(labels[:, self.computed], single=SINGLE)
        judged = targets.clone()
        if self.wanted:
            plain = round(self.unasked * labels.shape[0])
            targets[:plain] = judged[:plain] = torch.nan
            for name, value in self.wanted.items():
                at = self.representation.labels.names.index(name)
                judged[:plain, at] = (value - model.label_mean[at]) / model.label_std[at]
        return targets, judged

    def _penalties(self, model: VAE, tokens: Sequence[list[int]], finished: Sequence[bool], targets: Tensor) -> Tensor:
        """Mean absolute deviation over set targets (n,), label standard deviations, at most WORST."""
        names = self.representation.labels.names
        properties = {at: self.representation.domain.properties[names[at]] for at in self.computed}
        mean, std = model.label_mean.tolist(), model.label_std.tolist()
        out: list[float] = []
        for ids, ended, row in zip(tokens, finished, targets.tolist(), strict=True):
            try:
                record = self.representation.record(ids) if ended else None
            except InvalidRecord:
                record = None
            if record is None:
                out.append(WORST)
                continue
            gaps = [abs((p.compute(record) - mean[k]) / std[k] - row[k]) for k, p in properties.items() if not math.isnan(row[k])]
            out.append(float(np.mean([WORST if math.isnan(g) else min(g, WORST) for g in gaps])) if gaps else 0.0)
        return torch.tensor(out)
