"""Which symbol may come next in a Wyckoff text, so that every complete sequence is a legal crystal with what was asked of it.

The rules are those of ``molvae.domains.crystals.wyckoff.read``; the constraints are exact: allowed elements, a chemical system, a composition,
a number of atoms, space groups. The look-ahead of ``molvae.domains.crystals.supply`` leaves out every choice that cannot be completed. Asked to
keep atoms apart, the grammar leaves out numbers that bring them together as well (``molvae.domains.crystals.room``), as long as others are left.
Axes: V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from molvae.domains.crystals import room
from molvae.domains.crystals.constraints import Constraints
from molvae.domains.crystals.supply import can_make, most_orbits
from molvae.domains.crystals.symmetry import GROUPS, LETTERS, space_group
from molvae.domains.crystals.wyckoff import (
    ANGLE,
    BINS,
    COORDINATE,
    ELEMENTS,
    FINE,
    FLATTEST,
    MOST_ATOMS,
    NUMBER,
    RATIO,
    VOLUME,
    Orbit,
    angle_of,
    lattice_kinds,
    step_of,
)
from molvae.errors import UsageError

Mask = NDArray[np.bool_]
Counts = tuple[tuple[int, int], ...]


class Phase(IntEnum):
    """What has to come next."""

    GROUP = 0
    LETTER = 1  # or the lattice
    ELEMENT = 2
    COARSE = 3
    FINE = 4
    END = 5
    DONE = 6


@dataclass(frozen=True)
class State:
    """A prefix of a text. Immutable; ``advance`` returns the next one.

    last: index of the last letter taken. orbits: those that are complete. number: the element of the one that is not. kinds: numbers still
    to come before the next orbit, or of the lattice (``closing``), each by its kind. steps: those that are written. targets: the atoms of
    each element still to place, one entry for each number of formula units that is still possible.
    """

    grammar: Grammar
    phase: Phase = Phase.GROUP
    group: int = 0
    last: int = -1
    letter: int = -1
    atoms: int = 0
    missing: frozenset[int] = frozenset()
    targets: tuple[Counts, ...] | None = None
    kinds: str = ""
    closing: bool = False
    coarse: int = 0
    orbits: tuple[Orbit, ...] = ()
    number: int = 0
    steps: tuple[int, ...] = ()

    def allowed(self) -> Mask:
        """Which tokens (V,) may come next. None where the text is complete and its end mark taken."""
        return self._mask

    @cached_property
    def _mask(self) -> Mask:
        return self.grammar.allowed(self)

    @property
    def angles(self) -> tuple[float, ...]:
        """Those of the lattice that are written, in degrees."""
        written = zip(lattice_kinds(self.group), self.steps, strict=False) if self.closing else ()
        return tuple(angle_of(step) for kind, step in written if kind == ANGLE)

    def advance(self, token: int) -> State:
        """The state after a token. Raises UsageError where it may not follow."""
        return self.grammar.advance(self, token)

    @property
    def done(self) -> bool:
        """Whether the end mark was taken."""
        return self.phase == Phase.DONE


_STEP_OF = np.array([[step_of(coarse, fine) for fine in range(BINS)] for coarse in range(BINS)])
"""The values, in steps, of each coarse bin (BINS, BINS)."""
_SOME = _STEP_OF[:, np.linspace(0, BINS - 1, 5).astype(int)].reshape(-1)
"""Five of them each (BINS * 5,)."""
_MOST_MASKS = 20_000  # kept at a time; one has as many bytes as there are tokens


def _question(state: State) -> tuple[object, ...]:
    """All that the mask of a state depends on."""
    if state.phase in (Phase.LETTER, Phase.ELEMENT):
        at = state.last if state.phase == Phase.LETTER else state.letter
        return state.phase, state.group, at, state.atoms, state.missing, state.targets
    if state.phase in (Phase.COARSE, Phase.FINE):
        angles = state.angles if state.kinds[0] == ANGLE else ()
        return state.phase, state.kinds[0], state.coarse if state.phase == Phase.FINE and state.kinds[0] != COORDINATE else 0, angles
    return (state.phase,)


class _Place(NamedTuple):
    """What is written before a number. letter: None for one of the lattice. coarse: None where the coarse bin itself is to come."""

    group: int
    orbits: tuple[Orbit, ...]
    letter: int | None
    steps: tuple[int, ...]
    coarse: int | None


def _place(state: State) -> _Place:
    letter = None if state.closing else state.letter
    return _Place(state.group, state.orbits, letter, state.steps, state.coarse if state.phase == Phase.FINE else None)


@lru_cache(maxsize=_MOST_MASKS)
def _roomy(at: _Place) -> Mask:
    """Which bins (BINS,) of the next number keep atoms apart: coarse ones by some of the values inside, fine ones by their own."""
    steps = _SOME if at.coarse is None else _STEP_OF[at.coarse]
    if at.letter is None:
        roomy = room.lattices(at.group, at.orbits, at.steps, steps)
    else:
        roomy = room.coordinates(at.group, at.orbits, at.letter, at.steps, steps)
    return np.asarray(roomy.reshape(BINS, -1).any(1))


class Grammar:
    """The legal next tokens of Wyckoff texts.

    tokens (V): the symbol of each id; what is no symbol (padding, begin) is never allowed. end: id of the end mark.
    Raises UsageError for constraints that contradict each other or that no crystal fulfils.
    """

    def __init__(self, tokens: Sequence[str], *, end: int, constraints: Constraints | None = None) -> None:
        self.constraints = constraints or Constraints()
        self.end = end
        self.size = len(tokens)
        self._tokens = tuple(tokens)
        ids = {symbol: number for number, symbol in enumerate(tokens) if number != end}
        self._group = {number: ids[f"sg{number}"] for number in range(1, GROUPS + 1) if f"sg{number}" in ids}
        self._letter = {at: ids[f"@{name}"] for at, name in enumerate(LETTERS) if f"@{name}" in ids}
        self._element = {number: ids[symbol] for symbol, number in NUMBER.items() if symbol in ids}
        self._bins = {
            kind: np.array([ids.get(f"{kind}{i:02d}", -1) for i in range(BINS)]) for kind in (COORDINATE, VOLUME, RATIO, ANGLE, FINE)
        }
        self._known = frozenset(self._letter)
        self._masks: dict[tuple[object, ...], Mask] = {}
        self._elements = self._usable()
        self._targets = self._alternatives()
        self._groups = tuple(number for number in self._group if self._opens(number))
        if not self._groups:
            raise UsageError("no crystal fulfils these constraints together; allow more space groups, atoms or formula units")

    def __deepcopy__(self, memo: object) -> Grammar:
        return self  # nothing about it changes, and copies of models share it

    def start(self) -> State:
        """The empty prefix."""
        return State(self, missing=self.constraints.required if self._targets is None else frozenset(), targets=self._targets)

    def _usable(self) -> frozenset[int]:
        c = self.constraints
        usable = frozenset(self._element) - c.forbidden
        usable = usable if c.allowed is None else usable & c.allowed
        wanted = c.required | frozenset(c.composition or ())
        if short := sorted(wanted - usable):
            raise UsageError(f"{ELEMENTS[short[0] - 1]} is asked for and not allowed, or has no token in this vocabulary")
        if not usable:
            raise UsageError("no element is allowed")
        if not 1 <= c.atoms[0] <= c.atoms[1]:
            raise UsageError(f"atoms from {c.atoms[0]} to {c.atoms[1]}; wanted at least 1, the least first")
        return usable

    def _alternatives(self) -> tuple[Counts, ...] | None:
        c = self.constraints
        if c.composition is None:
            return None
        if c.required - frozenset(c.composition):
            raise UsageError("the composition lacks an element that is required")
        total = sum(c.composition.values())
        units = c.units or range(1, c.atoms[1] // total + 1)
        counts = sorted(c.composition.items())
        return tuple(tuple((z, n * unit) for z, n in counts) for unit in units if c.atoms[0] <= total * unit <= c.atoms[1])

    def _opens(self, number: int) -> bool:
        c = self.constraints
        if c.groups is not None and number not in c.groups:
            return False
        return self._completes(number, -1, 0, c.required, self._targets)

    def _limit(self, group: int) -> int:
        return min(self.constraints.atoms[1], MOST_ATOMS // len(space_group(group).centrings))

    def _completes(self, group: int, after: int, atoms: int, missing: frozenset[int], targets: tuple[Counts, ...] | None) -> bool:
        """Whether the letters from ``after`` on can complete what is asked."""
        limit = self._limit(group)
        if targets is not None:
            return any(self._reaches(group, after, atoms, target) for target in targets)
        most = most_orbits(group, after, self._known, limit)
        least = max(self.constraints.atoms[0], 1) - atoms
        return bool((most[max(least, 0) : max(limit - atoms + 1, 0)] >= len(missing)).any())

    def _reaches(self, group: int, after: int, atoms: int, target: Counts) -> bool:
        counts = tuple(sorted(n for _, n in target))
        return atoms + sum(counts) <= self._limit(group) and can_make(group, after, self._known, counts)

    # --- the mask ------------------------------------------------------------------------------------------------------------------

    def allowed(self, state: State) -> Mask:
        """Which tokens (V,) may follow a prefix. Shared: do not change it."""
        mask = self._possible(state)
        if not self.constraints.apart or not (crowded := self._crowded(state)).any():
            return mask
        narrower = np.asarray(mask & ~crowded)
        return narrower if narrower.any() else mask

    def _possible(self, state: State) -> Mask:
        if (found := self._masks.get(question := _question(state))) is None:
            if len(self._masks) >= _MOST_MASKS:
                self._masks.clear()
            found = self._masks[question] = self._allowed(state)
            found.flags.writeable = False
        return found

    def _crowded(self, state: State) -> Mask:
        """Tokens (V,) that bring atoms together."""
        mask = np.zeros(self.size, bool)
        if state.phase in (Phase.COARSE, Phase.FINE):
            self._mark(mask, state.kinds[0] if state.phase == Phase.COARSE else FINE, ~_roomy(_place(state)))
        elif state.phase == Phase.LETTER and state.orbits:
            roomy = _roomy(_Place(state.group, state.orbits, None, (), None))
            # Where no volume will do, the crystal may end all the same: with an orbit more there would be less room still.
            self._mark(mask, VOLUME, ~roomy & roomy.any())
        return mask

    def _allowed(self, state: State) -> Mask:
        mask = np.zeros(self.size, bool)
        if state.phase == Phase.GROUP:
            mask[[self._group[number] for number in self._groups]] = True
        elif state.phase == Phase.LETTER:
            mask[[self._letter[at] for at in self._letters(state)]] = True
            if self._may_close(state):
                self._mark(mask, VOLUME, np.ones(BINS, bool))
        elif state.phase == Phase.ELEMENT:
            mask[[self._element[number] for number in self._choices(state, state.letter)]] = True
        elif state.phase == Phase.COARSE:
            self._mark(mask, state.kinds[0], self._coarse(state))
        elif state.phase == Phase.FINE:
            self._mark(mask, FINE, self._fine(state, state.coarse))
        elif state.phase == Phase.END:
            mask[self.end] = True
        return mask

    def _mark(self, mask: Mask, kind: str, legal: Mask) -> None:
        ids = self._bins[kind]
        mask[ids[legal & (ids >= 0)]] = True

    def _letters(self, state: State) -> list[int]:
        letters = space_group(state.group).letters
        open_ = [at for at in range(max(state.last, 0), len(letters)) if at in self._letter and (letters[at].free or at > state.last)]
        return [at for at in open_ if self._choices(state, at)]

    def _choices(self, state: State, at: int) -> list[int]:
        """Elements that may take a letter."""
        size = len(space_group(state.group).letters[at].primitive)
        if state.atoms + size > self._limit(state.group):
            return []
        if state.targets is not None:
            numbers = sorted({number for target in state.targets for number, count in target if count >= size})
            return [number for number in numbers if next(self._rests(state, at, number), None) is not None]
        # All elements that are not missing lead to the same look-ahead.
        groups: tuple[frozenset[int], ...] = (state.missing, self._elements - state.missing)
        found: list[int] = []
        for alike in filter(None, groups):
            missing = state.missing - {min(alike)}
            if self._completes(state.group, at, state.atoms + size, missing, None):
                found += alike
        return found

    def _rests(self, state: State, at: int, number: int) -> Iterator[Counts]:
        """What is left of each target that is still within reach after an element has taken a letter."""
        size = len(space_group(state.group).letters[at].primitive)
        for target in state.targets or ():
            rest = tuple((z, n - size if z == number else n) for z, n in target)
            if min(n for _, n in rest) >= 0 and self._reaches(state.group, at, state.atoms + size, rest):
                yield rest

    def _may_close(self, state: State) -> bool:
        if state.targets is not None:
            return state.atoms > 0 and any(not any(n for _, n in target) for target in state.targets)
        return state.atoms >= self.constraints.atoms[0] and not state.missing

    def _coarse(self, state: State) -> Mask:
        if state.kinds[0] == ANGLE and len(state.angles) == 2:
            return np.array([self._fine(state, coarse).any() for coarse in range(BINS)])
        return np.ones(BINS, bool)

    def _fine(self, state: State, coarse: int) -> Mask:
        legal = np.ones(BINS, bool)
        if state.kinds[0] == COORDINATE:
            return legal
        fine = np.arange(BINS)
        legal = coarse * BINS + fine >= BINS // 2
        if state.kinds[0] == ANGLE and len(state.angles) == 2:
            cosines = np.cos(np.radians(state.angles))
            last = np.cos(np.radians(angle_of(_STEP_OF[coarse].astype(float))))
            squared = 1 + 2 * cosines[0] * cosines[1] * last - cosines[0] ** 2 - cosines[1] ** 2 - last**2
            legal &= squared > FLATTEST**2 * (1 + 1e-9)
        return legal

    # --- the next state ------------------------------------------------------------------------------------------------------------

    def advance(self, state: State, token: int) -> State:
        """The state after a token. Raises UsageError where it may not follow."""
        if not (0 <= token < self.size and self.allowed(state)[token]):
            shown = self._tokens[token] if 0 <= token < self.size else token
            raise UsageError(f"{shown!r} (token {token}) may not come next: {state.phase.name.lower()} is wanted")
        if token == self.end:
            return replace(state, phase=Phase.DONE)
        symbol = self._tokens[token]
        if state.phase == Phase.GROUP:
            return replace(state, phase=Phase.LETTER, group=int(symbol[2:]))
        if state.phase == Phase.LETTER and symbol[0] == "@":
            return replace(state, phase=Phase.ELEMENT, letter=LETTERS.index(symbol[1]))
        if state.phase == Phase.LETTER:
            return replace(state, phase=Phase.FINE, kinds=lattice_kinds(state.group), closing=True, coarse=int(symbol[1:]), steps=())
        if state.phase == Phase.ELEMENT:
            return self._take(state, NUMBER[symbol])
        if state.phase == Phase.COARSE:
            return replace(state, phase=Phase.FINE, coarse=int(symbol[1:]))
        return self._number(state, int(symbol[1:]))

    def _take(self, state: State, number: int) -> State:
        letter = space_group(state.group).letters[state.letter]
        targets = tuple(self._rests(state, state.letter, number))
        return replace(
            state,
            phase=Phase.COARSE if letter.free else Phase.LETTER,
            last=state.letter,
            atoms=state.atoms + len(letter.primitive),
            missing=state.missing - {number},
            targets=None if state.targets is None else targets,
            kinds=COORDINATE * letter.free,
            orbits=state.orbits if letter.free else (*state.orbits, Orbit(state.letter, number, ())),
            number=number,
            steps=(),
        )

    def _number(self, state: State, fine: int) -> State:
        steps = (*state.steps, step_of(state.coarse, fine))
        rest = state.kinds[1:]
        if rest or state.closing:
            return replace(state, phase=Phase.COARSE if rest else Phase.END, kinds=rest, steps=steps)
        return replace(state, phase=Phase.LETTER, kinds="", orbits=(*state.orbits, Orbit(state.letter, state.number, steps)))
