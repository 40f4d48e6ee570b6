"""Control of stability: known structure types with other elements on their sites, at a volume that suits the elements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from molvae.domains.crystals import Crystal
from molvae.domains.crystals.structure import crystal_of
from molvae.domains.crystals.wyckoff import ELEMENTS, LARGEST, volume_step
from molvae.errors import InvalidRecord

Floats = NDArray[np.float64]
PULL = 1e-3  # towards the mean, of an element that occurs seldom


def atomic_volumes(crystals: Sequence[Crystal]) -> Floats:
    """Å^3 of each element (103,) by which the volumes per atom of these crystals add up best; elements that do not occur have the mean."""
    shares = np.stack([np.bincount(c.primitive.numbers - 1, minlength=len(ELEMENTS)) / len(c.primitive.numbers) for c in crystals])
    volumes = np.array([c.primitive.volume / len(c.primitive.numbers) for c in crystals])
    mean = volumes.mean()
    pull = np.sqrt(PULL * len(crystals)) * np.eye(len(ELEMENTS))
    solved = np.linalg.lstsq(np.concatenate([shares, pull]), np.concatenate([volumes - mean, np.zeros(len(ELEMENTS))]), rcond=None)[0]
    return np.asarray(np.maximum(mean + solved, volumes.min()))


def decorations(known: Sequence[Crystal], accept: Callable[[Crystal], bool], rng: np.random.Generator) -> Iterator[Crystal]:
    """Without end: a known crystal at random, each of its elements replaced by one that occurs among them, by frequency, where accepted."""
    volumes = atomic_volumes(known)
    counts = np.zeros(len(ELEMENTS))
    for crystal in known:
        counts[np.unique(crystal.primitive.numbers) - 1] += 1
    while True:
        one = known[int(rng.integers(len(known)))].description
        numbers = sorted({orbit.number for orbit in one.orbits})
        drawn = rng.choice(len(ELEMENTS), len(numbers), replace=False, p=counts / counts.sum()) + 1
        new = dict(zip(numbers, drawn.tolist(), strict=True))
        made = replace(one, orbits=tuple(replace(orbit, number=new[orbit.number]) for orbit in one.orbits))
        step = volume_step(float(volumes[made.primitive.numbers - 1].mean()))
        try:
            crystal = crystal_of(replace(made, lattice=(min(max(step, 0), LARGEST), *made.lattice[1:])))
            if accept(crystal):
                yield crystal
        except InvalidRecord:
            continue
