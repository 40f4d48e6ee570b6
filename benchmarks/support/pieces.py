"""Work in pieces: each piece's findings are one JSON file in a working folder, and what is there is not done again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def carry_out(folder: Path, pieces: Mapping[str, Callable[[], Mapping[str, Any]]], line: Callable[[Mapping[str, Any]], str]) -> None:
    """Do what is missing, and say a line of each. A piece that is cut short leaves nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in pieces.items():
        path = folder / f"{name}.json"
        if path.exists():
            continue
        found = make()
        scratch = path.with_suffix(".part")
        scratch.write_text(json.dumps(found, indent=1), encoding="utf-8")
        scratch.replace(path)
        print(f"{name}: {line(found)}", file=sys.stderr, flush=True)


def gathered(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """The findings that are there, by name. Raises SystemExit where there are none."""
    paths = {name: folder / f"{name}.json" for name in names}
    found = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}
    if not found:
        raise SystemExit(f"{folder}: none of the {len(paths)} pieces is done, {next(iter(paths), 'none')} for one; run this script first")
    return found


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and standard deviation over the runs (NaN for a single one); runs with NaN make both NaN."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def chosen(given: str | None, known: Sequence[str]) -> list[str]:
    """Names separated by commas, or all. Raises ValueError for an unknown one."""
    names = list(known) if given == "all" else [name for name in (given or "").split(",") if name]
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {name!r}; known: {', '.join(known)}")
    return names
