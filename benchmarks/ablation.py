"""The default sampler against Optuna's own in the same latent space, and without each of its parts, on tasks of PMO.

``--variants`` and ``--tasks`` run what was not run before and keep each run in the working folder; ``--collect`` writes the result file.
The measure is PMO's: area under the curve of the ten best, over ``--budget`` unique calls; a run that ends before its budget, for its time
is up or for want of new molecules, keeps its last value. Optuna's samplers propose points of the prior's quantiles, which are decoded at
a level low enough to be a function of the point (``molvae.search.loop.POINT_LEVEL``); what decodes to nothing costs no call.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import torch

from benchmarks.support.pmo import top_auc
from benchmarks.support.record import ROOT, Row, command_line, write_result
from benchmarks.support.tasks import search
from benchmarks.support.terminal import common, show
from molvae.api import Model, load
from molvae.domains.molecules.oracles import PMO_TASKS
from molvae.search import Settings
from molvae.search.sampler import Recipe

TASKS = ("amlodipine_mpo", "celecoxib_rediscovery", "jnk3", "median2", "perindopril_mpo", "zaleplon_mpo")
PARTS: Mapping[str, Mapping[str, Any]] = {  # what is changed of the default recipe
    "default": {},
    "without tuning": {"tune_steps": 0},
    "without screening": {"screen": 1},
    "without scaffold diversity": {"per_group": 10_000},
    "without growing and grafting": {"kinds": ("prior", "around", "cross")},
    "without moves": {"kinds": ("prior",)},
    "with a likelihood penalty": {"likelihood": 0.3},
}
SAMPLERS = ("cmaes", "tpe", "gp", "nsga2", "random")  # Optuna's
VARIANTS = (*PARTS, *SAMPLERS)


def run(variant: str, task: str, seed: int, model: Model, options: argparse.Namespace) -> dict[str, Any]:
    """One search and its figures."""
    sampler = variant if variant in SAMPLERS else "auto"
    recipe = replace(Recipe(), **PARTS.get(variant, {}))
    done = search(task, model, Settings(options.budget, seed, sampler, seconds=60.0 * options.minutes, recipe=recipe))
    scores = [0.0 if math.isnan(s.score) else s.score for s in done.pool]
    return {
        "variant": variant,
        "task": task,
        "seed": seed,
        "auc_top10": top_auc(scores, 10, options.budget),
        "calls": len(scores),
        "top10": done.pool.top_mean(10),
        "stopped": done.stopped,
        "seconds": done.seconds - done.scorer_seconds,
    }


def collect(options: argparse.Namespace, arguments: list[str]) -> None:
    """The table of the runs that are there, and the result file."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for variant in VARIANTS:
        for task in options.tasks:
            paths = [_path(variant, task, seed, options) for seed in range(options.seed, options.seed + options.seeds)]
            if runs := [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]:
                found.setdefault(variant, {})[task] = runs
    whole = {variant: tasks for variant, tasks in found.items() if len(tasks) == len(options.tasks)}
    if not whole:
        raise SystemExit(f"no variant has been run on all of {', '.join(options.tasks)} in {options.folder}")
    table, rows = [], []
    for variant, tasks in whole.items():
        means = [_mean(runs, "auc_top10") for runs in tasks.values()]
        calls, seconds = (sum(_mean(runs, name) for runs in tasks.values()) / len(tasks) for name in ("calls", "seconds"))
        table.append((variant, *means, sum(means), calls, seconds))
        rows.append(Row(f"AUC top-10, sum of {len(tasks)} tasks, {variant}", sum(means), f"{calls:.0f} calls, {seconds:.0f} s"))
    show(("variant", *options.tasks, "sum", "calls", "s"), table)
    command = command_line("benchmarks.ablation", arguments)
    payload = {"budget": options.budget, "minutes": options.minutes, "runs": whole}
    write_result(options.out or "ablation", payload, command=command, seed=options.seed, rows=rows, threads=options.threads)


def _mean(runs: list[dict[str, Any]], name: str) -> float:
    return float(sum(r[name] for r in runs) / len(runs))


def _path(variant: str, task: str, seed: int, options: argparse.Namespace) -> Path:
    return Path(options.folder / f"{variant.replace(' ', '-')}-{task}-seed{seed}-{options.budget}.json")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="zinc250k", help="shipped model or checkpoint folder (default zinc250k)")
    parser.add_argument("--variants", default="all", help=f"names separated by commas, or all: {', '.join(VARIANTS)}")
    parser.add_argument("--tasks", default=",".join(TASKS), help=f"names separated by commas (default {','.join(TASKS)})")
    parser.add_argument("--collect", action="store_true", help="write the result file from the runs that are there, run nothing")
    parser.add_argument("--budget", type=int, default=2000, help="calls (default 2000)")
    parser.add_argument("--minutes", type=float, default=5.0, help="most time of one run (default 5)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each, with seeds from --seed on (default 1)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "ablation", help="working folder (default runs/ablation)")
    common(parser, out=None)
    options = parser.parse_args(arguments)
    options.variants = list(VARIANTS) if options.variants == "all" else options.variants.split(",")
    options.tasks = options.tasks.split(",")
    for kind, given, known in (("variant", options.variants, VARIANTS), ("task", options.tasks, tuple(PMO_TASKS))):
        if wrong := [name for name in given if name not in known]:
            parser.error(f"unknown {kind} {wrong[0]!r}; known: {', '.join(known)}")
    return options


def main(arguments: list[str]) -> None:
    """Runs what is missing, or collects."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.collect:
        collect(options, arguments)
        return
    model = load(options.model)
    jobs = [(v, t, s) for v in options.variants for s in range(options.seed, options.seed + options.seeds) for t in options.tasks]
    for variant, task, seed in jobs:
        path = _path(variant, task, seed, options)
        if path.exists():
            continue
        found = run(variant, task, seed, model, options)
        path.write_text(json.dumps(found, indent=1), encoding="utf-8")
        words = f"AUC top-10 {found['auc_top10']:.3f} in {found['calls']} calls and {found['seconds']:.0f} s"
        print(f"{path.stem}: {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
