"""Hits of a property profile: scorer calls until 100 distinct valid molecules lie inside three properties at once, by four ways.

``--profiles NAME,... | all`` runs what was not run before and keeps each run in the working folder; ``--collect`` writes the result file and
prints the table. What a call and a hit are is the same for every way, see ``benchmarks.support.hits``.

conditional: draws with values inside the limits shown to the model, as ``molvae generate --range`` shows them. optimize: the product's search
with the limits as ranges of the objective. prior: draws with nothing shown. screening: the training molecules in random order.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from rdkit import RDLogger

from benchmarks.support.hits import PROFILES, WAYS, Effort, find
from benchmarks.support.pieces import carry_out, chosen, gathered, mean_and_spread
from benchmarks.support.record import ROOT, Row, command_line, write_result
from benchmarks.support.terminal import common, show
from molvae.api import load


def name_of(profile: str, way: str, seed: int, options: argparse.Namespace) -> str:
    """Name of a run in the working folder."""
    return f"{profile}-{way}-seed{seed}-{options.wanted}-{options.most}"


def pieces_of(options: argparse.Namespace) -> dict[str, Callable[[], Mapping[str, Any]]]:
    """Every run that is asked for, not yet begun."""
    model, effort = load(options.model), Effort(options.wanted, options.most)
    return {
        name_of(profile, way, seed, options): partial(find, model, PROFILES[profile], way, effort, seed, options.store)
        for profile in options.profiles
        for seed in range(options.seed, options.seed + options.seeds)
        for way in options.ways
    }


def until(run: Mapping[str, Any], wanted: int) -> float:
    """Calls until the last wanted hit, infinite where the run never got there."""
    return float(run["at"][wanted - 1]) if run["hits"] >= wanted else float("inf")


def figures(runs: Sequence[Mapping[str, Any]], wanted: int) -> dict[str, float]:
    """Over the runs of one way: mean calls until all hits (NaN unless every run got there), their spread, hits in 1,000 calls, novel share."""
    calls = [until(run, wanted) for run in runs]
    mean, spread = mean_and_spread(calls) if np.isfinite(calls).all() else (float("nan"), float("nan"))
    rate = float(np.mean([1000 * run["hits"] / max(1, run["calls"]) for run in runs]))
    novel = [run["novel"] for run in runs if run["hits"]]
    return {"calls": mean, "spread": spread, "rate": rate, "novel": float(np.mean(novel)) if novel else float("nan")}


def collect(options: argparse.Namespace, arguments: list[str]) -> None:
    """The table of all runs of these options, and the result file."""
    seeds = range(options.seed, options.seed + options.seeds)
    keys = {(p, w): [name_of(p, w, s, options) for s in seeds] for p in PROFILES for w in WAYS}
    found = gathered(options.folder, [name for names in keys.values() for name in names])
    groups = {key: runs for key, names in keys.items() if (runs := [found[name] for name in names if name in found])}
    table = {key: figures(runs, options.wanted) for key, runs in groups.items()}
    header = ("profile", "way", f"calls to {options.wanted} hits", "sd", "hits in 1,000 calls", "novel", "runs")
    show(header, [(*key, *one.values(), len(groups[key])) for key, one in table.items()], digits=2)
    payload = {
        "profiles": {name: {"words": p.words, "limits": {k: list(v) for k, v in p.limits.items()}} for name, p in PROFILES.items()},
        "runs": found,
        "wanted": options.wanted,
        "most": options.most,
    }
    command = command_line("benchmarks.hits", arguments)
    rows = rows_of(table, options)
    write_result(options.out, payload, command=command, seed=options.seed, rows=rows, threads=options.threads)


def rows_of(table: Mapping[tuple[str, str], Mapping[str, float]], options: argparse.Namespace) -> list[Row]:
    """The README's lines: conditional draws beside the other ways."""
    rows = []
    for profile, meaning in PROFILES.items():
        ours = table.get((profile, "conditional"))
        if ours is None:
            continue
        beside = [f"{way} {shown(table[profile, way], options.most)}" for way in WAYS if way != "conditional" and (profile, way) in table]
        limits = ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in meaning.limits.items())
        measure = f"scorer calls to {options.wanted} hits, conditional draws: {limits}"
        words = f"{'; '.join(beside)}; {ours['novel']:.0%} of the hits are no training molecules; {meaning.words} of the training set"
        rows.append(Row(measure, None if np.isnan(ours["calls"]) else ours["calls"], words, digits=0))
    return rows


def shown(one: Mapping[str, float], most: int) -> str:
    """Calls in words."""
    return f"{one['calls']:,.0f}" if np.isfinite(one["calls"]) else f"not within {most:,} ({one['rate']:.1f} hits in 1,000 calls)"


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hits", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="zinc250k", help="shipped model or checkpoint folder (default zinc250k)")
    parser.add_argument("--profiles", help=f"names separated by commas, or all: {', '.join(PROFILES)}")
    parser.add_argument("--ways", default="all", help=f"names separated by commas, or all (default): {', '.join(WAYS)}")
    parser.add_argument("--collect", action="store_true", help="write the result file from the runs that are there")
    parser.add_argument("--wanted", type=int, default=Effort().wanted, help="hits (default 100)")
    parser.add_argument("--most", type=int, default=Effort().most, help="calls after which a way gives up (default 30000)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each, with seeds from --seed on (default 3)")
    store = ROOT / "runs" / "stores" / "zinc250k"
    parser.add_argument("--store", type=Path, default=store, help="the model's prepared data set (default runs/stores/zinc250k)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "hits", help="working folder (default runs/hits)")
    common(parser, out="hits")
    options = parser.parse_args(arguments)
    try:
        options.profiles, options.ways = chosen(options.profiles, tuple(PROFILES)), chosen(options.ways, WAYS)
    except ValueError as error:
        parser.error(str(error))
    if not options.profiles and not options.collect:
        parser.error("--profiles or --collect is wanted")
    return options


def main(arguments: list[str]) -> None:
    """Runs what is missing, then collects where asked."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    RDLogger.DisableLog("rdApp.*")
    if options.profiles:
        carry_out(
            options.folder,
            pieces_of(options),
            lambda run: f"{run['hits']} hits in {run['calls']} calls, {run['cpu_seconds']:.0f} s",
        )
    if options.collect:
        collect(options, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
