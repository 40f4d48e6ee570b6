"""The grammar: whatever it lets through is a legal crystal with what was asked, and it lets through every real one."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molvae.domains.crystals.constraints import Constraints, composition_of
from molvae.domains.crystals.grammar import Grammar, Phase
from molvae.domains.crystals.structure import of_structure, read_text
from molvae.domains.crystals.supply import can_make, most_orbits
from molvae.domains.crystals.symmetry import groups_of, space_group
from molvae.domains.crystals.wyckoff import FLATTEST, NUMBER, flatness, symbols, vocabulary
from molvae.errors import UsageError
from tests.domains.crystals.prototypes import PROTOTYPES

TOKENS = ["<pad>", "<begin>", "<end>", *vocabulary()]
ID = {token: number for number, token in enumerate(TOKENS)}
ALL = frozenset(range(27))


def walk(grammar: Grammar, rng: np.random.Generator, short: int = 25) -> str:
    """A random walk through the mask, which takes the first way out once it is long."""
    state = grammar.start()
    taken: list[str] = []
    while not state.done:
        legal = np.flatnonzero(state.allowed())
        assert len(legal), f"dead end after {''.join(taken)}"
        if state.phase == Phase.LETTER and len(taken) > short:
            legal = [token for token in legal if TOKENS[token][0] == "|"] or legal
        token = int(rng.choice(legal))
        state = state.advance(token)
        taken.append(TOKENS[token])
    assert taken.pop() == "<end>"
    return "".join(taken)


def counted(text: str) -> Counter[int]:
    return Counter(read_text(text).primitive.numbers.tolist())


@pytest.fixture(scope="module")
def free() -> Grammar:
    return Grammar(TOKENS, end=2)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_every_walk_is_a_legal_crystal(free: Grammar, seed: int) -> None:
    text = walk(free, np.random.default_rng(seed))
    crystal = read_text(text)
    assert len(crystal.conventional.numbers) <= 200
    assert crystal.conventional.volume > 0
    assert np.isfinite(crystal.primitive.lattice).all()


@pytest.mark.parametrize("formula", ["SrTiO3", "LiFePO4", "Al2O3", "C", "Li6PS5Cl"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_compositions_are_exact(formula: str, seed: int) -> None:
    wanted = composition_of(formula)
    grammar = Grammar(TOKENS, end=2, constraints=Constraints(composition=wanted, units=(1, 2, 3)))
    found = counted(walk(grammar, np.random.default_rng(seed)))
    units = {found[z] / count for z, count in wanted.items()}
    assert set(found) == set(wanted)
    assert units <= {1, 2, 3}
    assert len(units) == 1


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_systems_groups_and_atoms_are_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    constraints = Constraints.system([3, 15, 16], groups=frozenset(groups_of("cubic")), atoms=(5, 14))
    text = walk(Grammar(TOKENS, end=2, constraints=constraints), rng)
    found = counted(text)
    assert set(found) == {3, 15, 16}
    assert 5 <= sum(found.values()) <= 14
    assert 195 <= read_text(text).group <= 230


def test_forbidden_and_allowed_elements() -> None:
    constraints = Constraints(allowed=frozenset([11, 17, 82]), forbidden=frozenset([82]))
    grammar = Grammar(TOKENS, end=2, constraints=constraints)
    for seed in range(10):
        assert set(counted(walk(grammar, np.random.default_rng(seed)))) <= {11, 17}


@pytest.mark.parametrize("name", PROTOTYPES)
def test_real_crystals_are_accepted_step_by_step(free: Grammar, name: str) -> None:
    crystal = of_structure(PROTOTYPES[name]())
    tight = Constraints(
        composition=composition_of(crystal.formula),
        groups=frozenset([crystal.group]),
        atoms=(len(crystal.primitive.numbers), len(crystal.primitive.numbers)),
    )
    for grammar in (free, Grammar(TOKENS, end=2, constraints=tight), Grammar(TOKENS, end=2, constraints=replace(tight, apart=True))):
        state = grammar.start()
        for symbol in symbols(crystal.text):
            assert state.allowed()[ID[symbol]], symbol
            state = state.advance(ID[symbol])
        assert np.flatnonzero(state.allowed()).tolist() == [2]
        assert state.advance(2).done


def test_the_first_group_has_its_letters_and_a_full_one_only_the_lattice(free: Grammar) -> None:
    state = free.start().advance(ID["sg221"]).advance(ID["@a"]).advance(ID["Sr"])
    legal = {TOKENS[token] for token in np.flatnonzero(state.allowed())}
    assert "@a" not in legal  # a single place that is taken
    assert {"@b", "@n"} <= legal
    assert "@o" not in legal  # space group 221 ends with n
    assert "|20" in legal
    with pytest.raises(UsageError, match="may not come next"):
        state.advance(ID["@a"])


def test_a_vocabulary_that_lacks_letters_is_taken_into_account() -> None:
    few = [token for token in TOKENS if not token.startswith("@") or token in ("@a", "@b")]
    grammar = Grammar(few, end=few.index("<end>"), constraints=Constraints(groups=frozenset([221]), composition=composition_of("CsCl")))
    state = grammar.start().advance(few.index("sg221"))
    assert [few[token] for token in np.flatnonzero(state.allowed())] == ["@a"]  # after b, caesium or chlorine would have no place
    with pytest.raises(UsageError, match="no crystal fulfils"):
        Grammar(few, end=2, constraints=Constraints(groups=frozenset([221]), composition=composition_of("SrTiO3")))


@pytest.mark.parametrize(
    ("constraints", "why"),
    [
        (Constraints(groups=frozenset([227]), composition={38: 1, 22: 1, 8: 3}, units=(1,)), "no crystal fulfils"),
        (Constraints(groups=frozenset([14]), atoms=(1, 1)), "no crystal fulfils"),
        (Constraints(allowed=frozenset([8]), composition={38: 1}), "Sr is asked for and not allowed"),
        (Constraints(atoms=(5, 3)), "atoms from 5 to 3"),
        (Constraints(composition={8: 1}, required=frozenset([8, 9])), "lacks an element"),
        (Constraints(allowed=frozenset()), "no element is allowed"),
    ],
)
def test_impossible_requests_are_refused_at_once(constraints: Constraints, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        Grammar(TOKENS, end=2, constraints=constraints)


@pytest.mark.parametrize("text", ["", "Xx2", "Sr0.5O", "hello"])
def test_formulas_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="formula"):
        composition_of(text)
    assert composition_of("Fe4O6") == {NUMBER["Fe"]: 2, NUMBER["O"]: 3}


def brute(group: int, after: int, wanted: tuple[int, ...], most: int) -> bool:
    """Every multiset of orbits dealt out in every way."""
    letters = space_group(group).letters
    places = [(at, letter) for at, letter in enumerate(letters) if at >= max(after, 0) and (letter.free or at > after)]
    repeats = [range(most // len(letter.primitive) + 1) if letter.free else range(2) for _, letter in places]
    for counts in itertools.product(*repeats):
        sizes = [len(letter.primitive) for (_, letter), count in zip(places, counts, strict=True) for _ in range(count)]
        if sum(sizes) == sum(wanted):
            for owners in itertools.product(range(len(wanted)), repeat=len(sizes)):
                sums = [sum(s for s, o in zip(sizes, owners, strict=True) if o == element) for element in range(len(wanted))]
                if tuple(sums) == wanted:
                    return True
    return False


@pytest.mark.parametrize("group", [99, 136, 160, 194])
@pytest.mark.parametrize("after", [-1, 0, 2])
@pytest.mark.parametrize("wanted", [(1,), (1, 2), (2, 3), (1, 1, 3), (2, 2)])
def test_the_look_ahead_is_exact(group: int, after: int, wanted: tuple[int, ...]) -> None:
    assert can_make(group, after, ALL, wanted) == brute(group, after, wanted, sum(wanted))


def test_most_orbits_of_a_cubic_group() -> None:
    most = most_orbits(221, -1, ALL, 8)
    # 1a, 1b; 3c, 3d; nothing else below 6
    assert most.tolist() == [0, 1, 2, 1, 2, 3, 2, 3, 4]


def test_two_angles_always_leave_a_third() -> None:
    angles = np.linspace(30, 148.7, 25)
    for alpha, beta in itertools.combinations_with_replacement(angles, 2):
        assert max(flatness(alpha, beta, gamma) for gamma in np.linspace(30, 148.7, 120)) > FLATTEST
