"""Which token may come next in a SMILES string: brackets, branches, ring bonds, valence and, on request, complete aromatic systems.

A decoder that draws SMILES tokens asks ``SmilesGrammar`` at every step, so that a slip is corrected where it happens instead of costing
the whole molecule. Rules are conservative: they never forbid the next token of a valid canonical SMILES. Most draws are legal, so
``choose`` tests tokens lazily, in order of preference, instead of building a mask over the whole vocabulary; ``allowed`` builds it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from torch import Tensor

from molvae.errors import UsageError

BONDS = {"-": 1, "/": 1, "\\": 1, ":": 1, "=": 2, "#": 3, "$": 4, "->": 1, "<-": 1}
ORGANIC = ("B", "C", "N", "O", "P", "S", "F", "Cl", "Br", "I", "b", "c", "n", "o", "p", "s")
_BRACKET = re.compile(r"\[(\d*)([A-Z][a-z]?|[a-z][a-z]?|\*)(@{0,2}[A-Z0-9]*?)(H\d*)?([+-]+\d*)?(:\d+)?\]")
_UNLIMITED = 99


class Place(IntEnum):
    """What the string ends with."""

    START = 0
    ATOM = 1  # an atom or a ring bond of it: ring bonds may follow
    OPEN = 2  # "("
    CLOSE = 3  # ")"
    ATOM_BOND = 4  # a bond symbol after an atom: an atom or a ring bond must follow
    BRANCH_BOND = 5  # a bond symbol after a parenthesis: an atom must follow
    END = 6


@dataclass(frozen=True, slots=True)
class AtomKind:
    """How many bonds an atom may take besides its written hydrogens.

    Aromatic: every bond counts once, whatever its order, which ``max_order`` bounds.
    """

    slots: int
    aromatic: bool
    max_order: int

    def cost(self, order: int) -> int:
        return 1 if self.aromatic else order


class State:
    """A SMILES prefix. Treat as immutable; ``SmilesGrammar.step`` returns a new one."""

    __slots__ = ("current", "free", "kinds", "order", "parent", "partners", "place", "rings", "stack", "text", "unchecked")

    def __init__(self) -> None:
        self.place = Place.START
        self.order = 0  # of the pending bond symbol, 0 for none
        self.current = -1
        self.parent = -1
        self.partners: tuple[int, ...] = ()  # atoms that ring bonds have joined to the current one
        self.stack: tuple[int, ...] = ()
        self.kinds: list[AtomKind] = []
        self.free: list[int] = []
        self.rings: dict[int, tuple[int, int]] = {}  # ring bond number -> (atom, order as written or 0)
        self.text = ""
        self.unchecked = False  # aromatic atoms came since the last Kekule test

    def copy(self) -> State:
        new = State.__new__(State)
        new.place, new.order, new.current, new.parent, new.partners = self.place, self.order, self.current, self.parent, self.partners
        new.stack, new.kinds, new.free, new.rings = self.stack, self.kinds.copy(), self.free.copy(), self.rings.copy()
        new.text, new.unchecked = self.text, self.unchecked
        return new

    def can_take(self, atom: int, order: int) -> bool:
        kind = self.kinds[atom]
        return order <= kind.max_order and kind.cost(order) <= self.free[atom]

    def take(self, atom: int, order: int) -> None:
        self.free[atom] -= self.kinds[atom].cost(order)


class Symbol(Protocol):
    """One SMILES symbol. ``apply`` changes the state in place and returns False (state then undefined) where the symbol may not follow."""

    def apply(self, state: State) -> bool: ...


@dataclass(frozen=True, slots=True)
class AtomSymbol:
    kind: AtomKind

    def apply(self, state: State) -> bool:
        parent, order = state.current, state.order or 1
        if parent >= 0:
            if not state.can_take(parent, order) or order > self.kind.max_order or self.kind.cost(order) > self.kind.slots:
                return False
            state.take(parent, order)
        state.kinds.append(self.kind)
        state.free.append(self.kind.slots - (self.kind.cost(order) if parent >= 0 else 0))
        state.current, state.parent, state.partners = len(state.kinds) - 1, parent, ()
        state.place, state.order = Place.ATOM, 0
        state.unchecked |= self.kind.aromatic
        return True


@dataclass(frozen=True, slots=True)
class BondSymbol:
    order: int

    def apply(self, state: State) -> bool:
        if state.place not in (Place.ATOM, Place.OPEN, Place.CLOSE) or not state.can_take(state.current, self.order):
            return False
        state.place = Place.ATOM_BOND if state.place == Place.ATOM else Place.BRANCH_BOND
        state.order = self.order
        return True


@dataclass(frozen=True, slots=True)
class RingSymbol:
    number: int

    def apply(self, state: State) -> bool:
        if state.place not in (Place.ATOM, Place.ATOM_BOND):
            return False
        opened = state.rings.pop(self.number, None)
        if opened is None:
            if not state.can_take(state.current, state.order or 1):
                return False
            state.rings[self.number] = (state.current, state.order)
            state.take(state.current, state.order or 1)
        elif not self._close(state, *opened):
            return False
        state.place, state.order = Place.ATOM, 0
        return True

    @staticmethod
    def _close(state: State, atom: int, written: int) -> bool:
        here = state.current
        if atom in (here, state.parent) or atom in state.partners or (written and state.order and written != state.order):
            return False
        order = state.order or written or 1
        state.free[atom] += state.kinds[atom].cost(written or 1)
        if not (state.can_take(atom, order) and state.can_take(here, order)):
            return False
        state.take(atom, order)
        state.take(here, order)
        state.partners = (*state.partners, atom)
        return True


class OpenSymbol:
    def apply(self, state: State) -> bool:
        if state.place not in (Place.ATOM, Place.CLOSE) or not state.can_take(state.current, 1):
            return False
        state.stack = (*state.stack, state.current)
        state.place = Place.OPEN
        return True


class CloseSymbol:
    def apply(self, state: State) -> bool:
        if state.place not in (Place.ATOM, Place.CLOSE) or not state.stack:
            return False
        state.current, state.stack = state.stack[-1], state.stack[:-1]
        state.place = Place.CLOSE
        return True


class DotSymbol:
    def apply(self, state: State) -> bool:
        if state.place not in (Place.ATOM, Place.CLOSE) or state.stack:
            return False
        state.place, state.current = Place.START, -1
        return True


def _slots(element: str, charge: int, hydrogens: int) -> int:
    """Largest number of bonds of an aliphatic atom: its element's and its isoelectronic neighbour's valences (RDKit's tables)."""
    table = Chem.GetPeriodicTable()
    if element == "*":
        return _UNLIMITED
    number = table.GetAtomicNumber(element)
    known: list[int] = []
    second_row = number <= 9
    for z in {max(number - charge, 1)} if second_row else {number, max(number - charge, 1)}:
        known += list(table.GetValenceList(z))
    if not known or min(known) < 0:
        return _UNLIMITED
    return max(0, max(known) + (0 if second_row else abs(charge)) - hydrogens)


@cache
def atom_kind(symbol: str) -> AtomKind:
    """The bonds an atom symbol (``C``, ``n``, ``[nH]``, ``[N+]``) may take. Raises UsageError for a text that is no atom symbol."""
    if symbol in ORGANIC:
        element, hydrogens, charge = symbol, 0, 0
    else:
        match = _BRACKET.fullmatch(symbol)
        if match is None:
            raise UsageError(
                f"{symbol!r} is no SMILES atom; wanted an organic-subset symbol such as C or n, or a bracket atom such as [nH] or [N+]"
            )
        element, hydrogens, charge = match[2], _hydrogens(match[4]), _charge(match[5])
    if not element[0].islower():
        slots = _slots(element, charge, hydrogens)
        return AtomKind(slots, False, 4)
    if element == "n":
        return AtomKind((2 if charge < 0 else 3) - hydrogens, True, 2 if charge > 0 else 1)
    if element == "c":
        return AtomKind(3 - hydrogens, True, 2)
    if element == "o":
        return AtomKind(3 if charge > 0 else 2, True, 1)
    return AtomKind(4 - hydrogens, True, 2)


def _hydrogens(text: str | None) -> int:
    return 0 if not text else int(text[1:] or 1)


def _charge(text: str | None) -> int:
    if not text:
        return 0
    sign = 1 if text[0] == "+" else -1
    digits = text.lstrip("+-")
    return sign * (int(digits) if digits else len(text))


def symbol(text: str) -> Symbol:
    """The rule of one SMILES symbol. Raises UsageError for a text that is none."""
    if text in BONDS:
        return BondSymbol(BONDS[text])
    if text.isdigit() and len(text) == 1:
        return RingSymbol(int(text))
    if text.startswith("%"):
        return RingSymbol(int(text[1:].strip("()")))
    fixed: dict[str, Symbol] = {"(": OpenSymbol(), ")": CloseSymbol(), ".": DotSymbol()}
    return fixed[text] if text in fixed else AtomSymbol(atom_kind(text))


class SmilesGrammar:
    """The legal next tokens of SMILES prefixes, for a vocabulary whose tokens are strings of SMILES symbols.

    tokens: for each id the token's symbols; empty for ids that never occur in a string (padding, begin, end). end: id of the end mark.
    kekulise: also test, whenever all ring bonds are closed and no aromatic atom can still get a substituent, that RDKit finds a Kekule
    form of the prefix; removes most of what valence alone lets through, for about two RDKit parses a molecule.
    max_atoms: no token leads beyond this many atoms.
    """

    def __init__(self, tokens: Sequence[Sequence[str]], *, end: int, kekulise: bool = False, max_atoms: int | None = None) -> None:
        self._symbols = [tuple(symbol(text) for text in token) for token in tokens]
        self._texts = ["".join(token) for token in tokens]
        self.end = end
        self.kekulise = kekulise
        self.max_atoms = max_atoms

    def start(self) -> State:
        return State()

    def step(self, state: State, token: int) -> State | None:
        """The state after ``token``, or None where the token may not follow."""
        if state.place == Place.END:
            return None
        if token == self.end:
            return self._finish(state)
        symbols = self._symbols[token]
        if not symbols:
            return None
        new = state.copy()
        for rule in symbols:
            if not rule.apply(new):
                return None
        new.text = state.text + self._texts[token]
        if self.max_atoms is not None and len(new.kinds) > self.max_atoms:
            return None
        if self._stuck(new) or (self.kekulise and new.unchecked and not self._settle(new)):
            return None
        return new

    def allowed(self, states: Sequence[State]) -> NDArray[np.bool_]:
        """(B, V) mask of the legal tokens, exact; milliseconds a state, so decoders use ``choose``."""
        return np.array([[self.step(state, token) is not None for token in range(len(self._symbols))] for state in states], dtype=np.bool_)

    def choose(
        self, states: Sequence[State | None], logits: Tensor, *, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> tuple[list[int], list[State | None]]:
        """One draw a row from softmax(logits / temperature) restricted to the legal tokens; temperature 0 takes the likeliest legal token.

        logits (B, V). Rows that are finished (END) or dead (None) get token 0, padding, and keep their state; a row without a legal token
        becomes dead. Exact: Gumbel noise orders all tokens as draws without replacement would; the first legal one is the masked draw.
        """
        keys = logits.float()
        if temperature > 0:
            noise = torch.empty_like(keys).exponential_(generator=generator).clamp_min_(1e-30).log_()
            keys = keys / temperature - noise
        first: list[int] = keys.argmax(1).tolist()
        tokens: list[int] = []
        after: list[State | None] = []
        for row, state in enumerate(states):
            if state is None or state.place == Place.END:
                tokens.append(0)
                after.append(state)
                continue
            token, new = first[row], self.step(state, first[row])
            if new is None:
                token, new = self._next_best(state, keys[row])
            tokens.append(token)
            after.append(new)
        return tokens, after

    def _next_best(self, state: State, keys: Tensor) -> tuple[int, State | None]:
        width = len(self._symbols)
        for count in (16, width):
            order: list[int] = keys.topk(min(count, width)).indices.tolist()
            for token in order[1:] if count == 16 else order[16:]:
                new = self.step(state, token)
                if new is not None:
                    return token, new
        return 0, None

    def _finish(self, state: State) -> State | None:
        if state.place not in (Place.ATOM, Place.CLOSE) or state.rings or state.stack:
            return None
        if self.kekulise and state.unchecked and not _parses(state.text):
            return None
        new = state.copy()
        new.place = Place.END
        return new

    @staticmethod
    def _stuck(state: State) -> bool:
        """Ring bonds wait for a partner, or a parenthesis for its atom, and no atom can take another bond."""
        if not state.rings and state.place in (Place.ATOM, Place.CLOSE):
            return False
        return state.current >= 0 and state.free[state.current] <= 0 and all(state.free[atom] <= 0 for atom in state.stack)

    @staticmethod
    def _settle(state: State) -> bool:
        """False where the aromatic systems of the prefix are complete and have no Kekule form."""
        if state.rings or state.place not in (Place.ATOM, Place.CLOSE):
            return True
        if any(state.free[atom] > 0 and state.kinds[atom].aromatic for atom in (state.current, *state.stack)):
            return True
        state.unchecked = False
        return _parses(state.text + ")" * len(state.stack))


def _parses(text: str) -> bool:
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(text) is not None
