"""One self-contained HTML page of a search: how it converged, what it found and where, and what became of every call of the scorer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from molvae.errors import InvalidRecord, UsageError
from molvae.metrics import pareto_front
from molvae.records import Candidate
from molvae.report import figures
from molvae.report.matter import Matter, matter_on, rich, viewer
from molvae.report.page import Step, Value
from molvae.report.properties import NAN, PropertyRequest, number, spread
from molvae.report.templating import insert, template
from molvae.report.write import write_bytes

TOP = 100
MAX_PAIRS = 6  # figures of a Pareto front with many objectives
BOX_POINTS = 4096


@dataclass(frozen=True)
class SearchReport:
    """Everything the page shows. Arrays hold one row for each of the n scored records, in the order of the calls.

    calls (n,), from 1; scores (n,), NaN where unknown; feasible (n,): whether every constraint holds. origins (n,): what proposed each.
    endpoints: name -> values (n,), NaN where unknown. objectives (n, k): for a Pareto search over k >= 2 of them, more is better, else
    (n, 0); objective_names (k,). candidates: the best ones, in the order of the page; draw: text -> SVG, trusted as it comes; an
    InvalidRecord it raises is shown in place of the drawing. properties: what was asked of each endpoint. goals: name and wish of each
    term, in words; constraints: in words. codes (m, D): latent codes of some of the records, code_rows (m,): which. steps: (label, count),
    the first being all. failures: reason -> evaluations lost. facts: name -> value lines of the head. summary: the same for the table.
    file_names: the tables beside the page. date: as it shall be read. scene, told, card_figures, max_figures: as in ``ReportData``.
    Raises UsageError where lengths differ.
    """

    title: str
    calls: NDArray[np.int64]
    scores: NDArray[np.float64]
    feasible: NDArray[np.bool_]
    origins: Sequence[str]
    candidates: Sequence[Candidate]
    draw: Callable[[str], str]
    endpoints: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    objectives: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    objective_names: Sequence[str] = ()
    properties: Sequence[PropertyRequest] = ()
    goals: Sequence[tuple[str, str]] = ()
    constraints: Sequence[str] = ()
    codes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    code_rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    steps: Sequence[tuple[str, int]] = ()
    failures: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping[str, str] = field(default_factory=dict)
    text_label: str = "text"
    file_names: Sequence[str] = ()
    max_cards: int = 60
    scene: Callable[[str], str] | None = None
    told: Callable[[str], Mapping[str, str]] | None = None
    card_figures: Mapping[str, Callable[[str], str]] = field(default_factory=dict)
    max_figures: int = 24

    def __post_init__(self) -> None:
        wide = {"objectives": len(self.objectives)} if self.pareto else {}
        lengths = {"scores": len(self.scores), "feasible": len(self.feasible), "origins": len(self.origins), **wide}
        lengths |= {name: len(values) for name, values in self.endpoints.items()}
        for name, length in lengths.items():
            if length != len(self.calls):
                raise UsageError(f"{length} {name} of {len(self.calls)} calls; wanted one for each")
        if len(self.codes) != len(self.code_rows):
            raise UsageError(f"{len(self.codes)} codes of {len(self.code_rows)} records; wanted one for each")

    @property
    def pareto(self) -> bool:
        """Whether there are several objectives rather than one score."""
        return len(self.objective_names) > 1

    @cached_property
    def history(self) -> History:
        """What was known after each call."""
        return History.of(self.scores, self.feasible, self.objectives if self.pareto else None)

    @cached_property
    def worth(self) -> NDArray[np.float64]:
        """(n,) what records are compared by: the score, or the mean of the objectives scaled to [0, 1]; NaN where it does not count."""
        counts = self.history.counts
        if not self.pareto or not counts.any():
            return np.where(counts, self.scores, np.nan)
        return np.where(counts, _scaled(self.objectives, counts).mean(1), np.nan)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Rows that count, best first, earlier calls first among equals; for a Pareto search the front's come first."""
        rows = np.flatnonzero(np.isfinite(self.worth))
        front = self.history.front[rows]
        return rows[np.lexsort((self.calls[rows], -self.worth[rows], ~front))]

    @cached_property
    def best(self) -> NDArray[np.bool_]:
        """(n,) the records that the figures mark: the front, or the best hundred (half, and at least ten, of short searches)."""
        marked = np.zeros(len(self.calls), bool)
        many = int(self.history.front.sum()) if self.pareto else min(TOP, max(10, len(self.order) // 2))
        marked[self.order[:many]] = True
        return marked

    @property
    def best_label(self) -> str:
        """What the marked records are called."""
        return f"{int(self.best.sum())} on the front" if self.pareto else f"top {int(self.best.sum())}"


@dataclass(frozen=True)
class History:
    """Row k: what was known after call k + 1. Unknown is NaN.

    counts (n,): feasible records with a known score. best, top10 (n,): best score, mean of the ten best (of fewer where there are no ten).
    front (n,): records on the final Pareto front; volume (n,): share, in [0, 1], of the box between worst and best of each objective that
    the front of that moment dominates, estimated from 4,096 fixed points; NaN, as the scores, for the other kind of search.
    """

    counts: NDArray[np.bool_]
    best: NDArray[np.float64]
    top10: NDArray[np.float64]
    front: NDArray[np.bool_]
    volume: NDArray[np.float64]

    @classmethod
    def of(cls, scores: NDArray[np.float64], feasible: NDArray[np.bool_], objectives: NDArray[np.float64] | None = None) -> History:
        """scores (n,), feasible (n,), objectives (n, k) of a Pareto search."""
        unknown = np.full(len(scores), np.nan)
        if objectives is not None:
            counts = feasible & np.isfinite(objectives).all(1)
            front = pareto_front(np.where(counts[:, None], objectives, np.nan))
            return cls(counts, unknown, unknown, front, _volume(objectives, counts))
        counts = feasible & np.isfinite(scores)
        best, top10, ten = unknown.copy(), unknown.copy(), list[float]()
        for row, (score, counted) in enumerate(zip(scores.tolist(), counts.tolist(), strict=True)):
            if counted:
                ten = sorted([*ten, score], reverse=True)[:10]
            if ten:
                best[row], top10[row] = ten[0], sum(ten) / len(ten)
        return cls(counts, best, top10, np.zeros(len(scores), bool), unknown)

    def share(self, window: int) -> NDArray[np.float64]:
        """(n,) share of the last ``window`` calls, or of all where there were fewer, whose records count."""
        total = np.concatenate([[0.0], np.cumsum(self.counts)])
        ends = np.arange(1, len(self.counts) + 1)
        starts = np.maximum(0, ends - window)
        return np.asarray((total[ends] - total[starts]) / (ends - starts), np.float64)


def project(codes: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Codes (m, D) on their first two principal components, (m, 2), and the share of the variance that each explains (NaN without any)."""
    centred = codes - codes.mean(0) if len(codes) else codes
    points = np.zeros((len(codes), 2))
    if not centred.size or not np.any(centred):
        return points, (NAN, NAN)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes * np.where(axes[np.arange(len(axes)), np.abs(axes).argmax(1)] < 0, -1.0, 1.0)[:, None]  # a sign of its own, for equal pages
    found = centred @ axes[:2].T
    points[:, : found.shape[1]] = found
    share = (values**2 / (values**2).sum()).tolist()
    return points, (share[0], share[1] if len(share) > 1 else 0.0)


def write_search_page(path: Path | str, data: SearchReport) -> None:
    """Write the page; an existing file is replaced only once the new one is whole. Raises MolvaeError where that fails."""
    write_bytes(Path(path), render_search_page(data).encode())


def render_search_page(data: SearchReport) -> str:
    """The page as HTML text. Whatever comes from the user is escaped; the page loads nothing and sends nothing, and runs nothing but a 3D viewer."""
    total = data.steps[0][1] if data.steps else 0
    return template("search.html.j2").render(
        data=data,
        style=insert("page.css", "search.css", *(["matter.css"] if rich(data) else [])),
        viewer=viewer() if data.scene is not None else None,
        rich=rich(data),
        facts=[(name, value) for name, value in data.facts.items() if value],
        steps=[Step(label, count, count / total if total else NAN) for label, count in data.steps],
        unknown=int((~np.isfinite(data.objectives if data.pareto else data.scores[:, None]).all(1)).sum()),
        convergence=_shown(_convergence(data)),
        front=_shown(*_fronts(data)),
        pairs=math.comb(len(data.objective_names), 2) if data.pareto else 0,
        rows=_rows(data),
        distributions=_shown(*_distributions(data)),
        map=_shown(*_map(data)),
        origins=_shown(*_origins(data)),
        cards=[_card(data, rank, c) for rank, c in enumerate(data.candidates[: data.max_cards], start=1)],
    )


@dataclass(frozen=True)
class SearchCard:
    """One candidate on the page. notes: (name, value) lines below its values."""

    rank: int
    candidate: Candidate
    drawing: Markup
    problem: str
    score: str
    values: tuple[Value, ...]
    notes: tuple[tuple[str, str], ...]
    matter: Matter


@dataclass(frozen=True)
class EndpointRow:
    """One endpoint over all that was scored, and over the marked records."""

    request: PropertyRequest
    known: int
    everything: str
    best: str


def _shown(*drawn: str) -> list[Markup]:
    return [Markup(figures.themed(svg)) for svg in drawn if svg]


def _convergence(data: SearchReport) -> str:
    if not len(data.calls):
        return ""
    history, window = data.history, min(len(data.calls), max(20, len(data.calls) // 40))
    lines = {"best so far": history.best, "mean of the ten best": history.top10}
    axis = "score"
    if data.pareto:
        lines, axis = {"dominated by the front": history.volume}, "share of the box"
    shares = history.share(window).tolist()
    return figures.convergence(
        data.calls.tolist(), {k: v.tolist() for k, v in lines.items()}, shares, axis=axis, share_label=f"usable,\nlast {window}"
    )


def _fronts(data: SearchReport) -> list[str]:
    """Each two objectives against each other, in the endpoints' own units where these are known."""
    if not data.pareto or not data.history.counts.any():
        return []
    asked = {request.name: request for request in data.properties}
    counts = data.history.counts
    sides: list[tuple[PropertyRequest, list[float]]] = []
    for place, name in enumerate(data.objective_names):
        own = data.endpoints.get(name)
        request = PropertyRequest(f"objective {name}") if own is None else asked.get(name, PropertyRequest(name))
        values = data.objectives[:, place] if own is None else own
        sides.append((request, np.where(counts, values, np.nan).tolist()))
    pairs = list(combinations(sides, 2))[:MAX_PAIRS]
    able = [(x, y) for x, y in pairs if np.isfinite(np.add(x[1], y[1])).any()]
    return [figures.front(x, y, xs, ys, data.history.front.tolist()) for (x, xs), (y, ys) in able]


def _requests(data: SearchReport) -> list[PropertyRequest]:
    """Of every endpoint, in their own order, the asked ones with their wishes."""
    asked = {request.name: request for request in data.properties}
    return [asked.get(name, PropertyRequest(name)) for name in data.endpoints]


def _distributions(data: SearchReport) -> list[str]:
    drawn = []
    for request in _requests(data):
        values = data.endpoints[request.name]
        if np.isfinite(values).any():
            drawn.append(figures.distribution(request, values.tolist(), data.best.tolist(), marked_label=data.best_label))
    return drawn


def _rows(data: SearchReport) -> list[EndpointRow]:
    def told(values: NDArray[np.float64]) -> str:
        known = values[np.isfinite(values)]
        return spread(float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else NAN) if len(known) else "–"

    columns = [(request, data.endpoints[request.name]) for request in _requests(data)]
    return [EndpointRow(request, int(np.isfinite(v).sum()), told(v), told(v[data.best])) for request, v in columns]


def _map(data: SearchReport) -> list[str]:
    if not len(data.codes):
        return []
    points, shares = project(data.codes)
    rows = data.code_rows
    ringed = np.zeros(len(data.calls), bool)
    ringed[data.order[:10]] = True
    labels = [f"principal component {k}" + ("" if math.isnan(s) else f" ({s:.0%} of variance)") for k, s in enumerate(shares, start=1)]
    count = int(ringed[rows].sum())
    drawn = figures.latent_map(
        points,
        data.worth[rows].tolist(),
        ringed[rows].tolist(),
        axes_labels=(labels[0], labels[1]),
        label="mean of the scaled objectives" if data.pareto else "score",
        marked_label=f"{count} of the front" if data.pareto else f"top {count}",
    )
    return [drawn]


def _origins(data: SearchReport) -> list[str]:
    if not len(data.order):
        return []
    everything = Counter(data.origins)
    best = Counter(data.origins[row] for row in np.flatnonzero(data.best).tolist())
    names = sorted(everything, key=lambda name: (-best[name], -everything[name], name))
    marked = max(1, sum(best.values()))
    shares = [everything[name] / len(data.calls) for name in names]
    return [figures.origins(names, shares, [best[name] / marked for name in names], labels=("all scored", data.best_label))]


def _card(data: SearchReport, rank: int, candidate: Candidate) -> SearchCard:
    drawing, problem = Markup(""), ""
    try:
        drawing = Markup(data.draw(candidate.text))
    except InvalidRecord as error:
        problem = error.why
    asked = {request.name: request for request in data.properties}
    values = []
    for name in dict.fromkeys([*candidate.measured, *asked]):
        request = asked.get(name, PropertyRequest(name))
        # The model's mean stands among the predictions, whether it was asked for by its label or as its column is called.
        predicted = candidate.predicted.get(name, candidate.predicted.get(name.removesuffix("_pred"), NAN))
        value = candidate.measured.get(name, predicted)
        if name not in candidate.measured and math.isnan(value):
            continue
        inside = request.inside(value)
        state = "" if inside is None else "inside" if inside else "outside"
        told = number(value) if name in candidate.measured else f"~{number(value)}"
        values.append(Value(request.title, request.unit, told, request.wish(), "", state))
    score = candidate.extra.get("score", "" if data.pareto else NAN)
    notes = [(name, v if isinstance(v, str) else number(v)) for name, v in candidate.extra.items() if name != "score"]
    told = score if isinstance(score, str) else number(score)
    return SearchCard(rank, candidate, drawing, problem, told, tuple(values), tuple(notes), matter_on(data, rank, candidate.text))


def _scaled(objectives: NDArray[np.float64], counts: NDArray[np.bool_]) -> NDArray[np.float64]:
    low, high = objectives[counts].min(0), objectives[counts].max(0)
    return np.asarray((objectives - low) / np.where(high > low, high - low, 1.0), np.float64)


def _volume(objectives: NDArray[np.float64], counts: NDArray[np.bool_]) -> NDArray[np.float64]:
    out = np.full(len(objectives), np.nan)
    if not counts.any():
        return out
    scaled = _scaled(objectives, counts)
    free = np.random.default_rng(0).random((BOX_POINTS, objectives.shape[1]))
    for row in np.flatnonzero(counts):
        free = free[~(free <= scaled[row]).all(1)]
        out[row] = 1 - len(free) / BOX_POINTS
    known = np.maximum.accumulate(np.where(counts, np.arange(len(out)), -1))
    return np.asarray(np.where(known >= 0, out[known], np.nan), np.float64)
