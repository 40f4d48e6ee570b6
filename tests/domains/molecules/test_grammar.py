"""SMILES masks: never in the way of a valid string, and of use where a model knows nothing."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest
import torch
from rdkit import Chem, rdBase

from molvae.domains.molecules.grammar import Place, SmilesGrammar, State, atom_kind
from molvae.domains.molecules.smiles import parse, symbols
from molvae.errors import UsageError
from molvae.tokens import END, SymbolBPE

MOLECULES = [
    "CC(C)(C)C(=O)C(Oc1ccc(Cl)cc1)n1ccnc1",
    "CCCS(=O)c1ccc2[nH]c(=NC(=O)OC)[nH]c2c1",
    "C[C@@H]1CC(Nc2cncc(-c3nncn3C)c2)C[C@@H](C)C1",
    "N#CC1=C(SCC(=O)Nc2cccc(Cl)c2)N=C([O-])[C@H](C#N)C12CCCCC2",
    "O=[N+]([O-])c1ccc(/C=C/c2cc[n+](C)cc2)s1",
    "CS(=O)(=O)N1CC2(C1)OCCO2",
    "O=P(O)(O)OP(=O)(O)O",
    "C1C2CC3CC1CC(C2)C3",
    "c1ccc2c(c1)[nH]c1ccccc12",
    "O=c1[nH]c(=O)c2ncn(C3CC3)c2n1C",
    "F[P-](F)(F)(F)(F)F",
    "[O-][Cl+3]([O-])([O-])[O-]",
    "c1cc[se]c1",
    "C[Si](C)(C)C#Cc1cc[o+]cc1",
    "[Na+].[Cl-]",
    "CN=[N+]=[N-]",
    "O=I(=O)c1ccccc1",
    "CB(O)O",
]


def grammar_over(vocabulary: SymbolBPE, **options: bool) -> SmilesGrammar:
    tokens = [() if number <= END else vocabulary.token_symbols(number) for number in range(len(vocabulary))]
    return SmilesGrammar(tokens, end=END, **options)


def over_symbols() -> tuple[SymbolBPE, SmilesGrammar]:
    vocabulary = SymbolBPE.train((symbols(parse(smiles).smiles) for smiles in MOLECULES), 4)
    return vocabulary, grammar_over(vocabulary)


def walk(grammar: SmilesGrammar, ids: list[int]) -> State | None:
    state: State | None = grammar.start()
    for token in [*ids, END]:
        assert state is not None
        following = grammar.step(state, token)
        if following is None:
            return None
        state = following
    return state


def legal(text: str) -> bool:
    vocabulary = SymbolBPE.train([symbols(text)], 4)
    return walk(grammar_over(vocabulary), vocabulary.encode(symbols(text))) is not None


@pytest.mark.parametrize("kekulise", [False, True])
@pytest.mark.parametrize("smiles", MOLECULES)
def test_valid_smiles_pass(smiles: str, kekulise: bool) -> None:
    rows = [symbols(parse(smiles).smiles)] * 2
    for size in (4, 60):
        vocabulary = SymbolBPE.train(rows, size)
        assert walk(grammar_over(vocabulary, kekulise=kekulise), vocabulary.encode(rows[0])) is not None


@pytest.mark.parametrize("kekulise", [False, True])
def test_thousands_of_canonical_smiles_pass(kekulise: bool) -> None:
    default = Path(__file__).resolve().parents[4] / "shared" / "data"
    file = Path(os.environ.get("MOLVAE_SHARED_DATA", default)) / "zinc250k.smi.gz"
    if not file.exists():
        pytest.skip(f"{file} is absent; set MOLVAE_SHARED_DATA to the folder with zinc250k.smi.gz")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [symbols(parse(line.split()[0]).smiles) for line in random.Random(3).sample(list(lines), 2500)]
    vocabulary = SymbolBPE.train(rows, 500)
    grammar = grammar_over(vocabulary, kekulise=kekulise)
    assert [row for row in rows if walk(grammar, vocabulary.encode(row)) is None] == []


@pytest.mark.parametrize(
    "text",
    [
        "C(",
        "C)",
        "(C)",
        "C((C))C",
        "C()C",
        "C=",
        "C==C",
        "C(C=)C",
        "=C",
        "C1CC",
        "C11",
        "C1C1",
        "C12CC12C12CC12",
        "C12CC12",
        "C=1CCCC#1",
        "C(=C)(=C)C",
        "FC(F)(F)(F)F",
        "O=C=C=O=C",
        "CF1CC1",
        "N(C)(C)(C)C",
        "C1=CCCC=1C(=C)=C",
        "C#N=C",
        "C.(C)",
        "C..C",
    ],
)
def test_broken_smiles_do_not_pass(text: str) -> None:
    assert not legal(text)


def test_what_cannot_be_finished_is_refused_early() -> None:
    vocabulary = SymbolBPE.train([symbols("C1CF")], 4)
    grammar = grammar_over(vocabulary)
    state: State | None = grammar.start()
    for text in ("C", "1"):
        assert state is not None
        state = grammar.step(state, vocabulary.encode([text])[0])
    assert state is not None
    assert grammar.step(state, vocabulary.encode(["F"])[0]) is None


def test_kekule_test_refuses_a_complete_ring_without_one() -> None:
    for text in ("Cc1cccc1C", "C(c1cccc1)C", "ccC"):
        vocabulary = SymbolBPE.train([symbols(text)], 4)
        ids = vocabulary.encode(symbols(text))
        assert walk(grammar_over(vocabulary, kekulise=True), ids) is None


def test_steps_leave_the_state_as_it_was() -> None:
    vocabulary, grammar = over_symbols()
    state = grammar.start()
    carbon, ring = (vocabulary.encode([text])[0] for text in ("C", "1"))
    after = grammar.step(state, carbon)
    assert after is not None
    grammar.step(after, ring)
    assert (state.place, after.place, after.rings, after.free) == (Place.START, Place.ATOM, {}, [4])


def test_choose_draws_from_the_renormalised_distribution() -> None:
    vocabulary, grammar = over_symbols()
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, len(vocabulary), generator=generator)
    state = grammar.start()
    mask = torch.from_numpy(grammar.allowed([state]))
    wanted = torch.softmax(logits.masked_fill(~mask, -torch.inf), 1)[0]
    n = 20_000
    tokens, _ = grammar.choose([state] * n, logits.expand(n, -1), generator=generator)
    seen = torch.bincount(torch.tensor(tokens), minlength=len(vocabulary)) / n
    assert torch.equal(seen[~mask[0]], torch.zeros(int((~mask).sum())))
    assert (seen - wanted).abs().max() < 0.015
    best, _ = grammar.choose([state], logits, temperature=0)
    assert best == [int(wanted.argmax())]


def test_finished_and_dead_rows_stay_as_they_are() -> None:
    vocabulary, grammar = over_symbols()
    done = walk(grammar, vocabulary.encode(["C"]))
    assert grammar.choose([done, None], torch.zeros(2, len(vocabulary))) == ([0, 0], [done, None])


def random_strings(grammar: SmilesGrammar, vocabulary: SymbolBPE, n: int) -> list[str]:
    """Strings of a model that knows nothing, in at most 40 tokens; END is made likelier with length, so that they end."""
    generator = torch.Generator().manual_seed(1)
    states: list[State | None] = [grammar.start()] * n
    for step in range(40):
        logits = torch.randn(n, len(vocabulary), generator=generator)
        logits[:, END] += 0.5 * step
        _, states = grammar.choose(states, logits, generator=generator)
    return [state.text for state in states if state is not None and state.place == Place.END]


def test_masks_make_random_strings_valid() -> None:
    vocabulary = SymbolBPE.train((symbols(parse(smiles).smiles) for smiles in MOLECULES[:8]), 60)
    n = 400
    with rdBase.BlockLogs():
        for kekulise, wanted in ((False, 0.1), (True, 0.95)):
            texts = random_strings(grammar_over(vocabulary, kekulise=kekulise), vocabulary, n)
            assert len(texts) > 40
            assert sum(Chem.MolFromSmiles(text) is not None for text in texts) >= wanted * len(texts)
        free = torch.randint(END + 1, len(vocabulary), (n, 8), generator=torch.Generator().manual_seed(2)).tolist()
        assert sum(Chem.MolFromSmiles("".join(vocabulary.decode(row))) is not None for row in free) < 0.05 * n


def test_atom_kinds() -> None:
    assert [atom_kind(text).slots for text in ("C", "[C@@H]", "[N+]", "[O-]", "[NH3+]", "n", "[nH]", "o", "F", "[13C]")] == [
        4, 3, 4, 1, 1, 3, 2, 2, 1, 4,
    ]  # fmt: skip
    with pytest.raises(UsageError, match="no SMILES atom"):
        atom_kind("[C")
