"""The conventional cell as balls, sticks and edges: what the drawing and the 3D viewer show.

Axes: A balls, B sticks. Coordinates are those of the viewer: x to the right, y up, z towards the eye, the origin in the middle of the cell.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from molvae.domains.crystals.charges import METALS
from molvae.domains.crystals.colours import COLOURS
from molvae.domains.crystals.radii import covalent_radii
from molvae.domains.crystals.structure import Crystal, parse
from molvae.domains.crystals.symmetry import Floats, Ints
from molvae.domains.crystals.wyckoff import ELEMENTS, Cell

BALL = 0.42
"""Radius of a ball as a share of the covalent radius."""
STICK = 0.09
"""Radius of a stick, Å."""
LONGEST_BOND = 1.15
"""Longest stick as a share of the sum of the covalent radii."""
AZIMUTH, ELEVATION = np.radians(24.0), np.radians(13.0)
"""Where the eye is: a comes towards it, b goes to the right, c up."""
_ON_BORDER = 1e-5  # of the cell; less than half a step of a Wyckoff text
CORNERS = np.array(list(product((0, 1), repeat=3)))
EDGES = [(i, j) for i in range(8) for j in range(i + 1, 8) if np.abs(CORNERS[i] - CORNERS[j]).sum() == 1]


@dataclass(frozen=True)
class Scene:
    """numbers (A,), atomic; centres (A, 3) in Å; sticks (B, 2), indices of balls; corners (8, 3) of the cell in the order of ``CORNERS``."""

    numbers: Ints
    centres: Floats
    sticks: Ints
    corners: Floats

    @property
    def radii(self) -> Floats:
        """Radii of the balls (A,) in Å."""
        found: Floats = BALL * covalent_radii()[self.numbers]
        return found


def scene_of(crystal: Crystal) -> Scene:
    """The balls of the conventional cell, those on its border also on the opposite side, turned as the eye sees them."""
    cell = crystal.conventional
    places, numbers = _completed(cell)
    turned = cell.lattice @ _view().T
    middle = turned.sum(0) / 2
    centres = places @ turned - middle
    return Scene(numbers, centres, _sticks(centres, numbers), CORNERS @ turned - middle)


@lru_cache(maxsize=64)
def scene_of_text(text: str) -> Scene:
    """As ``scene_of``; a card asks for it several times. Raises InvalidRecord where the text is no crystal."""
    return scene_of(parse(text))


def scene(text: str) -> str:
    """The scene as JSON for the viewer of the report page.

    ``kinds``: element -> colour and radius (Å); ``balls``: element, x, y, z; ``sticks``: two indices of balls; ``stick``: their radius;
    ``lines``: x, y, z of both ends. Raises InvalidRecord where the text is no crystal.
    """
    found = scene_of_text(text)
    symbols = [ELEMENTS[number - 1] for number in found.numbers]
    radii = dict(zip(symbols, found.radii.round(3).tolist(), strict=True))
    content = {
        "kinds": {symbol: {"colour": COLOURS[symbol], "radius": radii[symbol]} for symbol in dict.fromkeys(symbols)},
        "balls": [[symbol, *place] for symbol, place in zip(symbols, found.centres.round(3).tolist(), strict=True)],
        "sticks": found.sticks.tolist(),
        "stick": STICK,
        "lines": [[*start, *end] for start, end in ((found.corners[i].round(3), found.corners[j].round(3)) for i, j in EDGES)],
    }
    return json.dumps(content, separators=(",", ":"))


def _view() -> Floats:
    """Rotation (3, 3) from the cell's Cartesian axes to the viewer's."""
    sin_a, cos_a, sin_e, cos_e = np.sin(AZIMUTH), np.cos(AZIMUTH), np.sin(ELEVATION), np.cos(ELEVATION)
    return np.array([[-sin_a, cos_a, 0.0], [-sin_e * cos_a, -sin_e * sin_a, cos_e], [cos_e * cos_a, cos_e * sin_a, sin_e]])


def _completed(cell: Cell) -> tuple[Floats, Ints]:
    """Fractional places (A, 3) and atomic numbers (A,), with the images of atoms on faces, edges and corners of the cell."""
    wrapped = np.where(cell.positions > 1 - _ON_BORDER, cell.positions - 1, cell.positions)
    border = np.abs(wrapped) < _ON_BORDER
    places, numbers = [], []
    for shift in CORNERS:
        fits = (border | (shift == 0)).all(1)
        places.append(wrapped[fits] + shift)
        numbers.append(cell.numbers[fits])
    return np.concatenate(places), np.concatenate(numbers)


def _sticks(centres: Floats, numbers: Ints) -> Ints:
    """Pairs (B, 2) of balls that touch by their covalent radii. Two metals get none: in an alloy everything touches, and nothing is seen."""
    metal = np.array([ELEMENTS[number - 1] in METALS for number in numbers])
    radii = covalent_radii()[numbers]
    distances = np.linalg.norm(centres[:, None] - centres, axis=-1)
    near = (distances < LONGEST_BOND * (radii[:, None] + radii)) & ~(metal[:, None] & metal)
    first, second = np.nonzero(np.triu(near, 1))
    return np.stack([first, second], axis=1)
