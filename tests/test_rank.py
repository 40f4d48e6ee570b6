"""The order of candidates: by the model's density, whatever rules their draws obeyed, with leeway for digits."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import molvae
from molvae.api import Model
from molvae.dataset.batches import pad_rows
from molvae.domains.crystals.wyckoff import leeway
from molvae.errors import UsageError
from molvae.rank import AMONG, COLUMN, log_density, ranked
from molvae.records import Candidate
from tests.fixtures_model import tiny_smiles


@pytest.fixture(scope="module")
def crystals(crystal_run: Path) -> Model:
    return molvae.load(crystal_run)


def test_the_density_of_a_molecule_is_its_likelihood(model: Model) -> None:
    texts = list(tiny_smiles())[:7]
    records = [model.domain.parse(text) for text in texts]
    z = torch.randn(7, model.vae.latent.width, generator=torch.Generator().manual_seed(0))
    targets = model.sampler.unset(1)[0]
    targets[0] = 0.5
    with torch.no_grad():
        nats = model.vae.nll(z, 1.0, pad_rows([model.representation.writes(one) for one in records]), targets.expand(7, -1))
    assert log_density(model.vae, model.representation, texts, targets) == pytest.approx((-nats).tolist(), abs=1e-4)
    assert log_density(model.vae, model.representation, [], targets) == []


def test_leeway_counts_the_numbers() -> None:
    assert leeway("sg221@aTi@bSr@cO|19.30") == pytest.approx(math.log(48))
    assert leeway("sg139@aSr@eO:07.24@eTi:10.00|20.11/24.24") == pytest.approx(4 * math.log(48))


def test_crystals_have_leeway(crystals: Model) -> None:
    texts = ["sg221@aTi@bSr@cO|19.30", "sg225@aNa@bCl|22.00", "sg140@aO@bTi@dSr@hO:10.41|21.35/26.41"]
    density = log_density(crystals.vae, crystals.representation, texts, crystals.sampler.unset(1)[0])
    likelihood = crystals.sampler.log_likelihood(texts)
    assert [d - p for d, p in zip(density, likelihood, strict=True)] == pytest.approx([leeway(text) for text in texts], abs=1e-4)


def test_ranked_keeps_everything_and_puts_the_unknown_last(model: Model) -> None:
    foreign = Candidate("CC[Se]C", "CC[Se]C", molvae.load(model.path).describe("CC").verdict)
    some = [foreign, *model.generate(12, seed=3).candidates]
    found = ranked(model.vae, model.representation, some, model.sampler.unset(1)[0])
    values = [float(c.extra[COLUMN]) for c in found]
    assert sorted(c.text for c in found) == sorted(c.text for c in some)
    assert values[:-1] == sorted(values[:-1], reverse=True)
    assert found[-1].text == "CC[Se]C"
    assert math.isnan(values[-1])


def test_the_likely_ones_come_first_where_asked(model: Model) -> None:
    drawn, likely = (model.generate(30, seed=5, rank=rank).candidates for rank in ("drawn", "likely"))
    assert [c.text for c in drawn] == [c.text for c in model.generate(30, seed=5).candidates]
    assert {c.text for c in likely} == {c.text for c in drawn}
    values = [float(c.extra[COLUMN]) for c in likely]
    assert values == sorted(values, reverse=True)
    assert not any(COLUMN in c.extra for c in drawn)
    # Of fewer, the best of the first so many.
    few = model.generate(3, seed=5, rank="likely").candidates
    first = model.generate(AMONG, seed=5, rank="likely").candidates
    assert [c.text for c in few] == [c.text for c in first[:3]]


def test_targets_count_in_the_order(model: Model) -> None:
    found = model.generate(10, seed=1, targets={"logp": (2.0, 1.0)}, rank="likely").candidates
    targets = model.sampler.unset(1)
    targets[0, model.properties.index("logp")] = 2.0
    density = log_density(model.vae, model.representation, [c.text for c in found], model.vae.standardise(targets)[0])
    assert [c.extra[COLUMN] for c in found] == pytest.approx(density, abs=1e-4)
    assert density == sorted(density, reverse=True)


def test_under_constraints_the_likely_ones_come_first(crystals: Model) -> None:
    wishes = {"chemsys": "Sr-Ti-O"}
    found = crystals.generate(5, seed=2, constraints=wishes)
    assert found.candidates
    assert all(COLUMN in c.extra for c in found.candidates)
    assert not any(COLUMN in c.extra for c in crystals.generate(5, seed=2, constraints=wishes, rank="drawn").candidates)


def test_an_unknown_order_is_refused(model: Model) -> None:
    with pytest.raises(UsageError, match="rank is 'best'; wanted 'drawn', as they come, or 'likely'"):
        model.generate(2, rank="best")
