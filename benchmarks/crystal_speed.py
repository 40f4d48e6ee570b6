"""Speed and memory of crystals: training, drawing, and relaxing with one worker process and with two.

Training: structures/s over a fixed time after a warm-up, by the domain's default settings on a prepared data set; practice records are not
counted. Drawing: crystals/s of raw draws, read back. Relaxing: CHGNet relaxations a minute of held-out crystals, as ``molvae stability
--relax`` carries them out, the workers' start included. Each part runs in a process of its own, one after the other, whose peak resident
memory (imports included, and the sum of its worker processes' peaks) is recorded.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.support.record import ROOT, Row, command_line, write_result
from benchmarks.support.terminal import show

PARTS = ("train", "draw", "relax-1", "relax-2")
WORDS = {
    "train": "training, crystals/s",
    "draw": "drawing, crystals/s",
    "relax-1": "relaxations a minute, 1 worker",
    "relax-2": "relaxations a minute, 2 workers",
}
KIB = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss


def train(options: argparse.Namespace) -> dict[str, Any]:
    """Training from scratch: {"count", "seconds"} after the warm-up."""
    from molvae import build
    from molvae import config as settings
    from molvae.dataset import Store
    from molvae.train import Tick
    from molvae.training import train as run

    limits = {
        "train.minutes": (options.warm_up + options.seconds) / 60,
        "train.threads": options.threads,
        "train.seed": options.seed,
        "train.log_steps": 1,
        "train.validate_steps": 1_000_000_000,
        "train.checkpoint_minutes": 1e6,
    }
    config = settings.override(build.usual("crystals"), limits)
    marks: list[tuple[float, int]] = []
    begin = 0.0

    def on_tick(tick: Tick) -> None:
        nonlocal begin
        now = time.perf_counter()
        begin = begin or now  # the first tick: vocabularies are behind
        if now - begin >= options.warm_up:
            marks.append((now, tick.step))

    with tempfile.TemporaryDirectory() as folder:
        run(Store.open(options.store), config, Path(folder) / "run", on_tick=on_tick)
    if len(marks) < 2:
        raise SystemExit(f"too few steps in {options.seconds:g} s to take a rate; raise --seconds")
    (start, first), (end, last) = marks[0], marks[-1]
    batch = config.train.prior_batch + config.train.code_batch
    return {"count": (last - first) * batch, "seconds": end - start, "batch": batch, "practised": config.practice.rows}


def draw(options: argparse.Namespace) -> dict[str, Any]:
    """Raw draws until the time is over: {"count", "seconds"}."""
    from molvae.api import load

    model = load(options.model)
    model.sample(64, seed=options.seed)  # warm-up
    count, seed, begin = 0, options.seed, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < options.seconds:
        seed += 1
        count += len(model.sample(1000, seed=seed, unique=False))
    return {"count": count, "seconds": elapsed}


def relax(options: argparse.Namespace, workers: int) -> dict[str, Any]:
    """The first held-out crystals relaxed: {"count", "failed", "seconds"}."""
    from molvae.dataset import Store
    from molvae.domains.crystals.stability.service import STABILITY
    from molvae.protocols import StabilityPlan

    store = Store.open(options.store)
    texts = store.texts("text", store.rows("test")[: options.crystals])
    begin = time.perf_counter()
    verdicts = [row.verdict for _, row in STABILITY.run(texts, StabilityPlan("elements", relax=True, workers=workers))]
    failed = sum(verdict == STABILITY.verdicts[-1] for verdict in verdicts)
    return {"count": len(verdicts) - failed, "failed": failed, "seconds": time.perf_counter() - begin}


def run_part(options: argparse.Namespace) -> dict[str, Any]:
    """One part, in this process, with its peak memory in GiB; that of worker processes is the largest's, times their number."""
    import torch

    torch.set_num_threads(options.threads)
    name, _, workers = options.part.partition("-")
    found = relax(options, int(workers)) if name == "relax" else {"train": train, "draw": draw}[name](options)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if workers else 0
    return found | {"peak_gib": (own + largest * int(workers or 0)) * KIB / 2**30}


def spawn(part: str, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """One part in a fresh process. Raises SystemExit where it fails."""
    command = [sys.executable, "-m", "benchmarks.crystal_speed", "--part", part, "--scratch", str(scratch)]
    for name in ("store", "model", "seconds", "warm_up", "crystals", "seed", "threads"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    environment = os.environ | {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    print(f"{part} ...", file=sys.stderr, flush=True)
    if subprocess.run(command, check=False, env=environment).returncode != 0:
        raise SystemExit(f"{part} failed; its error is above")
    return dict(json.loads((scratch / f"{part}.json").read_text(encoding="utf-8")))


def rate(part: str, found: dict[str, Any]) -> float:
    """Records a second, relaxations a minute."""
    return float(found["count"] / found["seconds"] * (60 if part.startswith("relax") else 1))


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crystal_speed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", type=Path, required=True, help="a prepared data set of crystals")
    parser.add_argument("--model", default="perov5", help="shipped model or checkpoint folder that draws (default perov5)")
    parser.add_argument("--seconds", type=float, default=60, help="measured time of training and of drawing (default 60)")
    parser.add_argument("--warm-up", type=float, default=20, help="seconds of training before the measurement (default 20)")
    parser.add_argument("--crystals", type=int, default=40, help="crystals to relax (default 40)")
    parser.add_argument("--threads", type=int, default=2, help="torch threads; a relaxing worker has one (default 2)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="crystal_speed", help="name of the result (default crystal_speed)")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Runs the parts one after the other and writes the result file; with --part, runs that part alone."""
    options = parse(arguments)
    if options.part is not None:
        (options.scratch / f"{options.part}.json").write_text(json.dumps(run_part(options)), encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as folder:
        found = {part: spawn(part, options, Path(folder)) for part in PARTS}
    show(("part", "rate", "peak GiB"), [(WORDS[part], rate(part, one), one["peak_gib"]) for part, one in found.items()])
    rows = []
    for part, one in found.items():
        beside = f"{one['practised']} made-up records a step beside {one['batch']}" if "practised" in one else ""
        if "failed" in one:
            beside = f"{one['count']} relaxed, {one['failed']} failed"
        rows.append(Row(WORDS[part], rate(part, one), beside, 1 if part.startswith("relax") else 0))
        rows.append(
            Row(
                f"peak memory, {WORDS[part].partition(',')[0] if part in ('train', 'draw') else WORDS[part]}, GiB",
                one["peak_gib"],
                digits=2,
            )
        )
    payload = {"parts": found, "store": options.store.name}
    command = command_line("benchmarks.crystal_speed", arguments)
    write_result(options.out, payload, command=command, seed=options.seed, rows=rows, threads=options.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
