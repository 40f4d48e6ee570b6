"""The convex hull of formation energies of a chemical system as a small SVG: a curve for two elements, a triangle for three.

Formation energies refer to the elements, so every element stands at 0 whether an entry says so or not.
Axes: N entries, E elements, F facets of the lower hull.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from html import escape

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from molvae.errors import UsageError

Floats = NDArray[np.float64]
Composition = Mapping[str, float]

ON_HULL = 1e-6
"""eV an atom; entries no further above the hull are its corners."""
MOST_NAMES = 10
WIDTH = 320
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_ACCENT, _MARK = "var(--accent, #2b6cb0)", "var(--outside, #b4501c)"


@dataclass(frozen=True)
class Hull:
    """elements (E,); shares (N, E) and energies (N,), eV an atom, of the entries; planes (F, E), energies of the elements on each facet.

    facets (F, E), indices of entries.
    """

    elements: tuple[str, ...]
    shares: Floats
    energies: Floats
    names: tuple[str, ...]
    facets: NDArray[np.int64]
    planes: Floats

    def height(self, shares: Floats) -> Floats:
        """Energy (...) of the hull at shares (..., E)."""
        found: Floats = (shares @ self.planes.T).max(-1)
        return found

    @property
    def corners(self) -> NDArray[np.bool_]:
        """Which entries (N,) are on the hull."""
        on: NDArray[np.bool_] = self.energies <= self.height(self.shares) + ON_HULL
        return on


def hull_of(elements: Sequence[str], entries: Sequence[tuple[Composition, float]]) -> Hull:
    """The lower hull of the entries of these elements; entries with others are left out. Raises UsageError for energies not finite."""
    chosen = [(c, float(e)) for c, e in entries if sum(c.values()) > 0 and {x for x, n in c.items() if n > 0} <= set(elements)]
    if any(not math.isfinite(energy) for _, energy in chosen):
        raise UsageError("an entry of the hull has no finite formation energy; leave it out")
    chosen += [({element: 1.0}, 0.0) for element in elements]
    shares = np.array([[c.get(element, 0.0) / sum(c.values()) for element in elements] for c, _ in chosen])
    energies = np.array([energy for _, energy in chosen])
    # A point above all others keeps the body from being flat where there are the elements alone.
    top = np.append(np.full(len(elements) - 1, 1 / len(elements)), energies.max() + 1)
    body = ConvexHull(np.vstack([np.column_stack([shares[:, 1:], energies]), top]))
    facets = body.simplices[body.equations[:, len(elements) - 1] < -1e-9].astype(np.int64)
    facets = facets[np.abs(np.linalg.det(shares[facets])) > 1e-9]
    planes = np.linalg.solve(shares[facets], energies[facets][..., None])[..., 0]
    return Hull(tuple(elements), shares, energies, tuple(formula(c) for c, _ in chosen), facets, planes)


def hull_svg(entries: Sequence[tuple[Composition, float]], candidate: Composition, energy: float, *, reference: str = "") -> str:
    """The candidate among the entries of its chemical system.

    entries: composition (element -> amount) and formation energy in eV an atom; those with other elements are left out. energy: of the
    candidate. reference: what the entries are, in words. Raises UsageError for one element or more than three, and without an energy.
    """
    elements = sorted(element for element, amount in candidate.items() if amount > 0)
    if len(elements) not in (2, 3):
        raise UsageError(f"a hull is drawn for 2 or 3 elements; {formula(candidate)} has {len(elements)}")
    if not math.isfinite(energy):
        raise UsageError(f"the formation energy of {formula(candidate)} is unknown")
    hull = hull_of(elements, entries)
    place = np.array([candidate[element] for element in elements], float)
    place /= place.sum()
    above = energy - float(hull.height(place))
    draw = _curve if len(elements) == 2 else _triangle
    height, body = draw(hull, place, energy)
    words, source = _caption(formula(candidate), energy, above, int((hull.shares.max(1) < 1).sum()), reference)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height + 34}" role="img" aria-label="{escape(words)}" '
        f'font-size="10" fill="currentColor" text-anchor="middle">'
    )
    said = _text(WIDTH / 2, height + 14, words, f'font-size="11" fill="{_MARK}"') + _text(WIDTH / 2, height + 28, source, 'opacity=".7"')
    return f"{head}{body}{said}</svg>"


def formula(composition: Composition) -> str:
    """SrTiO₃ for {"Sr": 2, "Ti": 2, "O": 6}; amounts that are no whole numbers as they are."""
    amounts = {element: float(amount) for element, amount in composition.items() if amount > 0}
    if all(amount == round(amount) for amount in amounts.values()):
        divisor = reduce(math.gcd, (round(amount) for amount in amounts.values()), 0) or 1
        amounts = {element: round(amount) / divisor for element, amount in amounts.items()}
    return "".join(element + ("" if amount == 1 else f"{amount:.3g}".translate(_SUBSCRIPT)) for element, amount in amounts.items())


def _caption(name: str, energy: float, above: float, compounds: int, reference: str) -> tuple[str, str]:
    """What the picture says. Against the elements alone there is no hull to be on, so nothing is said of one."""
    where = f" in {reference}" if reference else ""
    if not compounds:
        return f"{name}: {energy:.3f} eV/atom from the elements".replace("-", "−"), f"no compound of this system{where}: no hull"
    words = f"{name}: {abs(above):.3f} eV/atom {'above' if above >= 0 else 'below'} the hull"
    return words, f"{compounds} {'entry' if compounds == 1 else 'entries'} of this system{where}"


def _text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'


def _dot(x: float, y: float, on_hull: bool) -> str:
    fill = f'fill="{_ACCENT}"' if on_hull else 'fill-opacity=".35"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{3.2 if on_hull else 2.2}" {fill}/>'


def _diamond(x: float, y: float) -> str:
    return f'<path d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z" fill="{_MARK}"/>'


def _names(places: Sequence[tuple[float, float, str, str]], near: tuple[float, float]) -> list[str]:
    """Names at x, y with an anchor, those next to the candidate first; one that would cover another, or the candidate, is left out."""
    shown = [(near[0], 5.5, near[1])]
    parts = []
    for x, y, anchor, name in sorted(set(places), key=lambda p: (math.hypot(p[0] - near[0], p[1] - near[1]), p)):
        half = 3.2 * len(name)
        middle = x + {"start": half, "middle": 0.0, "end": -half}[anchor]
        if len(shown) <= MOST_NAMES and all(abs(middle - a) > half + b or abs(y - c) > 10 for a, b, c in shown):
            shown.append((middle, half, y))
            parts.append(_text(x, y, name, f'text-anchor="{anchor}"'))
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers."""
    rough = (high - low) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    return [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _curve(hull: Hull, place: Floats, energy: float) -> tuple[int, str]:
    """Height and content of the picture of two elements: formation energy over the share of the second."""
    left, right, top, bottom = 46.0, 306.0, 14.0, 150.0
    low = min(float(hull.energies.min()), energy, -0.02)
    high = max(0.0, energy, -0.25 * low)
    low, high = low - 0.16 * (high - low), high + 0.06 * (high - low)

    def at(share: float, value: float) -> tuple[float, float]:
        return left + share * (right - left), bottom - (value - low) / (high - low) * (bottom - top)

    parts = []
    for tick in _ticks(low, high):
        y = at(0, tick)[1]
        parts.append(f'<path d="M{left:g} {y:.1f}H{right:g}" stroke="currentColor" stroke-opacity="{0.45 if abs(tick) < 1e-9 else 0.13}"/>')
        parts.append(_text(left - 6, y + 3.5, f"{tick:.3g}".replace("-", "−"), 'text-anchor="end"'))
    corners = sorted((float(hull.shares[i, 1]), float(hull.energies[i]), hull.names[i]) for i in np.flatnonzero(hull.corners))
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in (at(share, value) for share, value, _ in corners))
    parts.append(f'<path d="M{line}" fill="none" stroke="{_ACCENT}" stroke-width="1.4"/>')
    shown = [i for i in range(len(hull.energies)) if hull.energies[i] <= high]
    parts += [_dot(*at(float(hull.shares[i, 1]), float(hull.energies[i])), bool(hull.corners[i])) for i in shown]
    x, y = at(float(place[1]), energy)
    inner = [(*at(share, value), name) for share, value, name in corners if 0 < share < 1]
    parts += _names([(a, b + 13, "middle", name) for a, b, name in inner], (x, y))
    foot = at(float(place[1]), float(hull.height(place)))[1]
    parts.append(f'<path d="M{x:.1f} {y:.1f}V{foot:.1f}" stroke="{_MARK}" stroke-dasharray="3 2"/>{_diamond(x, y)}')
    parts.append(_text(left, bottom + 14, hull.elements[0]) + _text(right, bottom + 14, hull.elements[1]))
    middle = (top + bottom) / 2
    parts.append(_text(11, middle, "eV/atom", f'transform="rotate(-90 11 {middle:g})"'))
    return int(bottom + 18), "".join(parts)


def _triangle(hull: Hull, place: Floats, energy: float) -> tuple[int, str]:
    """Height and content of the picture of three elements: the hull seen from below, phases joined where they coexist."""
    corners = np.array([[62.0, 194.0], [258.0, 194.0], [160.0, 24.0]])
    points = hull.shares @ corners
    on = hull.corners
    pairs = sorted({(min(i, j), max(i, j)) for f in hull.facets.tolist() for i, j in ((f[0], f[1]), (f[1], f[2]), (f[0], f[2]))})
    lines = "".join(f"M{points[i, 0]:.1f} {points[i, 1]:.1f}L{points[j, 0]:.1f} {points[j, 1]:.1f}" for i, j in pairs)
    outline = "".join(f"{'L' if k else 'M'}{x:g} {y:g}" for k, (x, y) in enumerate(corners.tolist())) + "z"
    parts = [
        f'<path d="{outline}" fill="none" stroke="currentColor" stroke-opacity=".45"/>',
        f'<path d="{lines}" fill="none" stroke="{_ACCENT}" stroke-width="1.1"/>',
    ]
    parts += [
        _dot(float(x), float(y), bool(flag)) for (x, y), flag in sorted(zip(points.tolist(), on.tolist(), strict=True), key=lambda p: p[1])
    ]
    x, y = (place @ corners).tolist()
    named = [(*points[i].tolist(), hull.names[i]) for i in np.flatnonzero(on) if hull.shares[i].max() < 1]
    left = WIDTH / 2 - 1
    parts += _names([(a - 6, b - 4, "end", name) if a < left else (a + 6, b - 4, "start", name) for a, b, name in named], (x, y))
    parts.append(_diamond(x, y))
    for (x, y), name, below in zip(corners.tolist(), hull.elements, (14, 14, -8), strict=True):
        parts.append(_text(x, y + below, name, 'font-weight="600"'))
    return 210, "".join(parts)
