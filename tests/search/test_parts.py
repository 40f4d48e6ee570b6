"""Parts of the search: ranking, moves, surrogate, tuning."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import molvae
from molvae.dataset.batches import pad_rows
from molvae.search.moves import MOVES, Mover, Shares
from molvae.search.pool import Pool, Scored, labelled, rank_weights
from molvae.search.surrogate import NOISE, TanimotoGP, tanimoto
from molvae.search.trials import code_at, point, space
from molvae.search.tune import Tuner


def scored(name: str, rank: float, call: int, group: str = "") -> Scored:
    return Scored(name, name, rank, rank, call=1 + call, group=group)


class TestPool:
    def test_ranks_best_first_and_leaves_out_the_unknown(self):
        pool = Pool()
        pool.add([scored("a", 0.2, 1), scored("b", math.nan, 2), scored("c", 0.9, 3), scored("d", 0.2, 4)])
        pool.add([scored("a", 5.0, 9)])
        assert [s.text for s in pool.ranked()] == ["c", "a", "d"]
        assert "b" in pool
        assert len(pool) == 4
        assert pool.threshold(2) == 0.2
        assert pool.threshold(9) == -math.inf
        assert pool.top_mean(2) == pytest.approx(0.55)

    def test_no_family_fills_the_elite(self):
        pool = Pool()
        pool.add([scored(f"x{k}", 10 - k, k, "x") for k in range(5)] + [scored("y", 1.0, 9, "y"), scored("none", 0.5, 10)])
        assert [s.text for s in pool.elites(4, per_group=2)] == ["x0", "x1", "y", "none"]

    def test_a_score_that_most_records_share_makes_no_elite(self):
        pool = Pool()
        pool.add([scored(f"nothing {k}", 0.0, k) for k in range(10)])
        assert pool.elites(9, per_group=10) == []
        pool.add([scored("found", 0.1, 11)])
        assert [s.text for s in pool.elites(9, per_group=10)] == ["found"]
        assert len(pool.elites(10, per_group=11)) == 10

    def test_what_nearly_holds_a_constraint_follows_what_does(self):
        pool = Pool()
        missed = [
            replace(scored(f"misses by {v}", math.nan, k), violations=(v, -1.0)) for k, v in enumerate((0.5, math.inf, 0.1, 0.5, math.inf))
        ]
        pool.add([*missed, scored("holds", 0.2, 7)])
        assert [s.text for s in pool.elites(10, per_group=10)] == ["holds", "misses by 0.1", "misses by 0.5"]
        assert [s.text for s in pool.elites(1, per_group=10)] == ["holds"]
        assert [s.text for s in pool.ranked()] == ["holds"]

    def test_a_surrogate_sees_the_best_and_the_newest(self):
        pool = Pool()
        pool.add([scored(str(k), -k, k) for k in range(10)])
        assert {s.text for s in labelled(pool, newest=2, best=3)} == {"0", "1", "2", "8", "9"}


def test_rank_weights_fall_and_sum_to_one():
    weights = rank_weights(50)
    assert float(weights.sum()) == pytest.approx(1.0)
    assert bool((weights.diff() < 0).all())
    assert float(weights[0] / weights[1]) == pytest.approx((0.02 * 50 + 1) / (0.02 * 50))


def test_shares_follow_success_and_forget_none():
    shares = Shares(4)
    assert shares.shares().sum() == pytest.approx(1.0)
    for _ in range(30):
        shares.learn(np.array([50.0, 50, 50, 50]), np.array([10.0, 1, 1, 1]))
    found = shares.shares()
    assert found.sum() == pytest.approx(1.0)
    assert found[0] > 0.6
    assert found.min() >= 0.02


def test_tanimoto_of_bits_is_shared_over_either():
    a, b = np.array([[1, 1, 0, 1]], np.float32), np.array([[1, 0, 1, 1], [1, 1, 0, 1], [0, 0, 1, 0]], np.float32)
    assert tanimoto(a, b)[0] == pytest.approx([0.5, 1.0, 0.0])


def test_the_process_interpolates_and_doubts_what_is_far():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (60, 40)).astype(np.float32)
    y = x[:, 0] + 0.5 * x[:, 1]
    gp = TanimotoGP(x[:50], y[:50])
    # The closed form of the posterior, written out.
    kernel = tanimoto(x[:50], x[:50]).astype(np.float64) + NOISE * np.eye(50)
    cross = tanimoto(x[50:], x[:50]).astype(np.float64)
    mean, std = gp.predict(x[50:])
    assert mean == pytest.approx(cross @ np.linalg.solve(kernel, gp.y))
    assert std**2 == pytest.approx(1.0 - np.einsum("ij,ji->i", cross, np.linalg.solve(kernel, cross.T)), abs=1e-5)
    near, far = gp.predict(np.stack([x[0], np.zeros(40, np.float32)]))[1]
    assert near < 0.3 < 0.9 < far
    assert np.corrcoef(gp.predict(x[:50])[0], y[:50])[0, 1] > 0.9


def test_moves_propose_valid_new_records_repeatably(model: molvae.Model):
    def proposals() -> list[str]:
        mover = Mover(model.sampler, torch.Generator().manual_seed(4))
        batch = model.representation.targets([model.domain.parse(t) for t in ("Cc1ccc(OC)cc1CC", "CCCCN")])
        elites = [row[:n].tolist() for row, n in zip(batch.tokens, batch.lengths.tolist(), strict=True)]
        pool = Pool()
        pool.add([scored("Cc1ccccc1", 0.5, 3)])
        found = mover.propose(pool, elites, torch.randn(2, 16, generator=torch.Generator().manual_seed(1)), 300, set())
        assert mover.counts["drawn"] == 300 == mover.drawn.sum()
        assert mover.counts["drawn"] >= mover.counts["valid"] >= mover.counts["new"] == len(found)
        return [p.text for p in found]

    found = proposals()
    assert found == proposals()  # with what was read before kept or not
    assert len(set(found)) == len(found) > 10
    assert "Cc1ccccc1" not in found
    assert all(model.domain.write(model.domain.parse(text)) == text for text in found)


def test_grown_sequences_begin_as_an_elite_does(model: molvae.Model):
    (target,) = model.representation.targets([model.domain.parse("Cc1ccc(OC)cc1CC")]).tokens.tolist()
    given = pad_rows([[], target[:2], target])
    for temperature in (0.0, 1.0):
        drawn = model.sampler.draw(
            torch.zeros(3, 16),
            torch.ones(3),
            torch.full((3, len(model.representation.labels.names)), torch.nan),
            temperature,
            0.0,
            torch.Generator().manual_seed(0),
            given,
        )
        assert drawn.tokens[1][:2] == target[:2]
        assert drawn.tokens[2][: len(target)] == target
    text = model.domain.write(model.representation.record(target))
    assert text == "CCc1cc(OC)ccc1C"


def test_before_there_are_elites_all_comes_from_the_prior(model: molvae.Model):
    mover = Mover(model.sampler, torch.Generator().manual_seed(4))
    found = mover.propose(Pool(), [], torch.zeros(0, 16), 64, set())
    assert {MOVES[p.move].kind for p in found} == {"prior"}


def test_tuning_raises_the_likelihood_of_elites_in_a_copy(model: molvae.Model):
    before = {k: v.clone() for k, v in model.vae.state_dict().items()}
    texts = ["Cc1ccc(OC)cc1CC", "Cc1ccccc1"]
    batch = model.representation.targets([model.domain.parse(t) for t in texts])
    tokens = [row[:n].tolist() for row, n in zip(batch.tokens, batch.lengths.tolist(), strict=True)]
    codes = torch.from_numpy(model.encode(texts))
    tuner = Tuner(model.vae, 3e-3, torch.Generator().manual_seed(0))
    tuner.remember(64)
    z = torch.zeros(2, 16)
    first = float(tuner.model.nll(z, 1.0, batch).mean())
    tuner.step(tokens, codes, 20)
    assert float(tuner.model.nll(z, 1.0, batch).mean()) < first - 0.5
    assert all(torch.equal(v, before[k]) for k, v in model.vae.state_dict().items())
    tuner.reset()
    assert float(tuner.model.nll(z, 1.0, batch).mean()) == pytest.approx(first, abs=1e-5)


def test_nothing_longer_than_the_model_itself_writes_is_drawn_while_tuning(model: molvae.Model):
    tuner = Tuner(model.vae, 3e-3, torch.Generator().manual_seed(0))
    tuner.remember(512)
    longest = max(len(ids) for ids in tuner.replay)
    assert longest < tuner.model.longest == round(1.5 * longest) + 1 < model.vae.longest
    (long,) = model.representation.targets([model.domain.parse("C" * 60)]).tokens.tolist()
    assert len(long) >= tuner.model.longest
    for given, ended in ((tuner.replay[0], True), (long, False)):
        drawn = tuner.model.draw(torch.zeros(1, 16), 1.0, temperature=0.0, prefix=pad_rows([given]))
        assert drawn.finished == [ended]
    # Records that the user brings along may be longer.
    other = Tuner(model.vae, 3e-3, torch.Generator().manual_seed(0))
    other.remember(512, len(long))
    assert other.model.longest == min(model.vae.longest, round(1.5 * len(long)) + 1) > len(long)


def test_codes_are_quantiles_of_the_prior_in_the_search_space():
    z = torch.tensor([0.0, 1.0, -2.5, 9.0])
    found = point(z)
    assert list(found) == list(space(4))
    assert list(found.values())[:3] == pytest.approx([0.5, 0.8413447, 0.0062097], abs=1e-6)
    assert code_at(found)[:3].tolist() == pytest.approx([0.0, 1.0, -2.5], abs=1e-5)
    assert 4.2 < float(code_at(found)[3]) < 4.3
    even = code_at({f"u{k}": v for k, v in enumerate(torch.rand(5000, generator=torch.Generator().manual_seed(0)).tolist())})
    assert (float(even.mean()), float(even.std())) == pytest.approx((0.0, 1.0), abs=0.05)
