"""The run's own record on disk: one JSON line for each scored record, flushed before the next batch, from which a killed run goes on."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from molvae.errors import DataError, UsageError
from molvae.search.agreement import differences, plain
from molvae.search.pending import files
from molvae.search.pool import Scored
from molvae.search.shared import Shelf
from molvae.search.trials import Known, finished, is_scored

NAME = "scored.jsonl"
PLAN = "config.json"
STUDY, STUDY_NAME = "study.journal", "molvae"  # of a run with several workers, instead


class Journal:
    """``scored.jsonl`` and ``config.json`` in a folder.

    plan: what decides about scores (model, objective, scorers, seed); a run is resumed with the same plan alone. noted: what else it was made
    with. Raises UsageError where the folder holds a run and ``resume`` is not set, where there is none to resume, and where its plan is
    another one. A run that ended before anything was scored is none.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any], noted: Mapping[str, Any], *, resume: bool) -> None:
        self.folder, self.path = folder, folder / NAME
        found, begun = folder / PLAN, holds_scores(folder)
        if begun and not found.exists():
            raise UsageError(f"{folder} holds scored records, but not the {PLAN} that says of what; choose another folder")
        if resume and not found.exists():
            raise UsageError(f"{folder} holds no run to resume; start without --resume")
        if begun and not resume:
            raise UsageError(f"{folder} holds a run already; go on with --resume, or choose another folder")
        wanted = plain(plan)
        if begun and (said := differences(json.loads(found.read_text(encoding="utf-8"))["plan"], wanted)):
            raise UsageError(f"{folder} holds a run of another plan ({said}); resume with the same one, or choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
        found.write_text(json.dumps({"plan": wanted, "noted": plain(noted)}, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def note(self, scored: Sequence[tuple[Scored, FrozenTrial]]) -> None:
        """Append a batch and see it onto the disk."""
        self._write(self.path, "a", scored)

    def rewrite(self, scored: Sequence[tuple[Scored, FrozenTrial]]) -> None:
        """Put this in the place of all that was noted: of a shared study, where each worker knows its own batches alone."""
        part = self.path.with_name(f".{NAME}")
        self._write(part, "w", scored)
        part.replace(self.path)

    def _write(self, path: Path, mode: str, scored: Sequence[tuple[Scored, FrozenTrial]]) -> None:
        with path.open(mode, encoding="utf-8") as file:
            file.write("".join(json.dumps(_line(one, trial)) + "\n" for one, trial in scored))
            file.flush()
            os.fsync(file.fileno())

    def trials(self, width: int) -> list[FrozenTrial]:
        """The scored records as finished trials, in the order of their calls. A last line cut short by a kill is dropped.

        Raises DataError for a damaged line before the last.
        """
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")
        out: list[FrozenTrial] = []
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                out.append(_trial(json.loads(line), width))
            except (ValueError, KeyError, TypeError) as error:
                if number >= len(lines) - 1:
                    self._cut(lines[: number - 1])
                    break
                raise DataError(self.path, f"not a line of this file ({error}); get it from a backup", number) from error
        return out

    def _cut(self, lines: Sequence[bytes]) -> None:
        self.path.write_bytes(b"".join(line + b"\n" for line in lines))


def holds_scores(folder: Path) -> bool:
    """Whether a run in this folder has scored anything."""
    written = folder / NAME
    if files(folder) or (written.exists() and written.stat().st_size):
        return True
    return (folder / STUDY).exists() and any(
        is_scored(trial) for trial in Shelf.at(f"journal:{folder / STUDY}", STUDY_NAME, 1).study.trials
    )


def _line(one: Scored, trial: FrozenTrial) -> dict[str, Any]:
    return {
        "text": one.text,
        "key": one.key,
        "result": list(trial.values or ()) if trial.state == TrialState.COMPLETE else [],
        "values": {name: value if math.isfinite(value) else None for name, value in dict(trial.user_attrs.get("values", {})).items()},
        "violations": list(trial.user_attrs.get("violations", ())),
        "origin": one.origin,
        "failed": one.failed,
        "code": [round(float(v), 5) for v in trial.params.values()],
    }


def _trial(line: Mapping[str, Any], width: int) -> FrozenTrial:
    values = {str(k): math.nan if v is None else float(v) for k, v in line["values"].items()}
    result, violations = ([float(v) for v in line[name]] for name in ("result", "violations"))
    one = Known(str(line["text"]), str(line["key"]), tuple(result), tuple(violations), str(line["origin"]), str(line["failed"]))
    return finished(one, values, [float(v) for v in line["code"]], width)
