"""Practical molecular optimisation (Gao et al. 2206.12411): 23 tasks, 10,000 calls each, AUC of the ten best, beside the published rows.

``--tasks NAME,... | all`` runs what was not run before, one task after the other, and keeps each run in the working folder; ``--collect``
writes the result file and prints the table. The search is the product's own (``molvae.search``) with the shipped model; no molecule is
scored outside the budget, no data set is screened. Every run notes its AUC as scored, and again with every molecule that fails the
product's verdict counted as 0; ``--verdict`` runs the search with the verdict inside, as ``molvae optimize`` does by default, so that no
call is spent on what fails.

Oracles: the product's scorers ``pmo:TASK``: GuacaMol's own code, and the drd2, gsk3b and jnk3 models of molscore's wheel
(``molvae.domains.molecules.oracles``). ``--definition`` says which isomer scoring the four tasks with isomers use.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch

from benchmarks.support.pmo import summary, top_auc
from benchmarks.support.pmo_published import PUBLISHED, SYSTEMS, beside, sums
from benchmarks.support.record import ROOT, Row, command_line, write_result
from benchmarks.support.tasks import search, search_side_by_side
from benchmarks.support.terminal import common, show
from molvae.api import Model, load
from molvae.domains.molecules.oracles import DEFINITIONS, ISOMER_TASKS
from molvae.domains.molecules.oracles import PMO_TASKS as TASKS
from molvae.search import Settings
from molvae.search.pool import Scored

ALERTS = ("pains", "brenk", "nih")
SHOWN = tuple(SYSTEMS.index(name) for name in ("NF-BO", "REINVENT", "GenGFN", "InVirtuoGen"))  # on the terminal
CHEMISTRY = {"fail_verdict": "fail the verdict", "alerts": "have a structural alert (PAINS, BRENK, NIH)", "hard": "have SA > 4.5"}
MODEL = "zinc250k"
HARD = 4.5  # SA score above which a molecule counts as hard to make


def name_of(task: str, seed: int, options: argparse.Namespace) -> str:
    """Name of a run in the working folder."""
    parts = [
        task,
        *([Path(options.model).name] if options.model != MODEL else []),
        f"seed{seed}",
        *(["verdict"] if options.verdict else []),
        *([f"workers{options.workers}"] if options.workers > 1 else []),
    ]
    if task in ISOMER_TASKS:
        parts.append(options.definition)
    return "-".join([*parts, str(options.budget)])


def run(task: str, seed: int, model: Model, options: argparse.Namespace) -> dict[str, Any]:
    """One search; its figures and its best hundred molecules with what the verdict and the alerts say of them."""
    started = sum(os.times()[:4])  # this process and the search processes that ended
    find = partial(search_side_by_side, workers=options.workers) if options.workers > 1 else search
    done = find(task, model, Settings(options.budget, seed), options.definition, verdict=options.verdict)
    scored = list(done.pool)
    scores = [s.score for s in scored]
    passed = [s.score if model.validator.verdict(model.domain.parse(s.text)).ok else 0.0 for s in scored]
    figures = summary(scores, options.budget)
    return {
        "task": task,
        "seed": seed,
        "figures": figures,
        "auc_top10_verdict": top_auc(passed, 10, options.budget),
        "seconds": done.seconds,
        "scorer_seconds": done.scorer_seconds,
        "cpu_seconds": sum(os.times()[:4]) - started,
        "stopped": done.stopped,
        "counts": dict(done.counts),
        "chemistry": chemistry(model, done.best(100)),
        "best": [{"smiles": s.text, "score": s.score, "call": s.call, "origin": s.origin} for s in done.best(10)],
        "curve": [top_auc(scores[:k], 10, k) for k in range(1000, len(scores) + 1, 1000)],
    }


def chemistry(model: Model, best: Sequence[Scored]) -> dict[str, float]:
    """Of these molecules the shares that fail the verdict, have a structural alert, or are hard to make."""
    from molvae.validate import Validator

    alerts = Validator(model.domain, ALERTS)
    records = [model.domain.parse(s.text) for s in best]
    count = max(1, len(records))
    return {
        "fail_verdict": sum(not model.validator.verdict(r).ok for r in records) / count,
        "alerts": sum(not alerts.verdict(r).ok for r in records) / count,
        "hard": sum(model.domain.properties["sa"].compute(r) > HARD for r in records) / count,
    }


def collect(options: argparse.Namespace, arguments: list[str]) -> None:
    """The table of all runs of these options, and the result file."""
    found: dict[str, list[dict[str, Any]]] = {}
    for task in TASKS:
        paths = [options.folder / f"{name_of(task, seed, options)}.json" for seed in range(options.seed, options.seed + options.seeds)]
        runs = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
        if runs:
            found[task] = runs
    if not found:
        raise SystemExit(f"no runs in {options.folder}; run --tasks first")
    table, rows = [], []
    for task, runs in found.items():
        auc = _mean(runs, lambda r: r["figures"]["auc_top10"])
        kept = _mean(runs, lambda r: r["auc_top10_verdict"])
        shares = {name: _mean(runs, lambda r, name=name: r["chemistry"][name]) for name in CHEMISTRY}
        table.append((task, auc, kept, *(PUBLISHED[task][k] for k in SHOWN), *shares.values(), float(len(runs))))
        words = ", ".join(f"{shares[name]:.0%} {what}" for name, what in CHEMISTRY.items())
        if options.definition == DEFINITIONS[0] or task in ISOMER_TASKS:  # the other tasks' runs are the same
            rows.append(Row(f"AUC top-10, {task}", auc, f"{beside(task)}. Of the 100 best {words}"))
    total, kept_total = sum(line[1] for line in table), sum(line[2] for line in table)
    published = (sum(PUBLISHED[task][k] for task in found) for k in SHOWN)
    means = [sum(line[-1 - len(CHEMISTRY) + k] for line in table) / len(table) for k in range(len(CHEMISTRY))]
    table.append((f"sum of {len(found)}, mean of shares", total, kept_total, *published, *means, math.nan))
    show(("task", "AUC top-10", "with verdict", *(SYSTEMS[k] for k in SHOWN), *CHEMISTRY, "seeds"), table)
    seeds = {len(runs) for runs in found.values()}
    made = f"{'-'.join(str(n) for n in sorted({min(seeds), max(seeds)}))} run(s) a task, {options.definition} isomer scoring"
    whole = len(found) == len(TASKS)
    rows.append(Row(f"AUC top-10, sum of {len(found)} tasks", total, f"{made} (published: not always stated); {sums()}" if whole else made))
    counted = f"AUC top-10 where what fails the product's verdict counts 0, sum of {len(found)} tasks"
    rows.append(Row(counted, kept_total, f"{kept_total / total:.1%} of the sum above; no published system reports it"))
    seconds = [r["seconds"] - r["scorer_seconds"] for runs in found.values() for r in runs]
    how = f"{len(found)} tasks; {options.workers} search process(es)"
    rows.append(Row("minutes a run without the scorer, mean", sum(seconds) / len(seconds) / 60, how, 1))
    rows.append(Row("minutes a run without the scorer, longest", max(seconds) / 60, how, 1))
    payload = {"runs": found, "definition": options.definition, "verdict": options.verdict, "workers": options.workers}
    command = command_line("benchmarks.pmo", arguments)
    write_result(options.out or "pmo", payload, command=command, seed=options.seed, rows=rows, threads=options.threads)


def _mean(runs: Sequence[Mapping[str, Any]], of: Any) -> float:
    return float(sum(of(r) for r in runs) / len(runs))


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pmo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default=MODEL, help=f"shipped model or checkpoint folder (default {MODEL})")
    parser.add_argument("--tasks", help="names separated by commas, or all")
    parser.add_argument("--collect", action="store_true", help="write the result file from the runs that are there")
    parser.add_argument("--budget", type=int, default=10_000, help="calls (default 10000)")
    parser.add_argument("--workers", type=int, default=1, help="search processes side by side (default 1)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each task, with seeds from --seed on (default 1)")
    parser.add_argument("--verdict", action="store_true", help="score only what passes the verdict")
    parser.add_argument("--definition", choices=DEFINITIONS, default="corrected", help="isomer scoring (default corrected)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "pmo", help="working folder (default runs/pmo)")
    common(parser, out=None)
    options = parser.parse_args(arguments)
    options.tasks = list(TASKS) if options.tasks == "all" else [t for t in (options.tasks or "").split(",") if t]
    if wrong := [name for name in options.tasks if name not in TASKS]:
        parser.error(f"unknown task {wrong[0]!r}; known: {', '.join(TASKS)}")
    if not options.tasks and not options.collect:
        parser.error("--tasks or --collect is wanted")
    return options


def main(arguments: list[str]) -> None:
    """Runs what is missing, then collects where asked."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options.folder.mkdir(parents=True, exist_ok=True)
    model = load(options.model) if options.tasks else None
    for task in options.tasks if model is not None else ():
        for seed in range(options.seed, options.seed + options.seeds):
            path = options.folder / f"{name_of(task, seed, options)}.json"
            if path.exists() or model is None:
                continue
            found = run(task, seed, model, options)
            path.write_text(json.dumps(found, indent=1), encoding="utf-8")
            auc, seconds = found["figures"]["auc_top10"], found["seconds"] - found["scorer_seconds"]
            words = f"AUC top-10 {auc:.3f}, with verdict {found['auc_top10_verdict']:.3f}, NF-BO {PUBLISHED[task][0]:.3f}"
            print(f"{path.stem}: {words}; {seconds:.0f} s without the scorer", file=sys.stderr, flush=True)
    if options.collect:
        collect(options, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
