"""What ``molvae optimize`` leaves beside its candidates: the page, the history and the Pareto front."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvae.cli.shared import number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from molvae.api import Model
    from molvae.objectives import Objective
    from molvae.objectives.terms import Term
    from molvae.optimise import Optimised
    from molvae.report import PropertyRequest
    from molvae.report.search import SearchReport

PAGE, HISTORY, FRONT = "report.html", "history.csv", "front.csv"
GIVEN = "given"  # the origin of records that the search did not propose: seeds, and what an earlier session scored
BEST_CODES, OTHER_CODES = 500, 1500  # on the latent map


def write_records(
    model: Model,
    found: Optimised,
    out: Path,
    *,
    page: bool,
    figures: Mapping[str, Callable[[str], str]],
    files: Sequence[str],
    options: Mapping[str, Any],
) -> list[str]:
    """Write them into the run's folder and return their names.

    figures: of each card, beside the domain's own. files: those written before. options: budget, and those that ``model.optimize`` was given.
    """
    from molvae.report.search import write_search_page
    from molvae.report.write import write

    data = _data(model, found, options)
    _write_history(data, out / HISTORY)
    written = [HISTORY]
    if data.pareto:
        front = found.candidates[: found.front]
        write(front, out / FRONT, text_column=model.domain.column, key_column="key", exporters=model.domain.exporters)
        written.append(FRONT)
    if page:
        rows, codes = _codes(model, found, data)
        card_figures = {**figures, **model.domain.figures}
        written_page = replace(data, codes=codes, code_rows=rows, file_names=[*files, *written], card_figures=card_figures)
        write_search_page(out / PAGE, written_page)
        written.append(PAGE)
    return written


def _data(model: Model, found: Optimised, options: Mapping[str, Any]) -> SearchReport:
    import numpy as np

    from molvae.report.search import SearchReport

    sampler = str(options["sampler"])
    ours = sampler in ("auto", "local")  # Optuna's know no moves
    pool, objective = list(found.search.pool), found.objective
    names = dict.fromkeys([*objective.names, *(name for one in pool for name in one.values)])
    terms = [term.name for term in objective.terms] if objective.pareto and len(objective.terms) > 1 else []
    unknown = tuple(float("nan") for _ in terms)
    data = SearchReport(
        title=f"Search for {', '.join(term.name for term in objective.terms)}",
        calls=np.array([one.call for one in pool], np.int64),
        scores=np.array([one.score for one in pool], np.float64),
        feasible=np.array([one.feasible for one in pool], np.bool_),
        origins=[one.origin if ours or one.origin != GIVEN else sampler for one in pool],
        candidates=found.candidates,
        draw=model.domain.draw or (lambda text: ""),
        endpoints={name: np.array([one.values.get(name, float("nan")) for one in pool], np.float64) for name in names},
        objectives=np.array([one.objectives or unknown for one in pool], np.float64).reshape(len(pool), len(terms)),
        objective_names=terms,
        properties=[_request(model, objective, name) for name in names],
        goals=[(term.name, _in_words(term)) for term in objective.terms],
        constraints=objective.labels,
        failures=found.failures,
        facts={"Model": f"{model.name} {model.version}".strip(), "Date": date.today().isoformat()} | _settings(options),
        text_label=model.domain.column,
        scene=model.domain.scene,
        told=model.domain.facts,
    )
    return replace(data, steps=_steps(found, data, options), summary=_summary(found, data, options))


def _settings(options: Mapping[str, Any]) -> dict[str, str]:
    """The options that decide about the outcome, for the page's head."""
    told = {"Sampler": str(options["sampler"]), "Budget": f"{options['budget']:,}", "Seed": str(options["seed"])}
    gates = {"Verdict needed": options["verify"], "Novelty needed": options["novel"]}
    return told | {name: "yes" if value else "no" for name, value in gates.items()}


def _in_words(term: Term) -> str:
    from molvae.objectives.terms import Near, Within

    if isinstance(term, Near):
        words = number(term.value) + ("" if term.tolerance is None else f" ± {number(term.tolerance)}")
    elif isinstance(term, Within):
        words = f"{number(term.low)} to {number(term.high)}"
    else:
        words = term.kind.replace("ize", "ise")
        if term.low is not None and term.high is not None:
            words += f", from {number(term.low)} to {number(term.high)}"
    return words if term.weight == 1 else f"{words}, weight {number(term.weight)}"


def _request(model: Model, objective: Objective, name: str) -> PropertyRequest:
    """What was asked of one endpoint, by its term and its limits."""
    from molvae.objectives.terms import Near, Within
    from molvae.report import PropertyRequest

    unit = model.unit(name)
    request = PropertyRequest(name, "" if unit == "1" else unit)
    for term in objective.terms:
        if term.name != name:
            continue
        if isinstance(term, Near):
            request = replace(request, target=term.value, tolerance=float("nan") if term.tolerance is None else term.tolerance)
        elif isinstance(term, Within):
            request = replace(request, low=term.low, high=term.high)
        else:
            request = replace(request, direction="maximise" if term.kind == "maximize" else "minimise")
    limits = [limit for limit in objective.limits if limit.name == name]
    low = max([request.low, *(limit.value for limit in limits if limit.sign.startswith(">"))])
    high = min([request.high, *(limit.value for limit in limits if limit.sign.startswith("<"))])
    return replace(request, low=low, high=high) if low <= high else request  # limits that exclude each other are told as constraints alone


def _partly(options: Mapping[str, Any]) -> bool:
    """Whether some of what was scored may come from other sessions, whose draws and times nobody counted here."""
    return bool(options["resume"] or options["storage"])


def _steps(found: Optimised, data: SearchReport, options: Mapping[str, Any]) -> list[tuple[str, int]]:
    """From draws to usable records. Draws are counted by our sampler alone, and for this session alone."""
    counts = found.search.counts
    passed = int(counts["new"] - counts["refused"])
    draws = [(name, int(counts[name])) for name in ("drawn", "valid", "new")] + [("passed checks", passed)]
    if _partly(options) and counts["drawn"]:
        return [("drawn now", draws[0][1]), *draws[1:]]
    fresh = [row for row, origin in enumerate(data.origins) if origin != GIVEN]
    ours = bool(fresh) and len(fresh) <= passed
    rows = fresh if ours else range(len(data.calls))
    usable = data.history.counts
    return [*(draws if ours else []), ("scored", len(rows)), ("usable", sum(bool(usable[row]) for row in rows))]


def _summary(found: Optimised, data: SearchReport, options: Mapping[str, Any]) -> dict[str, str]:
    import numpy as np

    search = found.search
    known = np.isfinite(data.objectives).all(1) if data.pareto else np.isfinite(data.scores)
    lines = {"scored": f"{len(data.calls):,}", "meet every constraint": f"{int(data.feasible.sum()):,}"}
    lines |= {"without a known score": f"{int((~known).sum()):,}"}
    if data.pareto:
        lines |= {"on the Pareto front": f"{found.front:,}"}
    elif len(data.calls):
        lines |= {"best score": number(float(data.history.best[-1])), "mean of the ten best": number(float(data.history.top10[-1]))}
    given = sum(origin == GIVEN for origin in data.origins)
    if given:
        lines |= {"given, or from an earlier session": f"{given:,}"}
    novel = [one.novel for one in found.candidates if one.novel is not None]
    if novel:
        lines |= {"novel among the candidates": f"{sum(novel):,} of {len(novel):,}"}
    session = ", this session" if _partly(options) else ""
    lines |= {f"time{session}": f"{search.seconds:,.0f} s", "of it in scorers": f"{search.scorer_seconds:,.0f} s"}
    fresh = len(data.calls) - given
    if fresh and not _partly(options) and options["workers"] == 1:
        lines |= {"time outside scorers": f"{1e3 * (search.seconds - search.scorer_seconds) / fresh:.1f} ms a call"}
    if search.warnings:
        lines |= {"workers lost": str(len(search.warnings))}
    return lines | {"stopped by": search.stopped}


def _codes(model: Model, found: Optimised, data: SearchReport) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows (m,) of the best records and of a random share of the others, and their codes (m, D); records without a code are left out."""
    import numpy as np

    from molvae.sample import BATCH

    best = data.order[:BEST_CODES]
    others = np.setdiff1d(np.arange(len(data.calls)), best)
    chosen = np.random.default_rng(0).permutation(others)[:OTHER_CODES]
    rows = np.sort(np.concatenate([best, chosen]))
    texts = [one.text for one in found.search.pool]
    kept, codes = [np.zeros(0, np.int64)], [np.zeros((0, model.vae.latent.width))]
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        batch, places = model.sampler.representation.able([model.domain.parse(texts[row]) for row in part])
        if batch is not None:
            kept.append(part[places])
            codes.append(model.sampler.modes(batch).double().numpy())
    return np.concatenate(kept), np.concatenate(codes)


def _write_history(data: SearchReport, path: Path) -> None:
    """One line a call: its score (or objectives) and what was known after it."""
    import pandas as pd

    from molvae.report.write import replacing

    columns: dict[str, Any] = {"call": data.calls}
    if data.pareto:
        columns |= {f"objective {name}": data.objectives[:, k] for k, name in enumerate(data.objective_names)}
        columns |= {"usable": data.history.counts, "front": data.history.front, "volume": data.history.volume}
    else:
        columns |= {"score": data.scores, "usable": data.history.counts, "best": data.history.best, "top10": data.history.top10}
    with replacing(path) as part:
        pd.DataFrame(columns).to_csv(part, index=False)
