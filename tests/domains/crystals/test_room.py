"""Room for atoms: the reckoning agrees with the cells themselves, and what is written under it keeps atoms apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molvae.domains.crystals import room
from molvae.domains.crystals.constraints import Constraints
from molvae.domains.crystals.grammar import Grammar, Phase
from molvae.domains.crystals.neighbours import neighbours
from molvae.domains.crystals.structure import read_text
from molvae.domains.crystals.symmetry import SYSTEMS, groups_of
from molvae.domains.crystals.wyckoff import STEPS, lattice_kinds, lattice_of, read, symbols
from tests.domains.crystals.test_grammar import ID, TOKENS, walk

ALL = np.arange(STEPS)
TRIVIAL = "sg1@aSi:00.24:00.24:00.24@aSi:24.24:24.24:24.24|20.00/24.24/24.24^24.24^24.24^24.24"


@given(seed=st.integers(0, 2**32 - 1), system=st.sampled_from(SYSTEMS))
@settings(max_examples=60)
def test_metrics_are_those_of_the_lattices(seed: int, system: str) -> None:
    rng = np.random.default_rng(seed)
    steps = [rng.integers(700, 1600, 5) for _ in lattice_kinds(groups_of(system)[0])]
    found = room.metric(system, steps, 7)
    for row, numbers in zip(found, np.transpose(steps).tolist(), strict=True):
        lattice = lattice_of(system, numbers, 7)
        gram = lattice @ lattice.T
        assert row == pytest.approx([gram[0, 0], gram[1, 1], gram[2, 2], gram[1, 2], gram[0, 2], gram[0, 1]], abs=1e-9 * gram.max())


def test_cells_that_do_not_close_have_no_metric() -> None:
    thirty, most = 0.0, STEPS - 25.0
    assert not room.metric("triclinic", [1000.0, STEPS / 2, STEPS / 2, thirty, thirty, np.array([most])], 1).any()


def test_a_coordinate_stays_clear_of_atoms_that_are_there() -> None:
    orbits = read(TRIVIAL).orbits[:1]
    legal = room.coordinates(1, orbits, 0, (0, 0), ALL)
    reach = room.NEAR / (2 * room.GUESSED) ** (1 / 3)
    away = np.minimum(ALL, STEPS - ALL) / STEPS
    assert (legal == (away >= reach)).all()
    assert room.coordinates(1, orbits, 0, (STEPS // 2, 0), ALL).all()
    assert room.coordinates(1, orbits, 0, (), ALL).all()  # what is still to come can take it anywhere


def test_an_orbit_stays_clear_of_itself() -> None:
    """2c of Pm: a mirror at y = 0 and 1/2, whatever x and z will be."""
    legal = room.coordinates(6, (), 2, (5,), ALL)
    assert legal[STEPS // 4]
    assert not legal[[0, 20, STEPS // 2, STEPS - 20]].any()
    assert room.coordinates(6, (), 2, (), ALL).all()  # x moves both of them alike


def test_the_last_number_of_a_lattice_is_judged_by_the_distances() -> None:
    """Two atoms a fiftieth of the c axis apart: it has to be long enough."""
    described = read("sg99@aSi:00.24@aSi:01.24|20.00/24.24")
    legal = room.lattices(99, described.orbits, described.lattice[:1], ALL)
    assert 0 < legal.sum() < STEPS
    for step in range(0, STEPS, 96):
        crystal = read_text(f"sg99@aSi:00.24@aSi:01.24|20.00/{(step + 24) // 48:02d}.{(step + 24) % 48:02d}")
        assert legal[step] == (neighbours(crystal.conventional, 1.0).distance.min(initial=1.0) >= room.LEAST), step


def test_numbers_before_the_last_ones_are_free() -> None:
    orbits = read(TRIVIAL).orbits
    assert room.lattices(1, orbits, (), ALL).all()
    assert room.lattices(1, orbits, (1000,), ALL).all()


def collisions(grammar: Grammar) -> int:
    """How many of forty random walks bring two atoms together."""
    found = 0
    for seed in range(40):
        pairs = neighbours(read_text(walk(grammar, np.random.default_rng(seed), short=8)).conventional, room.LEAST)
        found += bool((pairs.first != pairs.second).any())
    return found


def test_random_walks_keep_atoms_apart_where_they_can() -> None:
    """A walk that knows nothing of volumes and ratios runs out of room at times: cells of 1 Å^3 an atom, or as long as thirty times their width."""
    atoms = (2, 12)
    assert 3 * collisions(Grammar(TOKENS, end=2, constraints=Constraints(apart=True, atoms=atoms))) < collisions(
        Grammar(TOKENS, end=2, constraints=Constraints(atoms=atoms))
    )


def test_where_nothing_has_room_the_crystal_can_still_be_written() -> None:
    """A chain of atoms so dense that no ratio parts them: it may end, as with an orbit more it would only be denser."""
    state = Grammar(TOKENS, end=2).start()
    for symbol in ("sg99", *(s for at in range(48) for s in ("@a", "Si", f":{at:02d}", ".24"))):
        state = state.advance(ID[symbol])
    apart = Grammar(TOKENS, end=2, constraints=Constraints(apart=True))
    assert state.phase == Phase.LETTER
    assert apart.allowed(state)[[ID[f"|{at:02d}"] for at in range(1, 48)]].all()
    state = state.advance(ID["@a"]).advance(ID["Si"])
    assert apart.allowed(state)[[ID[f":{at:02d}"] for at in range(48)]].all()


def test_cubic_volumes_keep_atoms_apart() -> None:
    """Their only number is the volume, which comes where a letter could."""
    state = Grammar(TOKENS, end=2).start()
    for symbol in symbols("sg198@aSi:00.24@aSi:01.24"):
        state = state.advance(ID[symbol])
    legal = Grammar(TOKENS, end=2, constraints=Constraints(apart=True)).allowed(state)
    assert not legal[ID["|02"]]
    assert legal[ID["|47"]]
    assert legal[ID["@a"]]
