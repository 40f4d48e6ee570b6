"""Steering: policy-gradient refinement of the conditional decoder on properties that can be computed.

Likelihood training teaches which records have the asked property only as well as the data show it; a decoder that has to count learns that
slowly. Steering draws K sequences for each of some targets, measures them, and weighs each draw's likelihood by its reward above the mean of
its siblings (REINFORCE with a leave-one-out baseline: Kool et al. 2019; Ahmadian et al. 2402.14740). It runs beside ordinary training steps,
which keep the unconditional distribution and the codes where they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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

    Targets are of those conditioning properties that can be computed from a record. Raises UsageError where there is none.
    """

    representation: Representation[Any]
    rows: int
    draws: int
    weight: float

    def __post_init__(self) -> None:
        if not self.computed:
            names = ", ".join(self.representation.labels.names) or "none"
            raise UsageError(f"steering needs a property that can be computed, and there is none among {names}; set steer.rows = 0")

    @cached_property
    def computed(self) -> list[int]:
        """Places of the computed properties among the labels."""
        return [at for at, name in enumerate(self.representation.labels.names) if name in self.representation.domain.properties]

    def __call__(self, model: VAE, labels: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """labels (B, P): standardised labels of data, from which the targets are taken -> weighted loss () and parts for the log."""
        targets = torch.full_like(labels[: self.rows], torch.nan)
        targets[:, self.computed] = some_of(labels[: self.rows, self.computed], single=SINGLE)
        targets = targets.repeat_interleave(self.draws, 0)
        level = torch.ones(targets.shape[0], device=targets.device)
        z = torch.randn(targets.shape[0], model.latent.width, device=targets.device)
        model.eval()
        with torch.no_grad():
            drawn = model.draw(z, level, targets)
        model.train()
        penalty = self._penalties(model, drawn.tokens, drawn.finished, targets)
        groups = penalty.view(-1, self.draws)
        others = (groups.sum(1, keepdim=True) - groups) / (self.draws - 1)
        advantage = (others - groups).flatten().to(targets.device)
        written = pad_rows(drawn.tokens)
        written = TokenBatch(written.tokens.to(targets.device), written.lengths.to(targets.device))
        nll = model.decoder.nll(model.context(z, level, targets), written)
        ended = torch.tensor(drawn.finished, device=targets.device)
        loss = (advantage * nll)[ended].sum() / targets.shape[0]
        return self.weight * loss, {"steer_deviation": penalty.mean()}

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
