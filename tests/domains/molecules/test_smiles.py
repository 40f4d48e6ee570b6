"""Parsing with reasons, identity, scaffolds, similarity and cleaning steps."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvae.domains.molecules.smiles import (
    Molecule,
    allowed_elements,
    heavy_atoms,
    key,
    largest_fragment,
    neutralise,
    parse,
    scaffold,
    similarity,
    symbols,
    write,
)
from molvae.errors import InvalidRecord, UsageError

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("C\nC", "white space"),
        ("CCO ethanol", "white space"),
        ("CC |^1:0|", "white space"),
        ("C\u00b7C", "non-ASCII"),
        ("C" * 2001, "2001 characters"),
        ("C1CC", "unclosed ring"),
        ("C(C", "parenthes"),
        ("hello", "syntax error"),
        ("CC(C)(C)(C)C", "valence"),
        ("c1ccc1c", "non-ring atom 4 marked aromatic"),
        ("c1cccc1", "kekulize"),
        ("CC*", "dummy"),
        ("C~C", "query"),
        ("C[Mg]Br", "metal Mg"),
        ("N[Pt](N)(Cl)Cl", "metal Pt"),
        ("CN->[Fe]", "metal Fe"),
        ("C>>C", "syntax error"),
    ],
)
def test_refusals_say_why(text: str, why: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidRecord) as caught:
        parse(text)
    assert why in caught.value.why
    assert caught.value.text == text
    assert capfd.readouterr() == ("", "")


def test_white_space_around_is_ignored() -> None:
    assert parse(" OCC\n") == parse("CCO") == Molecule("CCO")


def test_key_is_the_inchikey_and_folds_tautomers() -> None:
    assert key(parse(ASPIRIN)) == "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"
    assert key(parse("Cc1c[nH]cn1")) == key(parse("Cc1cnc[nH]1"))
    assert key(parse("C[C@H](O)F")) != key(parse("C[C@@H](O)F"))


def test_key_falls_back_to_the_smiles() -> None:
    fallback = key(parse("N->B"))
    assert fallback.startswith("SMILES:")
    assert fallback == key(parse("B<-N"))


def test_scaffold() -> None:
    assert scaffold(parse(ASPIRIN)) == "c1ccccc1"
    assert scaffold(parse("C[C@H](c1ccccc1)N1CCCC1")) == scaffold(parse("C[C@@H](c1ccccc1)N1CCCC1")) == "c1ccc(CN2CCCC2)cc1"
    assert scaffold(parse("CCO")) == ""


def test_similarity() -> None:
    aspirin, salicylic, butane = parse(ASPIRIN), parse("O=C(O)c1ccccc1O"), parse("CCCC")
    one, close, far = similarity(aspirin, [aspirin, salicylic, butane])
    assert one == 1.0
    assert 0 <= far < close < 1
    assert similarity(aspirin, []) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC[C@@H](Cl)Br", ["C", "C", "[C@@H]", "(", "Cl", ")", "Br"]),
        ("C%12CC%12", ["C", "%12", "C", "C", "%12"]),
        ("C/C=C\\[nH+].[Na+]", ["C", "/", "C", "=", "C", "\\", "[nH+]", ".", "[Na+]"]),
    ],
)
def test_symbols(text: str, expected: list[str]) -> None:
    assert symbols(text) == expected


@given(st.text(alphabet="CNOclnBr[]()=#123%@H+-./\\ Xx*~", max_size=30))
def test_symbols_join_or_refuse(text: str) -> None:
    try:
        found = symbols(text)
    except InvalidRecord:
        return
    assert "".join(found) == text


@pytest.mark.parametrize(
    ("text", "where"), [("CC*", "'*' at position 3"), ("[C", "'[' at position 1"), ("C%1", "'%' at position 2"), ("CX", "'X'")]
)
def test_symbols_name_the_first_foreign_character(text: str, where: str) -> None:
    with pytest.raises(InvalidRecord, match=re.escape(where)):
        symbols(text)


@given(st.text(alphabet="CNOSPFIcnos()=#12[]@H+-./", max_size=12))
def test_parse_is_idempotent_or_refuses(text: str) -> None:
    try:
        molecule = parse(text)
    except InvalidRecord:
        return
    assert parse(write(molecule)) == molecule
    assert "".join(symbols(molecule.smiles)) == molecule.smiles


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Cl.CCN", "CCN"), ("CC(=O)[O-].[Na+]", "CC(=O)[O-]"), ("O=S(=O)(O)O.C", "C"), ("CCO", "CCO"), ("[Na+].[Cl-]", "[Cl-]")],
)
def test_largest_fragment(text: str, expected: str) -> None:
    assert largest_fragment(parse(text)) == parse(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC(=O)[O-]", "CC(=O)O"),
        ("[NH3+]CC(=O)[O-]", "NCC(=O)O"),
        ("C[N+](C)(C)C", "C[N+](C)(C)C"),
        ("C[N+](=O)[O-]", "C[N+](=O)[O-]"),
        ("C/C=C/C[NH3+]", "C/C=C/CN"),
        ("CCO", "CCO"),
    ],
)
def test_neutralise(text: str, expected: str) -> None:
    assert neutralise(parse(text)) == parse(expected)


def test_filters() -> None:
    step = allowed_elements({"C", "O"})
    assert step.apply(parse("CCO")) == parse("CCO")
    with pytest.raises(InvalidRecord, match="has Br, N; allowed are C, O"):
        step.apply(parse("NCBr"))
    size = heavy_atoms(2, 3)
    assert size.apply(parse("CCO")) == parse("CCO")
    with pytest.raises(InvalidRecord, match="4 heavy atoms; 2 to 3"):
        size.apply(parse("CCCC"))


def test_filters_refuse_nonsense() -> None:
    with pytest.raises(UsageError, match="Xx"):
        allowed_elements({"C", "Xx"})
    with pytest.raises(UsageError, match="no element"):
        allowed_elements(set())
    with pytest.raises(UsageError, match="heavy atoms from 5 to 2"):
        heavy_atoms(5, 2)
