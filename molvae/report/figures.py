"""Figures as SVG text. Equal arguments give equal bytes; colours are plain, and ``themed`` hands them over to a page's style sheet."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from molvae.errors import UsageError
from molvae.report.properties import NAN, PropertyRequest

INK = "#1d2733"
FAINT = "#8a94a3"
GRID = "#e3e7ee"
ACCENT = "#2b6cb0"
INSIDE = "#1c7c54"
OUTSIDE = "#c05621"

# The page's style sheet defines these variables for a light and a dark ground.
THEME = {
    INK: "currentColor",
    FAINT: "var(--faint)",
    GRID: "var(--line)",
    ACCENT: "var(--accent)",
    INSIDE: "var(--inside)",
    OUTSIDE: "var(--outside)",
}

MAX_VECTOR_POINTS = 3000
MAX_TARGET_LINES = 6

_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "text.parse_math": False,  # names and units come from users; a $ in them is a $
}


def histogram(request: PropertyRequest, values: Sequence[float], asked: Sequence[float] = ()) -> str:
    """The measured values of one property, with the asked values as lines and tolerance or range as a band.

    values: unknown (NaN) ones are left out; raises UsageError where none is left. asked: the candidates' own targets, NaN where unset.
    """
    known = np.array([v for v in values if math.isfinite(v)])
    if not len(known):
        raise UsageError(f"property {request.name!r} has no known value to draw")
    targets = _targets(request, asked)
    with _style(f"histogram {request.name}"):
        figure, axes = _axes()
        axes.hist(known, bins=_edges(known), color=ACCENT, alpha=0.75, edgecolor="none", rwidth=0.92)
        _band(axes.axvspan, axes.get_xlim(), request, targets)
        if len(targets) <= MAX_TARGET_LINES:
            for target in targets:
                axes.axvline(target, color=OUTSIDE, linewidth=1.4, dashes=(4, 2.5))
        axes.set_title(_caption(request, targets), color=OUTSIDE if targets else INSIDE, fontsize=9.0)
        axes.set_xlabel(request.axis)
        axes.set_ylabel("candidates")
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.grid(axis="y")
        return _svg(figure, f"Histogram of {request.axis}")


def scatter(
    x: PropertyRequest,
    y: PropertyRequest,
    x_values: Sequence[float],
    y_values: Sequence[float],
    inside: Sequence[bool | None] = (),
    *,
    x_asked: Sequence[float] = (),
    y_asked: Sequence[float] = (),
) -> str:
    """Two measured properties against each other (n,) each; a cross where there is one target for both.

    inside (n,): whether each candidate is inside its tolerances, None where unknown; without it all points look alike.
    Raises UsageError where no candidate has both values, or where lengths differ.
    """
    states = list(inside) if len(inside) else [None] * len(x_values)
    if not len(x_values) == len(y_values) == len(states):
        raise UsageError(
            f"lengths differ: {len(x_values)} {x.name!r} values, {len(y_values)} {y.name!r} values, {len(states)} inside flags"
        )
    points = [(a, b, s) for a, b, s in zip(x_values, y_values, states, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if not points:
        raise UsageError(f"no candidate has both {x.name!r} and {y.name!r}")
    with _style(f"scatter {x.name} {y.name}"):
        figure, axes = _axes()
        x_targets, y_targets = _targets(x, x_asked), _targets(y, y_asked)
        shown = 0
        for state, label, colour in ((False, "outside", OUTSIDE), (None, "not judged", ACCENT), (True, "inside", INSIDE)):
            xs, ys = [a for a, _, s in points if s is state], [b for _, b, s in points if s is state]
            if xs:
                shown += 1
                raster = len(points) > MAX_VECTOR_POINTS
                axes.scatter(xs, ys, s=14, color=colour, alpha=0.65, linewidths=0, label=label, rasterized=raster)
        x_limits, y_limits = axes.get_xlim(), axes.get_ylim()
        _band(axes.axvspan, x_limits, x, x_targets)
        _band(axes.axhspan, y_limits, y, y_targets)
        if len(x_targets) == 1 and len(y_targets) == 1:
            axes.plot(x_targets, y_targets, "+", color=INK, markersize=13, markeredgewidth=1.3, label="target", linestyle="none")
            shown += 1
        if shown > 1:
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, handletextpad=0.1, columnspacing=1.2, fontsize=8.5)
        axes.set_xlabel(x.axis)
        axes.set_ylabel(y.axis)
        axes.grid()
        return _svg(figure, f"{y.axis} against {x.axis}")


def themed(svg: str) -> str:
    """The figure with its colours replaced by CSS variables, for embedding in a page that defines them."""
    for colour, variable in THEME.items():
        svg = svg.replace(colour, variable)
    return svg


def _style(salt: str) -> AbstractContextManager[None]:
    """Our settings for a while. salt: ids within the SVG derive from it instead of from chance; two figures of one page need two salts."""
    settings: Any = {**_STYLE, "svg.hashsalt": salt}
    return mpl.rc_context(settings)


def _axes() -> tuple[Figure, Axes]:
    # A Figure of its own, not pyplot: no global state, no display.
    figure = Figure(figsize=(4.0, 2.8), layout="constrained", dpi=150)
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.tick_params(length=3)
    return figure, axes


def _targets(request: PropertyRequest, asked: Sequence[float]) -> list[float]:
    aims = (request.aim(a) for a in (asked if len(asked) else (NAN,)))
    return sorted({a for a in aims if math.isfinite(a)})


def _caption(request: PropertyRequest, targets: list[float]) -> str:
    if len(targets) > 1:
        return f"{len(targets)} targets"
    wish = request.wish(targets[0] if targets else NAN)
    return f"asked {wish}" if wish else ""


def _band(span: Callable[..., object], limits: tuple[float, float], request: PropertyRequest, targets: list[float]) -> None:
    """Shade tolerance and range; span is Axes.axvspan or Axes.axhspan, limits the ends of that axis, to which an open range goes."""
    if len(targets) == 1 and math.isfinite(request.tolerance):
        span(targets[0] - request.tolerance, targets[0] + request.tolerance, color=INSIDE, alpha=0.13, linewidth=0, zorder=0)
    if request.bounded:
        low, high = max(request.low, min(limits[0], request.high)), min(request.high, max(limits[1], request.low))
        span(low, high, color=INSIDE, alpha=0.13, linewidth=0, zorder=0)


def _edges(known: NDArray[np.float64]) -> list[float]:
    low, high = float(known.min()), float(known.max())
    if low == high:
        half = max(abs(low) * 0.05, 0.5)
        return [float(e) for e in np.linspace(low - half, high + half, 4)]
    if np.all(known == np.round(known)) and high - low <= 40:
        return [float(e) for e in np.arange(low - 0.5, high + 1.0)]  # counts: one bar a number
    bins = len(np.histogram_bin_edges(known, bins="sturges" if high - low > 1e100 else "auto")) - 1
    return [float(e) for e in np.linspace(low, high, min(max(bins, 5), 40) + 1)]


def _svg(figure: Figure, title: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    # Ids of groups are numbered alike in every figure; two figures in one page must not share any, and nothing refers to these.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("'DejaVu Sans'", "system-ui, 'DejaVu Sans', sans-serif")
    safe = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{safe}" ', 1).strip() + "\n"
