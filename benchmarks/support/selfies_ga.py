"""A genetic algorithm on SELFIES with the selection of NSGA-II: what a search without a trained model reaches on the same problem.

Children are mutated strings, half of them crossed first: one random symbol of SELFIES' robust alphabet is inserted, put in another's place, or
one is deleted, as in STONED (Nigam et al., Chem. Sci. 12, 7079, 2021) and the genetic algorithm of Nigam et al. 1909.11655; crossing joins the
head of one parent and the tail of another. Parents are chosen by binary tournaments, survivors by non-dominated rank and crowding distance
(Deb et al., IEEE Trans. Evol. Comput. 6, 182, 2002). It starts as a user would start it: from a random sample of known molecules, here the
training molecules of the model it is compared with, as many as that search draws before it begins to learn, each of them scored and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import selfies
from numpy.typing import NDArray
from rdkit import Chem

Points = NDArray[np.float64]
Evaluate = Callable[[Sequence[str]], Points]


@dataclass(frozen=True)
class Settings:
    """population: survivors of a generation, and its children; cross: share of the children that are crossed; longest: symbols of a
    string; tries: children made for each one wanted before a smaller generation is accepted."""

    population: int = 100
    cross: float = 0.5
    longest: int = 100
    tries: int = 50


@dataclass(frozen=True)
class Member:
    """A scored molecule. objectives (M,): all to be made large."""

    smiles: str
    symbols: tuple[str, ...]
    objectives: Points


class SelfiesGA:
    """One run. evaluate: canonical SMILES -> objectives (n, M); accept: a test of SMILES before they are scored."""

    def __init__(self, evaluate: Evaluate, settings: Settings, budget: int, seed: int, accept: Callable[[str], bool] | None = None) -> None:
        self.evaluate, self.settings, self.budget, self.accept = evaluate, settings, budget, accept
        self.rng = np.random.default_rng(seed)
        self.alphabet = sorted(selfies.get_semantic_robust_alphabet())
        self.scored: list[Member] = []
        self.seen: set[str] = set()

    def run(self, start: Sequence[str]) -> list[Member]:
        """All scored molecules in the order of the calls; fewer than the budget where no new child is found any more."""
        first = [child for text in start if (child := self._read(text)) is not None]
        population = self._select(self._score(first))
        while len(self.scored) < self.budget and population:
            fresh = self._score(self._children(population))
            if not fresh:
                break
            population = self._select([*population, *fresh])
        return self.scored

    def _score(self, strings: Sequence[tuple[str, ...]]) -> list[Member]:
        """Score what is new, within the budget. A molecule is paid for once."""
        found: dict[str, tuple[str, ...]] = {}
        for symbols in strings:
            smiles = canonical(symbols)
            if smiles is None or smiles in self.seen or len(self.scored) + len(found) >= self.budget:
                continue
            self.seen.add(smiles)
            if self.accept is None or self.accept(smiles):
                found[smiles] = symbols
        values = self.evaluate(list(found)) if found else []
        fresh = [Member(smiles, symbols, row) for (smiles, symbols), row in zip(found.items(), values, strict=True)]
        self.scored += fresh
        return fresh

    def _read(self, text: str) -> tuple[str, ...] | None:
        try:
            return tuple(selfies.split_selfies(selfies.encoder(text)))
        except selfies.EncoderError:
            return None

    # --- children ------------------------------------------------------------------------------------------------------------------

    def _children(self, population: Sequence[Member]) -> list[tuple[str, ...]]:
        """Strings of molecules that were not made before."""
        rank, crowd = ranked(np.array([member.objectives for member in population]))
        out: dict[str, tuple[str, ...]] = {}
        for _ in range(self.settings.tries * self.settings.population):
            child = self._child(population, rank, crowd)
            smiles = canonical(child)
            if smiles is not None and smiles not in self.seen:
                out.setdefault(smiles, child)
            if len(out) == self.settings.population:
                break
        return list(out.values())

    def _child(self, population: Sequence[Member], rank: NDArray[np.int64], crowd: Points) -> tuple[str, ...]:
        symbols = self._parent(population, rank, crowd)
        if self.rng.random() < self.settings.cross:
            other = self._parent(population, rank, crowd)
            symbols = symbols[: self.rng.integers(len(symbols) + 1)] + other[self.rng.integers(len(other) + 1) :]
        return self._mutated(symbols)[: self.settings.longest]

    def _parent(self, population: Sequence[Member], rank: NDArray[np.int64], crowd: Points) -> tuple[str, ...]:
        one, other = self.rng.integers(len(population), size=2)
        better = (rank[one], -crowd[one]) <= (rank[other], -crowd[other])
        return population[one if better else other].symbols

    def _mutated(self, symbols: tuple[str, ...]) -> tuple[str, ...]:
        kind = self.rng.integers(3) if symbols else 0
        new = self.alphabet[self.rng.integers(len(self.alphabet))]
        if kind == 0:
            at = self.rng.integers(len(symbols) + 1)
            return (*symbols[:at], new, *symbols[at:])
        at = self.rng.integers(len(symbols))
        return (*symbols[:at], *((new,) if kind == 1 else ()), *symbols[at + 1 :])

    # --- survivors -----------------------------------------------------------------------------------------------------------------

    def _select(self, members: Sequence[Member]) -> list[Member]:
        if not members:
            return []
        rank, crowd = ranked(np.array([member.objectives for member in members]))
        return [members[k] for k in np.lexsort((-crowd, rank))[: self.settings.population]]


def canonical(symbols: Sequence[str]) -> str | None:
    """Canonical SMILES of a SELFIES string; None where it holds no molecule that RDKit can read."""
    smiles = selfies.decoder("".join(symbols))
    molecule = Chem.MolFromSmiles(smiles) if smiles else None
    if molecule is None or not molecule.GetNumAtoms():
        return None
    text = str(Chem.MolToSmiles(molecule))
    return text if Chem.MolFromSmiles(text) is not None else None


def ranked(points: Points) -> tuple[NDArray[np.int64], Points]:
    """Non-dominated rank (n,), 0 the best, and crowding distance (n,) within it, of points (n, M) to be made large."""
    better = (points[:, None] >= points[None]).all(2) & (points[:, None] > points[None]).any(2)  # [i, j]: i beats j
    rank = np.full(len(points), -1, np.int64)
    crowd = np.zeros(len(points))
    level = 0
    while (left := rank < 0).any():
        layer = left & ~better[left].any(0)
        rank[layer] = level
        crowd[layer] = _crowding(points[layer])
        level += 1
    return rank, crowd


def _crowding(points: Points) -> Points:
    """Sum over objectives of the distance between a point's two neighbours, infinite at the ends."""
    distance = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        spread = column[order[-1]] - column[order[0]] or 1.0
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / spread
    return distance
