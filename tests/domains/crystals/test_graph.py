"""The periodic graph: known neighbours, and the same graph whatever cell the crystal is given in."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from pymatgen.core.periodic_table import Element

from molvae.domains.crystals.graph import BIN_WIDTH, EDGE_FEATURES, FIRST_BIN, GRAPH, NODE_FEATURES, place
from molvae.domains.crystals.neighbours import nearest, neighbours
from molvae.domains.crystals.structure import of_structure
from molvae.domains.crystals.wyckoff import ELEMENTS
from molvae.records import GraphArrays
from tests.domains.crystals.prototypes import PROTOTYPES, rock_salt


def unordered(graph: GraphArrays) -> tuple[Counter[tuple[int, ...]], Counter[tuple[object, ...]]]:
    """The graph without the order of its nodes: nodes, and edges by what they join."""
    nodes = [tuple(row) for row in graph.nodes.tolist()]
    ends = [tuple(sorted((nodes[a], nodes[b]))) for a, b in graph.edges.tolist()]
    return Counter(nodes), Counter((*pair, *feature) for pair, feature in zip(ends, graph.edge_features.tolist(), strict=True))


def test_rock_salt_has_its_first_two_shells() -> None:
    graph = GRAPH.build(of_structure(rock_salt()))
    assert graph.nodes[:, 0].tolist() == [11, 17]
    assert graph.nodes[:, 1:3].tolist() == [[3, 1], [3, 17]]
    bins = Counter(graph.edge_features[:, 0].tolist())
    shell = [int((distance - FIRST_BIN) / BIN_WIDTH) for distance in (5.64 / 2, 5.64 / np.sqrt(2))]
    # 6 unlike neighbours, one edge each; 12 like ones of each ion, to images of itself, an edge for two of them.
    assert bins == {shell[0]: 6, shell[1]: 12}


@pytest.mark.parametrize("name", PROTOTYPES)
def test_invariance(name: str) -> None:
    structure = PROTOTYPES[name]()
    wanted = unordered(GRAPH.build(of_structure(structure)))
    other = structure.copy()
    other.make_supercell([[1, 0, 0], [1, 2, 0], [0, 0, 1]])
    other.translate_sites(list(range(len(other))), [0.3, 0.17, 0.41])
    other = other.get_sorted_structure(key=lambda site: tuple(site.frac_coords))
    assert unordered(GRAPH.build(of_structure(other))) == wanted
    assert unordered(GRAPH.build(of_structure(structure.get_primitive_structure()))) == wanted


@pytest.mark.parametrize("name", PROTOTYPES)
def test_distances_are_pymatgens(name: str) -> None:
    crystal = of_structure(PROTOTYPES[name]())
    structure = crystal.structure(primitive=True)
    pairs = neighbours(crystal.primitive, 4.0)
    found = sorted(round(d, 6) for d in pairs.distance.tolist())
    assert found == sorted(round(n.nn_distance, 6) for around in structure.get_all_neighbors(4.0) for n in around)
    twelve = nearest(crystal.primitive, 12)
    assert (np.bincount(twelve.first) >= 12).all()


def test_places_in_the_periodic_table_are_pymatgens() -> None:
    for number, symbol in enumerate(ELEMENTS, start=1):
        element = Element(symbol)
        rare = element.is_lanthanoid or element.is_actinoid
        period, group = place(number)
        assert period == (element.row if not rare else (6 if number < 72 else 7)), symbol
        assert group == (0 if 57 <= number <= 70 or 89 <= number <= 102 else element.group), symbol


def test_sizes_hold_every_category() -> None:
    assert GRAPH.node_sizes == tuple(NODE_FEATURES.values())
    assert GRAPH.edge_sizes == tuple(EDGE_FEATURES.values())
