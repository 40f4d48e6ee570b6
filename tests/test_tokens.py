"""Byte-pair encoding over symbols: round trips, determinism, and refusals."""

from __future__ import annotations

import json
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvae.errors import InvalidRecord, UsageError
from molvae.tokens import BEGIN, END, PAD, SymbolBPE

ALPHABET = ["C", "[C@@H]", "(", ")", "=", "Cl", "%12", "é", "<pad>", " ", "\U000f0000"]
rows_of = st.lists(st.lists(st.sampled_from(ALPHABET), max_size=25), min_size=1, max_size=12)


@given(rows=rows_of.filter(any), size=st.integers(4, 60))
def test_round_trip(rows: list[list[str]], size: int) -> None:
    tokens = SymbolBPE.train(rows, size)
    distinct = {symbol for row in rows for symbol in row}
    assert len(tokens) <= max(size, len(distinct) + 3)
    encoded = tokens.encode_many(rows)
    assert encoded == [tokens.encode(row) for row in rows]
    for row, ids in zip(rows, encoded, strict=True):
        assert ids is not None
        assert tokens.decode(ids) == row
        assert all(END < number < len(tokens) for number in ids)
    again = SymbolBPE.from_dict(json.loads(json.dumps(tokens.to_dict())))
    assert again == tokens
    assert again.encode_many(rows) == encoded
    assert again.fingerprint == tokens.fingerprint


@given(rows=rows_of.filter(any), seed=st.integers(0, 100))
def test_the_order_of_rows_does_not_matter(rows: list[list[str]], seed: int) -> None:
    shuffled = rows[:]
    random.Random(seed).shuffle(shuffled)
    assert SymbolBPE.train(iter(shuffled), 40).to_dict() == SymbolBPE.train(rows, 40).to_dict()


def test_specials_come_first_and_stand_for_nothing() -> None:
    tokens = SymbolBPE.train([["a", "b"]], 10)
    assert (PAD, BEGIN, END) == (0, 1, 2)
    for number in (PAD, BEGIN, END, -1, len(tokens)):
        with pytest.raises(ValueError, match=f"token id {number}"):
            tokens.decode([number])


def test_merges_reach_across_the_whole_row() -> None:
    row = ["a", " ", "b", "c"] * 4
    tokens = SymbolBPE.train([row] * 8, 100)
    assert len(tokens.encode(row)) == 1
    assert tokens.token_symbols(tokens.encode(row)[0]) == tuple(row)


def test_every_symbol_has_an_id_even_beyond_the_size() -> None:
    symbols = [f"s{number}" for number in range(50)]
    tokens = SymbolBPE.train([symbols], 10)
    assert len(tokens) == 53
    assert tokens.decode(tokens.encode(symbols[::-1])) == symbols[::-1]


def test_more_symbols_than_the_basic_private_area() -> None:
    symbols = [f"s{number:05d}" for number in range(6500)]
    tokens = SymbolBPE.train([symbols, symbols[-2:], symbols[-2:]], 7000)
    assert tokens.decode(tokens.encode(symbols)) == symbols
    assert len(tokens.encode(symbols[-2:])) == 1


def test_unseen_symbols() -> None:
    tokens = SymbolBPE.train([["a", "b"], []], 10)
    with pytest.raises(InvalidRecord, match="'z'"):
        tokens.encode(["a", "z"])
    assert tokens.encode_many([["a"], ["z"], [], ["b"]]) == [tokens.encode(["a"]), None, [], tokens.encode(["b"])]


def test_pickle() -> None:
    tokens = SymbolBPE.train([["a", "b", "a", "b"]], 10)
    again = pickle.loads(pickle.dumps(tokens))
    assert again == tokens
    assert hash(again) == hash(tokens)
    assert again.encode(["a", "b"]) == tokens.encode(["a", "b"])


@pytest.mark.parametrize("rows", [[], [[]]])
def test_nothing_to_learn_from(rows: list[list[str]]) -> None:
    with pytest.raises(UsageError, match="no symbols"):
        SymbolBPE.train(rows, 10)


def test_no_room() -> None:
    with pytest.raises(UsageError, match="vocabulary of 3"):
        SymbolBPE.train([["a"]], 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "format 'other'"),
        ({"merges": [[3, 99]]}, "merge 0"),
        ({"merges": [[0, 3]]}, "merge 0"),
        ({"merges": 5}, "damaged"),
        ({"merges": [[3]]}, "damaged"),
        ({"symbols": None}, "damaged"),
        ({"symbols": ["a", "a"]}, "distinct"),
    ],
)
def test_damaged_vocabularies(changes: dict[str, object], message: str) -> None:
    content = SymbolBPE.train([["a", "b"] * 3], 10).to_dict() | changes
    with pytest.raises(UsageError, match=message):
        SymbolBPE.from_dict(content)
