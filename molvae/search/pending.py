"""Evaluations of the batch under way, on disk as soon as each is there: a kill in the middle of a batch costs none of them.

One file for each search process in the run's folder, a JSON line for each text and scorer, emptied once the batch is in the study.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from molvae.scorers.contract import Values

_NAME, _LEFT = ".pending-{}.jsonl", "left"
Seen = dict[tuple[str, ...], dict[str, tuple[Values, str]]]
"""Names of a scorer's endpoints -> text -> its values and, where one of them is unknown, why."""


@dataclass
class Pending:
    """The file of search process ``number``."""

    folder: Path
    number: int | str = 0
    _file: IO[str] | None = field(default=None, repr=False)

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.folder / _NAME.format(self.number)

    def keep(self, names: Sequence[str], text: str, values: Values, why: str) -> None:
        """Add an evaluation."""
        if self._file is None:
            self._file = self.path.open("a", encoding="utf-8")
        self._file.write(_line(names, text, values, why))
        self._file.flush()

    def clear(self) -> None:
        """The batch is in the study."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self.path.unlink(missing_ok=True)


def _line(names: Sequence[str], text: str, values: Values, why: str) -> str:
    known = [None if math.isnan(value) else value for value in values]
    return json.dumps({"names": list(names), "text": text, "values": known, "failed": why}) + "\n"


def left(folder: Path) -> Seen:
    """What a killed run had evaluated of its last batches. Lines that the kill cut short are left out."""
    found: Seen = {}
    for path in files(folder):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                said = json.loads(line)
                values = tuple(math.nan if value is None else float(value) for value in said["values"])
                found.setdefault(tuple(said["names"]), {})[said["text"]] = (values, said["failed"])
            except (ValueError, KeyError, TypeError):
                continue
    return found


def files(folder: Path) -> list[Path]:
    """The files of all search processes."""
    return sorted(folder.glob(_NAME.format("*")))


def gather(folder: Path) -> Seen:
    """``left``, from now on in one file that stays until ``forget``: the run that goes on may be killed before it has come to all of it."""
    found, old = left(folder), files(folder)
    kept = Pending(folder, _LEFT).path
    if found:
        part = folder / f"{kept.name}.part"
        with part.open("w", encoding="utf-8") as file:
            for names, rows in found.items():
                file.writelines(_line(names, text, values, why) for text, (values, why) in rows.items())
        part.replace(kept)
    for path in old:
        if not found or path != kept:
            path.unlink(missing_ok=True)
    return found


def forget(folder: Path) -> None:
    """What was left is in the study."""
    Pending(folder, _LEFT).path.unlink(missing_ok=True)
