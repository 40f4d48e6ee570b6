"""Questions to a molecule's structure, by SMARTS or scaffold SMILES."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rdkit import Chem, rdBase

from molvae.domains.molecules.smiles import Molecule, parse
from molvae.errors import InvalidRecord, UsageError


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


def scaffold(smiles: str) -> Callable[[Molecule], bool]:
    """A test for a scaffold given as SMILES: its atoms, bonds and aromaticity must be found, decorations are free. Raises UsageError."""
    try:
        return _Contains(parse(smiles).mol)
    except InvalidRecord as error:
        raise UsageError(f"the scaffold {smiles!r} is no valid SMILES: {error.why}") from error


QUERIES: Mapping[str, Callable[[str], Callable[[Molecule], bool]]] = {"contains": contains, "scaffold": scaffold}
