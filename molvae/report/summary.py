"""The run in a few lines for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from molvae.records import Candidate
from molvae.report.properties import PropertyRequest, PropertyStatistics, number, requests_of, spread, statistics


def summary_table(candidates: Sequence[Candidate], requests: Sequence[PropertyRequest] | None = None, *, title: str | None = None) -> Table:
    """One line a property: what was asked, mean and standard deviation measured, mean absolute deviation from it, share inside.

    requests: by default every property the candidates carry, without tolerances.
    """
    table = Table(title=None if title is None else Text(title), title_justify="left", header_style="bold")
    table.add_column("property")
    for head in ("asked", "measured", "mean abs. deviation", "inside", "known"):
        table.add_column(head, justify="right")
    for request in requests_of(candidates) if requests is None else requests:
        row = statistics(candidates, request)
        # Text, not str: names come from users, and Rich reads [brackets] in a str as markup.
        table.add_row(
            Text(request.axis),
            Text(row.wish or "–"),
            Text(spread(row.mean, row.std)),
            Text(number(row.deviation)),
            _share(row),
            Text(f"{row.known}/{len(candidates)}"),
        )
    return table


def _share(row: PropertyStatistics) -> Text:
    if math.isnan(row.share):
        return Text("–")
    return Text(f"{row.inside}/{row.judged} ({row.share:.0%})", style="green" if row.share >= 0.5 else "yellow")
