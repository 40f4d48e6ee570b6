"""Questions to a molecule's structure, by SMARTS or scaffold SMILES."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rdkit import Chem, rdBase

from molvae.domains.molecules.smiles import Molecule, parse
from molvae.errors import InvalidRecord, UsageError

MATCHES = 10_000  # ways to lay a scaffold on a molecule that are looked at


class _Contains:
    """Whether a molecule has a substructure. A class, so that it travels to worker processes."""

    def __init__(self, pattern: Chem.Mol) -> None:
        self.pattern = pattern

    def __call__(self, molecule: Molecule) -> bool:
        return bool(molecule.mol.HasSubstructMatch(self.pattern))


def contains(smarts: str) -> Callable[[Molecule], bool]:
    """A test for a SMARTS pattern. Raises UsageError where it is none."""
    with rdBase.BlockLogs():
        pattern = Chem.MolFromSmarts(smarts)
    if pattern is None or pattern.GetNumAtoms() == 0:
        raise UsageError(f"{smarts!r} is no SMARTS pattern; wanted something like c1ccncc1 or [NX3;H2]")
    return _Contains(pattern)


class _Scaffold:
    """Whether a molecule has a scaffold with its ring systems kept. A class, so that it travels to worker processes."""

    def __init__(self, pattern: Chem.Mol) -> None:
        self.pattern = pattern
        self.rings = [atom.GetIdx() for atom in pattern.GetAtoms() if atom.IsInRing()]
        self.bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in pattern.GetBonds()]

    def __call__(self, molecule: Molecule) -> bool:
        mol = molecule.mol
        if not mol.HasSubstructMatch(self.pattern):
            return False
        # Not unique by atoms: of two ways to lay an imidazole on another, one alone has its N-H at the right place.
        return any(self._kept(mol, match) for match in mol.GetSubstructMatches(self.pattern, uniquify=False, maxMatches=MATCHES))

    def _kept(self, mol: Chem.Mol, match: tuple[int, ...]) -> bool:
        bonds = {mol.GetBondBetweenAtoms(match[a], match[b]).GetIdx() for a, b in self.bonds}
        atoms = {match[k] for k in self.rings}
        for ring in mol.GetRingInfo().BondRings():
            ends = {end for k in ring for end in (mol.GetBondWithIdx(k).GetBeginAtomIdx(), mol.GetBondWithIdx(k).GetEndAtomIdx())}
            if ends & atoms and not bonds.issuperset(ring):
                return False
        return all(_replaces_hydrogens(self.pattern.GetAtomWithIdx(k), mol.GetAtomWithIdx(match[k]), bonds) for k in self.rings)


def _replaces_hydrogens(asked: Chem.Atom, found: Chem.Atom, matched: set[int]) -> bool:
    """Whether everything new on a ring atom stands, by a single bond, in the place of a hydrogen. A proton more or less is no difference."""
    new = [bond for bond in found.GetBonds() if bond.GetIdx() not in matched]
    free = asked.GetTotalNumHs()
    protons = found.GetFormalCharge() - asked.GetFormalCharge()
    single = all(bond.GetBondType() == Chem.BondType.SINGLE for bond in new)
    return single and len(new) <= free and len(new) + found.GetTotalNumHs() == free + protons


def scaffold(smiles: str) -> Callable[[Molecule], bool]:
    """A test for a scaffold given as SMILES: its atoms, bonds and aromaticity must be found, and its ring systems kept as they are.

    Kept: no ring atom of the match lies in a ring that is not the scaffold's own (nothing is fused, bridged or spiro to it), and what is new
    on a ring atom takes the place of a hydrogen by a single bond (no new C=O or sulfone, no N-H where the scaffold has a bare nitrogen), so
    that pyridone is no pyridine and quinoline neither. Chains and linkers of the scaffold can be decorated freely. Raises UsageError for no
    valid SMILES and for one without a ring.
    """
    try:
        pattern = parse(smiles).mol
    except InvalidRecord as error:
        raise UsageError(f"the scaffold {smiles!r} is no valid SMILES: {error.why}") from error
    if pattern.GetRingInfo().NumRings() == 0:
        raise UsageError(f"the scaffold {smiles!r} has no ring; ask for a substructure instead, with --contains {smiles!r}")
    return _Scaffold(pattern)


QUERIES: Mapping[str, Callable[[str], Callable[[Molecule], bool]]] = {"contains": contains, "scaffold": scaffold}
