"""The conditional VAE: joins encoder, latent, regulariser, condition, decoder and heads. It knows no domain and no names of parts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from molvae.nn.condition import Condition
from molvae.nn.decoders import Context, Decoder, Drawn
from molvae.nn.encoders import Encoder, Views
from molvae.nn.heads import PropertyHead
from molvae.nn.latents import Latent
from molvae.nn.masks import PrefixMask
from molvae.nn.regularisers import Regulariser
from molvae.protocols import Prefix
from molvae.records import Batch, Code, GraphBatch, TokenBatch


@dataclass(frozen=True)
class Shares:
    """How training draws levels and shows targets (molvae.config: TrainConfig, ConditionConfig)."""

    low_share: float = 0.5
    low_level: float = 0.25
    shown: float = 0.75
    shown_coded: float = 0.3


class Parcel:
    """Carries a batch through wrappers that would otherwise take it apart (Fabric converts the fields of dataclasses)."""

    __slots__ = ("batch", "progress")

    def __init__(self, batch: Batch, progress: float) -> None:
        self.batch = batch
        self.progress = progress


class VAE(nn.Module):
    """Conditional VAE. Axes: B batch, D latent, P properties (standardised by label_mean and label_std, both (P,)).

    rules: the empty prefix of the grammar that every draw obeys, None for free draws. longest: tokens of a draw, at most.
    """

    label_mean: Tensor
    label_std: Tensor

    def __init__(
        self,
        encoder: Encoder,
        latent: Latent,
        regulariser: Regulariser,
        condition: Condition,
        decoder: Decoder,
        head: PropertyHead | None,
        *,
        shares: Shares | None = None,
        head_weight: float = 1.0,
        rules: Prefix | None = None,
        longest: int = 128,
    ) -> None:
        super().__init__()
        if regulariser.needs_moments and latent.dial:
            raise ValueError("this regulariser needs moments, and the noise dial has none")
        if (head is None) != (condition.properties == 0):
            raise ValueError("a property head and conditioning properties come together or not at all")
        self.encoder, self.latent, self.regulariser = encoder, latent, regulariser
        self.condition, self.decoder, self.head = condition, decoder, head
        self.shares = shares or Shares()
        self.head_weight = head_weight
        self.rules, self.longest = rules, longest
        self.register_buffer("label_mean", torch.zeros(condition.properties))
        self.register_buffer("label_std", torch.ones(condition.properties))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.label_mean.device

    # --- inference -----------------------------------------------------------------------------------------------------------------

    def encode(self, batch: Batch, level: Tensor | float = 0.0) -> Code:
        """Code of the batch's first ``coded`` records at the level, (B,) or a number."""
        return self._code(self.encoder(batch), level)

    def _code(self, views: Views, level: Tensor | float) -> Code:
        code: Code = self.latent(views, self._levels(level, views.mean.shape[1]))
        return code

    def context(self, z: Tensor, level: Tensor | float, targets: Tensor | None = None) -> Context:
        """z (B, D), level (B,) or a number, targets (B, P) standardised with NaN where unset -> what the decoder reads."""
        t = self._levels(level, z.shape[0])
        if targets is None:
            targets = z.new_full((z.shape[0], self.condition.properties), torch.nan)
        seen = t if self.latent.dial else torch.zeros_like(t)
        return Context(self.latent.readout(z, t), self.condition(targets, seen), targets)

    def nll(self, z: Tensor, level: Tensor | float, target: TokenBatch, targets: Tensor | None = None) -> Tensor:
        """Negative log-likelihood (B,) in nats of the sequences given codes and targets."""
        return self.decoder.nll(self.context(z, level, targets), target)

    def draw(
        self,
        z: Tensor,
        level: Tensor | float,
        targets: Tensor | None = None,
        *,
        temperature: float = 1.0,
        guidance: float = 0.0,
        prefix: TokenBatch | None = None,
        generator: torch.Generator | None = None,
    ) -> Drawn:
        """Sequences decoded from z (B, D). Guidance weighs the targets' influence; 0 is the plain conditional distribution."""
        context = self.context(z, level, targets)
        free = self.context(z, level) if guidance else None
        return self.decoder.draw(
            context,
            temperature=temperature,
            guidance=guidance,
            unconditional=free,
            max_length=self.longest,
            prefix=prefix,
            mask=None if self.rules is None else PrefixMask(self.rules, z.shape[0]),
            generator=generator,
        )

    def standardise(self, values: Tensor) -> Tensor:
        """(…, P) in the properties' own units -> standardised."""
        return (values - self.label_mean) / self.label_std

    def predict(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (B, P) of each property, in its own unit."""
        if self.head is None:
            return z.new_zeros(z.shape[0], 0), z.new_zeros(z.shape[0], 0)
        mean, std = self.head(z)
        return mean * self.label_std + self.label_mean, std * self.label_std

    def _levels(self, level: Tensor | float, size: int) -> Tensor:
        if isinstance(level, Tensor):
            return level
        return torch.full((size,), float(level), device=self.device)

    # --- training ------------------------------------------------------------------------------------------------------------------

    def forward(self, parcel: Parcel) -> tuple[Tensor, dict[str, Tensor]]:
        """One training step's loss () and its detached parts; likelihoods are nats a record."""
        batch, progress = parcel.batch, parcel.progress
        if batch.target is None:
            raise ValueError("training needs target sequences in the batch")
        coded = batch.coded
        level = torch.ones(batch.size, device=self.device)
        views, code = None, None
        z = torch.randn(batch.size, self.latent.width, device=self.device)
        if coded:
            level = torch.cat([self._draw_levels(coded), level[coded:]])
            views = self.encoder(batch)
            code = self._code(views, level[:coded])
            z = torch.cat([code.z, z[coded:]])
        targets = self._show(batch.labels, coded)
        nll = self.decoder.nll(self.context(z, level, targets), batch.target)
        total = nll.mean()
        parts = {"nll": total.detach()}
        if coded < batch.size:
            parts["nll_prior"] = nll[coded:].mean().detach()
        if views is not None and code is not None:
            total, more = self._code_terms(total, code, nll[:coded], progress)
            parts |= more
            if self.head is not None:
                head = self._head_loss(self.head, views, code, batch.labels[:coded])
                total = total + self.head_weight * head
                parts["head"] = head.detach()
        parts["total"] = total.detach()
        return total, parts

    def _code_terms(self, total: Tensor, code: Code, nll: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        rate = self.regulariser(code, torch.randn_like(code.z), progress)
        total = total + rate + code.aux
        parts = {"nll_code": nll.mean().detach(), "rate": code.rate.mean().detach(), "aux": (code.aux + rate).detach()}
        return total, parts

    def _head_loss(self, head: PropertyHead, views: Views, code: Code, labels: Tensor) -> Tensor:
        """Half from the code of all views, half from those of each alone; (). From all, the view that learns labels by heart first hides them
        from the others, though another may know them better, as graphs know energies."""
        loss = head.loss(code.mode, labels)
        if len(views.mean) < 2:
            return loss
        alone = []
        with self.latent.steady():  # the code is that of all views
            for mean, precision, present in zip(views.mean, views.log_precision, views.present, strict=True):
                if bool(present.any()):  # else none was in the batch; one that a record lost in training was read all the same
                    one = Views(mean[None], precision[None], torch.ones_like(present)[None])
                    alone.append(head.loss(self._code(one, 0.0).mode, labels))
        return 0.5 * loss + 0.5 * torch.stack(alone).mean()

    def _draw_levels(self, count: int) -> Tensor:
        u = torch.rand(count, device=self.device)
        low = torch.rand(count, device=self.device) < self.shares.low_share
        return torch.where(low, u * self.shares.low_level, u)

    def _show(self, labels: Tensor, coded: int) -> Tensor:
        """Targets of each row: a random subset of its labels, often one or all of them, and none for the rest of the rows."""
        if labels.shape[1] == 0:
            return labels
        share = torch.full((labels.shape[0], 1), self.shares.shown, device=labels.device)
        share[:coded] = self.shares.shown_coded
        shown = torch.rand(labels.shape[0], 1, device=labels.device) < share
        # Half of the shown rows show one property, since that is asked most.
        return some_of(labels, single=0.5).masked_fill(~shown, torch.nan)


def some_of(labels: Tensor, *, single: float) -> Tensor:
    """Each row with one of its labels shown (a share ``single`` of the rows) or a uniform number of them: (n, P), NaN where hidden."""
    size, properties = labels.shape
    order = torch.rand(size, properties, device=labels.device).argsort(1).argsort(1)
    u = torch.rand(size, 1, device=labels.device)
    count = torch.where(u < single, torch.ones_like(u), 1 + torch.floor((u - single) / (1 - single) * properties))
    return labels.masked_fill(order >= count, torch.nan)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on ``device``."""
    if device.type == "cpu":
        return batch

    def tokens(view: TokenBatch | None) -> TokenBatch | None:
        return None if view is None else TokenBatch(view.tokens.to(device), view.lengths.to(device))

    graph = batch.graph
    if graph is not None:
        graph = GraphBatch(
            graph.nodes.to(device), graph.edge_index.to(device), graph.edge_features.to(device), graph.graph_of.to(device), graph.size
        )
    source, written, target = tokens(batch.source), tokens(batch.written), tokens(batch.target)
    return replace(batch, source=source, graph=graph, written=written, target=target, labels=batch.labels.to(device))
