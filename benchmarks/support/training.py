"""Variants of one configuration, trained for the same time on the same prepared data set; a finished one is never trained twice."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from molvae import config as settings
from molvae.config import Config
from molvae.dataset import Store
from molvae.train import Tick, pick_precision
from molvae.training import train

FINISHED = "finished.json"


def train_variant(store_path: Path, overrides: Mapping[str, Any], minutes: float, out: Path, threads: int, name: str) -> Path:
    """The checkpoint folder of the default configuration with ``overrides`` (dotted setting -> value), trained for ``minutes`` of wall-clock time.

    An interrupted run in ``out`` goes on where it stopped, a finished one is returned as it is. Raises SystemExit where ``out`` holds a run
    with other settings, and where training is interrupted.
    """
    config = settings.override(Config(), {**overrides, "train.minutes": minutes, "train.threads": threads})
    marker = out / FINISHED
    _refuse_others(out, config)
    before = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else {}
    if before.get("stopped") in ("finished", "patience"):
        print(f"{name}: already trained in {out}", file=sys.stderr)
        return out / "checkpoint"
    resume = any((out / folder).is_dir() for folder in ("state", "state.old"))
    if not resume:  # killed before its first checkpoint: there is nothing to go on with
        (out / "config.toml").unlink(missing_ok=True)
    start = time.process_time()
    done = train(Store.open(store_path), config, out, resume=resume, name=name, on_tick=_Report(name))
    batch = config.train.prior_batch + config.train.code_batch
    facts = {
        "stopped": done.stopped,
        "steps": done.steps,
        "seconds": done.metrics["seconds"],
        "records_per_s": done.steps * batch / max(1e-9, done.metrics["seconds"]),
        "cpu_s": before.get("cpu_s", 0.0) + time.process_time() - start,
        "threads": threads,
        "precision": pick_precision(config.train.precision, config.train.accelerator),
        "overrides": dict(overrides),
    }
    marker.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    if done.stopped == "interrupted":
        raise SystemExit(f"{name}: interrupted after {done.metrics['seconds'] / 60:.1f} of {minutes:g} minutes; the same command goes on")
    return out / "checkpoint"


def training_facts(checkpoint: Path) -> dict[str, Any]:
    """What ``train_variant`` noted about the run of this checkpoint: steps, seconds, cpu_s, records_per_s, precision."""
    facts: dict[str, Any] = json.loads((checkpoint.parent / FINISHED).read_text(encoding="utf-8"))
    return facts


def _refuse_others(out: Path, config: Config) -> None:
    plan = out / "config.toml"
    if not plan.exists():
        return
    differs = differing(settings.load(plan), config)
    if differs:
        raise SystemExit(f"{out} holds a run with other settings ({', '.join(differs)}); choose another --folder, or delete that one")


def differing(first: Config, second: Config) -> list[str]:
    """Settings in which two configurations differ, as ``section.key: value / value``."""
    left, right = first.model_dump(), second.model_dump()
    found = []
    for section, values in left.items():
        pairs = {f"{section}.{key}": (value, right[section][key]) for key, value in values.items()} if isinstance(values, dict) else {}
        for place, (one, other) in (pairs or {section: (values, right[section])}).items():
            if one != other:
                found.append(f"{place}: {one} / {other}")
    return found


class _Report:
    """One line on the terminal at most every 30 seconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.last = 0.0

    def __call__(self, tick: Tick) -> None:
        if time.monotonic() - self.last < 30:
            return
        self.last = time.monotonic()
        parts = ", ".join(f"{k} {v:.2f}" for k, v in tick.parts.items() if k.startswith("nll") or k == "rate")
        print(f"{self.name}: step {tick.step}, {tick.share:.0%}, {tick.rate:.0f} records/s, {parts}", file=sys.stderr, flush=True)


def keep(folder: Path, name: str, findings: Mapping[str, Any]) -> None:
    """One variant's findings as ``folder/measure-name.json``, for ``kept``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"measure-{name}.json").write_text(json.dumps(findings, indent=1), encoding="utf-8")


def kept(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Findings of the variants measured so far, by name. Raises SystemExit where there are none."""
    wanted = list(names)
    paths = {name: folder / f"measure-{name}.json" for name in wanted}
    found = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}
    if not found:
        raise SystemExit(
            f"{folder}: none of the variants {', '.join(wanted)} is measured; run this script with --variant {wanted[0]} first"
        )
    return found
