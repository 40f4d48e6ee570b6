"""Speed and memory beside MOSES's own VAE: one run, same molecules, same threads, same machine.

Training: molecules/s over a fixed time after a warm-up, data prepared beforehand on both sides. MOSES's VAE takes 512 molecules a batch,
its default. molvae is measured twice: with its own default batch, in which the records decoded from pure noise (level 1) pass no encoder,
and like for like, 512 molecules a batch that are all encoded. Sampling: valid unique molecules/s over a fixed time, the check by RDKit
included on both sides. MOSES's VAE ships no weights, so it first trains here for --peer-train-minutes, far less than its published 100
epochs: the rate it would reach at its published validity stands beside the measured one. It samples at its script's default of 32 a batch
and at 512, and the faster one counts. Each part runs in a process of its own, one after the other, whose peak resident memory (the imports
included) is recorded.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.support import molsets
from benchmarks.support.record import Row, command_line, write_result

BATCH = 512
PEER_VALID = 0.977  # of the fully trained VAE, MOSES's table
PARTS = ("own-train", "own-encoded-train", "own-sample", "peer-train", "peer-sample")
MEASURES = (
    ("own-train", "peer-train", "training, molecules/s"),
    ("own-encoded-train", "peer-train", "training like for like, molecules/s"),
    ("own-sample", "peer-sample", "sampling, valid unique molecules/s"),
)
ENCODED = {"train.prior_batch": 0, "train.code_batch": BATCH}


def train_own(smiles: list[str], options: argparse.Namespace, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """molvae trains from scratch on the molecules: {"molecules", "steps", "seconds"} after the warm-up, without preparation.

    overrides: settings other than the defaults. The data set is prepared once for both of its measurements, in the scratch folder.
    """
    from molvae import config as settings
    from molvae.dataset import prepare
    from molvae.domains.molecules import domain
    from molvae.train import Tick, pick_precision
    from molvae.training import train

    source = options.scratch / "molecules.smi"
    if not source.exists():
        source.write_text("\n".join(smiles) + "\n", encoding="utf-8")
    labels = settings.Config().condition.properties
    store = prepare(domain, source, options.scratch / "store", properties=labels, fractions=(0.98, 0.02, 0.0), workers=options.threads)
    limits = {
        "train.minutes": (options.warm_up + options.seconds) / 60,
        "train.threads": options.threads,
        "train.seed": options.seed,
        "train.log_steps": 1,
        "train.validate_steps": 1_000_000_000,
        "train.checkpoint_minutes": 1e6,
    }
    config = settings.override(settings.Config(), {**limits, **(overrides or {})})
    marks: list[tuple[float, int]] = []  # time and step since the warm-up
    begin = 0.0

    def on_tick(tick: Tick) -> None:
        nonlocal begin
        now = time.perf_counter()
        begin = begin or now  # the first tick: vocabularies and ledger are behind
        if now - begin >= options.warm_up:
            marks.append((now, tick.step))

    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        train(store, config, Path(folder) / "run", on_tick=on_tick)
    if len(marks) < 2:
        raise SystemExit(f"too few steps in {options.seconds:g} s to take a rate; raise --seconds")
    (start, first), (end, last) = marks[0], marks[-1]
    batch = config.train.prior_batch + config.train.code_batch
    return {
        "molecules": (last - first) * batch,
        "steps": last - first,
        "seconds": end - start,
        "batch": batch,
        "encoded_of_batch": config.train.code_batch,
        "precision": pick_precision(config.train.precision, config.train.accelerator),
    }


def sample_own(model: str, *, seconds: float, seed: int) -> dict[str, Any]:
    """molvae's unconditional samples, drawn 1,000 at a time until the time is over; reading them back is part of the product's own call."""
    from molvae.api import load

    loaded = load(model)
    loaded.sample(64, seed=seed)  # warm-up
    found: set[str] = set()
    drawn = 0
    begin = time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        seed += 1
        made = loaded.sample(1000, seed=seed, unique=False)
        drawn += len(made)
        found.update(made)
    return {"delivered": drawn, "valid_unique": len(found), "seconds": elapsed}


def run_part(options: argparse.Namespace) -> dict[str, Any]:
    """One part, in this process. Peak memory is that of this process, GiB."""
    torch.set_num_threads(options.threads)
    weights = options.scratch / "peer.pt"
    if options.part.endswith("train"):
        smiles = random.Random(options.seed).sample(molsets.split("train", options.molsets), options.molecules)
    if options.part in ("own-train", "own-encoded-train"):
        found = train_own(smiles, options, ENCODED if options.part == "own-encoded-train" else None)
    elif options.part == "own-sample":
        found = sample_own(options.model, seconds=options.seconds, seed=options.seed)
    else:
        from benchmarks.support import moses_peer

        if options.part == "peer-train":
            peer = moses_peer.build(smiles, options.seed, options.molsets)
            found = moses_peer.train(peer, options.seconds, options.warm_up, options.peer_train_minutes * 60)
            moses_peer.save(peer, weights)
        else:
            model = moses_peer.load(weights, options.molsets)
            runs = [moses_peer.sample(model, batch, options.seconds, options.seed) for batch in (32, BATCH)]
            found = max(runs, key=lambda run: run["valid_unique"] / run["seconds"]) | {"runs": runs}
    scale = 2**30 if sys.platform == "darwin" else 2**20  # ru_maxrss is in bytes on macOS, in KiB elsewhere
    return found | {"peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale}


def spawn(part: str, options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """One part in a fresh process, torch and BLAS held to the asked threads. Raises SystemExit where it fails."""
    answer = scratch / f"{part}.json"
    command = [sys.executable, "-m", "benchmarks.speed", "--part", part, "--scratch", str(scratch)]
    for name in ("model", "seconds", "warm_up", "molecules", "seed", "threads", "peer_train_minutes"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    if options.molsets is not None:
        command += ["--molsets", str(options.molsets)]
    environment = os.environ | {name: str(options.threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    root = Path(__file__).resolve().parents[1]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    print(f"{part} ...", file=sys.stderr, flush=True)
    if subprocess.run(command, check=False, env=environment).returncode != 0:
        raise SystemExit(f"{part} failed; its error is above")
    return dict(json.loads(answer.read_text(encoding="utf-8")))


def rate(part: dict[str, Any]) -> float:
    """Molecules/s: trained on, or valid and unique."""
    return float(part["molecules" if "molecules" in part else "valid_unique"] / part["seconds"])


def bound(peer: dict[str, Any]) -> float:
    """Molecules/s of MOSES's VAE if it were trained to the end: all strings drawn in its fastest run, times its published validity."""
    return PEER_VALID * max(float(run["drawn"] / run["seconds"]) for run in peer["runs"])


def rows(found: dict[str, dict[str, Any]]) -> list[Row]:
    """The table's lines: ours with MOSES's VAE beside it, for the sides that were run."""
    lines = []
    for part, peer_part, measure in MEASURES:
        own, peer = found.get(part), found.get(peer_part)
        if own is None:
            continue
        beside = f"MOSES VAE, same run: {rate(peer):,.0f}" if peer else ""
        if peer and "runs" in peer:
            beside += f"; at its published validity {PEER_VALID:g} at most {bound(peer):,.0f}"
        words = (
            f"{measure} ({own['encoded_of_batch']} of {own['batch']} a batch encoded, {own['precision']})" if "batch" in own else measure
        )
        lines.append(Row(words, rate(own), beside, digits=0))
        memory = f"MOSES VAE, same run: {peer['peak_gib']:.2f}" if peer else ""
        lines.append(Row(f"peak memory while {measure.partition(',')[0]}, GiB", own["peak_gib"], memory, digits=2))
    return lines


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="moses", help="shipped model or checkpoint folder that molvae samples from (default moses)")
    parser.add_argument("--seconds", type=float, default=60, help="measured time of each part (default 60)")
    parser.add_argument("--warm-up", type=float, default=10, help="seconds of training before the measurement (default 10)")
    parser.add_argument("--molecules", type=int, default=50000, help="training molecules, a random sample of MOSES's (default 50000)")
    parser.add_argument("--peer-train-minutes", type=float, default=10, help="training of MOSES's VAE before it samples (default 10)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sides", choices=("both", "own", "peer"), default="both", help="measure one side alone (default both)")
    parser.add_argument("--molsets", type=Path, help=f"local copy of {molsets.WHEEL.file} (else pip fetches it)")
    parser.add_argument("--out", default="speed", help="name of the result (default speed)")
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
        chosen = [part for part in PARTS if options.sides == "both" or part.startswith(options.sides)]
        found = {part: spawn(part, options, Path(folder)) for part in chosen}
    payload = {
        "peer_batch": BATCH,
        "molecules": options.molecules,
        "parts": found,
        "per_second": {part: rate(one) for part, one in found.items()},
    }
    print(json.dumps(payload, indent=1))
    command = command_line("benchmarks.speed", arguments)
    write_result(options.out, payload, command=command, seed=options.seed, rows=rows(found), threads=options.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
