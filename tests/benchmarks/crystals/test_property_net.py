"""CDVAE's property nets: graphs and triplets by hand, invariance, and the error on real data where wheel and data are at hand."""

from __future__ import annotations

import csv
import gzip
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from pymatgen.core import Lattice, Structure

from benchmarks.crystals.property_net import WHEEL, Network, PropertyNet, batched, graph_of, triplets
from benchmarks.crystals.settings import SETTINGS
from molvae.domains.crystals.structure import of_structure
from molvae.errors import UnknownName
from tests.domains.crystals.prototypes import diamond, perovskite, rock_salt

FILES = {"perov_5": "perov_5_val", "carbon_24": "carbon_24_val", "mp_20": "mp_20_biternary_val"}


def test_rock_salt_has_six_bonds_an_atom() -> None:
    graph = graph_of(rock_salt().get_primitive_structure())
    assert graph is not None
    source, target = graph.edges
    lengths = (graph.positions[source] - graph.positions[target] + graph.shifts).norm(dim=-1)
    assert torch.bincount(target).tolist() == [6, 6]
    assert lengths.numpy() == pytest.approx(np.full(12, float(lengths[0])), abs=1e-4)
    assert set(graph.numbers[source].tolist()) == {11, 17}


def test_graph_of_a_crystal_is_that_of_its_primitive_cell() -> None:
    crystal = of_structure(diamond())
    graph, other = graph_of(crystal), graph_of(crystal.structure(primitive=True))
    assert graph is not None
    assert other is not None
    assert len(graph.numbers) == 2
    assert torch.equal(graph.edges, other.edges)


def test_small_cells_are_enlarged_and_keep_their_bonds() -> None:
    graph = graph_of(of_structure(diamond()), least=6)
    assert graph is not None
    assert len(graph.numbers) == 8
    assert torch.bincount(graph.edges[1]).tolist() == [4] * 8


def test_no_graph_for_what_the_nets_do_not_know() -> None:
    assert graph_of(Structure(Lattice.cubic(3.0), ["Cm"], [[0, 0, 0]])) is None


def test_triplets_are_all_pairs_but_those_that_come_back() -> None:
    torch.manual_seed(0)
    edges = torch.randint(0, 5, (2, 30))
    wanted = {(f, e) for f, e in product(range(30), repeat=2) if edges[1, f] == edges[0, e] and edges[0, f] != edges[1, e]}
    before, onto = triplets(edges, 5)
    assert set(zip(before.tolist(), onto.tolist(), strict=True)) == wanted
    assert len(before) == len(wanted)


def test_batch_keeps_graphs_apart() -> None:
    first, second = graph_of(rock_salt().get_primitive_structure()), graph_of(perovskite())
    assert first is not None
    assert second is not None
    both = batched([first, second])
    assert both.cell.tolist() == [0] * 2 + [1] * 5
    assert torch.equal(both.cell[both.edges[0]], both.cell[both.edges[1]])
    assert torch.equal(both.edges[:, len(first.shifts) :] - 2, second.edges)


def test_unknown_data_set_is_named() -> None:
    with pytest.raises(UnknownName, match="perov_5"):
        PropertyNet("perov5")


@pytest.mark.slow
def test_network_does_not_see_how_a_crystal_lies() -> None:
    torch.manual_seed(0)
    network = Network().eval()
    for block in network.output_blocks:
        torch.nn.init.normal_(block.lin.weight)
    cell = perovskite()
    turned = Structure(cell.lattice, cell.species[::-1], cell.frac_coords[::-1] + np.array([0.3, 0.1, 0.7]))
    graphs = [graph_of(cell), graph_of(turned), graph_of(rock_salt().get_primitive_structure())]
    assert all(graph is not None for graph in graphs)
    with torch.inference_mode():
        one, same, other = network(batched(graphs)).tolist()  # type: ignore[arg-type]
        alone = float(network(batched(graphs[:1]))[0])  # type: ignore[arg-type]
    assert one == pytest.approx(same, rel=1e-3)
    assert one == pytest.approx(alone, rel=1e-4)
    assert one != pytest.approx(other, rel=1e-2)


@pytest.mark.slow
def test_energy_of_diamond_is_the_datas() -> None:
    if WHEEL.found() is None:
        pytest.skip(f"{WHEEL.file} is absent; put it into $MOLVAE_WHEELS")
    cell = diamond()
    primitive, conventional = PropertyNet("carbon_24").predict([of_structure(cell), cell])
    assert primitive == pytest.approx(conventional, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("data", "most"), [("perov_5", 0.08), ("carbon_24", 0.02), ("mp_20", 0.06)])
def test_error_on_validation_rows_is_that_of_the_authors(data: str, most: float, shared_data: Path) -> None:
    if WHEEL.found() is None:
        pytest.skip(f"{WHEEL.file} is absent; put it into $MOLVAE_WHEELS")
    csv.field_size_limit(sys.maxsize)
    with gzip.open(shared_data / f"{FILES[data]}.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:600:15]
    structures = [Structure.from_str(row["cif"], fmt="cif") for row in rows]
    labels = [float(row[SETTINGS[data].label]) for row in rows]
    errors = np.abs(PropertyNet(data).predict(structures) - labels)
    assert np.isfinite(errors).all()
    assert errors.mean() < most
