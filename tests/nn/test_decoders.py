"""Decoders: one contract for all kinds, and what each learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from molvae.dataset.batches import pad_tokens
from molvae.errors import MolvaeError
from molvae.nn import precision
from molvae.nn.condition import Budget
from molvae.nn.decoders import Context, Decoder, RecurrentDecoder, _chosen, shift
from molvae.nn.slots import WriteSlots
from molvae.nn.transformer import TransformerDecoder
from molvae.records import TokenBatch
from molvae.tokens import BEGIN, END, PAD
from molvae.train import pick_precision

KINDS = ["gru", "transformer", "slots"]


def decoder_of(budget: bool = True, kind: str = "gru") -> Decoder:
    torch.manual_seed(0)
    spent = Budget(11, 2, 8, rank=3) if budget else None
    slots = WriteSlots(torch.tensor([0, 0, 0, 0, 1, 0, 0, 2, 1, 0, 0]), 8, 4, 12) if kind == "slots" else None
    decoder = (
        RecurrentDecoder(11, 4, 6, 8, 12, layers=2, budget=spent)
        if kind == "gru"
        else TransformerDecoder(11, 4, 6, 8, 12, layers=2, heads=3, budget=spent, slots=slots)
    )
    if spent is not None:
        for p in (spent.ledger.single, spent.ledger.mix, spent.out.weight):
            nn.init.normal_(p, std=0.3)
    if isinstance(decoder, TransformerDecoder):  # its branches are closed at the beginning
        for p in (*decoder.drives.parameters(), *decoder.blocks.parameters(), *(slots.parameters() if slots else ())):
            nn.init.normal_(p, std=0.3)
    return decoder.eval()


def context_of(size: int, targets: torch.Tensor | None = None) -> Context:
    torch.manual_seed(2)
    return Context(torch.randn(size, 4), torch.randn(size, 6), torch.randn(size, 2) if targets is None else targets)


def test_shift_places_the_marks():
    read, write = shift(TokenBatch(torch.tensor([[5, 6, 0], [7, 8, 9]]), torch.tensor([2, 3])))
    assert read.tolist() == [[BEGIN, 5, 6, PAD], [BEGIN, 7, 8, 9]]
    assert write.tolist() == [[5, 6, END, PAD], [7, 8, 9, END]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("budget", [True, False])
def test_quick_products_are_of_the_same_model(budget, kind, monkeypatch):
    """Logits of a running decode with bfloat16 products, rows dropped on the way, are the exact ones but for rounding."""
    monkeypatch.setattr(precision, "computes_in_bfloat16", lambda kind: True)
    decoder, context = decoder_of(budget, kind), context_of(40)
    exact = decoder.stream(context)
    tokens = torch.randint(3, 11, (12, 40), generator=torch.Generator().manual_seed(0))
    tokens[0] = BEGIN
    with precision.quick(context.code.device):
        quick = decoder.stream(context)
    for step in range(12):
        row = tokens[step]
        wanted = exact.step(row)
        with precision.quick(context.code.device):
            found = quick.step(row)
        assert found.dtype == torch.float32
        assert not torch.equal(found, wanted)
        torch.testing.assert_close(found, wanted, rtol=0.05, atol=0.1)
        if step == 5:
            tokens, kept = tokens[:, 10:], torch.arange(40) >= 10
            exact.keep(kept)
            quick.keep(kept)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("budget", [True, False])
def test_drawn_log_likelihood_is_minus_nll(budget, kind):
    """The stepwise draw and the teacher-forced likelihood are the same model, budget and all."""
    decoder = decoder_of(budget, kind)
    context = context_of(40)
    drawn = decoder.draw(context, max_length=60, generator=torch.Generator().manual_seed(0))
    done = [k for k, ended in enumerate(drawn.finished) if ended]
    assert len(done) > 20
    rows = [drawn.tokens[k] for k in done]
    lengths = np.array([len(r) for r in rows])
    batch = pad_tokens(np.concatenate([np.array(r, np.int64) for r in rows]), lengths)
    nll = decoder.nll(context.rows(torch.tensor(done)), batch)
    # Drawing forbids the two marks that a sequence cannot contain, whose mass the likelihood still counts.
    slack = (1 + lengths) * 0.5
    gap = nll.detach().numpy() + np.array([drawn.log_likelihood[k] for k in done])
    assert (gap >= -1e-3).all()
    assert (gap <= slack).all()


def test_tokens_are_drawn_as_often_as_their_probability_says():
    """Held against the multinomial's own variance; what a mask forbids, at either end or between, is never drawn."""
    p = torch.tensor([0.0, 0.3, 0.0, 0.02, 0.43, 0.25, 0.0])
    n = 40_000
    for temperature in (1.0, 2.0):
        wanted = p.sqrt() / p.sqrt().sum() if temperature == 2.0 else p
        tokens = _chosen(p.log().expand(n, -1), temperature, torch.Generator().manual_seed(0))
        seen = torch.bincount(tokens, minlength=7) / n
        assert seen[p == 0].tolist() == [0.0] * 3
        assert ((seen - wanted).abs() <= 4 * (wanted * (1 - wanted) / n).sqrt()).all()
    assert (_chosen(p.log().expand(5, -1), 0.0, None) == 4).all()


def test_probabilities_that_are_not_finite_are_an_error():
    log_p = torch.zeros(3, 5).log_softmax(-1)
    log_p[1] = torch.nan
    with pytest.raises(MolvaeError, match="not finite"):
        _chosen(log_p, 1.0, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", KINDS)
def test_steps_give_the_likelihood_of_whole_sequences(kind):
    decoder, context = decoder_of(kind=kind), context_of(3)
    target = TokenBatch(torch.tensor([[5, 6, 9, 4], [7, 8, 9, 3], [4, 4, 10, 5]]), torch.tensor([4, 4, 4]))
    read, write = shift(target)
    stream = decoder.stream(context)
    total = torch.zeros(3)
    for step in range(5):
        log_p = torch.log_softmax(stream.step(read[:, step]), -1)
        total = total - log_p.gather(1, write[:, step, None]).squeeze(1)
    torch.testing.assert_close(total, decoder.nll(context, target))


@pytest.mark.parametrize("kind", KINDS)
def test_streams_go_on_with_the_rows_that_are_kept(kind):
    decoder, context = decoder_of(kind=kind), context_of(4)
    chosen = torch.tensor([True, False, True, False])
    whole, part = decoder.stream(context), decoder.stream(context)
    first, second = torch.tensor([BEGIN] * 4), torch.tensor([5, 6, 7, 8])
    for stream in (whole, part):
        stream.step(first)
    part.keep(chosen)
    torch.testing.assert_close(part.step(second[chosen]), whole.step(second)[chosen])


class Only:
    """A mask that admits one token after the other, then the end."""

    def __init__(self, tokens, rows):
        self.tokens, self.at, self.rows = tokens, 0, rows

    def allowed(self):
        out = torch.zeros(self.rows, 11, dtype=torch.bool)
        out[:, self.tokens[self.at] if self.at < len(self.tokens) else END] = True
        return out

    def advance(self, tokens):
        assert tokens.shape == (self.rows,)
        self.at += 1

    def keep(self, rows):
        self.rows = int(rows.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_masked_tokens_are_never_drawn(kind):
    drawn = decoder_of(kind=kind).draw(context_of(6), mask=Only([4, 9, 4], 6), guidance=1.0, unconditional=context_of(6))
    assert drawn.tokens == [[4, 9, 4]] * 6
    assert all(drawn.finished)
    assert drawn.log_likelihood == pytest.approx([0.0] * 6, abs=1e-6)


def test_a_transformer_learns_to_copy_and_refuses_odd_widths():
    torch.manual_seed(0)
    decoder = TransformerDecoder(8, 2, 2, 16, 32, layers=2, heads=4)
    tokens = torch.randint(3, 8, (256, 3))
    target = TokenBatch(torch.cat([tokens, tokens], 1), torch.full((256,), 6))
    context = Context(torch.zeros(256, 2), torch.zeros(256, 2), torch.zeros(256, 0))
    optimiser = torch.optim.Adam(decoder.parameters(), 5e-3)
    for _ in range(150):
        optimiser.zero_grad()
        decoder.nll(context, target).mean().backward()
        optimiser.step()
    # What cannot be foreseen are three draws of five tokens.
    assert float(decoder.nll(context, target).mean()) == pytest.approx(3 * math.log(5), abs=0.3)
    with pytest.raises(ValueError, match="even multiple"):
        TransformerDecoder(8, 2, 2, 16, 12, heads=4)


@pytest.mark.parametrize("kind", KINDS)
def test_nll_ignores_padding_and_batch_mates(kind):
    decoder = decoder_of(kind=kind)
    context = context_of(3)
    tokens = torch.tensor([[5, 6, 0, 0], [7, 8, 9, 3], [4, 0, 0, 0]])
    lengths = torch.tensor([2, 4, 1])
    together = decoder.nll(context, TokenBatch(tokens, lengths))
    for k in range(3):
        alone = decoder.nll(context.rows(torch.tensor([k])), TokenBatch(tokens[k : k + 1, : lengths[k]], lengths[k : k + 1]))
        torch.testing.assert_close(alone[0], together[k])


def test_likelihood_of_a_small_language_sums_to_one():
    decoder = RecurrentDecoder(5, 4, 6, 8, 12).eval()
    nn.init.zeros_(decoder.out.weight)
    decoder.out.bias.data = torch.tensor([-1e9, -1e9, 3.0, 0.0, 0.5])
    sequences = [[]]
    for length in range(1, 7):
        sequences += [[3 + (k >> b & 1) for b in range(length)] for k in range(2**length)]
    lengths = np.array([len(s) for s in sequences])
    batch = pad_tokens(np.array([t for s in sequences for t in s], np.int64), lengths)
    count = len(sequences)
    empty = Context(torch.zeros(count, 4), torch.zeros(count, 6), torch.zeros(count, 0))
    total = torch.exp(-decoder.nll(empty, batch)).detach().sum()
    stop = math.exp(3.0) / (math.exp(3.0) + 1 + math.exp(0.5))
    assert float(total) == pytest.approx(1 - (1 - stop) ** 7, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_temperature_zero_is_deterministic_and_seeds_fix_draws(kind):
    decoder, context = decoder_of(kind=kind), context_of(10)
    assert decoder.draw(context, temperature=0.0).tokens == decoder.draw(context, temperature=0.0).tokens
    one, two = (decoder.draw(context, generator=torch.Generator().manual_seed(5)).tokens for _ in range(2))
    assert one == two
    assert one != decoder.draw(context, generator=torch.Generator().manual_seed(6)).tokens


def test_bfloat16_is_taken_where_the_processor_computes_in_it(monkeypatch):
    able = {"avx512_bf16": False, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert not precision.computes_in_bfloat16("cpu")
    assert pick_precision("auto", "cpu") == "32-true"
    with precision.quick(torch.device("cpu")):
        assert not torch.is_autocast_enabled("cpu")
    for name in able:
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda name=name: able | {name: True}, raising=False)
        assert pick_precision("auto", "cpu") == "bf16-mixed"
        assert pick_precision("32-true", "cpu") == "32-true"
        with precision.quick(torch.device("cpu")):
            assert torch.get_autocast_dtype("cpu") == torch.bfloat16
            assert torch.is_autocast_enabled("cpu")
    assert precision.computes_in_bfloat16("cuda")
    assert not precision.computes_in_bfloat16("mps")
