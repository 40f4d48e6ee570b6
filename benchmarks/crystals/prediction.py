"""Structure prediction: candidates for a composition and a number of atoms, and nothing else.

As in DiffCSP (Jiao et al., arXiv:2309.04475), whose protocol gives a model the atoms of the true cell; here the grammar allows no other
composition while a crystal is written, so every candidate has it. The candidates are plain draws of the prior in the order in which they were
drawn: nothing is relaxed, ranked or selected.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from molvae.api import Model
from molvae.domains.crystals import Crystal


def candidates(model: Model, true: Sequence[Crystal], count: int, seed: int) -> list[list[Crystal | None]]:
    """``count`` draws for the composition of each crystal, None where a draw did not end."""
    return [_of(model, crystal, count, torch.Generator().manual_seed(seed + at)) for at, crystal in enumerate(true)]


def _of(model: Model, crystal: Crystal, count: int, generator: torch.Generator) -> list[Crystal | None]:
    atoms = len(crystal.primitive.numbers)
    sampler = model.sampler.within({"composition": crystal.formula, "atoms": str(atoms)})
    z = torch.randn(count, model.vae.latent.width, generator=generator)
    drawn = sampler.draw(z, torch.ones(count), sampler.unset(count), 1.0, 0.0, generator)
    read = model.representation.record
    return [read(tokens) if ended else None for tokens, ended in zip(drawn.tokens, drawn.finished, strict=True)]
