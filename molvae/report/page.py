"""One self-contained HTML page of a run: what was asked, what came out, figures, and the candidates as cards."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from molvae.errors import InvalidRecord
from molvae.records import Candidate
from molvae.report import figures
from molvae.report.matter import Matter, matter_on, rich, viewer
from molvae.report.properties import NAN, PropertyRequest, PropertyStatistics, asked, inside_all, measured, number, spread, statistics
from molvae.report.templating import insert, template
from molvae.report.write import write_bytes


@dataclass(frozen=True)
class Funnel:
    """How many proposals were left after each step, in this order; None where a step was not taken or not counted."""

    drawn: int | None = None
    valid: int | None = None
    passed: int | None = None
    unique: int | None = None
    novel: int | None = None
    inside: int | None = None
    predicted_inside: int | None = None


@dataclass(frozen=True)
class ReportData:
    """Everything the page shows; nothing is computed from the surroundings, so equal data gives equal bytes.

    candidates: in the order of the page. draw: text -> SVG, trusted as it comes; an InvalidRecord it raises is shown in place of the
    drawing. properties: those to report, the asked ones first. constraints: in words. seed: of the run. date: as it shall be read.
    settings: further name -> value lines of the summary. text_label: what the text is ("SMILES"). table_name: the file that holds every
    candidate, to which the page refers. max_cards: how many cards are drawn. labels: extra column -> shown name (and unit).
    scene, told, card_figures: what else the domain shows of a card's text, as its ``scene``, ``facts`` and ``figures``; further figures, such
    as a hull, may join them. max_figures: how many cards get figures, which take time.
    """

    title: str
    candidates: Sequence[Candidate]
    draw: Callable[[str], str]
    properties: Sequence[PropertyRequest] = ()
    constraints: Sequence[str] = ()
    funnel: Funnel = field(default_factory=Funnel)
    model_name: str = ""
    model_version: str = ""
    seed: int | None = None
    date: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    text_label: str = "text"
    table_name: str = ""
    max_cards: int = 60
    labels: Mapping[str, str] = field(default_factory=dict)
    scene: Callable[[str], str] | None = None
    told: Callable[[str], Mapping[str, str]] | None = None
    card_figures: Mapping[str, Callable[[str], str]] = field(default_factory=dict)
    max_figures: int = 24


@dataclass(frozen=True)
class Step:
    """One bar of the funnel. share: of the first known count, in [0, 1], NaN where that is 0."""

    label: str
    count: int
    share: float


@dataclass(frozen=True)
class Value:
    """One property on a card, ready to read. state: inside, outside, or empty where it was not judged."""

    title: str
    unit: str
    measured: str
    wish: str
    predicted: str
    state: str


@dataclass(frozen=True)
class Card:
    """One candidate on the page. sort: a number or nothing for each sort key."""

    rank: int
    candidate: Candidate
    drawing: Markup
    problem: str
    values: tuple[Value, ...]
    extra: tuple[tuple[str, str], ...]
    state: str
    sort: tuple[str, ...]
    matter: Matter


def write_page(path: Path | str, data: ReportData) -> None:
    """Write the page; an existing file is replaced only once the new one is whole. Raises MolvaeError where that fails."""
    write_bytes(Path(path), render_page(data).encode())


def render_page(data: ReportData) -> str:
    """The page as HTML text. Whatever comes from the user is escaped; the page loads nothing and sends nothing."""
    return template("page.html.j2").render(
        data=data,
        style=insert("page.css", *(["matter.css"] if rich(data) else [])),
        script=insert("page.js"),
        viewer=viewer() if data.scene is not None else None,
        rich=rich(data),
        facts=_facts(data),
        steps=_steps(data.funnel),
        rows=[statistics(data.candidates, request) for request in data.properties],
        asked_for=[(request, row.wish) for request, row in _asked(data)],
        figures=[Markup(figures.themed(svg)) for svg in _figures(data)],
        sort_keys=_sort_keys(data),
        cards=[_card(data, rank, c) for rank, c in enumerate(data.candidates[: data.max_cards], start=1)],
    )


def _facts(data: ReportData) -> list[tuple[str, str]]:
    facts = [
        ("Model", f"{data.model_name} {data.model_version}".strip()),
        ("Seed", "" if data.seed is None else str(data.seed)),
        ("Date", data.date),
        *data.settings.items(),
    ]
    return [(name, value) for name, value in facts if value]


def _asked(data: ReportData) -> list[tuple[PropertyRequest, PropertyStatistics]]:
    rows = ((request, statistics(data.candidates, request)) for request in data.properties)
    return [(request, row) for request, row in rows if row.wish]


def _steps(funnel: Funnel) -> list[Step]:
    counts = [
        ("drawn", funnel.drawn),
        ("valid", funnel.valid),
        ("passed checks", funnel.passed),
        ("unique", funnel.unique),
        ("novel", funnel.novel),
        ("inside tolerance", funnel.inside),
        ("predicted inside", funnel.predicted_inside),
    ]
    known = [(label, count) for label, count in counts if count is not None]
    return [Step(label, count, count / known[0][1] if known[0][1] else NAN) for label, count in known]


def _figures(data: ReportData) -> list[str]:
    """A histogram of each asked property (of every one where none was asked), and a scatter plot of the first two."""
    chosen = [request for request, _ in _asked(data)] or list(data.properties)
    values = {request.name: measured(data.candidates, request.name) for request in data.properties}
    drawn = [r for r in chosen if any(math.isfinite(v) for v in values[r.name])]
    result = [figures.histogram(r, values[r.name], asked(data.candidates, r.name)) for r in drawn]
    others = [r for r in data.properties if r not in drawn and any(math.isfinite(v) for v in values[r.name])]
    pair = (drawn + others)[:2]
    if len(pair) == 2:
        x, y = pair
        both = any(math.isfinite(a) and math.isfinite(b) for a, b in zip(values[x.name], values[y.name], strict=True))
        inside = [inside_all(c, data.properties) for c in data.candidates]
        if both:
            asked_x, asked_y = asked(data.candidates, x.name), asked(data.candidates, y.name)
            result.append(figures.scatter(x, y, values[x.name], values[y.name], inside, x_asked=asked_x, y_asked=asked_y))
    return result


def _sort_keys(data: ReportData) -> list[str]:
    return ["as listed", "distance from what was asked", *(r.axis for r in data.properties), "log-likelihood"]


def _distance(candidate: Candidate, requests: Sequence[PropertyRequest]) -> float:
    """Mean deviation in units of the tolerance, over the properties that have one; NaN where there is none."""
    parts = []
    for request in requests:
        if request.tolerance > 0:
            deviation = request.deviation(candidate.measured.get(request.name, NAN), candidate.asked.get(request.name, NAN))
            parts.append(deviation / request.tolerance)
    return sum(parts) / len(parts) if parts else NAN


def _card(data: ReportData, rank: int, candidate: Candidate) -> Card:
    drawing, problem = Markup(""), ""
    try:
        drawing = Markup(data.draw(candidate.text))
    except InvalidRecord as error:
        problem = error.why
    numbers = [
        float(rank),
        _distance(candidate, data.properties),
        *(candidate.measured.get(r.name, NAN) for r in data.properties),
        candidate.log_likelihood,
    ]
    extra = tuple(
        (data.labels.get(name, name), value if isinstance(value, str) else number(value)) for name, value in candidate.extra.items()
    )
    state = _state(inside_all(candidate, data.properties))
    values = tuple(v for v in (_value(candidate, r) for r in data.properties) if v is not None)
    return Card(
        rank=rank,
        candidate=candidate,
        drawing=drawing,
        problem=problem,
        values=values,
        extra=extra,
        state=state,
        sort=tuple(f"{n:.9g}" if math.isfinite(n) else "" for n in numbers),
        matter=matter_on(data, rank, candidate.text),
    )


def _value(candidate: Candidate, request: PropertyRequest) -> Value | None:
    own = candidate.asked.get(request.name, NAN)
    value = candidate.measured.get(request.name, NAN)
    mean, std = candidate.predicted.get(request.name, NAN), candidate.predicted_std.get(request.name, NAN)
    predicted = "" if math.isnan(mean) else spread(mean, std)
    wish = request.wish(own)
    if math.isnan(value) and not wish and not predicted:
        return None
    return Value(request.title, request.unit, number(value), wish, predicted, _state(request.inside(value, own)))


def _state(inside: bool | None) -> str:
    return "" if inside is None else ("inside" if inside else "outside")
