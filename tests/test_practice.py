"""Practice on relatives: what they are, that they are fixed by a seed, and that a step learns from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from molvae import build
from molvae.api import Model
from molvae.config import PracticeConfig, override
from molvae.domains.crystals.structure import of_structure, parse
from molvae.domains.crystals.symmetry import space_group
from molvae.domains.crystals.vary import COUNTED, ELSEWHERE, FRESH, MOVED, REACH, vary
from molvae.domains.crystals.wyckoff import STEPS
from molvae.errors import ConfigError, UsageError
from molvae.practice import FEWEST, LONG, Practice, Relative, relatives
from molvae.records import GraphArrays
from molvae.representation import Representation
from tests.domains.crystals.prototypes import PROTOTYPES
from tests.fixtures_crystals import BLANK, wyckoff_strings

TEXTS = [of_structure(make()).text for make in PROTOTYPES.values()]


@pytest.fixture(scope="module")
def representation() -> Representation[object]:
    return wyckoff_strings()


def test_a_relative_can_be_read_and_keeps_group_and_letters_but_for_one_orbit_or_moves_to_another_group_of_its_system() -> None:
    rng = np.random.default_rng(0)
    changed, elsewhere, sizes = 0, 0, {-1: 0, 0: 0, 1: 0}
    for text in TEXTS * 20:
        old = parse(text)
        made = vary(old, rng)
        assert parse(made.text) == made
        assert list(made.description.orbits) == sorted(made.description.orbits)
        assert made.description.atoms <= 2 * old.description.atoms
        assert space_group(made.group).system == space_group(old.group).system
        more = len(made.description.orbits) - len(old.description.orbits)
        sizes[more] += 1
        if more == 0:
            assert len({o.number for o in made.description.orbits}) == len({o.number for o in old.description.orbits})
            if [o.letter for o in made.description.orbits] != [o.letter for o in old.description.orbits] or made.group != old.group:
                elsewhere += 1
        changed += made != old
    assert changed > 15 * len(TEXTS)
    assert elsewhere / sizes[0] == pytest.approx(ELSEWHERE, abs=0.06)
    several = sum("@" in text.split("@", 1)[1] for text in TEXTS) / len(TEXTS)
    assert sizes[-1] / sum(sizes.values()) == pytest.approx(COUNTED / 2 * several, abs=0.05)
    assert 0 < sizes[1] <= sizes[-1]


def test_coordinates_stay_move_a_little_or_are_anywhere() -> None:
    old, rng = parse("sg1@aC:00.24:00.24:00.24@aO:20.05:30.07:40.11|20.11/24.24/24.24^24.00^24.00^24.00"), np.random.default_rng(0)
    steps = old.description.orbits[1].steps
    numbers, reach = {o.number for o in old.description.orbits}, []
    for _ in range(2000):
        made = vary(old, rng)
        orbits = made.description.orbits
        if made.group == old.group and {o.number for o in orbits} == numbers:
            off = np.subtract(next(o.steps for o in orbits if o.number == 8), steps) % STEPS
            reach.append(int(np.minimum(off, STEPS - off).max()))
    unmoved, anywhere = np.mean(np.array(reach) == 0), np.mean(np.array(reach) > 5 * REACH)
    assert unmoved == pytest.approx(1 - MOVED - FRESH, abs=0.08)
    assert anywhere == pytest.approx(FRESH * (1 - (10 * REACH / STEPS) ** 3), abs=0.08)


def test_relatives_follow_the_seed(representation: Representation[object]) -> None:
    first, again, other = (relatives(representation, TEXTS, 12, seed) for seed in (1, 1, 2))
    assert [one.target for one in first] == [one.target for one in again]
    assert [one.target for one in first] != [one.target for one in other]
    assert all(len(one.graph.nodes) for one in first)


def test_long_records_have_more_relatives(representation: Representation[object]) -> None:
    asked: list[str] = []
    domain = replace(representation.domain, parse=lambda text: asked.append(text) or parse(text))
    short, long = TEXTS[0], max(TEXTS, key=len)
    relatives(replace(representation, domain=domain), [short, long], 400, 0)
    assert len(long) > 1.3 * len(short)
    assert asked.count(long) / len(asked) == pytest.approx(len(long) / (len(short) + len(long)), abs=0.06)


def test_practice_lowers_its_own_loss(representation: Representation[object]) -> None:
    torch.manual_seed(0)
    model = build.vae(override(build.usual("crystals"), BLANK), representation).train()
    pool = relatives(representation, TEXTS, 60, 0)
    practice = Practice(representation, lambda number: pool, PracticeConfig(rows=24))
    stepper = torch.optim.Adam(model.parameters(), 3e-3)

    def now(seed: int) -> tuple[torch.Tensor, float]:
        torch.manual_seed(seed)
        loss, parts = practice(model, torch.zeros(4, 1), 0)
        return loss, float(parts["nll_practice"])

    before = [now(seed)[1] for seed in range(1000, 1005)]
    for step in range(40):
        loss, _ = now(step)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
    assert np.mean([now(seed)[1] for seed in range(1000, 1005)]) < 0.7 * np.mean(before)


def test_the_pool_is_made_anew_after_so_many_steps(representation: Representation[object]) -> None:
    made: list[int] = []

    def make(number: int) -> list[Relative]:
        made.append(number)
        return relatives(representation, TEXTS, 8, (0, number))

    model = build.vae(override(build.usual("crystals"), BLANK), representation)
    practice = Practice(representation, make, PracticeConfig(rows=4, renewed=2))
    for step in (5, 6, 7, 8):  # a run that goes on at step 5 leaves out the pools between
        practice(model, torch.zeros(4, 1), step)
    assert made == [0, 2, 3, 4]
    stays = Practice(representation, make, PracticeConfig(rows=4))
    for step in (0, 500):
        stays(model, torch.zeros(4, 1), step)
    assert made == [0, 2, 3, 4, 0]


def test_graphs_are_made_only_for_the_steps_that_read_them(representation: Representation[object]) -> None:
    model = build.vae(override(build.usual("crystals"), BLANK), representation).train()
    for alone, read in ((1.0, False), (0.0, True)):
        pool = relatives(representation, TEXTS, 12, 0)
        Practice(representation, lambda number, pool=pool: pool, PracticeConfig(rows=12, alone=alone))(model, torch.zeros(4, 1), 0)
        assert any("graph" in vars(one) for one in pool) is read
    assert model.decoder.training


def test_fewer_long_relatives_make_a_step_and_each_is_met(representation: Representation[object]) -> None:
    lengths = [*range(1, 41), *[LONG] * 80, *[4 * LONG] * 40, *[10 * LONG] * 20]
    pool = [Relative([3] * n, [3] * n, lambda: GraphArrays.__new__(GraphArrays)) for n in lengths]
    practice = Practice(representation, lambda number: pool, PracticeConfig(rows=80))
    met: set[int] = set()
    for at in range(len(pool)):
        chosen = practice._chosen(at)
        assert len(chosen) == (80 if at < 120 else 20 if at < 160 else FEWEST)
        assert chosen[-1] is pool[max(at, len(chosen) - 1)]
        met |= {id(one) for one in chosen}
    assert len(met) == len(pool)


def test_what_practice_cannot_do_is_refused(model: Model) -> None:
    with pytest.raises(UsageError, match="molecules domain makes no relatives"):
        relatives(model.representation, ["CCO"], 3, 0)
    with pytest.raises(UsageError, match="at least 2 are wanted"):
        Practice(model.representation, lambda number: [], PracticeConfig(rows=4))
    with pytest.raises(ConfigError, match="one process"):
        override(build.usual("crystals"), {"practice.rows": 8, "train.devices": 2})
