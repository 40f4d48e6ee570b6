"""Structure prediction: candidates for a composition and a number of atoms, and nothing else.

As in DiffCSP (Jiao et al., arXiv:2309.04475), whose protocol gives a model the atoms of the true cell; here the grammar allows no other
composition while a crystal is written, so every candidate has it. Taken are plain draws of the prior in the order in which they were drawn,
and what a user of the product is given: as many that pass its checks, the most plausible first (``molvae.rank``). Nothing is relaxed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from molvae.api import Model
from molvae.domains.crystals import Crystal
from molvae.domains.crystals.structure import parse

MOST_DRAWS = 1024


def candidates(model: Model, true: Sequence[Crystal], count: int, seed: int) -> list[list[Crystal | None]]:
    """``count`` draws for the composition of each crystal, None where a draw did not end."""
    found = []
    for at, crystal in enumerate(true):
        generator = torch.Generator().manual_seed(seed + at)
        found.append(fulfilling(model, atoms_of(crystal), count, generator, generator))
    return found


def delivered(model: Model, true: Sequence[Crystal], count: int, seed: int) -> list[list[Crystal | None]]:
    """What ``model.generate`` gives for the composition of each crystal in at most ``MOST_DRAWS`` draws, None where it is less than ``count``."""
    found: list[list[Crystal | None]] = []
    for at, crystal in enumerate(true):
        given = model.generate(count, constraints=atoms_of(crystal), seed=seed + at, predict=False, max_draws=MOST_DRAWS).candidates
        found.append([*(parse(one.text) for one in given), *[None] * (count - len(given))])
    return found


def atoms_of(crystal: Crystal) -> dict[str, str]:
    """All that is told of a crystal: its composition and the number of atoms in its primitive cell."""
    return {"composition": crystal.formula, "atoms": str(len(crystal.primitive.numbers))}


def fulfilling(
    model: Model,
    wishes: Mapping[str, str],
    count: int,
    of_codes: torch.Generator,
    of_tokens: torch.Generator,
    temperature: float = 1.0,
) -> list[Crystal | None]:
    """Raw draws of the prior under constraints that the grammar fulfils, None where one did not end."""
    sampler = model.sampler.within(wishes)
    z = torch.randn(count, model.vae.latent.width, generator=of_codes)
    drawn = sampler.draw(z, torch.ones(count), sampler.unset(count), temperature, 0.0, of_tokens)
    read = model.representation.record
    return [read(tokens) if ended else None for tokens, ended in zip(drawn.tokens, drawn.finished, strict=True)]
