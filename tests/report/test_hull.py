from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from molvae.errors import UsageError
from molvae.report.hull import formula, hull_of, hull_svg

TITANIUM_OXIDES = [
    ({"Ti": 1.0, "O": 2.0}, -3.3),
    ({"Ti": 2.0, "O": 3.0}, -3.1),
    ({"Ti": 1.0, "O": 1.0}, -2.7),
    ({"Ti": 3.0, "O": 1.0}, -1.2),
    ({"Ti": 1.0, "O": 3.0}, -2.2),
]
ELEMENTS = ("Fe", "Li", "O")
STRONTIUM = [*TITANIUM_OXIDES, ({"Sr": 1.0, "O": 1.0}, -3.0), ({"Sr": 1.0, "Ti": 1.0, "O": 3.0}, -3.5)]


def test_the_height_of_a_binary_hull_is_that_of_the_chord() -> None:
    hull = hull_of(("O", "Ti"), STRONTIUM)
    assert [name for name, on in zip(hull.names, hull.corners, strict=True) if on] == ["TiO₂", "Ti₂O₃", "TiO", "O", "Ti"]
    half = (1 / 3 + 2 / 5) / 2  # between TiO2 and Ti2O3
    assert float(hull.height(np.array([1 - half, half]))) == pytest.approx((-3.3 - 3.1) / 2)
    assert float(hull.height(np.array([0.9, 0.1]))) == pytest.approx(-3.3 * 0.1 * 3)


def test_pymatgen_finds_the_same_heights() -> None:
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition

    rng = np.random.default_rng(5)
    rows = [row for row in rng.integers(0, 4, (40, 3)).tolist() if sum(n > 0 for n in row) > 1]
    entries = [({e: float(n) for e, n in zip(ELEMENTS, row, strict=True) if n}, float(rng.normal(-1, 1))) for row in rows]
    hull = hull_of(ELEMENTS, entries)
    elements = [PDEntry(Composition(element), 0.0) for element in ELEMENTS]
    diagram = PhaseDiagram([*elements, *(PDEntry(Composition(c), energy * sum(c.values())) for c, energy in entries)])
    for amounts in ((1, 1, 2), (3, 1, 4), (0, 2, 3), (1, 0, 5), (7, 1, 1)):
        wanted = diagram.get_hull_energy_per_atom(Composition(dict(zip(ELEMENTS, amounts, strict=True))))
        assert float(hull.height(np.array(amounts) / sum(amounts))) == pytest.approx(wanted, abs=1e-6)


def test_the_picture_says_where_the_candidate_is() -> None:
    svg = hull_svg(TITANIUM_OXIDES, {"Ti": 5, "O": 9}, -3.1, reference="a <set>")
    ET.fromstring(svg)
    assert svg == hull_svg(TITANIUM_OXIDES, {"Ti": 5, "O": 9}, -3.1, reference="a <set>")
    assert "Ti₅O₉: 0.129 eV/atom above the hull" in svg
    assert "5 entries of this system in a &lt;set&gt;" in svg
    below = hull_svg(STRONTIUM, {"Sr": 2, "Ti": 2, "O": 6}, -3.55)
    ET.fromstring(below)
    assert "SrTiO₃: 0.050 eV/atom below the hull" in below
    assert "7 entries of this system" in below


@pytest.mark.parametrize("energy", [-1.8, 0.2, 0.0, 1e-9])
@pytest.mark.parametrize("composition", [{"Na": 1, "Cl": 1}, {"Na": 1, "Cl": 1, "O": 3}])
def test_against_the_elements_alone_nothing_is_said_of_a_hull(composition: dict[str, float], energy: float) -> None:
    svg = hull_svg([({"Ti": 1, "O": 1}, -2.7)], composition, energy)
    ET.fromstring(svg)
    assert "eV/atom from the elements" in svg
    assert "no hull" in svg
    assert "above the hull" not in svg


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(UsageError, match="2 or 3 elements; Si has 1"):
        hull_svg([], {"Si": 4}, 0.0)
    with pytest.raises(UsageError, match="has 4"):
        hull_svg([], {"Li": 1, "Fe": 1, "P": 1, "O": 4}, -1.0)
    with pytest.raises(UsageError, match="NaCl is unknown"):
        hull_svg([], {"Na": 1, "Cl": 1}, math.nan)
    with pytest.raises(UsageError, match="no finite"):
        hull_svg([({"Na": 1, "Cl": 1}, math.nan)], {"Na": 1, "Cl": 1}, -1.0)


def test_formulas() -> None:
    assert formula({"Sr": 2, "Ti": 2, "O": 6}) == "SrTiO₃"
    assert formula({"Si": 8, "Ge": 0}) == "Si"
    assert formula({"Fe": 0.95, "O": 1}) == "Fe0.95O".translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
