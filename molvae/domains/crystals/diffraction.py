"""Simulated powder X-ray diffraction, by pymatgen's XRDCalculator, as numbers and as a small SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from molvae.domains.crystals.facts import subscripts
from molvae.domains.crystals.structure import Crystal, parse
from molvae.errors import InvalidRecord

RADIATION = "CuKa"
RANGE = (10.0, 90.0)  # degrees of 2θ
FAINTEST = 0.5  # % of the strongest peak; fainter ones are not drawn
LABELS = 6
WIDTH, HEIGHT = 320, 132
_LEFT, _RIGHT, _TOP, _BOTTOM = 12.0, 308.0, 26.0, 102.0
_APART, _HALF = 26.0, 11.0  # pixels between two labels, and from a label's middle to its side


@dataclass(frozen=True)
class Peak:
    """A reflection: angle 2θ in degrees, intensity in % of the strongest, Miller indices as print has them (1̄10)."""

    angle: float
    intensity: float
    indices: str


def peaks(crystal: Crystal) -> list[Peak]:
    """Reflections of the conventional cell with Cu Kα from 10 to 90 degrees, by angle, kinematic and without thermal motion.

    Raises InvalidRecord where pymatgen has no scattering factors for an element.
    """
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    try:
        found = XRDCalculator(wavelength=RADIATION).get_pattern(crystal.structure(), two_theta_range=RANGE)
    except ValueError as error:
        raise InvalidRecord(crystal.text, f"no diffraction pattern: {error}") from error
    rows = zip(found.x.tolist(), found.y.tolist(), found.hkls, strict=True)
    return [Peak(angle, height, _indices(families[0]["hkl"])) for angle, height, families in rows]


def pattern_svg(text: str) -> str:
    """The pattern as an ``<svg>`` element, colours from the page around it. Raises InvalidRecord as ``parse`` and ``peaks`` do."""
    crystal = parse(text)
    shown = [peak for peak in peaks(crystal) if peak.intensity >= FAINTEST]
    sticks = "".join(f"M{_x(p.angle):.1f} {_BOTTOM:g}V{_y(p.intensity):.1f}" for p in shown)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Simulated X-ray diffraction of {subscripts(crystal.formula)}" font-size="10" fill="currentColor" text-anchor="middle">'
    )
    drawn = f'<path d="{sticks}" stroke="var(--accent, #2b6cb0)" stroke-width="1.6" fill="none"/>' if sticks else ""
    return f"{head}{_axis()}{drawn}{_labels(shown)}</svg>"


def _indices(hkl: Sequence[int]) -> str:
    digits = hkl if len(hkl) == 3 else (hkl[0], hkl[1], hkl[3])  # h k i l of hexagonal cells: i is -(h + k)
    separator = " " if any(abs(index) > 9 for index in digits) else ""
    return separator.join(f"{abs(index)}\u0304" if index < 0 else str(index) for index in digits)


def _x(angle: float) -> float:
    return _LEFT + (angle - RANGE[0]) / (RANGE[1] - RANGE[0]) * (_RIGHT - _LEFT)


def _y(intensity: float) -> float:
    return _BOTTOM - intensity / 100 * (_BOTTOM - _TOP)


def _axis() -> str:
    ticks = range(math.ceil(RANGE[0] / 10) * 10, int(RANGE[1]) + 1, 10)
    lines = f"M{_LEFT:g} {_BOTTOM:g}H{_RIGHT:g}" + "".join(f"M{_x(t):.1f} {_BOTTOM:g}v4" for t in ticks)
    names = "".join(f'<text x="{_x(t):.1f}" y="{_BOTTOM + 14:g}">{t}</text>' for t in ticks if t % 20 == 0)
    title = f'<text x="{(_LEFT + _RIGHT) / 2:g}" y="{HEIGHT - 3}">2θ (°), Cu Kα</text>'
    return f'<path d="{lines}" stroke="currentColor" stroke-opacity=".5" fill="none"/>{names}{title}'


def _far(one: Peak, other: Peak, pixels: float) -> bool:
    return abs(_x(one.angle) - _x(other.angle)) >= pixels


def _labels(shown: Sequence[Peak]) -> str:
    """Miller indices over the strongest peaks whose labels meet neither each other nor a higher peak."""
    told: list[Peak] = []
    for peak in sorted(shown, key=lambda peak: -peak.intensity):
        clear = all(other.intensity <= peak.intensity or _far(peak, other, _HALF) for other in shown)
        if len(told) < LABELS and clear and all(_far(peak, other, _APART) for other in told):
            told.append(peak)
    places = ((min(max(_x(peak.angle), 14.0), WIDTH - 14.0), _y(peak.intensity) - 4, peak.indices) for peak in told)
    return "".join(f'<text x="{x:.1f}" y="{y:.1f}">{indices}</text>' for x, y, indices in places)
