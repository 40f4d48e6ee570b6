"""Oracles and invariances of the neural parts."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from molvae.dataset.batches import Schedule, batch_graphs, pad_tokens
from molvae.nn.condition import Budget, Condition, Ledger
from molvae.nn.encoders import Encoder, GraphEncoder, SequenceEncoder, SequenceTransformer, Views
from molvae.nn.heads import PropertyHead
from molvae.nn.latents import Gaussian, NoiseDial, kl_to_standard_normal
from molvae.nn.ledger import fit_ledger
from molvae.nn.priors import Exemplars, StandardNormal
from molvae.nn.recurrent import GRULayer
from molvae.nn.regularisers import KL, NoRegulariser
from molvae.nn.slots import ReadSlots
from molvae.records import Batch, GraphArrays, Moments, TokenBatch
from molvae.tokens import BEGIN, PAD


def twin_gru(layer: GRULayer) -> nn.GRU:
    twin = nn.GRU(layer.from_input.in_features, layer.hidden, batch_first=True).double()
    with torch.no_grad():
        twin.weight_ih_l0.copy_(layer.from_input.weight)
        twin.bias_ih_l0.copy_(layer.from_input.bias)
        twin.weight_hh_l0.copy_(layer.from_state.weight)
        twin.bias_hh_l0.copy_(layer.from_state.bias)
    return twin


def test_gru_equals_torchs_own_in_values_and_gradients():
    torch.manual_seed(0)
    layer = GRULayer(3, 4).double()
    twin = twin_gru(layer)
    x = torch.randn(2, 5, 3, dtype=torch.double, requires_grad=True)
    h = torch.randn(2, 4, dtype=torch.double, requires_grad=True)
    mine, other = layer(x, h), twin(x, h[None])[0]
    weight = torch.randn_like(mine)
    torch.testing.assert_close(mine, other)
    names = ["from_input.weight", "from_input.bias", "from_state.weight", "from_state.bias"]
    own = torch.autograd.grad((mine * weight).sum(), [x, h, *[dict(layer.named_parameters())[n] for n in names]])
    theirs = torch.autograd.grad((other * weight).sum(), [x, h, twin.weight_ih_l0, twin.bias_ih_l0, twin.weight_hh_l0, twin.bias_hh_l0])
    for a, b in zip(own, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_gru_step_by_step_equals_whole_sequence():
    torch.manual_seed(0)
    layer = GRULayer(3, 4)
    x, state, drive = torch.randn(2, 5, 3), torch.randn(2, 4), torch.randn(2, 12)
    whole = layer(x, state, drive)
    for k in range(5):
        state = layer.cell(layer.from_input(x[:, k]) + drive, state)
        torch.testing.assert_close(whole[:, k], state)


def test_gru_under_bfloat16_autocast_is_close_and_trains():
    torch.manual_seed(0)
    layer = GRULayer(8, 16)
    x, state = torch.randn(4, 6, 8), torch.zeros(4, 16)
    exact = layer(x, state)
    with torch.autocast("cpu", torch.bfloat16):
        rough = layer(x, state)
    assert rough.dtype == torch.float32
    assert (exact - rough).abs().max() < 0.03
    rough.sum().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in layer.parameters())


def reader_of(slots: bool) -> SequenceTransformer:
    """With all weights away from zero."""
    begins = torch.tensor([0, 0, 0, 0, 1, 0, 0, 2, 1, 0, 0])
    reader = SequenceTransformer(11, 8, 5, 1, 2, ReadSlots(begins, 8, 5) if slots else None).eval()
    for parameter in reader.parameters():
        nn.init.normal_(parameter, std=0.3)
    return reader


MAKERS = [(lambda: SequenceEncoder(11, 8, 6, 5).eval(), 5), (lambda: reader_of(False), 5), (lambda: reader_of(True), 10)]


@pytest.mark.parametrize(("make", "features"), MAKERS)
def test_sequence_encoders_ignore_padding(make: Callable[[], nn.Module], features: int) -> None:
    torch.manual_seed(0)
    encoder = make()
    tokens = torch.randint(3, 11, (2, 4))
    short = encoder(TokenBatch(tokens, torch.tensor([4, 2])))
    long = encoder(TokenBatch(torch.cat([tokens, torch.full((2, 3), 7)], 1), torch.tensor([4, 2])))
    assert short.shape == (2, features)
    assert len(short.unique()) == 2 * features
    torch.testing.assert_close(short, long)


def ring(order: np.ndarray) -> GraphArrays:
    """A ring of six nodes with different features, its nodes renumbered."""
    features = np.array([[0, 1], [1, 0], [2, 1], [0, 0], [1, 1], [2, 0]], np.uint8)
    ends = np.array([[k, (k + 1) % 6] for k in range(6)])
    place = np.argsort(order)
    return GraphArrays(features[order], place[ends].astype(np.uint16), np.array([[k % 2] for k in range(6)], np.uint8))


def test_graph_encoder_is_invariant_to_node_order_and_batch_mates():
    torch.manual_seed(0)
    encoder = GraphEncoder((3, 2), (2,), 8, 3, 5).eval()
    rng = np.random.default_rng(0)
    alone = encoder(batch_graphs([ring(np.arange(6))]))
    together = encoder(batch_graphs([ring(rng.permutation(6)) for _ in range(4)]))
    for row in together:
        torch.testing.assert_close(row, alone[0], atol=1e-5, rtol=1e-4)


def tiny_batch(size: int = 6) -> Batch:
    rng = np.random.default_rng(1)
    tokens = pad_tokens(rng.integers(3, 11, 4 * size), np.full(size, 4))
    graphs = batch_graphs([ring(rng.permutation(6)) for _ in range(size)])
    return Batch(size=size, coded=size, source=tokens, graph=graphs, target=tokens, labels=torch.randn(size, 2), written=tokens)


def encoder_of(view_dropout: float, alone: tuple[float, ...], *, written: bool = False) -> Encoder:
    torch.manual_seed(0)
    third = SequenceEncoder(11, 8, 6, 5) if written else None
    return Encoder(4, 5, view_dropout, alone, SequenceEncoder(11, 8, 6, 5), GraphEncoder((3, 2), (2,), 8, 2, 5), third)


def test_views_are_left_out_as_often_as_asked():
    encoder = encoder_of(0.1, (0.2, 0.05, 0.3), written=True).train()
    seen = torch.cat([encoder(tiny_batch(50)).present for _ in range(80)], dim=1)
    for view, alone in enumerate((0.2, 0.05, 0.3)):
        assert float((seen[view] & (seen.sum(0) == 1)).float().mean()) == pytest.approx(alone, abs=0.03)
        assert float((~seen[view] & (seen.sum(0) == 2)).float().mean()) == pytest.approx(0.1, abs=0.03)
    assert float(seen.all(0).float().mean()) == pytest.approx(0.15, abs=0.03)
    assert bool(encoder.eval()(tiny_batch(50)).present.all())
    two = encoder_of(0.0, (0.25, 0.25)).train()
    assert float(two(tiny_batch(4000)).present.all(0).float().mean()) == pytest.approx(0.5, abs=0.03)
    with pytest.raises(ValueError, match="adding up to 1"):
        encoder_of(0.2, (0.4, 0.3))


@pytest.mark.parametrize("latent", [NoiseDial(4), Gaussian(4)], ids=["dial", "gaussian"])
class TestLatents:
    def views(self, count: int = 64) -> Views:
        torch.manual_seed(1)
        return Views(torch.randn(2, count, 4) * 3 + 1, torch.randn(2, count, 4), torch.ones(2, count, dtype=torch.bool))

    def test_shapes_and_finite(self, latent):
        code = latent.train()(self.views(), torch.rand(64))
        assert code.z.shape == code.mode.shape == (64, 4)
        assert code.rate.shape == (64,)
        assert all(bool(torch.isfinite(x).all()) for x in (code.z, code.mode, code.rate, code.aux))
        assert latent.readout(code.z, code.level).shape == (64, 4)

    def test_an_absent_view_does_not_count(self, latent):
        latent.eval()
        views = self.views()
        present = views.present.clone()
        present[1] = False
        changed = Views(torch.stack([views.mean[0], views.mean[1] + 100]), views.log_precision, present)
        a = latent(Views(views.mean, views.log_precision, present), torch.zeros(64)).mode
        torch.testing.assert_close(a, latent(changed, torch.zeros(64)).mode)

    def test_order_of_views_does_not_matter(self, latent):
        latent.eval()
        v = self.views()
        swapped = Views(v.mean.flip(0), v.log_precision.flip(0), v.present)
        torch.testing.assert_close(latent(v, torch.zeros(64)).mode, latent(swapped, torch.zeros(64)).mode)


def test_dial_has_unit_variance_at_every_level_and_is_pure_noise_at_one():
    torch.manual_seed(0)
    dial = NoiseDial(3).train()
    views = Views(torch.randn(1, 20000, 3) * 5 + 2, torch.zeros(1, 20000, 3), torch.ones(1, 20000, dtype=torch.bool))
    for t in (0.0, 0.5, 1.0):
        code = dial(views, torch.full((20000,), t))
        torch.testing.assert_close(code.z.var(0), torch.ones(3), atol=0.05, rtol=0)
        correlation = torch.corrcoef(torch.stack([code.z[:, 0], code.mode[:, 0]]))[0, 1]
        assert float(correlation) == pytest.approx(math.sqrt(1 - t * t), abs=0.02)
        torch.testing.assert_close(dial.readout(code.z, code.level), math.sqrt(1 - t * t) * code.z)
        assert float(code.rate[0]) == pytest.approx(-3 * math.log(max(t, 1e-6)), rel=1e-5)


def test_gaussian_experts_multiply():
    latent = Gaussian(1).eval()
    views = Views(torch.tensor([[[1.0]], [[3.0]]]), torch.log(torch.tensor([[[2.0]], [[5.0]]])), torch.ones(2, 1, dtype=torch.bool))
    moments = latent(views, torch.zeros(1)).moments
    assert float(moments.mean) == pytest.approx((2 * 1 + 5 * 3) / 8)  # the prior is a third expert of precision 1 at 0
    assert float(moments.log_variance.exp()) == pytest.approx(1 / 8)


def test_kl_equals_its_monte_carlo_estimate():
    torch.manual_seed(0)
    moments = Moments(torch.tensor([[0.7, -1.2]]), torch.log(torch.tensor([[0.3, 1.7]])))
    q = torch.distributions.Normal(moments.mean, (0.5 * moments.log_variance).exp())
    z = q.sample((400_000,))
    estimate = (q.log_prob(z) - torch.distributions.Normal(0, 1).log_prob(z)).mean(0)
    torch.testing.assert_close(kl_to_standard_normal(moments), estimate, atol=0.01, rtol=0)


def test_kl_schedules_and_free_bits():
    assert KL(2.0, "constant").weight(0.0) == 2.0
    assert KL(2.0, "linear", warmup=0.5).weight(0.25) == pytest.approx(1.0)
    cyclic = KL(2.0, "cyclic", cycles=2)
    assert [cyclic.weight(p) for p in (0.0, 0.125, 0.25, 0.4, 0.5, 1.0)] == pytest.approx([0.0, 1.0, 2.0, 2.0, 0.0, 2.0])
    with pytest.raises(ValueError, match="unknown schedule"):
        KL(1.0, "sawtooth")
    latent = Gaussian(2).eval()
    views = Views(torch.zeros(1, 3, 2), torch.full((1, 3, 2), -20.0), torch.ones(1, 3, dtype=torch.bool))
    code = latent(views, torch.zeros(3))
    assert float(KL(1.0, "constant", free_bits=0.25)(code, code.z, 0.5)) == pytest.approx(0.5)
    assert float(NoRegulariser()(code, code.z, 0.5)) == 0.0
    dial = NoiseDial(2).eval()(views, torch.zeros(3))
    with pytest.raises(ValueError, match="needs a latent with moments"):
        KL(1.0)(dial, dial.z, 0.0)


def test_unset_targets_do_not_depend_on_anything_and_set_ones_matter():
    torch.manual_seed(0)
    condition = Condition(2, 8)
    level = torch.full((1,), 0.5)
    nan = torch.nan
    unset = condition(torch.tensor([[nan, nan]]), level)
    first = condition(torch.tensor([[1.0, nan]]), level)
    both = condition(torch.tensor([[1.0, 0.0]]), level)
    assert not torch.allclose(unset, first)
    assert not torch.allclose(first, both)
    assert bool(torch.isfinite(torch.stack([unset, first, both])).all())


def test_budget_is_silent_where_targets_are_unset():
    budget = Budget(11, 2, 8)
    nn.init.normal_(budget.out.weight)
    tokens = torch.tensor([[BEGIN, 4, 5]])
    assert float(budget(tokens, torch.full((1, 2), torch.nan)).abs().max()) == 0.0
    assert float(budget(tokens, torch.tensor([[1.0, torch.nan]])).abs().max()) > 0.0


def test_ledger_learns_additive_labels_exactly_and_pairs_better_than_counts():
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 9, 4000)
    tokens = pad_tokens(rng.integers(3, 11, lengths.sum()), lengths)
    values = torch.randn(11, generator=torch.Generator().manual_seed(0))
    real = tokens.tokens != PAD
    additive = (values[tokens.tokens] * real).sum(1)
    pairs = ((tokens.tokens[:, :-1] == 4) & (tokens.tokens[:, 1:] == 5)).float().sum(1) + 0.1 * additive
    labels = torch.stack([additive, pairs], 1)
    labels = (labels - labels.mean(0)) / labels.std(0)
    labels[::7, 0] = torch.nan
    ledger = Ledger(11, 2, 4)
    scores = fit_ledger(ledger, tokens, labels, steps=400)
    assert scores[0] > 0.999
    assert scores[1] > 0.9
    assert not any(p.requires_grad for p in ledger.parameters())


def test_ledger_steps_sum_to_its_whole():
    torch.manual_seed(0)
    ledger = Ledger(11, 2, 3)
    for p in ledger.parameters():
        nn.init.normal_(p)
    tokens = torch.tensor([[BEGIN, 4, 7, 5]])
    total = ledger.start.clone()
    for before, after in zip(tokens[0, :-1], tokens[0, 1:], strict=True):
        total = total + ledger.step(before[None], after[None])[0]
    torch.testing.assert_close(total, ledger(tokens, tokens != PAD)[0])


def test_heads_learn_mean_and_spread_and_ignore_unknown_labels():
    torch.manual_seed(0)
    head = PropertyHead(2, 2, 32, 1)
    z = torch.randn(4000, 2)
    labels = torch.stack([z[:, 0] + 0.3 * torch.randn(4000), torch.full((4000,), torch.nan)], 1)
    optimiser = torch.optim.Adam(head.parameters(), 3e-3)
    for _ in range(300):
        optimiser.zero_grad()
        head.loss(z, labels).backward()
        optimiser.step()
    mean, std = head(z)
    assert float((mean[:, 0] - z[:, 0]).abs().mean()) < 0.08
    assert float(std[:, 0].mean()) == pytest.approx(0.3, abs=0.05)


def test_heads_read_the_leading_dimensions_alone():
    torch.manual_seed(0)
    head, z = PropertyHead(3, 2, 32, 1), torch.randn(6, 5)
    torch.testing.assert_close(head(z), head(torch.cat([z[:, :3], torch.randn(6, 2)], 1)))
    assert not torch.equal(head(z)[0], head(z + 1.0)[0])


def test_exemplars_near_the_target_are_chosen_and_noised():
    torch.manual_seed(0)
    labels = torch.linspace(-2, 2, 1000)[:, None]
    prior = Exemplars(labels.repeat(1, 3), labels, bandwidth=0.05, least=20)
    targets = torch.full((500, 1), 1.0)
    chosen = labels[prior.choose(targets, torch.Generator().manual_seed(0))]
    assert float((chosen - 1.0).abs().max()) < 0.2
    z = prior.sample(targets, torch.full((500,), 0.6), torch.Generator().manual_seed(0))
    assert float(z.mean()) == pytest.approx(0.8, abs=0.05)
    anywhere = labels[prior.choose(torch.full((500, 1), torch.nan), torch.Generator().manual_seed(0))]
    assert float(anywhere.std()) > 1.0


def test_standard_normal_density():
    z = torch.randn(5, 3)
    expected = torch.distributions.Normal(0, 1).log_prob(z).sum(1)
    torch.testing.assert_close(StandardNormal(3).log_prob(z), expected)


class TestSchedule:
    def schedule(self, rows: int = 1000, size: int = 32) -> Schedule:
        rng = np.random.default_rng(0)
        return Schedule(np.arange(rows) * 3, rng.integers(1, 50, rows), size, seed=7)

    def test_each_epoch_uses_a_row_at_most_once_in_whole_batches(self):
        batches = self.schedule().epoch(3)
        rows = np.concatenate(batches)
        assert len(batches) == 1000 // 32
        assert all(len(b) == 32 for b in batches)
        assert len(np.unique(rows)) == len(rows)

    def test_starting_later_is_the_same_order(self):
        schedule = self.schedule()
        walk = schedule.start(0)
        first = [next(walk) for _ in range(80)]
        later = schedule.start(45)
        for expected in first[45:]:
            np.testing.assert_array_equal(next(later), expected)

    def test_a_set_smaller_than_a_batch_gives_one_batch(self):
        assert [len(b) for b in self.schedule(10, 32).epoch(0)] == [10]

    def test_batches_carry_little_padding(self):
        schedule = self.schedule(20000, 32)
        lengths = dict(zip(schedule.rows.tolist(), schedule.lengths.tolist(), strict=True))
        batches = [[lengths[r] for r in b.tolist()] for b in schedule.epoch(0)]
        waste = 1 - sum(map(sum, batches)) / sum(max(b) * len(b) for b in batches)
        assert waste < 0.05
