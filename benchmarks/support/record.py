"""Result files of the benchmarks: what was measured, by which command, at which commit, on which machine, when."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("torch", "rdkit", "numpy", "molvae")
_IMPORTED = time.monotonic()


@dataclass(frozen=True)
class Row:
    """One line of the README's table.

    measure: what, with its unit. value: the number of this run, None where it could not be determined. published: figures to compare
    with, as text, with their source. digits: decimals shown.
    """

    measure: str
    value: float | None
    published: str = ""
    digits: int = 3


def command_line(module: str, arguments: Sequence[str]) -> str:
    """The command of a run, fit for print: ``python -m module ...`` with absolute paths cut to the repository or to the file's name."""
    return shlex.join(["python", "-m", module, *(_portable(argument) for argument in arguments)])


def _portable(argument: str) -> str:
    name, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    path = Path(value)
    if not path.is_absolute():
        return argument
    inside = path.relative_to(ROOT) if path.is_relative_to(ROOT) else Path(path.name)
    return f"{name}{equals}{inside}"


def git_state(root: Path = ROOT) -> dict[str, str | bool | None]:
    """commit: the full hash, None outside a repository or before its first commit. dirty: files other than results differ from it."""
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    status = _git(root, "status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")
    return {"commit": commit or None, "dirty": None if status is None else bool(status)}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def machine(threads: int | None = None) -> dict[str, Any]:
    """Processor, cores, threads, memory in GiB, accelerator and package versions. threads: those used; torch's setting where None."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else None
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "threads": torch.get_num_threads() if threads is None else threads,
        "memory_gib": None if memory is None else round(memory, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _cpu_model() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def write_result(
    name: str,
    payload: Mapping[str, Any],
    *,
    command: str,
    seed: int | None,
    rows: Sequence[Row] = (),
    threads: int | None = None,
    wall_s: float | None = None,
    folder: Path = RESULTS,
) -> Path:
    """Writes ``folder/name.json`` and returns its path.

    payload: the measurements, JSON values and NumPy scalars; NaN and infinities become null. command: see ``command_line``. seed: None
    where nothing is random. rows: what the README's table shows of it. wall_s: seconds; since this module was imported where None.
    """
    if not name.isidentifier():
        raise ValueError(f"result name {name!r}: wanted letters, digits and underscores, for it becomes a file name")
    record = {
        "name": name,
        "command": command,
        "seed": seed,
        "git": git_state(),
        "machine": machine(threads),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "wall_s": round(time.monotonic() - _IMPORTED if wall_s is None else wall_s, 1),
        "rows": [asdict(row) for row in rows],
        "results": payload,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    scratch = path.with_suffix(".json.part")
    scratch.write_text(json.dumps(_plain(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    scratch.replace(path)
    print(f"wrote {path}", file=sys.stderr)
    return path


def _plain(value: Any) -> Any:
    """The value in JSON's own types. Raises TypeError for anything else."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"a result of type {type(value).__name__} cannot be written as JSON; convert it first")


def read_results(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Every result file by name, sorted. Raises ValueError naming the file that is not one of ``write_result``."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}:{error.lineno}: not JSON ({error.msg}); run its benchmark again") from error
        missing = {"name", "command", "git", "machine", "date", "results"} - set(record if isinstance(record, dict) else ())
        if missing:
            raise ValueError(f"{path}: no result file of a benchmark, it lacks {', '.join(sorted(missing))}")
        found[record["name"]] = record
    return found
