"""Slots of a sentence, told alike for whole strings and for those being written; and training computes what drawing does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from molvae import build
from molvae.config import override
from molvae.dataset.batches import batch_graphs
from molvae.domains.crystals.structure import of_structure
from molvae.errors import ConfigError
from molvae.nn.attention import MOST, attending, rounded
from molvae.nn.decoders import Context
from molvae.nn.encoders import Encoder, GraphEncoder, SequenceTransformer
from molvae.nn.slots import NARROW, PARTS, PLACES, SLOTS, ReadSlots, Slots, Told, WriteSlots
from molvae.nn.transformer import Block, TransformerDecoder
from molvae.records import Batch, GraphArrays, TokenBatch
from molvae.representation import Labels, Representation
from molvae.tokens import SymbolBPE
from tests.domains.crystals.prototypes import PROTOTYPES

BEGINS = torch.tensor([0, 0, 0, 1, 0, 0, 0, 2])
"""Token 3 begins a part, token 7 the closing one."""


def addressed(rows: list[list[int]]) -> list[list[tuple[int, int]]]:
    """Part and place of each token, counted one by one."""
    found = []
    for row in rows:
        part, place, closing, seen = 0, -1, False, []
        for token in row:
            part, place = (part + 1, 0) if token in (3, 7) else (part, place + 1)
            closing = closing or token == 7
            seen.append((PARTS - 1 if closing else min(part, PARTS - 2), min(place, PLACES - 1)))
        found.append(seen)
    return found


sentences = st.integers(1, 60).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, 7), min_size=size, max_size=size), min_size=1, max_size=4)
)


@given(sentences)
def test_slots_are_counted_from_the_last_beginning(rows: list[list[int]]) -> None:
    slot = Slots(BEGINS, 2).of(torch.tensor(rows))
    assert [[divmod(one, PLACES) for one in row] for row in slot.tolist()] == addressed(rows)


@given(sentences)
def test_a_sentence_being_written_is_told_what_a_whole_one_is(rows: list[list[int]]) -> None:
    torch.manual_seed(0)
    slots, tokens, code = WriteSlots(BEGINS, 2, 3, 4), torch.tensor(rows), torch.randn(len(rows), 3)
    for parameter in slots.parameters():
        nn.init.normal_(parameter)
    where, said = slots(tokens, code)
    told, kept = Told(slots, code), torch.arange(len(rows)) % 2 == 0
    half = tokens.shape[1] // 2
    for k in range(half):
        torch.testing.assert_close(told.step(tokens[:, k]), (where[:, k], said[:, k]))
    told.keep(kept)
    for k in range(half, tokens.shape[1]):
        torch.testing.assert_close(told.step(tokens[kept, k]), (where[kept, k], said[kept, k]))


def test_what_stands_in_a_slot_is_read_from_it_alone() -> None:
    torch.manual_seed(0)
    slots, tokens = ReadSlots(BEGINS, 4, SLOTS * NARROW), torch.tensor([[2, 3, 4, 7], [5, 6, 0, 0]])
    x, real = torch.randn(2, 4, 4), torch.tensor([[True] * 4, [True, True, False, False]])[..., None]
    assert not slots.read(x, slots.of(tokens), real).any()
    with torch.no_grad():
        slots.out.weight.copy_(torch.eye(SLOTS * NARROW))
    table = slots.read(x, slots.of(tokens), real).view(2, PARTS, PLACES, NARROW)
    inside = slots.narrow(x)
    torch.testing.assert_close(table[0, 0, 0], inside[0, 0])
    torch.testing.assert_close(table[0, 1, :2], inside[0, 1:3])
    torch.testing.assert_close(table[0, PARTS - 1, 0], inside[0, 3])
    torch.testing.assert_close(table[1, 0, :2], inside[1, :2])
    assert int((table != 0).any(-1).sum()) == 6


def test_the_orbits_and_the_lattice_of_a_crystal_are_parts() -> None:
    domain = build.domain("crystals")
    view = domain.sequences["wyckoff"]
    bpe = SymbolBPE(view.alphabet, ())
    representation = Representation(domain, view, bpe, view, bpe, Labels(("density",), {}), ("sequence", "graph"))
    decoder = build.vae(override(build.usual("crystals"), {"condition.properties": ["density"]}), representation).decoder
    record = of_structure(PROTOTYPES["perovskite"]())
    kinds = decoder.slots.begins[representation.writes(record)].tolist()
    begun = [(symbol, kind) for symbol, kind in zip(view.symbols(view.write(record)), kinds, strict=True) if kind]
    assert begun == [("@a", 1), ("@b", 1), ("@d", 1), ("|19", 2)]


def test_strings_without_parts_refuse_them() -> None:
    domain = build.domain("molecules")
    view = domain.sequences["selfies"]
    bpe = SymbolBPE(["[C]"], ())
    representation = Representation(domain, view, bpe, view, bpe, Labels(("logp",), {}), ("sequence",))
    values = {"encoder.views": ["sequence"], "encoder.sequence_kind": "transformer", "condition.properties": ["logp"]}
    for wish in ({"encoder.sequence_slots": True, "latent.summary": 8}, {"decoder.slots": True}):
        config = override(build.usual("molecules"), {**values, "decoder.kind": "transformer", **wish})
        with pytest.raises(ConfigError, match="'selfies' is not made of parts"):
            build.vae(config, representation)


def test_attention_says_the_same_with_gradients_and_without() -> None:
    torch.manual_seed(0)
    block = Block(8, 2, 0.0)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    x, drive = torch.randn(3, 5, 8), torch.randn(3, 1, 32)
    with torch.no_grad():
        fused, _ = block(x, drive, None)
    plain, _ = block(x, drive, None)
    assert plain.requires_grad
    torch.testing.assert_close(plain, fused)


def test_only_short_sequences_in_training_keep_the_weights_of_attention() -> None:
    def math_alone(x: torch.Tensor) -> bool:
        with attending(x):
            return not torch.backends.cuda.flash_sdp_enabled()

    assert math_alone(torch.zeros(2, 3, 4))
    assert not math_alone(torch.zeros(2, int((MOST / 2) ** 0.5) + 1, 1))
    with torch.no_grad():
        assert not math_alone(torch.zeros(2, 3, 4))
    assert torch.backends.cuda.flash_sdp_enabled()


def test_widths_that_recur_where_a_processor_trains_in_bfloat16() -> None:
    def width(size: int) -> int:
        return rounded(torch.zeros(2, size, dtype=torch.long)).shape[1]

    assert width(5) == 5
    with torch.autocast("cpu", torch.bfloat16):
        assert [width(size) for size in (1, 5, 8, 64, 65, 97)] == [8, 8, 8, 64, 96, 128]
        with torch.no_grad():
            assert width(5) == 5


def test_what_is_read_by_slots_leaves_the_summary_alone() -> None:
    torch.manual_seed(0)
    reader = SequenceTransformer(8, 8, 5, 1, 2, ReadSlots(BEGINS, 8, 5))
    graph = GraphEncoder((3,), (2,), 8, 2, 5)
    encoder = Encoder(6, 5, 0.0, (0.3, 0.3), reader, graph, summary=2).eval()
    tokens = TokenBatch(torch.tensor([[4, 3, 5, 7, 6], [5, 3, 4, 3, 3]]), torch.tensor([5, 5]))
    batch = Batch(size=2, coded=2, source=tokens, graph=None, target=None, labels=torch.zeros(2, 0))
    before = encoder(batch)
    assert before.mean.shape == (2, 2, 6)
    assert before.present.tolist() == [[True] * 2, [False] * 2]
    nn.init.normal_(reader.slots.out.weight)
    after = encoder(batch)
    for one, other in ((before.mean, after.mean), (before.log_precision, after.log_precision)):
        torch.testing.assert_close(one[0, :, :2], other[0, :, :2])
        assert not (one[0, :, 2:] == other[0, :, 2:]).any()
    nn.init.normal_(reader.out[0].weight)
    last = encoder(batch)
    assert not (last.mean[0, :, :2] == after.mean[0, :, :2]).any()
    torch.testing.assert_close(last.mean[0, :, 2:], after.mean[0, :, 2:])


@pytest.mark.parametrize(("slots", "summary"), [(True, 0), (False, 32), (True, 128)])
def test_slots_and_a_summary_come_together(slots: bool, summary: int) -> None:
    with pytest.raises(ConfigError, match=f"latent.summary is {summary} of 128 dimensions, encoder.sequence_slots {slots}"):
        override(build.usual("crystals"), {"encoder.sequence_slots": slots, "latent.summary": summary})


@pytest.mark.parametrize("slots", [False, True])
def test_a_transformer_says_the_same_in_training_and_outside(slots: bool) -> None:
    torch.manual_seed(0)
    decoder = TransformerDecoder(8, 3, 2, 6, 8, heads=2, slots=WriteSlots(BEGINS, 6, 3, 8) if slots else None)
    encoder = SequenceTransformer(8, 8, 5, 2, 2, ReadSlots(BEGINS, 8, 5) if slots else None)
    for parameter in (*decoder.parameters(), *encoder.parameters()):
        nn.init.normal_(parameter, std=0.3)
    tokens = TokenBatch(torch.tensor([[4, 3, 5, 7, 6], [5, 3, 0, 0, 0]]), torch.tensor([5, 2]))
    context = Context(torch.randn(2, 3), torch.randn(2, 2), torch.zeros(2, 0))
    with torch.no_grad():
        outside = decoder.nll(context, tokens), encoder(tokens)
    torch.testing.assert_close((decoder.nll(context, tokens), encoder(tokens)), outside)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close((decoder.nll(context, tokens), encoder(tokens).float()), outside, atol=0.05, rtol=0.05)


def test_a_further_layer_leaves_a_reader_as_it_was() -> None:
    torch.manual_seed(0)
    tokens = TokenBatch(torch.randint(3, 8, (3, 6)), torch.tensor([6, 4, 2]))
    small, large = SequenceTransformer(8, 8, 5, 1, 2).eval(), SequenceTransformer(8, 8, 5, 3, 2).eval()
    for parameter in small.parameters():
        nn.init.normal_(parameter, std=0.3)
    assert not large.load_state_dict(small.state_dict(), strict=False).unexpected_keys
    torch.testing.assert_close(large(tokens), small(tokens))


def test_graphs_are_read_in_float32_on_a_processor() -> None:
    torch.manual_seed(0)
    encoder = GraphEncoder((3,), (2,), 8, 2, 5)
    ends = np.array([[0, 1], [1, 2]], np.uint16)
    graph = batch_graphs([GraphArrays(np.array([[0], [1], [2]], np.uint8), ends, np.zeros((2, 1), np.uint8))])
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(encoder(graph), encoder._read(graph).float(), atol=0.05, rtol=0.05)
        assert encoder(graph).dtype == torch.float32


@pytest.mark.parametrize(("wish", "kind"), [("encoder.sequence_slots", "encoder.sequence_kind"), ("decoder.slots", "decoder.kind")])
def test_slots_want_a_transformer(wish: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"{wish} is set, and a gru has none; set {kind} = 'transformer'"):
        override(build.usual("crystals"), {kind: "gru", "encoder.sequence_slots": False, "decoder.slots": False, wish: True})


def test_practice_by_strings_alone_wants_their_encoder() -> None:
    with pytest.raises(ConfigError, match=r"encoder\.views has no 'sequence'"):
        override(build.usual("crystals"), {"encoder.views": ["graph"]})
