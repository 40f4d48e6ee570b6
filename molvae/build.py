"""The composition root: configuration -> objects. The only table of names; domains are named here and in ``molvae.catalog`` alone."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from molvae.config import Config, override
from molvae.errors import ConfigError, UnknownName
from molvae.model import VAE, Shares
from molvae.nn.condition import Budget, Condition
from molvae.nn.decoders import Decoder, RecurrentDecoder
from molvae.nn.encoders import Encoder, GraphEncoder, SequenceEncoder, SequenceTransformer
from molvae.nn.heads import PropertyHead
from molvae.nn.latents import Gaussian, Latent, NoiseDial
from molvae.nn.regularisers import KL, NoRegulariser, Regulariser
from molvae.nn.slots import ReadSlots, WriteSlots
from molvae.nn.transformer import TransformerDecoder
from molvae.protocols import Domain, SequenceView
from molvae.representation import Representation, parts_begun
from molvae.tokens import SymbolBPE

DOMAINS = {"crystals": "molvae.domains.crystals", "molecules": "molvae.domains.molecules"}


def maker(name: str) -> Callable[[], Domain[Any]]:
    """The function that makes the domain of that name, as ``molvae.dataset.prepare`` wants it. Raises UnknownName."""
    if name not in DOMAINS:
        raise UnknownName("domain", name, list(DOMAINS))
    make: Callable[[], Domain[Any]] = importlib.import_module(DOMAINS[name]).domain
    return make


def domain(name: str) -> Domain[Any]:
    """The domain of that name. Raises UnknownName."""
    return maker(name)()


def usual(name: str) -> Config:
    """The settings that models of a domain have unless told otherwise. Raises UnknownName."""
    return override(Config(domain=name), dict(domain(name).settings))


def vae(config: Config, representation: Representation[Any]) -> VAE:
    """The model that a configuration describes, with fresh weights."""
    properties = len(representation.labels.names)
    shares = Shares(config.train.low_share, config.train.low_level, config.condition.shown, config.condition.shown_coded)
    read = config.latent.summary or config.latent.width
    head = PropertyHead(read, properties, config.heads.hidden, config.heads.layers) if properties else None
    return VAE(
        _encoder(config, representation),
        _latent(config),
        _regulariser(config),
        Condition(properties, config.condition.width),
        _decoder(config, representation),
        head,
        shares=shares,
        head_weight=config.heads.weight,
        rules=representation.rules(),
        longest=representation.target.longest,
    )


def _encoder(config: Config, representation: Representation[Any]) -> Encoder:
    e = config.encoder
    graph = representation.domain.graph

    def reader(view: SequenceView[Any], bpe: SymbolBPE) -> SequenceEncoder | SequenceTransformer:
        if e.sequence_kind == "transformer":
            slots = ReadSlots(_begins(view, bpe), e.sequence_hidden, e.features) if e.sequence_slots else None
            return SequenceTransformer(len(bpe), e.sequence_hidden, e.features, e.sequence_layers, e.sequence_heads, slots)
        return SequenceEncoder(len(bpe), e.sequence_embed, e.sequence_hidden, e.features)

    return Encoder(
        config.latent.width,
        e.features,
        e.view_dropout,
        e.alone,
        reader(representation.source, representation.source_bpe) if "sequence" in e.views else None,
        GraphEncoder(graph.node_sizes, graph.edge_sizes, e.graph_hidden, e.graph_layers, e.features) if "graph" in e.views else None,
        reader(representation.target, representation.target_bpe) if "written" in e.views else None,
        config.latent.summary,
    )


def _decoder(config: Config, representation: Representation[Any]) -> Decoder:
    d, c = config.decoder, config.condition
    vocabulary, properties = len(representation.target_bpe), len(representation.labels.names)
    budget = Budget(vocabulary, properties, d.embed, c.budget_rank) if c.budget and properties else None
    sizes = (vocabulary, config.latent.width, c.width, d.embed, d.hidden)
    if d.kind == "transformer":
        view, bpe = representation.target, representation.target_bpe
        slots = WriteSlots(_begins(view, bpe), d.embed, config.latent.width, d.hidden) if d.slots else None
        return TransformerDecoder(*sizes, d.layers, d.heads, d.dropout, budget, slots)
    return RecurrentDecoder(*sizes, d.layers, d.dropout, budget)


def _begins(view: SequenceView[Any], bpe: SymbolBPE) -> Tensor:
    """What each token (V,) of a vocabulary begins, as ``Slots`` wants it: what a symbol of it begins."""
    if not view.begins:
        raise ConfigError(f"the string {view.name!r} is not made of parts; set encoder.sequence_slots and decoder.slots to false")
    return torch.tensor(parts_begun(view, bpe))


def _latent(config: Config) -> Latent:
    if config.latent.kind == "dial":
        return NoiseDial(config.latent.width, config.latent.whitening)
    return Gaussian(config.latent.width)


def _regulariser(config: Config) -> Regulariser:
    r = config.regulariser
    if r.kind == "kl":
        return KL(r.beta, r.schedule, r.warmup, r.cycles, r.free_bits)
    return NoRegulariser()
