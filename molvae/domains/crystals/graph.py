"""Crystals as periodic graphs of the primitive cell with categorical features, independent of cell, origin and order of the atoms.

Each atom is joined to its 12 nearest neighbours and all that are as far as the last of them, as in CGCNN (Xie & Grossman, Phys. Rev. Lett.
120, 145301 (2018)), images of itself among them; a pair of atoms may be joined several times, through different cells.
"""

from __future__ import annotations

import numpy as np

from molvae.domains.crystals.neighbours import nearest
from molvae.domains.crystals.structure import Crystal
from molvae.domains.crystals.symmetry import Ints
from molvae.domains.crystals.wyckoff import ELEMENTS, Cell
from molvae.protocols import GraphView
from molvae.records import GraphArrays

NEAREST = 12
FIRST_BIN, BIN_WIDTH, DISTANCES = 0.8, 0.12, 48  # Å; the last bin begins at 6.4 Å
_MULTIPLICITIES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)
_NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)

NODE_FEATURES: dict[str, int] = {
    "element": len(ELEMENTS) + 1,  # by atomic number, 0 is unused
    "period": 8,
    "group": 19,  # 0: lanthanoids and actinoids
    "multiplicity": len(_MULTIPLICITIES) + 1,  # atoms of the orbit in the primitive cell, the last for what is not listed
}
"""Columns of the node features, each with its number of categories."""

EDGE_FEATURES: dict[str, int] = {"distance": DISTANCES}
"""Columns of the edge features, each with its number of categories."""


def place(number: int) -> tuple[int, int]:
    """Period (1 to 7) and group (1 to 18, 0 for lanthanoids and actinoids) of an atomic number."""
    period = next(i for i, last in enumerate(_NOBLE) if number <= last)
    before = _NOBLE[period - 1]
    at, width = number - before, _NOBLE[period] - before
    if at <= 2 and not (period == 1 and at == 2):
        return period, at
    if width == 32 and at <= 16:  # La to Yb, Ac to No
        return period, 0
    return period, 18 - (width - at)


_PLACES = np.array([(0, 0), *(place(number) for number in range(1, len(ELEMENTS) + 1))])


def build(crystal: Crystal) -> GraphArrays:
    """The graph; rows of nodes follow the atoms of the primitive cell. Columns: ``NODE_FEATURES`` and ``EDGE_FEATURES``."""
    return arrays(crystal.primitive)


def arrays(cell: Cell) -> GraphArrays:
    """The graph of a cell: nodes (N, 4), each edge once (E, 2), and its distance bin (E, 1)."""
    sizes = np.bincount(cell.orbit)[cell.orbit]
    at = np.searchsorted(_MULTIPLICITIES, sizes)
    known = (at < len(_MULTIPLICITIES)) & (np.array(_MULTIPLICITIES)[np.minimum(at, len(_MULTIPLICITIES) - 1)] == sizes)
    nodes = np.column_stack([cell.numbers, _PLACES[cell.numbers], np.where(known, at, len(_MULTIPLICITIES))])
    edges, distance = _edges(cell)
    bins = np.clip((distance - FIRST_BIN) / BIN_WIDTH, 0, DISTANCES - 1)
    return GraphArrays(nodes.astype(np.uint8), edges.astype(np.uint16), bins.astype(np.uint8)[:, None])


def _edges(cell: Cell) -> tuple[Ints, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Each bond once: the two atoms (E, 2), and its length (E,) in Å."""
    pairs = nearest(cell, NEAREST)
    code = np.column_stack([pairs.first, pairs.second, pairs.images])
    back = np.column_stack([pairs.second, pairs.first, -pairs.images])
    # A bond and the same one seen from its other end: the one that comes first in lexicographic order stands for both.
    differs = code != back
    at = differs.argmax(1)
    rows = np.arange(len(code))
    later = code[rows, at] > back[rows, at]
    unique, first = np.unique(np.where(later[:, None], back, code), axis=0, return_index=True)
    return unique[:, :2], pairs.distance[first]


GRAPH: GraphView[Crystal] = GraphView(build, tuple(NODE_FEATURES.values()), tuple(EDGE_FEATURES.values()))
