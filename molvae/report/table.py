"""Candidates as a table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from molvae.errors import UsageError
from molvae.records import Candidate
from molvae.report.properties import NAN, property_names

Cell = float | str | bool | None


def to_frame(
    candidates: Sequence[Candidate],
    *,
    text_column: str = "text",
    key_column: str | None = None,
    properties: Sequence[str] | None = None,
) -> pd.DataFrame:
    """One row a candidate, in the given order.

    Columns: text_column; key_column where named; for each property ``<p>_asked`` (where any candidate has one), ``<p>`` (always),
    ``<p>_pred``, ``<p>_pred_std`` (where any has one); ``verdict`` ("ok" or the reasons joined by "; "); ``novel`` (nullable boolean);
    ``log_likelihood`` (nats; of what: see ``Candidate``); the extra columns in order of appearance. Unknown numbers are NaN, unknown texts empty.
    properties: their order, those without any value included; by default the asked ones first, then in order of appearance.
    Raises UsageError where two columns would have one name.
    """
    check_columns(candidates, text_column=text_column, key_column=key_column)
    rows = [_row(c, text_column, key_column) for c in candidates]
    names = tuple(properties) if properties is not None else property_names(candidates)
    numbers = [*_property_columns(candidates, names), "log_likelihood"]
    head = [text_column] if key_column is None else [text_column, key_column]
    extras = list(dict.fromkeys(name for c in candidates for name in c.extra))
    columns: dict[str, pd.Series] = {}
    for name in [*head, *numbers[:-1], "verdict", "novel", "log_likelihood", *extras]:
        values = [row.get(name) for row in rows]
        if name == "novel":
            columns[name] = pd.Series(values, dtype="boolean")
        elif name in numbers or (name in extras and not any(isinstance(v, str) for v in values)):
            columns[name] = pd.Series([NAN if v is None else float(v) for v in values], dtype="float64")
        else:
            columns[name] = pd.Series([_text(v) for v in values], dtype="str")
    return pd.DataFrame(columns)


def check_columns(candidates: Sequence[Candidate], *, text_column: str, key_column: str | None = None) -> None:
    """Raise UsageError where two columns of the table would have one name (an extra column called like a property, say)."""
    seen: set[tuple[str, ...]] = set()
    for candidate in candidates:
        names = tuple(name for name, _ in candidate.row(text_column)) + ((key_column,) if key_column else ())
        if names in seen:  # nearly all candidates of a run share their columns
            continue
        seen.add(names)
        double = sorted(name for name, count in Counter(names).items() if count > 1)
        if double:
            raise UsageError(f"two columns would be called {double[0]!r}: rename the extra column or the property of that name")


def _row(candidate: Candidate, text_column: str, key_column: str | None) -> dict[str, Cell]:
    row: dict[str, Cell] = dict(candidate.row(text_column))
    if key_column is not None:
        row[key_column] = candidate.key
    return row


def _property_columns(candidates: Sequence[Candidate], names: Sequence[str]) -> list[str]:
    has_asked = {name for c in candidates for name in c.asked}
    has_predicted = {name for c in candidates for name in c.predicted}
    has_std = {name for c in candidates for name in c.predicted_std}
    columns = []
    for name in names:
        columns += [f"{name}_asked"] if name in has_asked else []
        columns.append(name)
        columns += [f"{name}_pred"] if name in has_predicted else []
        columns += [f"{name}_pred_std"] if name in has_std else []
    return columns


def _text(value: Cell) -> str:
    if isinstance(value, str):
        return value
    if value is None or math.isnan(value):
        return ""
    return f"{value:.6g}"
