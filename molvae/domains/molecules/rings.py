"""Rings that cannot close: graph rules for bent multiple bonds, anti-Bredt double bonds, antiaromatic and over-strained small rings.

Sources: Wiseman & Pletcher, J. Am. Chem. Soc. 92, 956 (1970) (a bridgehead double bond is as strained as the trans-cycloalkene in the
larger ring that holds it; trans-cyclooctene is the smallest that can be kept); Johnson, Chem. Rev. 89, 1111 (1989) (cyclic alkynes and
cumulenes); Cram & Cram, Acc. Chem. Res. 4, 204 (1971) (short-bridged arenes); Fink & Reymond, J.
Chem. Inf. Model. 47, 342 (2007) (GDB: small fused and unsaturated small rings); Bally, Angew. Chem. Int. Ed. 45, 6616 (2006)
(cyclobutadiene).
"""

from __future__ import annotations

from rdkit import Chem

_DOUBLE = Chem.BondType.DOUBLE
_RING_TRIPLE = Chem.MolFromSmarts("*#@*")
_RING_ALLENE = Chem.MolFromSmarts("*=@[X2;#6]=@*")
_SMALLEST_RING_OF_TRIPLE = 8
_SMALLEST_RING_OF_ALLENE = 9
_SMALLEST_TRANS_RING = 8
_SHORTEST_META_BRIDGE, _SHORTEST_PARA_BRIDGE = 6, 7
_PENTALENE = Chem.MolFromSmarts("[#6]1=,:[#6][#6]2=[#6][#6]=[#6][#6]2=[#6]1")
_CYCLOPENTADIENONE = Chem.MolFromSmarts("[OX1]=[#6]1[CX3H]=[CX3][CX3]=[CX3]1")


def impossible_rings(mol: Chem.Mol) -> tuple[str, ...]:
    """What is wrong with the rings of ``mol``, in words; empty where nothing is."""
    info = mol.GetRingInfo()
    if not info.NumRings():
        return ()
    found = _bent_multiple_bonds(mol) + _small_rings(mol) + _bridges(mol)
    if mol.HasSubstructMatch(_PENTALENE):
        found.append("pentalene (antiaromatic)")
    if mol.HasSubstructMatch(_CYCLOPENTADIENONE):
        found.append("cyclopentadienone with a free alpha position (dimerises)")
    return tuple(dict.fromkeys(found))


def _bent_multiple_bonds(mol: Chem.Mol) -> list[str]:
    info = mol.GetRingInfo()
    found = []
    for first, second in mol.GetSubstructMatches(_RING_TRIPLE):
        size = info.MinBondRingSize(mol.GetBondBetweenAtoms(first, second).GetIdx())
        if size < _SMALLEST_RING_OF_TRIPLE:
            found.append(f"triple bond in a ring of {size}")
    for _, middle, _ in mol.GetSubstructMatches(_RING_ALLENE):
        size = info.MinAtomRingSize(middle)
        if size < _SMALLEST_RING_OF_ALLENE:
            found.append(f"cumulated double bonds in a ring of {size}")
    return found


def _small_rings(mol: Chem.Mol) -> list[str]:
    info = mol.GetRingInfo()
    found = []
    small = [(set(atoms), set(bonds)) for atoms, bonds in zip(info.AtomRings(), info.BondRings(), strict=True) if len(atoms) <= 4]
    for atoms, bonds in small:
        ring_bonds = [mol.GetBondWithIdx(index) for index in bonds]
        aromatic = sum(bond.GetIsAromatic() for bond in ring_bonds)
        double = sum(bond.GetBondType() == _DOUBLE for bond in ring_bonds)
        if aromatic == len(atoms) and not _is_oxocarbon(mol, atoms):
            found.append(f"aromatic ring of {len(atoms)} atoms")
        elif len(atoms) == 3 and aromatic + double:
            found.append("multiple bond in a ring of 3")
        elif len(atoms) == 4 and double and aromatic + double > 1:
            found.append("two double bonds in a ring of 4 (antiaromatic)")
    for first in range(len(small)):
        for second in range(first):
            sizes = sorted((len(small[first][0]), len(small[second][0])))
            if sizes[0] == 3 and small[first][1] & small[second][1]:
                found.append(f"rings of {sizes[0]} and {sizes[1]} that share a bond")
    return found


def _is_oxocarbon(mol: Chem.Mol, ring: set[int]) -> bool:
    """Squarates and squaramides: stable; RDKit counts their exocyclic C=O and C=N bonds as part of an aromatic system."""
    outward = (
        bond
        for index in ring
        for bond in mol.GetAtomWithIdx(index).GetBonds()
        if bond.GetBondType() == _DOUBLE and not bond.GetIsAromatic()
    )
    return len(ring) == 4 and sum(1 for _ in outward) >= 2


def _bridges(mol: Chem.Mol) -> list[str]:
    rings = [set(ring) for ring in mol.GetRingInfo().AtomRings()]
    found = []
    for first in range(len(rings)):
        for second in range(first):
            shared = rings[first] & rings[second]
            if len(shared) > 2:
                found.extend(_bridged_pair(mol, rings[first], rings[second], shared))
    return found


def _bridged_pair(mol: Chem.Mol, first: set[int], second: set[int], shared: set[int]) -> list[str]:
    """Two rings that share a path of three or more atoms: its ends are the bridgeheads, its inner atoms the third bridge."""
    heads = [index for index in shared if sum(other.GetIdx() in shared for other in mol.GetAtomWithIdx(index).GetNeighbors()) == 1]
    if len(heads) != 2:
        return []
    bridges = (first - shared, second - shared, shared.difference(heads))
    found = []
    for number, bridge in enumerate(bridges):
        others = [len(other) for place, other in enumerate(bridges) if place != number]
        larger = len(bridge) + max(others) + 2
        if larger < _SMALLEST_TRANS_RING and any(_has_double_bond_into(mol, head, bridge) for head in heads):
            found.append(f"double bond at a bridgehead (trans in a ring of {larger}, against Bredt's rule)")
    found.extend(_short_cyclophane(mol, ring, other, len(shared)) for ring, other in ((first, second), (second, first)))
    return [reason for reason in found if reason]


def _has_double_bond_into(mol: Chem.Mol, head: int, bridge: set[int]) -> bool:
    bonds = (mol.GetBondBetweenAtoms(head, index) for index in bridge)
    return any(bond is not None and bond.GetBondType() == _DOUBLE for bond in bonds)


def _short_cyclophane(mol: Chem.Mol, arene: set[int], other: set[int], shared: int) -> str:
    if len(arene) > 6 or not all(mol.GetAtomWithIdx(index).GetIsAromatic() for index in arene):
        return ""
    if all(mol.GetAtomWithIdx(index).GetIsAromatic() for index in other):
        return "aromatic rings that share more than one bond"
    length = len(other) - shared
    shortest = _SHORTEST_META_BRIDGE if shared == 3 else _SHORTEST_PARA_BRIDGE
    return f"aromatic ring bridged by {length} atoms" if length < shortest else ""
