"""Molecules as trees of atoms and whole ring systems, after Group SELFIES (Cheng et al., Digital Discovery 2023, 2, 748).

A ring system is everything joined by ring bonds, with the atoms that multiple bonds join to it (so lactams and quinones stay aromatic or
not as they were). Contracting the ring systems leaves a tree, written depth first like a SMILES without ring bonds::

    Cc1ccc(C(=O)N2CCOCC2)cc1  ->  C{c1ccccc1}<0><3>C(=O){C1COCCN1}<5>

``{...}`` is a ring system by its own canonical SMILES, with hydrogen in place of substituents; ``<k>`` after it is the atom that joins it
to what stands before, and a ``<k>`` later the atom that the next part is joined to. Stereochemistry follows after a ``|`` as a list of marks
(``molvae.domains.molecules.stereo``): ``C{c1ccccc1}<0><3>C(F)Cl|^``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from rdkit import Chem, rdBase

from molvae.domains.molecules.smiles import Molecule, parse
from molvae.domains.molecules.smiles import symbols as smiles_symbols
from molvae.domains.molecules.stereo import MARKS, apply, flat, marks
from molvae.errors import InvalidRecord
from molvae.protocols import SequenceView

_BONDS = {Chem.BondType.SINGLE: "", Chem.BondType.DOUBLE: "=", Chem.BondType.TRIPLE: "#"}
_ORDERS = {"": Chem.BondType.SINGLE, "=": Chem.BondType.DOUBLE, "#": Chem.BondType.TRIPLE}
_SYMBOL = re.compile(r"\{[^{}]+\}|<\d+>|\||[\^_?/\\]|[()=#]|\[[^\[\]{}<>]+\]|Br|Cl|[BCNOPSFI]")


@dataclass(frozen=True)
class _Group:
    mol: Chem.Mol
    symmetries: tuple[tuple[int, ...], ...]


@dataclass
class _Node:
    """A ring system or a single atom of the tree. atoms: ring systems only, in the order of ``smiles``. links: (own atom, other atom)."""

    smiles: str
    atoms: tuple[int, ...]
    ring: bool
    links: list[tuple[int, int]] = field(default_factory=list)


@lru_cache(maxsize=20_000)
def _group(smiles: str) -> _Group:
    """Raises InvalidRecord where RDKit does not read the ring system."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise InvalidRecord(smiles, "no ring system that RDKit reads")
    ranks = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    matches = mol.GetSubstructMatches(mol, uniquify=False, maxMatches=1000)
    same = [match for match in matches if all(ranks[i] == ranks[j] for i, j in enumerate(match))]
    return _Group(mol, tuple(same) or (tuple(range(mol.GetNumAtoms())),))


def _components(mol: Chem.Mol) -> list[list[int]]:
    """Atoms of each ring system, with the atoms that multiple bonds join to it."""
    owner = list(range(mol.GetNumAtoms()))

    def root(atom: int) -> int:
        while owner[atom] != atom:
            atom = owner[atom]
        return atom

    inside = set()
    multiple = []
    for bond in mol.GetBonds():
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if bond.IsInRing():
            owner[root(a)] = root(b)
            inside |= {a, b}
        elif bond.GetBondType() != Chem.BondType.SINGLE:
            multiple.append((a, b))
    grown = True
    while grown:
        grown = False
        for a, b in multiple:
            if (a in inside or b in inside) and root(a) != root(b):
                owner[root(a)] = root(b)
                inside |= {a, b}
                grown = True
    members: dict[int, list[int]] = {}
    for atom in sorted(inside):
        members.setdefault(root(atom), []).append(atom)
    return list(members.values())


_RingAtom = tuple[int, int, int, bool, bool, int, int]  # element, charge, isotope, aromatic, no implicit hydrogens, explicit ones, radicals
_RingBond = tuple[int, int, Chem.BondType]


def _ring_node(mol: Chem.Mol, atoms: list[int]) -> _Node:
    number = {index: place for place, index in enumerate(atoms)}
    found: list[_RingAtom] = []
    bonds: dict[int, _RingBond] = {}
    for index in atoms:
        atom = mol.GetAtomWithIdx(index)
        aromatic, fixed, hydrogens, outside = atom.GetIsAromatic(), atom.GetNoImplicit(), atom.GetNumExplicitHs(), 0
        for bond in atom.GetBonds():
            a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            if a in number and b in number:
                bonds[bond.GetIdx()] = (number[a], number[b], bond.GetBondType())
            else:
                outside += 1
        if outside and (fixed or (aromatic and atom.GetAtomicNum() != 6)):
            hydrogens, fixed = hydrogens + outside, True
        found.append(
            (atom.GetAtomicNum(), atom.GetFormalCharge(), atom.GetIsotope(), aromatic, fixed, hydrogens, atom.GetNumRadicalElectrons())
        )
    smiles, order = _ring(tuple(found), tuple(bonds[index] for index in sorted(bonds)))
    return _Node(smiles, tuple(atoms[place] for place in order), True)


@lru_cache(maxsize=50_000)
def _ring(atoms: tuple[_RingAtom, ...], bonds: tuple[_RingBond, ...]) -> tuple[str, tuple[int, ...]]:
    """Canonical SMILES of a ring system, and its atoms in the order of it. Few are written again and again, so they are kept."""
    fragment = Chem.RWMol()
    for element, charge, isotope, aromatic, fixed, hydrogens, radicals in atoms:
        atom = Chem.Atom(element)
        atom.SetFormalCharge(charge)
        atom.SetIsotope(isotope)
        atom.SetIsAromatic(aromatic)
        atom.SetNoImplicit(fixed)
        atom.SetNumExplicitHs(hydrogens)
        atom.SetNumRadicalElectrons(radicals)
        fragment.AddAtom(atom)
    for a, b, kind in bonds:
        fragment.AddBond(a, b, kind)
    Chem.SanitizeMol(fragment)
    smiles = Chem.MolToSmiles(fragment)
    return smiles, tuple(fragment.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])


def _atom_symbol(atom: Chem.Atom) -> str:
    symbol: str = atom.GetSymbol()
    if not atom.GetNoImplicit():
        return symbol
    hydrogens, charge = atom.GetTotalNumHs(), atom.GetFormalCharge()
    count = {0: "", 1: "H"}.get(hydrogens, f"H{hydrogens}")
    sign = "" if not charge else f"{charge:+d}".replace("+1", "+").replace("-1", "-")
    return f"[{atom.GetIsotope() or ''}{symbol}{count}{sign}]"


def _tree(mol: Chem.Mol) -> list[_Node]:
    """The nodes, by atom: atoms of one ring system share a node. Raises InvalidRecord for bonds the strings cannot carry."""
    at: list[_Node | None] = [None] * mol.GetNumAtoms()
    for atoms in _components(mol):
        node = _ring_node(mol, atoms)
        for atom in atoms:
            at[atom] = node
    nodes = [node or _Node(_atom_symbol(mol.GetAtomWithIdx(i)), (i,), False) for i, node in enumerate(at)]
    for bond in mol.GetBonds():
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if nodes[a] is not nodes[b]:
            nodes[a].links.append((a, b))
            nodes[b].links.append((b, a))
    return nodes


class _Writer:
    def __init__(self, mol: Chem.Mol) -> None:
        self.mol = mol
        self.nodes = _tree(mol)

    def text(self) -> str:
        return self._write(0, None)[1]

    def _write(self, atom: int, before: int | None) -> tuple[int, str]:
        """(atoms, text) of the part that hangs on ``atom``, reached from ``before``."""
        node = self.nodes[atom]
        parts = [(*self._write(there, here), here, there) for here, there in node.links if there != before]
        parts.sort(key=lambda part: (part[0], part[3]))
        size = len(node.atoms) + sum(part[0] for part in parts)
        used = [part[2] for part in parts] if before is None else [atom, *(part[2] for part in parts)]
        text = [node.smiles]
        labels = [""] * len(used)
        if node.ring:
            text = [f"{{{node.smiles}}}"]
            labels = [f"<{k}>" for k in self._places(node, used)]
        if before is not None:
            text.append(labels.pop(0))
        for last, (part, label) in enumerate(zip(parts, labels, strict=True), start=1 - len(parts)):
            bond = self.mol.GetBondBetweenAtoms(part[2], part[3]).GetBondType()
            if bond not in _BONDS:
                raise InvalidRecord(
                    part[1], f"a bond of type {bond!s}; group strings carry single, double and triple bonds outside of rings"
                )
            inner = f"{label}{_BONDS[bond]}{part[1]}"
            text.append(inner if last == 0 else f"({inner})")
        return size, "".join(text)

    @staticmethod
    def _places(node: _Node, used: list[int]) -> tuple[int, ...]:
        plain = [node.atoms.index(atom) for atom in used]
        return min(tuple(match[i] for i in plain) for match in _group(node.smiles).symmetries)


def write_groups(molecule: Molecule) -> str:
    """The group string. Raises InvalidRecord for several components, and for what would not read back as the same molecule."""
    if "." in molecule.smiles:
        raise InvalidRecord(molecule.smiles, "has several components; group strings carry one")
    stereo = any(mark in molecule.smiles for mark in "@/\\")
    with rdBase.BlockLogs():
        try:
            text = _Writer(flat(molecule.mol) if stereo else molecule.mol).text()
        except (Chem.MolSanitizeException, RecursionError) as error:
            raise InvalidRecord(molecule.smiles, f"has a ring system that does not stand alone: {error}") from error
    for candidate in _with_stereo(molecule, text) if stereo else [text]:
        # The first comparison alone nearly always settles it, and spares a second parse.
        if _smiles(candidate) == molecule.smiles or read_groups(candidate) == molecule:
            return candidate
    raise InvalidRecord(molecule.smiles, f"its group string {text!r} reads back as another molecule")


def _with_stereo(molecule: Molecule, text: str) -> Iterator[str]:
    """The text with the molecule's stereo marks, for each way (of the first few) in which its atoms can be those of the molecule."""
    bare = _built(text)
    for place in molecule.mol.GetSubstructMatches(bare, uniquify=False, maxMatches=16):
        found = marks(molecule.mol, bare, place)
        yield f"{text}|{''.join(found)}" if found else text


class _Reader:
    """Builds the molecule symbol by symbol. site: the atom the next part is joined to; entry: set while a ring system waits for its own."""

    def __init__(self, text: str) -> None:
        self.source = text
        self.mol = Chem.RWMol()
        self.ring_atoms: set[int] = set()
        self.here: tuple[int, int] | None = None  # first atom and number of atoms of the current part
        self.site: int | None = None
        self.entry: int | None = None
        self.order = ""
        self.stack: list[tuple[int, int] | None] = []

    def fail(self, why: str) -> InvalidRecord:
        return InvalidRecord(self.source, f"not a group string: {why}")

    def take(self, symbol: str) -> None:
        if self.entry is not None and not symbol.startswith("<"):
            raise self.fail("a ring system inside the string without the atom that joins it")
        if self.order and symbol in ("(", ")", "=", "#"):
            raise self.fail(f"a bond {self.order} before {symbol}")
        if symbol == "(":
            if self.here is None:
                raise self.fail("a branch before the first atom")
            self.stack.append(self.here)
        elif symbol == ")":
            if not self.stack:
                raise self.fail("an unmatched )")
            self._move(self.stack.pop())
        elif symbol in "=#":
            self.order = symbol
        elif symbol.startswith("<"):
            self._place(int(symbol[1:-1]))
        elif symbol.startswith("{"):
            self._add(_group(symbol[1:-1]).mol, ring=True)
        else:
            self._add(_lone(symbol), ring=False)

    def _move(self, part: tuple[int, int] | None) -> None:
        self.here = part
        self.site = part[0] if part is not None and part[0] not in self.ring_atoms else None

    def _place(self, k: int) -> None:
        if self.here is None or k >= self.here[1]:
            raise self.fail(f"<{k}> names no atom of the part before it")
        atom = self.here[0] + k
        if self.entry is None:
            self.site = atom
            return
        self._join(self.entry, atom)
        self.entry = None
        self.site = None

    def _add(self, part: Chem.Mol, *, ring: bool) -> None:
        if self.here is not None and self.site is None:
            raise self.fail("no atom is named to join a part to its ring system")
        first, count = self.mol.GetNumAtoms(), part.GetNumAtoms()
        self.mol.InsertMol(part)
        before = self.site
        if ring:
            self.ring_atoms.update(range(first, first + count))
            self.entry = before
        elif before is not None:
            self._join(before, first)
        self._move((first, count))

    def _join(self, a: int, b: int) -> None:
        self.mol.AddBond(a, b, _ORDERS[self.order])
        self.order = ""
        for index in (a, b):
            atom = self.mol.GetAtomWithIdx(index)
            if index in self.ring_atoms and atom.GetNumExplicitHs():
                atom.SetNumExplicitHs(atom.GetNumExplicitHs() - 1)

    def finish(self) -> Chem.Mol:
        if self.entry is not None or self.stack or self.order or self.here is None:
            raise self.fail("it ends too early")
        return self.mol.GetMol()


@lru_cache(maxsize=1_000)
def _lone(symbol: str) -> Chem.Mol:
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(symbol, sanitize=False)
    if mol is None:
        raise InvalidRecord(symbol, "no atom that RDKit reads")
    return mol


def _split(text: str) -> list[str]:
    found: list[str] = _SYMBOL.findall(text)
    if "".join(found) != text:
        raise InvalidRecord(text, "not a group string: there are characters outside of its symbols")
    return found


def read_groups(text: str) -> Molecule:
    """The molecule of a group string. Raises InvalidRecord for a malformed string and for what RDKit refuses."""
    return parse(_smiles(text))


def _smiles(text: str) -> str:
    mol = _built(text)
    found = _split(text.partition("|")[2])
    if any(mark not in MARKS for mark in found):
        raise InvalidRecord(text, "not a group string: after | only stereo marks are wanted")
    with rdBase.BlockLogs():
        smiles: str = Chem.MolToSmiles(apply(mol, found, text) if found else mol)
    return smiles


def _built(text: str) -> Chem.Mol:
    """The flat molecule of a group string, its atoms in the order of the string."""
    reader = _Reader(text)
    for symbol in _split(text.partition("|")[0]):
        reader.take(symbol)
    mol = reader.finish()
    with rdBase.BlockLogs():
        try:
            Chem.SanitizeMol(mol)
        except Chem.MolSanitizeException as error:
            raise InvalidRecord(text, f"RDKit refuses the molecule: {error}") from error
    return mol


def common_groups(texts: Iterable[str], most: int) -> list[str]:
    """The ``most`` most frequent ring systems (SMILES) of group strings, frequent first, ties by text."""
    counts = Counter(symbol[1:-1] for text in texts for symbol in _split(text) if symbol.startswith("{"))
    return [smiles for smiles, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]]


WHOLE = 300  # ring systems that are one symbol each; rarer ones are spelt out


def frequent(texts: Iterable[str]) -> list[str]:
    """The ``WHOLE`` most frequent ring systems of group strings."""
    return common_groups(texts, WHOLE)


def group_view(known: Collection[str]) -> SequenceView[Molecule]:
    """Group strings where the ``known`` ring systems are one symbol each; others are spelt out, so that no ring system is unwritable."""
    whole = frozenset(known)

    def symbols(text: str) -> list[str]:
        found: list[str] = []
        for symbol in _split(text):
            if symbol.startswith("{") and symbol[1:-1] not in whole:
                found += ["{", *smiles_symbols(symbol[1:-1]), "}"]
            else:
                found.append(symbol)
        return found

    return SequenceView("groups", write=write_groups, symbols=symbols, read=read_groups, learn=frequent, using=group_view)


GROUPS = group_view(())
