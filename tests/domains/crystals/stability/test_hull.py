"""The hull's linear program against pymatgen's PhaseDiagram, and what must hold of any hull."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core.composition import Composition

from molvae.domains.crystals.stability.hull import Phase, height
from molvae.domains.crystals.stability.tables import fractions_of
from molvae.errors import MolvaeError

SYSTEMS = (("Li", "O"), ("Sr", "Ti", "O"), ("Li", "Fe", "P", "O"), ("Na", "Mg", "Al", "Si", "O"))


def phases_of(symbols: tuple[str, ...], seed: int, count: int = 25) -> list[Phase]:
    rng = np.random.default_rng(seed)
    found = [Phase(symbol, {symbol: 1.0}, 0.0, "element") for symbol in symbols]
    while len(found) < count:
        amounts = rng.integers(0, 5, len(symbols))
        if np.count_nonzero(amounts) > 1:
            formula = Composition({s: int(a) for s, a in zip(symbols, amounts, strict=True) if a}).reduced_formula
            found.append(Phase(formula, fractions_of(formula), float(rng.uniform(-3, 0.5))))
    return found


@pytest.mark.parametrize("symbols", SYSTEMS, ids="-".join)
@pytest.mark.parametrize("seed", range(3))
def test_heights_and_decompositions_are_those_of_the_phase_diagram(symbols: tuple[str, ...], seed: int) -> None:
    phases = phases_of(symbols, seed)
    diagram = PhaseDiagram([PDEntry(c := Composition(p.formula), p.energy * c.num_atoms, name=p.formula) for p in phases])
    rng = np.random.default_rng(seed + 100)
    for _ in range(8):
        shares = rng.dirichlet(np.ones(len(symbols)))
        wanted = Composition(dict(zip(symbols, shares.tolist(), strict=True)))
        found = height({symbol: float(share) for symbol, share in zip(symbols, shares, strict=True)}, phases)
        assert found.energy == pytest.approx(diagram.get_hull_energy_per_atom(wanted), abs=1e-7)
        expected = {entry.name: share for entry, share in diagram.get_decomposition(wanted).items()}
        ours = {p.phase.formula: p.share for p in found.products}
        assert ours.keys() == {name for name, share in expected.items() if share > 1e-6}
        assert all(share == pytest.approx(expected[name], abs=1e-6) for name, share in ours.items())


def test_the_products_have_the_composition_and_come_in_order() -> None:
    phases = phases_of(("Sr", "Ti", "O"), 7)
    wanted = fractions_of("Sr3Ti2O7")
    found = height(wanted, phases)
    for symbol, share in wanted.items():
        assert sum(p.share * p.phase.fractions.get(symbol, 0.0) for p in found.products) == pytest.approx(share)
    assert [p.share for p in found.products] == sorted((p.share for p in found.products), reverse=True)


def test_no_phase_lies_below_the_hull() -> None:
    phases = phases_of(("Na", "Cl", "O"), 3)
    for phase in phases:
        found = height(phase.fractions, [p for p in phases if p.fractions.keys() <= phase.fractions.keys()])
        assert found.energy <= phase.energy + 1e-9


def test_a_composition_out_of_reach_is_an_error() -> None:
    with pytest.raises(MolvaeError, match="no mixture of the 1 phases of Na-O"):
        height({"Na": 0.5, "O": 0.5}, [Phase("Na", {"Na": 1.0}, 0.0, "element")])
