"""Figures as SVG text. Equal arguments give equal bytes; colours are plain, and ``themed`` hands them over to a page's style sheet."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
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
MAX_LINE_POINTS = 600
MAX_MAP_POINTS = 400  # beyond, points that each have a colour of their own become an image

# From violet to amber: neither end vanishes on a light or a dark ground.
_MAP = LinearSegmentedColormap.from_list("violet to amber", mpl.colormaps["plasma"](np.linspace(0.15, 0.85, 64)))

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


def convergence(calls: Sequence[int], lines: Mapping[str, Sequence[float]], share: Sequence[float], *, axis: str, share_label: str) -> str:
    """Lines (n,) against the scorer's calls (n,), NaN where not yet known, above a share (n,) in [0, 1].

    The upper panel is left out where no line has a known value. Raises UsageError where lengths differ or there is no call.
    """
    if not len(calls) or any(len(values) != len(calls) for values in (share, *lines.values())):
        raise UsageError(
            f"lengths differ or nothing to draw: {len(calls)} calls, {[len(v) for v in lines.values()]} values, {len(share)} shares"
        )
    kept = np.unique(np.linspace(0, len(calls) - 1, min(len(calls), MAX_LINE_POINTS)).round().astype(np.int64))
    x = np.asarray(calls, np.float64)[kept]
    known = {name: np.asarray(values, np.float64)[kept] for name, values in lines.items()}
    shown = any(np.isfinite(values).any() for values in known.values())
    with _style(f"convergence {axis}"):
        figure = _figure(11.0, 3.6 if shown else 1.5)
        panels = figure.subplots(2 if shown else 1, 1, sharex=True, squeeze=False, height_ratios=[3, 1] if shown else [1])[:, 0]
        if shown:
            for (name, values), colour in zip(known.items(), (ACCENT, OUTSIDE, INSIDE), strict=False):
                marker = "o" if np.isfinite(values).sum() == 1 else ""
                panels[0].step(x, values, where="post", color=colour, linewidth=1.6, label=name, marker=marker, markersize=4)
            panels[0].set_ylabel(axis)
            panels[0].legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8.5)
        panels[-1].plot(x, np.asarray(share, np.float64)[kept], color=FAINT, linewidth=1.3, marker="o" if len(x) == 1 else "", markersize=4)
        panels[-1].set_ylim(-0.04, 1.04)
        panels[-1].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        panels[-1].set_ylabel(share_label)
        panels[-1].set_xlabel("calls of the scorer")
        panels[-1].xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
        for axes in panels:
            _plain(axes)
            axes.grid()
        figure.align_ylabels()
        return _svg(figure, f"{axis} against calls")


def distribution(request: PropertyRequest, values: Sequence[float], marked: Sequence[bool], *, marked_label: str) -> str:
    """Shares of all values (n,) in each bin, and of the marked ones among them (n,); tolerance or range as a band.

    Unknown values are left out. Raises UsageError where none is left, or where lengths differ.
    """
    if len(values) != len(marked):
        raise UsageError(f"lengths differ: {len(values)} values of {request.name!r}, {len(marked)} marks")
    everything = np.array([v for v in values if math.isfinite(v)])
    if not len(everything):
        raise UsageError(f"property {request.name!r} has no known value to draw")
    best = np.array([v for v, m in zip(values, marked, strict=True) if m and math.isfinite(v)])
    edges = _edges(everything)
    with _style(f"distribution {request.name}"):
        figure, axes = _axes()
        axes.hist(everything, edges, weights=np.full(len(everything), 100 / len(everything)), color=FAINT, alpha=0.45, label="all scored")
        if len(best):
            weights = np.full(len(best), 100 / len(best))
            axes.hist(best, edges, weights=weights, histtype="step", color=INSIDE, linewidth=1.7, label=marked_label)
        targets = _targets(request, ())
        _band(axes.axvspan, axes.get_xlim(), request, targets)
        _legend(axes)
        axes.set_xlabel(f"{request.axis}: {wish}" if (wish := request.wish()) else request.axis)
        axes.set_ylabel("share of records (%)")
        axes.grid(axis="y")
        return _svg(figure, f"Distribution of {request.axis}")


def front(x: PropertyRequest, y: PropertyRequest, x_values: Sequence[float], y_values: Sequence[float], on_front: Sequence[bool]) -> str:
    """Two values (n,) of all records against each other, with those on the Pareto front (n,) marked. Raises UsageError as ``scatter``."""
    if not len(x_values) == len(y_values) == len(on_front):
        raise UsageError(f"lengths differ: {len(x_values)} {x.name!r} values, {len(y_values)} {y.name!r} values, {len(on_front)} marks")
    points = [(a, b, m) for a, b, m in zip(x_values, y_values, on_front, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if not points:
        raise UsageError(f"no record has both {x.name!r} and {y.name!r}")
    with _style(f"front {x.name} {y.name}"):
        figure, axes = _axes()
        for state, label, colour, size in ((False, "scored", FAINT, 9), (True, "on the front", INSIDE, 20)):
            chosen = [(a, b) for a, b, m in points if bool(m) is state]
            if chosen:
                raster = len(chosen) > MAX_MAP_POINTS
                axes.scatter(
                    [a for a, _ in chosen],
                    [b for _, b in chosen],
                    s=size,
                    color=colour,
                    alpha=0.75,
                    linewidths=0,
                    label=label,
                    rasterized=raster,
                )
        _legend(axes)
        axes.set_xlabel(f"{x.axis}: {wish}" if (wish := x.wish()) else x.axis)
        axes.set_ylabel(f"{y.axis}: {wish}" if (wish := y.wish()) else y.axis)
        axes.grid()
        return _svg(figure, f"{y.axis} against {x.axis}, Pareto front")


def latent_map(
    points: NDArray[np.float64],
    values: Sequence[float],
    marked: Sequence[bool],
    *,
    axes_labels: tuple[str, str],
    label: str,
    marked_label: str,
) -> str:
    """Points (n, 2) coloured by a value (n,), grey where it is NaN, with rings around the marked ones (n,).

    Raises UsageError where lengths differ or there is no point.
    """
    colours, rings = np.asarray(values, np.float64), np.asarray(marked, bool)
    if not len(points) == len(colours) == len(rings) or not len(points):
        raise UsageError(f"lengths differ or nothing to draw: {len(points)} points, {len(colours)} values, {len(rings)} marks")
    known = np.isfinite(colours)
    raster = len(points) > MAX_MAP_POINTS
    with _style("latent map"):
        figure = _figure(6.4, 4.4)
        axes = _plain(figure.add_subplot())
        if not known.all():
            axes.scatter(
                points[~known, 0],
                points[~known, 1],
                s=9,
                color=FAINT,
                alpha=0.4,
                linewidths=0,
                label="not usable",
                rasterized=raster,
            )
        if known.any():
            order = np.flatnonzero(known)[np.argsort(colours[known], kind="stable")]  # the best are drawn last, on top
            shades = axes.scatter(points[order, 0], points[order, 1], s=14, c=colours[order], cmap=_MAP, linewidths=0, rasterized=raster)
            bar = figure.colorbar(shades, ax=axes, label=label, aspect=30, pad=0.02)
            bar.outline.set_visible(False)
            for part in bar.ax.collections:  # 256 patches of colour: an image is smaller
                part.set_rasterized(True)
        if rings.any():
            axes.scatter(points[rings, 0], points[rings, 1], s=62, facecolors="none", edgecolors=INK, linewidths=1.3, label=marked_label)
        _legend(axes)
        axes.set_xlabel(axes_labels[0])
        axes.set_ylabel(axes_labels[1])
        axes.grid()
        return _svg(figure, f"Latent map coloured by {label}")


def origins(names: Sequence[str], everything: Sequence[float], best: Sequence[float], *, labels: tuple[str, str]) -> str:
    """Two shares, in [0, 1], for each name: of all records and of the best ones. Raises UsageError where lengths differ or nothing is there."""
    if not len(names) == len(everything) == len(best) or not names:
        raise UsageError(f"lengths differ or nothing to draw: {len(names)} names, {len(everything)} and {len(best)} shares")
    places = np.arange(len(names), dtype=np.float64)
    with _style("origins"):
        figure = _figure(6.4, 1.0 + 0.27 * len(names))
        axes = _plain(figure.add_subplot())
        axes.barh(places - 0.19, 100 * np.asarray(everything), height=0.36, color=FAINT, alpha=0.6, label=labels[0])
        axes.barh(places + 0.19, 100 * np.asarray(best), height=0.36, color=INSIDE, label=labels[1])
        axes.set_yticks(places, list(names))
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("share of records (%)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8.5)
        axes.grid(axis="x")
        return _svg(figure, "Moves that proposed the records")


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
    figure = _figure(4.0, 2.8)
    return figure, _plain(figure.add_subplot())


def _figure(width: float, height: float) -> Figure:
    # A Figure of its own, not pyplot: no global state, no display.
    figure = Figure(figsize=(width, height), layout="constrained", dpi=150)
    figure.patch.set_visible(False)
    return figure


def _plain(axes: Axes) -> Axes:
    axes.patch.set_visible(False)
    axes.tick_params(length=3)
    return axes


def _legend(axes: Axes) -> None:
    """What is what, above the axes, where there is something to tell."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, handletextpad=0.3, columnspacing=1.2, fontsize=8.5)


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
