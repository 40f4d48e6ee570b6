"""Fine-tuning of a copy of the decoder on the best records found so far; the shipped model never changes."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from molvae.dataset.batches import pad_rows
from molvae.model import VAE
from molvae.nn.precision import quick
from molvae.sample import noised
from molvae.search.pool import rank_weights

ELITE_ROWS, REPLAY_ROWS = 48, 16
BEYOND = 1.5  # longest draw while tuning, in units of the longest of the model as it was


class Tuner:
    """A copy of the model whose decoder follows the elites, with draws of the model as it was mixed in, so that it does not forget the rest.

    Weighted retraining (Tripp et al. 2006.09191) in small steps. The encoder stays as it is: codes remain valid through the whole search.
    """

    def __init__(self, model: VAE, rate: float, generator: torch.Generator) -> None:
        self.model = copy.deepcopy(model).eval()
        self.original = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.rate, self.generator = rate, generator
        self.parameters = [*self.model.decoder.parameters(), *self.model.condition.parameters()]
        self.optimiser = self._optimiser()
        self.replay: list[list[int]] = []

    def _optimiser(self) -> torch.optim.Adam:
        return torch.optim.Adam(self.parameters, lr=self.rate, betas=(0.9, 0.99))

    def remember(self, count: int, least: int = 0) -> None:
        """Draw the sequences that stand for what the model knew; nothing much longer than they, or than ``least`` tokens, is drawn from now on.

        Tuned on elites that grow, a decoder writes longer ones still: records far outside of its training data, at a cost that follows their length.
        """
        width = self.model.latent.width
        for _ in range(0, count, 512):
            z = torch.randn(512, width, generator=self.generator)
            with quick(self.model.device):
                drawn = self.model.draw(z, 1.0, generator=self.generator)
            self.replay += [ids for ids, ended in zip(drawn.tokens, drawn.finished, strict=True) if ended and ids]
        if self.replay:
            longest = max(least, *(len(ids) for ids in self.replay))
            self.model.longest = min(self.model.longest, round(BEYOND * longest) + 1)  # the end mark takes a place

    def reset(self) -> None:
        """Back to the model as it was."""
        self.model.load_state_dict(self.original)
        self.optimiser = self._optimiser()

    def step(self, tokens: Sequence[Sequence[int]], codes: Tensor, steps: int) -> None:
        """``steps`` updates on elites, best first: their sequences and codes (E, D)."""
        if not tokens:
            return
        weights = rank_weights(len(tokens))
        for _ in range(steps):
            chosen = torch.multinomial(weights, min(ELITE_ROWS, 6 * len(tokens)), replacement=True, generator=self.generator)
            again = torch.randint(len(self.replay), (REPLAY_ROWS,), generator=self.generator).tolist() if self.replay else []
            rows = [list(tokens[k]) for k in chosen.tolist()] + [self.replay[k] for k in again]
            level = torch.rand(len(rows), generator=self.generator)
            level[torch.rand(len(rows), generator=self.generator) < 1 / 3] = 1.0
            level[len(chosen) :] = 1.0  # the replayed sequences have no code at hand
            z = noised(torch.cat([codes[chosen], torch.zeros(len(again), codes.shape[1])]), level, self.generator)
            with torch.enable_grad(), quick(self.model.device):
                loss = self.model.nll(z, level, pad_rows(rows)).mean()
            self.optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimiser.step()
