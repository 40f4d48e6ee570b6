"""Tables on the terminal, and the options that every script has."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.support import molsets


def lines(header: Sequence[str], rows: Sequence[Sequence[object]], digits: int = 3) -> list[str]:
    """A table of aligned columns: words to the left, numbers to the right with ``digits`` decimals, unknown ones as a dash."""
    cells = [[_cell(value, digits) for value in row] for row in rows]
    for row in cells:
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} cells under a header of {len(header)}")
    widths = [max(len(line[column]) for line in [list(header), *cells]) for column in range(len(header))]
    left = [any(isinstance(row[column], str) for row in rows) for column in range(len(header))]

    def joined(line: Sequence[str]) -> str:
        return "  ".join(f"{c:<{w}}" if to_left else f"{c:>{w}}" for c, w, to_left in zip(line, widths, left, strict=True)).rstrip()

    return [joined(header), *map(joined, cells)]


def _cell(value: object, digits: int) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return str(value)


def show(header: Sequence[str], rows: Sequence[Sequence[object]], digits: int = 3) -> None:
    """Print the table."""
    print("\n".join(lines(header, rows, digits)), flush=True)


def common(parser: argparse.ArgumentParser, *, out: str | None, threads: int = 1) -> None:
    """--threads, --seed, --molsets and --out."""
    parser.add_argument("--threads", type=int, default=threads, help=f"torch threads (default {threads})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--molsets", type=Path, help=f"local copy of {molsets.WHEEL.file} (else pip fetches it)")
    parser.add_argument("--out", default=out, help="name of the result" + (f" (default {out})" if out else ""))
