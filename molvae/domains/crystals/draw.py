"""A crystal's conventional cell as an SVG: an orthographic view with atoms, bonds, the cell's edges, its axes and a legend."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from molvae.domains.crystals.colours import COLOURS
from molvae.domains.crystals.scene import CORNERS, EDGES, STICK, Scene, scene_of_text
from molvae.domains.crystals.symmetry import Floats
from molvae.domains.crystals.wyckoff import ELEMENTS

WIDTH, HEIGHT, LEGEND = 320, 240, 24
MARGIN = 13.0  # room for the letters of the axes
MOST_SHINY = 120  # atoms; beyond, they get no highlights, which double the size of the drawing
PARTS = 6  # pieces of an edge, each in front of or behind the atoms by itself
LARGEST_SCALE = 42.0  # pixels an Å: small cells are not blown up


@dataclass(frozen=True)
class _Frame:
    """From Å to pixels. turned: the picture lies on its side, for a cell much higher than wide."""

    scale: float
    middle: Floats
    turned: bool

    def at(self, point: Floats) -> tuple[float, float]:
        x, y = _flat(point, self.turned) - self.middle
        return WIDTH / 2 + self.scale * float(x), (HEIGHT - LEGEND) / 2 - self.scale * float(y)


def draw_svg(text: str) -> str:
    """A drawing as an ``<svg>`` element to put into HTML: no ids, clear ground, scales with its box; lines have the colour of the text.

    Raises InvalidRecord where ``text`` is no crystal.
    """
    scene = scene_of_text(text)
    frame = _frame(scene)
    pieces = [*_edges(scene, frame), *_sticks(scene, frame), *_balls(scene, frame)]
    body = "".join(piece for _, piece in sorted(pieces, key=lambda piece: piece[0]))
    symbols = [ELEMENTS[number - 1] for number in dict.fromkeys(scene.numbers.tolist())]
    label = f"conventional cell with {', '.join(symbols)}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
    return f"{head}{body}{_axes(scene, frame)}{_legend(symbols)}</svg>"


def _flat(points: Floats, turned: bool) -> Floats:
    """Points (..., 3) on the screen (..., 2): as they are, or up made right."""
    return points[..., [1, 0]] * [1, -1] if turned else points[..., :2]


def _frame(scene: Scene) -> _Frame:
    points = np.concatenate([scene.centres, scene.corners])
    radii = np.concatenate([scene.radii, np.zeros(8)])[:, None]
    size = np.ptp(points[:, :2], axis=0)
    turned = bool(size[1] > 1.35 * size[0])
    flat = _flat(points, turned)
    low, high = (flat - radii).min(0), (flat + radii).max(0)
    room = np.array([WIDTH, HEIGHT - LEGEND]) - 2 * MARGIN
    return _Frame(min(LARGEST_SCALE, float((room / (high - low)).min())), (low + high) / 2, turned)


def _line(start: tuple[float, float], end: tuple[float, float], style: str) -> str:
    return f'<path d="M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}" {style}/>'


def _edges(scene: Scene, frame: _Frame) -> list[tuple[float, str]]:
    """Depth and SVG of each piece of an edge that no ball hides by holding it."""
    pieces = []
    style = 'stroke="currentColor" stroke-opacity=".55" stroke-linecap="round"'
    for i, j in EDGES:
        points = np.linspace(scene.corners[i], scene.corners[j], PARTS + 1)
        for start, end in pairwise(points):
            middle = (start + end) / 2
            if (np.linalg.norm(scene.centres - middle, axis=1) > scene.radii).all():
                pieces.append((float(middle[2]), _line(frame.at(start), frame.at(end), style)))
    return pieces


def _sticks(scene: Scene, frame: _Frame) -> list[tuple[float, str]]:
    """Depth and SVG of both halves of each stick, from the surface of its ball to the middle."""
    pieces = []
    width = max(1.2, 2 * STICK * frame.scale)
    for i, j in scene.sticks.tolist():
        for one, other in ((i, j), (j, i)):
            start, end = scene.centres[one], scene.centres[other]
            middle = (start + end) / 2
            start = start + (end - start) * min(0.5, 0.9 * float(scene.radii[one] / np.linalg.norm(end - start)))
            style = f'stroke="{COLOURS[ELEMENTS[scene.numbers[one] - 1]]}" stroke-width="{width:.1f}"'
            pieces.append((float((start[2] + middle[2]) / 2), _line(frame.at(start), frame.at(middle), style)))
    return pieces


def _balls(scene: Scene, frame: _Frame) -> list[tuple[float, str]]:
    """Depth and SVG of each ball."""
    pieces = []
    shiny = len(scene.numbers) <= MOST_SHINY
    for number, centre, size in zip(scene.numbers.tolist(), scene.centres, scene.radii.tolist(), strict=True):
        (x, y), r = frame.at(centre), size * frame.scale
        ball = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" fill="{COLOURS[ELEMENTS[number - 1]]}" stroke="#1d2733" stroke-width=".7"/>'
        if shiny:
            ball += f'<circle cx="{x - 0.32 * r:.1f}" cy="{y - 0.34 * r:.1f}" r="{0.27 * r:.1f}" fill="#fff" fill-opacity=".5"/>'
        pieces.append((float(centre[2]), ball))
    return pieces


def _axes(scene: Scene, frame: _Frame) -> str:
    """The letters of the axes, a little beyond the end of each."""
    origin = next(i for i in range(8) if not CORNERS[i].any())
    largest = float(scene.radii.max()) * frame.scale
    letters = []
    x0, y0 = frame.at(scene.corners[origin])
    for axis, letter in enumerate("abc"):
        end = next(i for i in range(8) if CORNERS[i].sum() == 1 and CORNERS[i][axis])
        x, y = frame.at(scene.corners[end])
        length = max(1.0, float(np.hypot(x - x0, y - y0)))
        reach = 1 + (largest + 7) / length
        x, y = x0 + (x - x0) * reach, y0 + (y - y0) * reach + 4
        x, y = min(max(x, 6), WIDTH - 6), min(max(y, 12), HEIGHT - LEGEND - 2)
        letters.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" font-style="italic" text-anchor="middle" fill="currentColor">{letter}</text>'
        )
    return "".join(letters)


def _legend(symbols: list[str]) -> str:
    step = min(46.0, (WIDTH - 8) / len(symbols))
    left = WIDTH / 2 - step * len(symbols) / 2
    parts = []
    for place, symbol in enumerate(symbols):
        x = left + step * place + 10
        parts.append(f'<circle cx="{x:.1f}" cy="{HEIGHT - 10}" r="5.5" fill="{COLOURS[symbol]}" stroke="#1d2733" stroke-width=".7"/>')
        parts.append(f'<text x="{x + 9:.1f}" y="{HEIGHT - 5.5}" font-size="13" fill="currentColor">{symbol}</text>')
    return "".join(parts)
