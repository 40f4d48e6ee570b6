"""Molecules as graphs of heavy atoms with categorical features that do not depend on the order of the atoms."""

from __future__ import annotations

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdCIPLabeler

from molvae.domains.molecules.smiles import Molecule
from molvae.protocols import GraphView
from molvae.records import GraphArrays

ELEMENTS = (
    *("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Br", "I", "Se", "As", "Ge", "Te", "Sb", "Li", "Na", "K", "Mg", "Ca", "Al", "Zn"),
    *("He", "Ne", "Ar", "Kr", "Xe", "Sr", "Ba"),
)
"""Elements with a category of their own; all others share the last one."""

_ELEMENT = {Chem.GetPeriodicTable().GetAtomicNumber(symbol): category for category, symbol in enumerate(ELEMENTS)}
_OTHER_ELEMENT = len(ELEMENTS)
_HYBRIDISATIONS = ("S", "SP", "SP2", "SP3", "SP2D", "SP3D", "SP3D2")
_HYBRIDISATION = {getattr(Chem.HybridizationType, name): category for category, name in enumerate(_HYBRIDISATIONS, start=1)}
_BOND = {Chem.BondType.SINGLE: 0, Chem.BondType.DOUBLE: 1, Chem.BondType.TRIPLE: 2, Chem.BondType.AROMATIC: 3}
_OTHER_BOND = len(_BOND)
_CHIRALITY = {"R": 1, "r": 1, "S": 2, "s": 2}
_GEOMETRY = {"E": 1, "e": 1, "Z": 2, "z": 2}
_UNSPECIFIED = Chem.ChiralType.CHI_UNSPECIFIED
_STEREO_NONE = Chem.BondStereo.STEREONONE
_MOST_CIP_STEPS = 200_000

NODE_FEATURES: dict[str, int] = {
    "element": len(ELEMENTS) + 1,
    "degree": 7,  # 0 .. 5, 6 and more
    "charge": 7,  # -3 and less .. 3 and more
    "hydrogens": 5,  # 0 .. 3, 4 and more
    "aromatic": 2,
    "hybridisation": len(_HYBRIDISATIONS) + 1,  # 0: other or unknown
    "chirality": 3,  # none, R, S
    "in ring": 2,
    "smallest ring": 8,  # none, 3 .. 8, 9 and more
    "radical electrons": 3,  # 0, 1, 2 and more
    "isotope": 2,  # natural, set
}
"""Columns of the node features, each with its number of categories."""

EDGE_FEATURES: dict[str, int] = {
    "type": len(_BOND) + 1,  # single, double, triple, aromatic, dative
    "stereo": 3,  # none, E, Z
    "in ring": 2,
    "conjugated": 2,
}
"""Columns of the edge features, each with its number of categories."""


def build(molecule: Molecule) -> GraphArrays:
    """The molecular graph; rows of nodes follow the atoms of the canonical SMILES. Columns: ``NODE_FEATURES`` and ``EDGE_FEATURES``."""
    return arrays(molecule.mol)


def arrays(mol: Chem.Mol) -> GraphArrays:
    """The graph of a sanitised RDKit molecule, in the order of its atoms; the molecule itself is not changed."""
    mol = Chem.Mol(mol)
    atoms, bonds = list(mol.GetAtoms()), list(mol.GetBonds())
    centres = [atom.GetChiralTag() != _UNSPECIFIED for atom in atoms]
    stereo = [bond.GetStereo() != _STEREO_NONE for bond in bonds]
    # Before the descriptors: assigning them can replace the smallest rings by any set of rings.
    rings = list(map(mol.GetRingInfo().MinAtomRingSize, range(len(atoms))))
    if any(centres) or any(stereo):
        _describe(mol)
    nodes = [_node(atom, centre, ring) for atom, centre, ring in zip(atoms, centres, rings, strict=True)]
    edge_features = [_edge(bond, described) for bond, described in zip(bonds, stereo, strict=True)]
    return GraphArrays(
        nodes=np.array(nodes, dtype=np.uint8).reshape(-1, len(NODE_FEATURES)),
        edges=np.array([(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds], dtype=np.uint16).reshape(-1, 2),
        edge_features=np.array(edge_features, dtype=np.uint8).reshape(-1, len(EDGE_FEATURES)),
    )


def _describe(mol: Chem.Mol) -> None:
    """Set CIP descriptors on atoms and double bonds (Hanson et al., J. Chem. Inf. Model. 2018, 58, 1755).

    RDKit's chiral tags and cis/trans marks depend on the order of the neighbours, these do not. Highly symmetric cages would take
    exponentially long; beyond a fixed number of steps nothing is described, as half a description would depend on the order again.
    """
    for atom in mol.GetAtoms():
        atom.ClearProp("_CIPCode")  # the older algorithm's, set on parsing
    try:
        rdCIPLabeler.AssignCIPLabels(mol, maxRecursiveIterations=_MOST_CIP_STEPS)
    except RuntimeError:
        for part in (*mol.GetAtoms(), *mol.GetBonds()):
            part.ClearProp("_CIPCode")


def _node(atom: Chem.Atom, centre: bool, smallest_ring: int) -> tuple[int, ...]:
    charge, hydrogens, radicals = atom.GetFormalCharge(), atom.GetTotalNumHs(), atom.GetNumRadicalElectrons()
    return (
        _ELEMENT.get(atom.GetAtomicNum(), _OTHER_ELEMENT),
        min(atom.GetDegree(), 6),
        min(max(charge, -3), 3) + 3 if charge else 3,
        hydrogens if hydrogens < 4 else 4,
        atom.GetIsAromatic(),
        _HYBRIDISATION.get(atom.GetHybridization(), 0),
        _CHIRALITY.get(atom.GetProp("_CIPCode"), 0) if centre and atom.HasProp("_CIPCode") else 0,
        smallest_ring > 0,
        min(smallest_ring, 9) - 2 if smallest_ring else 0,
        min(radicals, 2) if radicals else 0,
        atom.GetIsotope() > 0,
    )


def _edge(bond: Chem.Bond, described: bool) -> tuple[int, ...]:
    return (
        _BOND.get(bond.GetBondType(), _OTHER_BOND),
        _GEOMETRY.get(bond.GetProp("_CIPCode"), 0) if described and bond.HasProp("_CIPCode") else 0,
        bond.IsInRing(),
        bond.GetIsConjugated(),
    )


GRAPH: GraphView[Molecule] = GraphView(build, tuple(NODE_FEATURES.values()), tuple(EDGE_FEATURES.values()))
