"""What a page shows of a crystal: drawing, scene, facts, diffraction pattern."""

from __future__ import annotations

import json
import math
import re
from itertools import combinations
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from molvae.domains.crystals.colours import COLOURS
from molvae.domains.crystals.diffraction import RANGE, pattern_svg, peaks
from molvae.domains.crystals.draw import HEIGHT, WIDTH, draw_svg
from molvae.domains.crystals.facts import facts, hermann_mauguin, subscripts
from molvae.domains.crystals.radii import covalent_radii
from molvae.domains.crystals.scene import BALL, scene
from molvae.domains.crystals.structure import of_structure, parse
from molvae.domains.crystals.symmetry import SYSTEMS, system_of
from molvae.domains.crystals.wyckoff import ELEMENTS, NUMBER
from molvae.errors import InvalidRecord
from tests.domains.crystals.prototypes import PROTOTYPES, corundum, rock_salt, wurtzite

ORTHORHOMBIC = "sg62@cN:00.30:12.18@cN:12.18:28.27@cZn:04.09:28.39@cZn:12.17:12.26@cZn:20.29:28.07|19.36/15.37/19.27"
TEXTS = {name: of_structure(make()).text for name, make in PROTOTYPES.items()} | {"zinc nitride": ORTHORHOMBIC}
NAMESPACE = "{http://www.w3.org/2000/svg}"
# Cu K alpha, a = 5.6402 Å; Swanson & Fuyat, Natl. Bur. Stand. Circ. 539, II (1953), 41
ROCK_SALT = {"111": 27.33, "200": 31.69, "220": 45.45, "311": 53.85, "222": 56.47, "400": 66.23, "420": 75.29, "422": 83.99}


def test_all_crystal_systems_are_among_the_examples() -> None:
    assert {system_of(parse(text).group) for text in TEXTS.values()} == set(SYSTEMS)


@pytest.mark.parametrize("name", TEXTS)
def test_a_drawing_is_plain_svg_within_its_box(name: str) -> None:
    svg = draw_svg(TEXTS[name])
    root = ET.fromstring(svg)
    assert svg == draw_svg(TEXTS[name])
    assert not re.search(r"url\(|href|<script|\bid=|nan|inf\b", svg)
    for circle in root.iter(f"{NAMESPACE}circle"):
        x, y, r = (float(circle.attrib[key]) for key in ("cx", "cy", "r"))
        assert -0.1 <= x - r <= x + r <= WIDTH + 0.1
        assert -0.1 <= y - r <= y + r <= HEIGHT + 0.1
    words = [text.text for text in root.iter(f"{NAMESPACE}text")]
    elements = {ELEMENTS[number - 1] for number in parse(TEXTS[name]).conventional.numbers}
    assert words[:3] == ["a", "b", "c"]
    assert set(words[3:]) == elements
    assert {c.attrib["fill"] for c in root.iter(f"{NAMESPACE}circle")} - {"#fff"} == {COLOURS[element] for element in elements}


def test_many_atoms_and_elements_are_drawn() -> None:
    text = "sg1" + "".join(f"@a{s}:{k:02d}.00:{(7 * k) % 48:02d}.00:{(11 * k) % 48:02d}.00" for k, s in enumerate(ELEMENTS[2:26]))
    text = parse(text + "|20.00/24.00/24.00^24.00^24.00^24.00").text
    ET.fromstring(draw_svg(text))
    assert facts(text)["Wyckoff orbits"].endswith("and 12 more")


def test_a_cell_is_completed_at_its_border() -> None:
    balls = json.loads(scene(TEXTS["rock_salt"]))["balls"]
    assert sorted(ball[0] for ball in balls) == ["Cl"] * 13 + ["Na"] * 14  # corners and faces; edges and the middle


@pytest.mark.parametrize("name", TEXTS)
def test_a_scene_keeps_distances_and_joins_what_touches(name: str) -> None:
    crystal, shown = parse(TEXTS[name]), json.loads(scene(TEXTS[name]))
    lines = np.array(shown["lines"]).reshape(12, 2, 3)
    lengths = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1)
    assert np.sort(lengths) == pytest.approx(np.sort(np.repeat(np.linalg.norm(crystal.conventional.lattice, axis=1), 4)), abs=3e-3)
    assert lines.reshape(24, 3).mean(0) == pytest.approx(0, abs=1e-3)
    for symbol, kind in shown["kinds"].items():
        assert kind == {"colour": COLOURS[symbol], "radius": pytest.approx(BALL * covalent_radii()[NUMBER[symbol]], abs=1e-3)}
    for i, j in shown["sticks"]:
        one, other = shown["balls"][i], shown["balls"][j]
        reach = 1.15 * float(covalent_radii()[[NUMBER[one[0]], NUMBER[other[0]]]].sum())
        assert 0.5 < math.dist(one[1:], other[1:]) <= reach + 3e-3


def test_facts_of_rock_salt_and_corundum() -> None:
    told = facts(TEXTS["rock_salt"])
    assert told["formula"] == "NaCl"
    assert told["space group"] == "Fm3\u0304m (225)"
    assert told["point group"] == "m3\u0304m"
    assert told["crystal system"] == "cubic"
    assert sorted(told["Wyckoff orbits"].split("; ")) == ["Cl 4b", "Na 4a"]
    assert float(told["a, b, c"].split(",")[0]) == pytest.approx(5.64, abs=0.01)
    assert told["cell"].endswith("8 atoms (2 primitive)")
    assert float(told["density"].split()[0]) == pytest.approx(rock_salt().density, abs=0.01)
    assert "symmetry of the atoms" not in told
    other = facts(of_structure(corundum()).text)
    assert (other["formula"], other["space group"]) == ("Al₂O₃", "R3\u0304c (167)")


def test_facts_say_where_atoms_have_more_symmetry_than_is_written() -> None:
    too_low = "sg1@aCs:00.24:00.24:00.24@aCl:24.24:24.24:24.24|20.00/24.24/24.24^24.24^24.24^24.24"
    assert facts(too_low)["symmetry of the atoms"].startswith("Pm3\u0304m (221)")


def test_symbols_as_print_has_them() -> None:
    assert hermann_mauguin("P6_3/mmc") == "P6₃/mmc"
    assert hermann_mauguin("P-1") == "P1\u0304"
    assert subscripts("Al12O3") == "Al₁₂O₃"


def test_peaks_of_rock_salt_are_where_they_were_measured() -> None:
    found = {peak.indices: peak for peak in peaks(parse(TEXTS["rock_salt"]))}
    assert max(found.values(), key=lambda peak: peak.intensity).indices == "200"
    for indices, angle in ROCK_SALT.items():
        assert found[indices].angle == pytest.approx(angle, abs=0.2)
    assert not {"100", "110", "210"} & set(found)  # extinct in a face-centred lattice


def test_peaks_obey_braggs_law() -> None:
    crystal = parse(TEXTS["caesium_chloride"])
    a = crystal.structure().lattice.a
    angles = {peak.indices: peak.angle for peak in peaks(crystal)}
    for indices, squares in (("100", 1), ("110", 2), ("111", 3), ("200", 4), ("210", 5)):
        assert angles[indices] == pytest.approx(2 * math.degrees(math.asin(1.54184 * math.sqrt(squares) / 2 / a)), abs=1e-2)


@pytest.mark.parametrize("name", TEXTS)
def test_a_pattern_is_plain_svg(name: str) -> None:
    svg = pattern_svg(TEXTS[name])
    root = ET.fromstring(svg)
    assert len(svg) < 6000
    assert svg == pattern_svg(TEXTS[name])
    assert all(RANGE[0] <= peak.angle <= RANGE[1] for peak in peaks(parse(TEXTS[name])))
    labels = [(float(t.attrib["x"]), float(t.attrib["y"])) for t in root.iter(f"{NAMESPACE}text") if float(t.attrib["y"]) < 100]
    assert labels
    assert all(abs(one[0] - other[0]) >= 20 for one, other in combinations(labels, 2))


def test_hexagonal_indices_have_three_digits() -> None:
    found = [peak.indices for peak in peaks(of_structure(wurtzite()))]
    assert "002" in found
    assert all(len(indices.replace("\u0304", "")) == 3 for indices in found)


@pytest.mark.parametrize("show", [draw_svg, scene, facts, pattern_svg])
def test_what_is_no_crystal_is_refused(show: object) -> None:
    with pytest.raises(InvalidRecord):
        show("sg999")  # type: ignore[operator]


def test_an_element_without_scattering_factors_is_refused() -> None:
    with pytest.raises(InvalidRecord, match="no diffraction pattern"):
        pattern_svg("sg225@aEs|24.00")
