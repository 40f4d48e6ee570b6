"""Molecules as canonical isomeric SMILES: parsing with reasons, identity, scaffolds, similarity, and cleaning steps."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import rdFingerprintGenerator
from rdkit.Chem.MolStandardize import rdMolStandardize
from rdkit.Chem.Scaffolds import MurckoScaffold

from molvae.errors import InvalidRecord, UsageError
from molvae.protocols import Step

LONGEST = 2000
"""Longest SMILES that ``parse`` accepts, in characters."""

_NONMETALS = frozenset((1, 2, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 32, 33, 34, 35, 36, 51, 52, 53, 54, 85, 86))
_BONDS = frozenset((Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC, Chem.BondType.DATIVE))
_SYMBOL = re.compile(r"\[[^\[\]\s]+\]|%\d\d|%\(\d+\)|Br|Cl|[BCNOPSFIbcnops]|->|<-|[=#$:/\\.()\-]|\d")
# What only a closer look at the molecule can clear: dummy atoms, unusual bonds, and bracket atoms other than common nonmetals.
_SUSPECT = re.compile(r"[*~$]|->|<-|\[(?!\d*(?:Cl|Br|Si|Se|[BCNOPSFIH](?![a-z])|se|[bcnops](?![a-z]))[^\]]*\])")
_LOG_PREFIX = re.compile(r"^\[\d\d:\d\d:\d\d\]\s*(?:Explicit|SMILES Parse Error:\s*)?")
_FINGERPRINT = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)

_inchikey: Callable[[Chem.Mol], str] = Chem.MolToInchiKey
_murcko: Callable[..., str] = MurckoScaffold.MurckoScaffoldSmiles


def _parameters(sanitize: bool) -> Chem.SmilesParserParams:
    parameters = Chem.SmilesParserParams()
    # Through setattr, because RDKit's stubs give these attributes the wrong type.
    for name, value in {"allowCXSMILES": False, "parseName": False, "sanitize": sanitize, "removeHs": sanitize}.items():
        setattr(parameters, name, value)
    return parameters


_STRICT = _parameters(True)
_RAW = _parameters(False)


@dataclass(frozen=True)
class Molecule:
    """A molecule (or a salt: several components). Make it with ``parse``, which makes the SMILES canonical.

    smiles: RDKit's canonical isomeric SMILES, a fixed point of ``parse``.
    """

    smiles: str
    _mol: Chem.Mol | None = field(default=None, compare=False, repr=False)

    @property
    def mol(self) -> Chem.Mol:
        """The sanitised RDKit molecule, atoms in the order of ``smiles``. Shared: do not change it, copy it first."""
        if self._mol is None:
            mol = _read(self.smiles)
            if mol is None:
                raise InvalidRecord(self.smiles, _reason(self.smiles))
            object.__setattr__(self, "_mol", mol)
            return mol
        return self._mol

    def __reduce__(self) -> tuple[Any, ...]:
        return Molecule, (self.smiles,)


def _read(text: str, parameters: Chem.SmilesParserParams = _STRICT) -> Chem.Mol | None:
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(text, parameters)


def _reason(text: str) -> str:
    """RDKit's own words for why it does not read ``text``."""
    raw = _read(text, _RAW)
    with rdBase.BlockLogs():
        problems = [] if raw is None else [problem.Message() for problem in Chem.DetectChemistryProblems(raw)]
    if problems:
        return "; ".join(problems)
    with rdBase.CaptureErrorLog() as log:
        Chem.MolFromSmiles(text, _STRICT)
    lines = [_LOG_PREFIX.sub("", line).strip() for line in log.messages.splitlines()]
    said = next((line for line in lines if line), "no reason given")
    return f"not a SMILES: {said}"


def parse(text: str) -> Molecule:
    """Read one SMILES.

    Raises InvalidRecord with RDKit's reason; also for empty or multi-line texts, texts over 2,000 characters, white space inside, dummy
    atoms and query bonds, and metals with bonds (bare metal ions in a salt are fine).
    """
    smiles = text.strip()
    if not smiles:
        raise InvalidRecord(text, "empty; one SMILES is wanted")
    if len(smiles) > LONGEST:
        raise InvalidRecord(text, f"{len(smiles)} characters; at most {LONGEST} are read")
    if not smiles.isascii() or any(character.isspace() or not character.isprintable() for character in smiles):
        raise InvalidRecord(text, "white space or non-ASCII characters inside; give one SMILES alone, without name or extensions")
    mol = _read(smiles)
    if mol is None:
        raise InvalidRecord(text, _reason(smiles))
    why = _unsupported(mol) if _SUSPECT.search(smiles) else None
    if why is not None:
        raise InvalidRecord(text, why)
    return _canonical(smiles, mol)


def _canonical(text: str, mol: Chem.Mol) -> Molecule:
    """Write and read until nothing changes; where RDKit goes in a circle, take its smallest SMILES, so that parse is idempotent."""
    seen: dict[str, Chem.Mol] = {}
    order: list[str] = []
    smiles = Chem.MolToSmiles(mol)
    if smiles == text:  # it was read from and is written as the same text: nothing changes any more
        return Molecule(smiles, mol)
    while smiles not in seen:
        again = _read(smiles)
        if again is None:
            raise InvalidRecord(text, f"RDKit cannot read back its own SMILES {smiles!r}: {_reason(smiles)}")
        seen[smiles] = again
        order.append(smiles)
        smiles = Chem.MolToSmiles(again)
    smallest = min(order[order.index(smiles) :])
    return Molecule(smallest, seen[smallest])


def _unsupported(mol: Chem.Mol) -> str | None:
    if mol.GetNumAtoms() == 0:
        return "no atoms"
    for atom in mol.GetAtoms():
        number = atom.GetAtomicNum()
        if number == 0 or atom.HasQuery():
            return f"atom {atom.GetIdx()} is a dummy or query atom; whole molecules of known elements are wanted"
        if number not in _NONMETALS and atom.GetTotalDegree():
            return f"atom {atom.GetIdx()} is the metal {atom.GetSymbol()} with bonds; metals are read as free ions only"
    for bond in mol.GetBonds():
        if bond.GetBondType() not in _BONDS or bond.HasQuery():
            return (
                f"bond {bond.GetIdx()} is a query or of type {bond.GetBondType()!s}; single, double, triple and aromatic bonds are wanted"
            )
    return None


def write(molecule: Molecule) -> str:
    """The canonical SMILES; ``parse(write(m)) == m``."""
    return molecule.smiles


def key(molecule: Molecule) -> str:
    """Standard InChIKey, which folds mobile hydrogens (most tautomers); ``SMILES:<sha256>`` where InChI has no answer."""
    with rdBase.BlockLogs():
        inchikey = _inchikey(molecule.mol)
    if inchikey:
        return inchikey
    return "SMILES:" + hashlib.sha256(molecule.smiles.encode()).hexdigest()


def scaffold(molecule: Molecule) -> str:
    """Murcko scaffold without stereo as SMILES, empty for molecules without rings (Bemis and Murcko, J. Med. Chem. 1996, 39, 2887)."""
    with rdBase.BlockLogs():
        return _murcko(mol=molecule.mol, includeChirality=False)


def similarity(molecule: Molecule, others: Sequence[Molecule]) -> list[float]:
    """Tanimoto similarities of Morgan fingerprints (radius 2, 2048 bits), in [0, 1]."""
    return Library(others).similarity(molecule)


class Library:
    """Known molecules by their fingerprints, ready to be asked which of them is nearest to a new one."""

    def __init__(self, known: Sequence[Molecule]) -> None:
        self._texts = [molecule.smiles for molecule in known]
        self._fingerprints = [_FINGERPRINT.GetFingerprint(molecule.mol) for molecule in known]

    def similarity(self, molecule: Molecule) -> list[float]:
        """See the function of this name."""
        if not self._fingerprints:
            return []
        return list(DataStructs.BulkTanimotoSimilarity(_FINGERPRINT.GetFingerprint(molecule.mol), self._fingerprints))

    def __call__(self, molecule: Molecule) -> dict[str, float | str]:
        """The nearest as columns of a table (``Domain.library``)."""
        found = np.array(self.similarity(molecule))
        if not len(found):
            return {}
        return {"nearest": self._texts[int(found.argmax())], "nearest_similarity": float(found.max())}


def features(molecules: Sequence[Molecule]) -> NDArray[np.float32]:
    """Counts (n, 2048) of Morgan environments (radius 2): Rogers & Hahn, J. Chem. Inf. Model. 50, 742 (2010)."""
    out = np.zeros((len(molecules), 2048), np.float32)
    for row, molecule in zip(out, molecules, strict=True):
        row[:] = _FINGERPRINT.GetCountFingerprintAsNumPy(molecule.mol)
    return out


def symbols(smiles: str) -> list[str]:
    """Split a SMILES: bracket atoms, Cl, Br and %nn are one symbol each. Raises InvalidRecord at the first foreign character."""
    found: list[str] = _SYMBOL.findall(smiles)
    if sum(map(len, found)) != len(smiles):
        at = 0
        while match := _SYMBOL.match(smiles, at):
            at = match.end()
        raise InvalidRecord(smiles, f"{smiles[at]!r} at position {at + 1} is not a SMILES symbol")
    return found


def largest_fragment(molecule: Molecule) -> Molecule:
    """The component with carbon, then most heavy atoms, then the largest mass, then the first SMILES."""
    if "." not in molecule.smiles:
        return molecule

    def size(part: Molecule) -> tuple[bool, int, float, str]:
        atoms = part.mol.GetAtoms()
        return any(a.GetAtomicNum() == 6 for a in atoms), part.mol.GetNumHeavyAtoms(), sum(a.GetMass() for a in atoms), part.smiles

    return max((parse(part) for part in molecule.smiles.split(".")), key=size)


def neutralise(molecule: Molecule) -> Molecule:
    """Neutral form by adding and removing protons; charges that protons cannot remove (quaternary nitrogen, nitro) stay."""
    if "+" not in molecule.smiles and "-" not in molecule.smiles:
        return molecule
    with rdBase.BlockLogs():
        mol = rdMolStandardize.Uncharger().uncharge(molecule.mol)
    return parse(Chem.MolToSmiles(mol))


def allowed_elements(elements: Iterable[str]) -> Step[Molecule]:
    """A step that drops molecules with other elements; hydrogen is always allowed. Raises UsageError for unknown symbols."""
    wanted = frozenset(elements)
    table = Chem.GetPeriodicTable()
    known = {table.GetElementSymbol(number) for number in range(1, 119)}
    if unknown := sorted(wanted - known):
        raise UsageError(f"not element symbols: {', '.join(unknown)}; write for example C, N, O, Cl")
    if not wanted:
        raise UsageError("no element is allowed; name at least one, for example C")

    def apply(molecule: Molecule) -> Molecule:
        present = {atom.GetSymbol() for atom in molecule.mol.GetAtoms()}
        if foreign := sorted(present - wanted - {"H"}):
            raise InvalidRecord(molecule.smiles, f"has {', '.join(foreign)}; allowed are {', '.join(sorted(wanted))}")
        return molecule

    return Step("allowed_elements", f"drop molecules with elements other than {', '.join(sorted(wanted))}", apply)


def heavy_atoms(smallest: int, largest: int) -> Step[Molecule]:
    """A step that drops molecules with fewer or more heavy atoms than given (inclusive). Raises UsageError for an empty range."""
    if not 0 <= smallest <= largest:
        raise UsageError(f"heavy atoms from {smallest} to {largest}: the first must not be negative nor above the second")

    def apply(molecule: Molecule) -> Molecule:
        count = molecule.mol.GetNumHeavyAtoms()
        if not smallest <= count <= largest:
            raise InvalidRecord(molecule.smiles, f"{count} heavy atoms; {smallest} to {largest} are wanted")
        return molecule

    return Step("heavy_atoms", f"drop molecules outside {smallest} to {largest} heavy atoms", apply)


STEPS: tuple[Step[Molecule], ...] = (
    Step("largest_fragment", "keep the largest component of a salt or mixture", largest_fragment),
    Step("neutralise", "remove charges by adding and removing protons", neutralise),
)
