"""A tiny model of crystals, from prepared rows to candidates: everything that is drawn is a legal crystal with what was asked."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from pymatgen.core.composition import Composition

import molvae
from molvae.api import Model
from molvae.domains.crystals import domain
from molvae.domains.crystals.asked import constraints
from molvae.domains.crystals.structure import of_structure, parse
from molvae.domains.crystals.symmetry import groups_of
from molvae.errors import UsageError
from molvae.invert import _Search
from molvae.objectives import Objective
from tests.domains.crystals.prototypes import rutile


@pytest.fixture(scope="module")
def crystals(crystal_run: Path) -> Model:
    return molvae.load(crystal_run)


def test_every_draw_is_a_legal_crystal(crystals: Model) -> None:
    found = crystals.generate(40, seed=1)
    assert found.funnel.valid == found.funnel.drawn
    assert len(found.candidates) == 40
    again = crystals.generate(40, seed=1)
    assert [c.text for c in again.candidates] == [c.text for c in found.candidates]


@pytest.mark.parametrize(
    ("wishes", "holds"),
    [
        ({"composition": "LiFePO4"}, lambda c: c.formula == Composition("LiFePO4").reduced_formula),
        ({"chemsys": "Sr-Ti-O"}, lambda c: {e.symbol for e in c.composition} == {"Sr", "Ti", "O"}),
        ({"elements": "K,Cl,Br"}, lambda c: {e.symbol for e in c.composition} <= {"K", "Cl", "Br"}),
        ({"exclude": "O,S", "spacegroup": "225"}, lambda c: not {e.symbol for e in c.composition} & {"O", "S"} and c.group == 225),
        ({"spacegroup": "tetragonal"}, lambda c: c.group in groups_of("tetragonal")),
        ({"atoms": "3:6"}, lambda c: 3 <= c.composition.num_atoms <= 6),
    ],
)
def test_wishes_are_fulfilled_by_every_draw(crystals: Model, wishes: dict[str, str], holds: object) -> None:
    sampler = crystals.sampler.within(wishes)
    z = torch.randn(32, crystals.vae.latent.width, generator=torch.Generator().manual_seed(0))
    drawn = sampler.draw(z, torch.ones(32), sampler.unset(32), 1.0, 0.0, torch.Generator().manual_seed(0))
    finished = [crystals.representation.record(t) for t, ended in zip(drawn.tokens, drawn.finished, strict=True) if ended]
    assert len(finished) > 16
    assert all(holds(crystal) for crystal in finished)  # type: ignore[operator]
    assert crystals.sampler.model.rules is not sampler.model.rules


@pytest.mark.parametrize(("formula", "most"), [("SrTiO3", 20), ("LiFePO4", 28), ("Ca5P3O13H", 88), ("Al3H15O50", 200)])
def test_a_formula_alone_has_cells_of_usual_sizes(formula: str, most: int) -> None:
    assert constraints({"composition": formula}).atoms == (1, most)
    assert constraints({"composition": formula, "atoms": "7:150"}).atoms == (7, 150)
    assert constraints({"elements": "Sr,O"}).atoms == (1, 200)


def test_one_crystal_is_delivered_once_though_its_keys_differ(crystals: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    shaken = [rutile(x) for x in (0.305, 0.309, 0.313)]
    found = [*map(of_structure, shaken), parse("sg221@aTi@bSr@cO|19.30")]
    assert len({crystals.domain.key(crystal) for crystal in found}) == 4
    drawn = itertools.cycle(found)
    monkeypatch.setattr(type(crystals.representation), "record", lambda self, tokens: next(drawn))
    done = crystals.generate(2, max_draws=64)
    assert [c.text for c in done.candidates] == [found[0].text, found[3].text]
    assert (done.funnel.valid, done.funnel.unique, done.reasons["duplicate"]) == (done.funnel.drawn, 2, done.funnel.drawn - 2)
    assert len(crystals.generate(8, max_draws=64, unique=False).candidates) == 8


def test_a_crystal_that_misses_the_target_bars_no_other_like_it(crystals: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [parse(f"sg221@aTi@bSr@cO|{volume}") for volume in ("19.30", "20.10", "20.11")]
    density = [crystals.domain.properties["density"].compute(crystal) for crystal in found]
    drawn = itertools.cycle(found)
    monkeypatch.setattr(type(crystals.representation), "record", lambda self, tokens: next(drawn))
    done = crystals.generate(3, targets={"density": (density[1], abs(density[0] - density[1]) / 2)}, max_draws=64)
    assert [c.text for c in done.candidates] == [found[1].text]  # the third is its twin at nearly its volume


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"composition": "Xy2"}, "a formula of known elements"),
        ({"chemsys": "Li-P", "composition": "LiP"}, "each says which elements"),
        ({"atoms": "many"}, "no number of atoms"),
        ({"spacegroup": "231"}, "no space group"),
        ({"exclude": "O", "chemsys": "Li-O"}, "asked for and not allowed"),
        ({"flavour": "sweet"}, "no constraint"),
    ],
)
def test_wishes_that_mean_nothing_are_refused(crystals: Model, wishes: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        crystals.generate(1, constraints=wishes)


def test_a_search_keeps_the_composition(crystals: Model) -> None:
    wishes = {"composition": "CaTiO3"}
    objective = Objective.of(minimize="density")
    found = crystals.optimize(objective, budget=40, seed=2, verify=False, constraints=wishes)
    assert found.candidates
    assert {domain().parse(c.text).formula for c in found.candidates} == {"CaTiO3"}


def test_a_search_puts_parts_of_its_draws_together(crystals: Model) -> None:
    codes = crystals.encode(["sg221@aK@bTi@cO|18.22", "sg225@aSr@bS|20.16"])
    found = crystals.invert(codes, draws=80, seed=1)
    assert [f.text for f in found] == [f.text for f in crystals.invert(codes, draws=80, seed=1)]
    assert all(f.draws <= 81 for f in found)
    search = _Search(crystals.sampler, torch.from_numpy(codes), None, None, torch.Generator().manual_seed(0))
    write = crystals.representation.writes
    one, other, longer = (
        write(parse(text)) for text in ("sg221@aK@bTi@cO|18.22", "sg221@aBa@bZr@cS|19.00", "sg47@aN@bMn@dO@fF@gNi|19.11/24.24/24.24")
    )
    best, others = search._parted(one), [search._parted(other), search._parted(longer)]
    assert [len(parts) for parts in (best, *others)] == [5, 5, 7]  # what comes before the first orbit, the orbits, the lattice
    assert [token for part in best for token in part] == one
    for _ in range(30):
        child = search._parted(search._child(best, others[0]))
        assert 1 <= sum(a == c != b for a, b, c in zip(others[0], best, child, strict=True)) <= 2
        assert all(c in (a, b) for a, b, c in zip(others[0], best, child, strict=True))
        mixed = search._parted(search._child(best, others[1]))
        assert any(mixed == [*a[:i], *b[j:]] for a, b in ((best, others[1]), (others[1], best)) for i in range(8) for j in range(8))
