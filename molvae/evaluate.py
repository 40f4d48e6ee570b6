"""Figures of a trained model that it was not trained on: draws, deviation from targets, and, given held-out records, reconstruction and heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from molvae.api import Model, Reconstruction
from molvae.dataset.read import iter_rows
from molvae.dataset.store import MANIFEST, Store
from molvae.errors import DataError, InvalidRecord, MissingExtra
from molvae.metrics import (
    calibration_error,
    internal_diversity,
    mean_absolute_error,
    novelty,
    property_distance,
    root_mean_square_error,
    uniqueness,
    wasserstein,
)
from molvae.request import Generation

PAIRED = 1000  # draws whose pairs make the internal diversity
OFFSETS = (-1.0, 0.0, 1.0)  # where targets are asked, in standard deviations of the training data
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Figure:
    """One number. group: what it is about; note: how it was made, or its unit."""

    group: str
    name: str
    value: float
    note: str = ""


@dataclass(frozen=True)
class HeldOut:
    """Records that the model can encode, as canonical texts (n,), with known labels by property (n,), NaN where unknown.

    source: where they are from, in words. unusable: rows that were no record, or had symbols the model does not know.
    """

    texts: tuple[str, ...]
    labels: Mapping[str, NDArray[np.float64]]
    source: str
    unusable: int


def held_out(model: Model, path: Path | str, *, limit: int = 2000, column: str | None = None) -> HeldOut:
    """At most ``limit`` records of a prepared data set's test rows (its validation rows where it has none), or of a whole file.

    Labels are those of the data; a property without given labels is computed where the domain can. Raises DataError where nothing is usable.
    """
    path = Path(path)
    if (path / MANIFEST).exists():
        texts, given, source = _from_store(model, Store.open(path), limit)
    else:
        rows = list(islice(iter_rows(path, column, record_readers=model.domain.readers), limit))
        texts, source = [row.text for row in rows], f"all rows of {path.name}"
        given = {p: np.array([_number(row.labels.get(p)) for row in rows]) for p in model.properties if p not in model.domain.properties}
    kept: list[int] = []
    written: list[str] = []
    for k, text in enumerate(texts):
        try:
            record = model.domain.parse(text)
            model.representation.encodable(record)
        except InvalidRecord:
            continue
        kept.append(k)
        written.append(model.domain.write(record))
    if not kept:
        raise DataError(path, "no row of it can be encoded by this model; give data of the kind that it was trained on")
    labels = {name: values[kept] for name, values in given.items()}
    for name in model.properties:
        if name not in labels:
            compute = model.domain.properties[name].compute
            labels[name] = np.array([compute(model.domain.parse(text)) for text in written])
    return HeldOut(tuple(written), labels, source, len(texts) - len(kept))


def _from_store(model: Model, store: Store, limit: int) -> tuple[list[str], dict[str, NDArray[np.float64]], str]:
    split = "test" if len(store.rows("test")) else "valid"
    rows = store.rows(split)
    if not len(rows):
        raise DataError(store.path, "it has neither test nor validation rows; prepare it with --fractions such as 0.9,0.05,0.05")
    if len(rows) > limit:
        rows = np.sort(np.random.default_rng(0).choice(rows, limit, replace=False))
    at = {p: store.property_names.index(p) for p in model.properties if p in store.property_names}
    labels = {p: np.asarray(store.labels[rows, k], dtype=np.float64) for p, k in at.items()}
    return store.texts("text", rows), labels, f"{split} rows of {store.path.name}"


def _number(cell: float | str | None) -> float:
    return cell if isinstance(cell, float) else float("nan")


def evaluate(
    model: Model, data: HeldOut | None = None, *, n: int = 10_000, seed: int = 0, progress: Progress | None = None
) -> list[Figure]:
    """All figures of a model. n: draws from the prior without targets; a tenth of it, at least 100, for each target."""
    report = progress or (lambda stage, done, total: None)
    free = draw(model, n, seed, report)
    figures = drawn(model, free, n)
    figures += deviations(model, max(100, n // 10), seed, report)
    if data is not None:
        figures += reconstruction(model, data, report)
        figures += heads(model, data)
        records = [model.domain.parse(c.text) for c in free.candidates]
        figures += distances(model, records, data)
        figures += comparisons(model, records, data, report)
    return figures


def draw(model: Model, n: int, seed: int, report: Progress) -> Generation:
    """What passes every check of ``n`` draws from the prior, without any selection."""

    def tick(accepted: int, funnel: object) -> None:
        report("draw", int(getattr(funnel, "drawn", 0)), n)

    return model.generate(n, unique=False, verify=False, predict=False, seed=seed, max_draws=n, on_progress=tick)


def _unit(model: Model, name: str) -> str:
    unit = model.unit(name)
    return "" if unit == "1" else unit


def drawn(model: Model, found: Generation, n: int) -> list[Figure]:
    """Validity, verdict, uniqueness, novelty, internal diversity of ``n`` draws from the prior."""
    keys = [c.key for c in found.candidates]
    distinct = {c.key: c.novel for c in found.candidates}
    known = {key for key, novel in distinct.items() if novel is False}
    new = novelty((key for key, novel in distinct.items() if novel is not None), known)
    records = [model.domain.parse(c.text) for c in found.candidates[:PAIRED]]
    of_passed, pairs = f"of {len(keys)} that pass", f"over all pairs of {len(records)} that pass; as MOSES defines it"
    return [
        Figure("draws", "valid", found.funnel.valid / n, f"of {n} draws"),
        Figure("draws", "pass every check", found.funnel.passed / n, f"of {n} draws"),
        Figure("draws", "unique", uniqueness(keys), of_passed),
        Figure("draws", "novel", new, "of the distinct ones, against the training data"),
        *(Figure("draws", f"internal diversity, p = {p}", internal_diversity(records, model.domain.similarity, p), pairs) for p in (1, 2)),
        Figure("draws", "per second", n / max(found.seconds, 1e-9), "draws, decoded and checked"),
    ]


def deviations(model: Model, n: int, seed: int, report: Progress) -> list[Figure]:
    """Mean absolute deviation of raw draws from one target at a time, beside that of draws for which nothing was asked."""
    names = [p for p in model.properties if p in model.domain.properties]
    if not names:
        return []
    free = model.generate(n, unique=False, verify=False, seed=seed, max_draws=n, measure=names)
    out: list[Figure] = []
    for done, name in enumerate(names):
        report("targets", done, len(names))
        k = model.properties.index(name)
        mean, std = float(model.vae.label_mean[k]), float(model.vae.label_std[k])
        aims = [mean + offset * std for offset in OFFSETS]
        raw = [model.generate(n, targets={name: aim}, unique=False, verify=False, seed=seed, max_draws=n) for aim in aims]
        values = np.array([c.measured[name] for c in free.candidates])
        unasked = [mean_absolute_error(values, np.full(len(values), aim)) for aim in aims]
        where = f"at {', '.join(f'{aim:.4g}' for aim in aims)} {_unit(model, name)}".rstrip()
        note = f"{where}; {np.mean(unasked):.3g} without a target"
        out.append(Figure("deviation from a target", name, float(np.mean([g.raw_deviation[name] for g in raw])), note))
    report("targets", len(names), len(names))
    return out


def distances(model: Model, records: Sequence[Any], data: HeldOut) -> list[Figure]:
    """Wasserstein-1 distance of each computable property of drawn records to that of the held-out ones, in its own unit."""
    out: list[Figure] = []
    for name in (p for p in model.properties if p in model.domain.properties):
        values = np.array([model.domain.properties[name].compute(record) for record in records])
        relative = property_distance(values, data.labels[name])
        note = f"{_unit(model, name)}; {relative:.3g} standard deviations of the {data.source}".removeprefix("; ")
        out.append(Figure("Wasserstein distance to the data", name, wasserstein(values, data.labels[name]), note))
    return out


def comparisons(model: Model, records: Sequence[Any], data: HeldOut, report: Progress) -> list[Figure]:
    """The domain's own measures of drawn records against the held-out ones; NaN, with the remedy, where a package is missing."""
    reference = [model.domain.parse(text) for text in data.texts]
    out: list[Figure] = []
    for done, one in enumerate(model.domain.comparisons):
        report("compare", done, len(model.domain.comparisons))
        note = f"{one.description}; {len(records)} drawn, {len(reference)} {data.source}"
        try:
            value = one.compute(records, reference)
        except MissingExtra as error:
            value, note = float("nan"), str(error)
        out.append(Figure("draws beside the data", one.name, value, note))
    report("compare", len(model.domain.comparisons), len(model.domain.comparisons))
    return out


def reconstruction(model: Model, data: HeldOut, report: Progress) -> list[Figure]:
    """Share of held-out records that come back exactly through the noiseless code, free-running, most likely tokens; and by view."""
    report("reconstruct", 0, len(data.texts))
    ways: list[tuple[str, Sequence[str] | None]] = [("exact", None)]
    if len(model.representation.views) > 1:
        ways += [(f"exact from the {view} alone", [view]) for view in model.representation.views]
    out: list[Figure] = []
    for name, views in ways:
        found = model.reconstruct(data.texts, views=views)
        out.append(Figure("reconstruction", name, float(np.mean([r.exact for r in found])), data.source))
        if views is None and model.domain.matches is not None:
            out.append(Figure("reconstruction", "match", _matching(model, found), f"within the field's tolerances; {data.source}"))
    report("reconstruct", len(data.texts), len(data.texts))
    total = len(data.texts) + data.unusable
    return [*out, Figure("reconstruction", "rows with a code", len(data.texts) / total, f"of {total}")]


def _matching(model: Model, found: Sequence[Reconstruction]) -> float:
    """Share of records that come back as what the domain calls the same."""
    parse, same = model.domain.parse, model.domain.matches
    assert same is not None
    return float(np.mean([r.exact or (r.text is not None and same(parse(r.asked), parse(r.text))) for r in found]))


def heads(model: Model, data: HeldOut) -> list[Figure]:
    """Errors and calibration of the property heads on held-out records."""
    mean, std = model.predict(data.texts)
    out: list[Figure] = []
    for k, name in enumerate(model.properties):
        truth, unit = data.labels[name], _unit(model, name)
        group = f"head: {name}"
        out.append(Figure(group, "mean absolute error", mean_absolute_error(mean[:, k], truth), unit))
        out.append(Figure(group, "root mean square error", root_mean_square_error(mean[:, k], truth), unit))
        out.append(Figure(group, "calibration error", calibration_error(mean[:, k], std[:, k], truth), "0 is calibrated, 0.5 the worst"))
    return out
