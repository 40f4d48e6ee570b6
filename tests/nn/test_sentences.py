"""Parts of a sentence: told alike for whole strings and for those being written; attention computed either way says the same."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from molvae import build
from molvae.config import override
from molvae.domains.crystals.structure import of_structure
from molvae.errors import ConfigError
from molvae.nn.attention import MOST, attending
from molvae.nn.parts import Counted, Parts
from molvae.nn.transformer import Block
from molvae.representation import Labels, Representation
from molvae.tokens import BEGIN, SymbolBPE
from tests.domains.crystals.prototypes import PROTOTYPES


def parts_of() -> Parts:
    """Token 3 begins a part; the first half of the width says which part, the other which place."""
    parts = Parts(torch.arange(8) == 3, 2)
    with torch.no_grad():
        parts.part[:, 0] = torch.arange(Parts.MOST)
        parts.place[:, 1] = torch.arange(Parts.LONGEST)
    return parts


def test_parts_and_places_are_counted_from_the_last_beginning() -> None:
    told = parts_of()(torch.tensor([[BEGIN, 5, 3, 6, 7, 3, 3, 4]]))
    assert told[0].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [2, 0], [3, 0], [3, 1]]
    long = parts_of()(torch.full((1, 60), 3))
    assert long[0, -1].tolist() == [Parts.MOST - 1, 0]
    assert parts_of()(torch.full((1, 60), 4))[0, -1].tolist() == [0, Parts.LONGEST - 1]
    assert not Parts(torch.arange(8) == 3, 2)(torch.tensor([[3, 4]])).any()


@given(st.lists(st.lists(st.integers(0, 7), min_size=6, max_size=6), min_size=2, max_size=5))
def test_a_sentence_being_written_is_counted_as_a_whole_one(rows: list[list[int]]) -> None:
    parts, tokens = parts_of(), torch.tensor(rows)
    whole, counted = parts(tokens), Counted(parts, len(rows))
    for k in range(3):
        torch.testing.assert_close(counted.step(tokens[:, k]), whole[:, k])
    kept = torch.arange(len(rows)) % 2 == 0
    counted.keep(kept)
    for k in range(3, 6):
        torch.testing.assert_close(counted.step(tokens[kept, k]), whole[kept, k])


def test_the_orbits_and_the_lattice_of_a_crystal_are_parts() -> None:
    domain = build.domain("crystals")
    view = domain.sequences["wyckoff"]
    bpe = SymbolBPE(view.alphabet, ())
    representation = Representation(domain, view, bpe, view, bpe, Labels(("density",), {}), ("sequence", "graph"))
    config = override(build.usual("crystals"), {"decoder.parts": True, "encoder.sequence_parts": True, "condition.properties": ["density"]})
    decoder = build.vae(config, representation).decoder
    assert isinstance(decoder.parts, Parts)
    record = of_structure(PROTOTYPES["perovskite"]())
    begins = decoder.parts.begins[representation.writes(record)].tolist()
    assert [s for s, mark in zip(view.symbols(view.write(record)), begins, strict=True) if mark] == ["@a", "@b", "@d", "|19"]


def test_strings_without_parts_refuse_them() -> None:
    domain = build.domain("molecules")
    view = domain.sequences["selfies"]
    bpe = SymbolBPE(["[C]"], ())
    representation = Representation(domain, view, bpe, view, bpe, Labels(("logp",), {}), ("sequence",))
    values = {"encoder.views": ["sequence"], "encoder.sequence_kind": "transformer", "condition.properties": ["logp"]}
    for wish in ("encoder.sequence_parts", "decoder.parts"):
        config = override(build.usual("molecules"), {**values, "decoder.kind": "transformer", wish: True})
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
