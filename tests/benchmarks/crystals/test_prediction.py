"""Candidates of structure prediction have what was asked, and nothing else is fixed."""

from __future__ import annotations

from pathlib import Path

import molvae
from benchmarks.crystals.matching import match_at
from benchmarks.crystals.prediction import candidates, delivered
from molvae.domains.crystals.structure import parse
from molvae.rank import log_density


def test_candidates_have_the_composition_and_the_atoms(crystal_run: Path) -> None:
    model = molvae.load(crystal_run)
    true = [parse("sg221@aTi@bSr@cO|19.30"), parse("sg225@aNa@bCl|22.00")]
    found = candidates(model, true, 4, seed=0)
    assert [len(row) for row in found] == [4, 4]
    for one, row in zip(true, found, strict=True):
        ended = [c for c in row if c is not None]
        assert ended
        assert {(c.formula, len(c.primitive.numbers)) for c in ended} == {(one.formula, len(one.primitive.numbers))}
    assert [[c and c.text for c in row] for row in candidates(model, true, 4, seed=0)] == [[c and c.text for c in row] for row in found]
    rates = match_at(found, true, (1, 4))
    assert rates[4].ungated.rate >= rates[1].ungated.rate


def test_what_is_delivered_passes_and_is_ranked(crystal_run: Path) -> None:
    model = molvae.load(crystal_run)
    true = [parse("sg221@aTi@bSr@cO|19.30")]
    (found,) = delivered(model, true, 6, seed=0)
    assert len(found) == 6
    some = [one for one in found if one is not None]
    assert found[: len(some)] == some
    assert {(c.formula, len(c.primitive.numbers)) for c in some} <= {("SrTiO3", 5)}
    assert all(model.validator.verdict(c).ok for c in some)
    density = log_density(model.vae, model.representation, [c.text for c in some], model.sampler.unset(1)[0])
    assert density == sorted(density, reverse=True)
