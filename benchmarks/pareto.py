"""Pareto search: hypervolume by scorer calls on three problems, of the product's search, Optuna's NSGA-II and a SELFIES genetic algorithm.

``--problems NAME,... | all`` runs what was not run before and keeps each run in the working folder; ``--collect`` writes the result file and
prints the table. All methods have the same number of unique calls, and every call counts, those of the first molecules too.

molvae: ``molvae.search`` in Pareto mode with the shipped model, as ``molvae optimize --pareto`` runs it: only molecules that pass the verdict
are scored. nsga2: the same search with Optuna's NSGAIISampler over quantiles of the prior. ga: SELFIES strings under NSGA-II's selection
(``benchmarks.support.selfies_ga``), started from a random sample of the training molecules, as many as molvae draws from its prior before it
learns (256); it scores whatever it makes. ga-verdict: the same, where molecules that fail the verdict are left unscored and free of charge.

The hypervolume is exact, all objectives lie in 0..1, and the reference point is 0 in each, so 1 is the most. It is given of all that was
scored, and of what passes the verdict alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch
from rdkit import RDLogger

from benchmarks.support.frontiers import EVERY, METHODS, PROBLEMS, Effort, figures
from benchmarks.support.pieces import carry_out, chosen, gathered, mean_and_spread
from benchmarks.support.record import ROOT, Row, command_line, write_result
from benchmarks.support.terminal import common, show
from molvae.api import load
from molvae.search.sampler import Recipe


def name_of(problem: str, method: str, seed: int, budget: int) -> str:
    """Name of a run in the working folder."""
    return f"{problem}-{method}-seed{seed}-{budget}"


def effort_of(options: argparse.Namespace) -> Effort:
    """What a run may spend."""
    return Effort(options.budget, Recipe(start=options.start))


def pieces_of(options: argparse.Namespace) -> dict[str, Callable[[], Mapping[str, Any]]]:
    """Every run that is asked for, not yet begun."""
    model = load(options.model)
    return {
        name_of(problem, method, seed, options.budget): partial(
            figures, model, PROBLEMS[problem], method, effort_of(options), seed, options.store
        )
        for problem in options.problems
        for seed in range(options.seed, options.seed + options.seeds)
        for method in options.methods
    }


def reached(curve: list[float], level: float) -> int | None:
    """Calls, to the next hundred, after which a curve is at this level; None where it never is."""
    return next((EVERY * (k + 1) for k, value in enumerate(curve) if value >= level), None)


def mean_curve(runs: list[Mapping[str, Any]], key: str = "curve") -> list[float]:
    """Pointwise mean over runs; a run that ended early keeps its last value."""
    longest = max(len(run[key]) for run in runs)
    padded = [[*run[key], *[run[key][-1]] * (longest - len(run[key]))] for run in runs]
    return [mean_and_spread(column)[0] for column in zip(*padded, strict=True)]


def collect(options: argparse.Namespace, arguments: list[str]) -> None:
    """The table of all runs of these options, and the result file."""
    seeds = range(options.seed, options.seed + options.seeds)
    keys = {(p, m): [name_of(p, m, s, options.budget) for s in seeds] for p in PROBLEMS for m in METHODS}
    found = gathered(options.folder, [name for names in keys.values() for name in names])
    marks = [max(EVERY, options.budget // part // EVERY * EVERY) for part in (10, 3)]
    groups = {key: runs for key, names in keys.items() if (runs := [found[name] for name in names if name in found])}
    table = []
    for (problem, method), runs in groups.items():
        final, spread = mean_and_spread([run["hypervolume"] for run in runs])
        checked, _ = mean_and_spread([run["hypervolume_verdict"] for run in runs])
        curve = mean_curve(runs)
        early = [curve[min(mark // EVERY, len(curve)) - 1] for mark in marks]
        passing, _ = mean_and_spread([run["passing"] for run in runs])
        table.append((problem, method, *early, final, spread, checked, passing, len(runs)))
    show(("problem", "method", *(f"at {mark}" for mark in marks), "at the end", "sd", "with verdict", "passing", "runs"), table)
    payload = {"runs": found, "budget": options.budget, "reference": "0 in each objective", "every": EVERY}
    command = command_line("benchmarks.pareto", arguments)
    write_result(options.out, payload, command=command, seed=options.seed, rows=rows_of(groups), threads=options.threads)


def rows_of(groups: Mapping[tuple[str, str], list[Any]]) -> list[Row]:
    """The README's lines: molvae's mean, beside the others'."""
    rows = []
    for problem in PROBLEMS:
        if (problem, "molvae") not in groups:
            continue
        ours = groups[problem, "molvae"]
        volume = {m: mean_and_spread([run["hypervolume"] for run in groups[problem, m]])[0] for m in METHODS if (problem, m) in groups}
        beside = [f"{words} {volume[m]:.3f}" for m, words in WORDS.items() if m in volume]
        if "ga" in volume:
            calls = reached(mean_curve(ours), volume["ga"])
            checked = mean_and_spread([run["hypervolume_verdict"] for run in groups[problem, "ga"]])[0]
            beside.append(f"the first less what fails the verdict {checked:.3f}")
            beside.append("its last value is not reached" if calls is None else f"its last value is reached after {calls:,} calls")
        rows.append(Row(f"hypervolume after {ours[0]['calls']:,} calls, {problem.replace('_', ', ')}", volume["molvae"], "; ".join(beside)))
    return rows


WORDS = {"ga": "SELFIES GA (NSGA-II)", "ga-verdict": "with the verdict inside", "nsga2": "Optuna's NSGA-II in the same latent space"}


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pareto", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="zinc250k", help="shipped model or checkpoint folder (default zinc250k)")
    parser.add_argument("--problems", help=f"names separated by commas, or all: {', '.join(PROBLEMS)}")
    parser.add_argument("--methods", default="all", help=f"names separated by commas, or all (default): {', '.join(METHODS)}")
    parser.add_argument("--collect", action="store_true", help="write the result file from the runs that are there")
    parser.add_argument("--budget", type=int, default=3000, help="unique calls (default 3000)")
    parser.add_argument("--start", type=int, default=Recipe().start, help="first molecules of molvae and of the GA (default 256)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each, with seeds from --seed on (default 3)")
    store = ROOT / "runs" / "stores" / "zinc250k"
    parser.add_argument("--store", type=Path, default=store, help="the model's prepared data set (default runs/stores/zinc250k)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "pareto", help="working folder (default runs/pareto)")
    common(parser, out="pareto")
    options = parser.parse_args(arguments)
    try:
        options.problems, options.methods = chosen(options.problems, tuple(PROBLEMS)), chosen(options.methods, METHODS)
    except ValueError as error:
        parser.error(str(error))
    if not options.problems and not options.collect:
        parser.error("--problems or --collect is wanted")
    return options


def main(arguments: list[str]) -> None:
    """Runs what is missing, then collects where asked."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    RDLogger.DisableLog("rdApp.*")
    if options.problems:
        carry_out(
            options.folder,
            pieces_of(options),
            lambda run: f"hypervolume {run['hypervolume']:.3f} after {run['calls']} calls, {run['cpu_seconds']:.0f} s",
        )
    if options.collect:
        collect(options, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
