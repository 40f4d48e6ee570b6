"""Practice on relatives: what they are, that they are fixed by a seed, and that a step learns from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from molvae import build
from molvae.api import Model
from molvae.config import override
from molvae.domains.crystals.structure import of_structure, parse
from molvae.domains.crystals.vary import FRESH, MOVED, REACH, vary
from molvae.domains.crystals.wyckoff import STEPS
from molvae.errors import ConfigError, UsageError
from molvae.practice import Practice, relatives
from molvae.representation import Labels, Representation
from molvae.tokens import SymbolBPE
from tests.domains.crystals.prototypes import PROTOTYPES

TEXTS = [of_structure(make()).text for make in PROTOTYPES.values()]


@pytest.fixture(scope="module")
def representation() -> Representation[object]:
    domain = build.domain("crystals")
    view = domain.sequences["wyckoff"]
    bpe = SymbolBPE(view.alphabet, ())
    return Representation(domain, view, bpe, view, bpe, Labels(("density",), {}), ("sequence", "graph"))


def test_a_relative_keeps_group_and_letters_and_can_be_read() -> None:
    rng = np.random.default_rng(0)
    changed = 0
    for text in TEXTS * 20:
        old = parse(text)
        made = vary(old, rng)
        assert parse(made.text) == made
        assert made.group == old.group
        assert [o.letter for o in made.description.orbits] == [o.letter for o in old.description.orbits]
        assert list(made.description.orbits) == sorted(made.description.orbits)
        assert len({o.number for o in made.description.orbits}) == len({o.number for o in old.description.orbits})
        changed += made != old
    assert changed > 15 * len(TEXTS)


def test_coordinates_stay_move_a_little_or_are_anywhere() -> None:
    old, rng = parse("sg1@aC:00.24:00.24:00.24@aO:20.05:30.07:40.11|20.11/24.24/24.24^24.00^24.00^24.00"), np.random.default_rng(0)
    steps = old.description.orbits[1].steps
    numbers, reach = {o.number for o in old.description.orbits}, []
    for _ in range(2000):
        orbits = vary(old, rng).description.orbits
        if {o.number for o in orbits} == numbers:
            off = np.subtract(next(o.steps for o in orbits if o.number == 8), steps) % STEPS
            reach.append(int(np.minimum(off, STEPS - off).max()))
    unmoved, anywhere = np.mean(np.array(reach) == 0), np.mean(np.array(reach) > 5 * REACH)
    assert unmoved == pytest.approx(1 - MOVED - FRESH, abs=0.08)
    assert anywhere == pytest.approx(FRESH * (1 - (10 * REACH / STEPS) ** 3), abs=0.08)


def test_relatives_follow_the_seed(representation: Representation[object]) -> None:
    first, again, other = (relatives(representation, TEXTS, 12, seed) for seed in (1, 1, 2))
    assert [one.target for one in first] == [one.target for one in again]
    assert [one.target for one in first] != [one.target for one in other]
    assert all(one.graph is not None for one in first)


def test_practice_lowers_its_own_loss(representation: Representation[object]) -> None:
    torch.manual_seed(0)
    small = {"encoder.sequence_hidden": 32, "encoder.graph_hidden": 16, "encoder.features": 32, "decoder.embed": 16, "decoder.hidden": 32}
    config = override(build.usual("crystals"), {**small, "decoder.heads": 2, "latent.width": 8, "condition.properties": ["density"]})
    model = build.vae(config, representation).train()
    practice = Practice(representation, relatives(representation, TEXTS, 60, 0), 24, 0.25, 1.0)
    stepper = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss, parts = practice(model, torch.zeros(4, 1))
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        losses.append(float(parts["nll_practice"]))
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_what_practice_cannot_do_is_refused(model: Model) -> None:
    with pytest.raises(UsageError, match="molecules domain makes no relatives"):
        relatives(model.representation, ["CCO"], 3, 0)
    with pytest.raises(UsageError, match="at least 2 are wanted"):
        Practice(model.representation, [], 4, 0.25, 1.0)
    with pytest.raises(ConfigError, match="one process"):
        override(build.usual("crystals"), {"practice.rows": 8, "train.devices": 2})
