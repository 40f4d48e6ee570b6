"""Stereochemistry as a short list of marks beside a string that has none.

The marks follow the potential stereo elements of the flat molecule in RDKit's order (``FindPotentialStereo``). For a tetrahedral centre: ``^``
(counterclockwise) or ``_``, the chirality seen with its neighbours in the order of their indices. For a double bond: ``/`` (trans) or ``\\``
(cis), relative to the neighbour of lowest index at each end. ``?`` where unspecified; marks at the end that say nothing are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from rdkit import Chem

from molvae.errors import InvalidRecord

MARKS = ("^", "_", "/", "\\", "?")
_TURN = {Chem.ChiralType.CHI_TETRAHEDRAL_CCW: 0, Chem.ChiralType.CHI_TETRAHEDRAL_CW: 1}
_TAG = {0: Chem.ChiralType.CHI_TETRAHEDRAL_CCW, 1: Chem.ChiralType.CHI_TETRAHEDRAL_CW}
_TRANS = (Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS)
_CIS = (Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS)


def flat(mol: Chem.Mol) -> Chem.Mol:
    """The molecule without stereochemistry, read anew, so that no atom is written in brackets for its stereo mark alone."""
    copy = Chem.Mol(mol)
    Chem.RemoveStereochemistry(copy)
    return Chem.MolFromSmiles(Chem.MolToSmiles(copy))


def _elements(mol: Chem.Mol) -> list[tuple[bool, int]]:
    """(is a bond, index) of each potential stereo element of a flat molecule."""
    kinds = {Chem.StereoType.Atom_Tetrahedral: False, Chem.StereoType.Bond_Double: True}
    found = [(kinds[e.type], e.centeredOn) for e in Chem.FindPotentialStereo(mol, False, True) if e.type in kinds]
    return sorted(found)


def _odd(order: Sequence[int]) -> int:
    """1 where sorting takes an odd number of swaps."""
    return sum(a > b for k, a in enumerate(order) for b in order[k + 1 :]) % 2


def _around(atom: Chem.Atom) -> list[int]:
    here = atom.GetIdx()
    return [bond.GetOtherAtomIdx(here) for bond in atom.GetBonds()]


def _reference(mol: Chem.Mol, end: int, other: int) -> int:
    return min(i for i in _around(mol.GetAtomWithIdx(end)) if i != other)


def marks(mol: Chem.Mol, bare: Chem.Mol, place: Sequence[int]) -> list[str]:
    """The marks of ``mol`` for the flat molecule ``bare``; place[i] is the atom of ``mol`` that is atom i of ``bare``."""
    back = {atom: i for i, atom in enumerate(place)}
    out = []
    for is_bond, index in _elements(bare):
        out.append(_bond_mark(mol, bare.GetBondWithIdx(index), place, back) if is_bond else _atom_mark(mol, place[index], back))
    while out and out[-1] == "?":
        out.pop()
    return out


def _atom_mark(mol: Chem.Mol, index: int, back: dict[int, int]) -> str:
    atom = mol.GetAtomWithIdx(index)
    turn = _TURN.get(atom.GetChiralTag())
    if turn is None:
        return "?"
    return "_" if turn ^ _odd([back[i] for i in _around(atom)]) else "^"


def _bond_mark(mol: Chem.Mol, bare: Chem.Bond, place: Sequence[int], back: dict[int, int]) -> str:
    a, b = bare.GetBeginAtomIdx(), bare.GetEndAtomIdx()
    bond = mol.GetBondBetweenAtoms(place[a], place[b])
    stereo = bond.GetStereo()
    if stereo not in (*_TRANS, *_CIS):
        return "?"
    trans = stereo in _TRANS
    for controlling in bond.GetStereoAtoms():
        end, other = (a, b) if mol.GetBondBetweenAtoms(controlling, place[a]) is not None and controlling != place[b] else (b, a)
        trans ^= _reference(bare.GetOwningMol(), end, other) != back[controlling]
    return "/" if trans else "\\"


def apply(mol: Chem.Mol, found: Sequence[str], text: str) -> Chem.Mol:
    """The flat molecule with these marks. Raises InvalidRecord where they do not fit its stereo elements."""
    elements = _elements(mol)
    if len(found) > len(elements):
        raise InvalidRecord(text, f"{len(found)} stereo marks for {len(elements)} stereo elements")
    # RDKit perceives stereochemistry once; done afterwards it would wipe the marks of double bonds, which have no bond directions yet.
    Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
    for mark, (is_bond, index) in zip(found, elements, strict=False):
        if mark == "?":
            continue
        if is_bond != (mark in "/\\"):
            raise InvalidRecord(text, f"the stereo mark {mark} stands for a {'double bond' if is_bond else 'tetrahedral centre'}")
        if is_bond:
            bond = mol.GetBondWithIdx(index)
            a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            if min(bond.GetBeginAtom().GetDegree(), bond.GetEndAtom().GetDegree()) < 2:
                raise InvalidRecord(text, f"the stereo mark {mark} stands for a double bond that carries nothing but hydrogen at one end")
            bond.SetStereoAtoms(_reference(mol, a, b), _reference(mol, b, a))
            bond.SetStereo(Chem.BondStereo.STEREOTRANS if mark == "/" else Chem.BondStereo.STEREOCIS)
        else:
            atom = mol.GetAtomWithIdx(index)
            atom.SetChiralTag(_TAG[(mark == "_") ^ _odd(_around(atom))])
    return mol
