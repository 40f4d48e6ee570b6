"""Constrained analogue search by JT-VAE's protocol: 800 molecules of low penalised logP, to be improved at a least similarity.

``--forms NAME,... | all`` with ``--deltas 0.4,...`` runs what was not run before and keeps each run in the working folder; ``--collect``
writes the result file and prints the table. The budget is counted in draws, decoded sequences of a molecule, repetitions, invalid and too
dissimilar ones included; a scorer call is a distinct valid analogue that is similar enough, and there are far fewer of those.

Seeds: the 800 lowest of 5,000 held-out molecules of ZINC-250k by logP less SA score. The split is ours: the molecules are not those of
JT-VAE's test set, but as many and chosen alike. --forms source: as the data set has them, many of them charged, as published systems had
them; this package neutralises molecules before it reads them, and what that alone gains is stated. --forms neutral: the neutral molecules
themselves, the stricter task. --list FILE takes other seeds, such as the published list.

Improvement: standardised penalised logP (``benchmarks.support.penalised``) of the best analogue less that of the seed; 0 where there is
none, as in JT-VAE's table. Similarity: Tanimoto, Morgan fingerprints of radius 2 and 2,048 bits, mean over successes. Analogues must pass
the product's verdict. The search (``benchmarks.support.analogues``) was settled on molecules of the validation split.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import DataStructs, RDLogger

from benchmarks.support.analogues import PRINTS, Line, Lines, Seed, Settings
from benchmarks.support.penalised import parts
from benchmarks.support.pieces import carry_out, chosen, gathered
from benchmarks.support.record import ROOT, Row, command_line, write_result
from benchmarks.support.seeds import CALLS, LOWEST, PUBLISHED, TEST_SET, listed_seeds, protocol_seeds, readable
from benchmarks.support.terminal import common, show
from molvae.api import Model, load
from molvae.dataset import Store

FORMS = ("source", "neutral", "list")
DELTAS = (0.4, 0.6, 0.2, 0.0)
MARKS = (20, 80)  # draws at which the result is also stated: those of VJTNN and of JT-VAE


def name_of(form: str, delta: float, options: argparse.Namespace) -> str:
    """Name of a run in the working folder."""
    return f"{form}-{delta:g}-seed{options.seed}-{options.seeds}-{options.draws}"


def seeds_of(model: Model, form: str, options: argparse.Namespace) -> list[Seed]:
    """The molecules to improve."""
    if form == "list":
        return listed_seeds(model, options.list)[: options.seeds]
    source = options.zinc if form == "source" else None
    count = max(options.seeds, round(TEST_SET * options.seeds / LOWEST))
    return protocol_seeds(model, Store.open(options.store), source, options.seed, count, options.seeds)


def improve(model: Model, form: str, delta: float, options: argparse.Namespace) -> dict[str, Any]:
    """One run: every seed with its trail of ever better analogues."""
    seeds = seeds_of(model, form, options)
    able = [seed for seed, can in zip(seeds, readable(model, seeds), strict=True) if can]
    settings = Settings(draws=options.draws, batch=options.batch)
    started = time.process_time()
    search = Lines(model, able, delta, settings, options.seed)
    lines = search.run()
    return {
        "form": form,
        "delta": delta,
        "draws": options.draws,
        "seeds": [described(line) for line in lines],
        "unreadable": len(seeds) - len(able),
        "known": float(np.mean([not model.validator.novel(model.domain.key(model.domain.parse(s.cleaned))) for s in seeds])),
        "cleaning": cleaning(model, seeds, delta),
        "valid": search.valid / search.drawn,
        "shares": {f"{kind} {level:g}": share for (kind, level), share in search.report().items()},
        "cpu_seconds": time.process_time() - started,
    }


def described(line: Line) -> dict[str, Any]:
    """A seed and its trail as JSON."""
    trail = [
        {"smiles": a.text, "draw": a.draw, "similarity": a.similarity, "score": a.parts.score, "plain": a.parts.plain} for a in line.trail
    ]
    return {"smiles": line.seed.text, "score": line.own.score, "plain": line.own.plain, "calls": line.calls, "trail": trail}


def cleaning(model: Model, seeds: Sequence[Seed], delta: float) -> dict[str, float]:
    """What cleaning the seeds would gain by itself: the cleaned seed taken as the analogue, where it is better and similar enough."""
    gains = []
    for seed in seeds:
        own, other = model.domain.parse(seed.text).mol, model.domain.parse(seed.cleaned).mol
        similar = DataStructs.TanimotoSimilarity(PRINTS.GetFingerprint(own), PRINTS.GetFingerprint(other)) >= delta
        gains.append(max(0.0, parts(other).score - parts(own).score) if similar else 0.0)
    return {"improvement": float(np.mean(gains)), "success": float(np.mean(np.array(gains) > 0))}


def outcome(run: Mapping[str, Any], draws: int) -> dict[str, float]:
    """Of the first draws of each seed: improvement (standardised, plain), its spread, similarity of successes, success rate."""
    gains, plain, likeness = [0.0] * run["unreadable"], [0.0] * run["unreadable"], []
    for seed in run["seeds"]:
        best = next((one for one in reversed(seed["trail"]) if one["draw"] <= draws), None)
        gains.append(best["score"] - seed["score"] if best else 0.0)
        plain.append(best["plain"] - seed["plain"] if best else 0.0)
        likeness += [best["similarity"]] if best else []
    return {
        "improvement": float(np.mean(gains)),
        "spread": float(np.std(gains)),
        "plain": float(np.mean(plain)),
        "similarity": float(np.mean(likeness)) if likeness else float("nan"),
        "success": float(np.mean(np.array(gains) > 0)),
    }


def collect(options: argparse.Namespace, arguments: list[str]) -> None:
    """The table of all runs of these options, and the result file."""
    names = {(form, delta): name_of(form, delta, options) for form in FORMS for delta in DELTAS}
    found = gathered(options.folder, list(names.values()))
    table, rows, results = [], [], {}
    for (form, delta), name in names.items():
        if name not in found:
            continue
        run = found[name]
        marks = [d for d in MARKS if d < run["draws"]] + [run["draws"]]
        results[name] = {str(draws): outcome(run, draws) for draws in marks}
        for draws in marks:
            table.append((form, f"{delta:g}", draws, *results[name][str(draws)].values()))
        rows += rows_of(run, results[name])
    show(("seeds", "similarity >=", "draws", "improvement", "sd", "plain scale", "similarity", "success"), table)
    payload = {"outcomes": results, "runs": {name: summary(run) for name, run in found.items()}, "published": dict(PUBLISHED[0.4])}
    command = command_line("benchmarks.analogues", arguments)
    write_result(options.out, payload, command=command, seed=options.seed, rows=rows, threads=options.threads)


def summary(run: Mapping[str, Any]) -> dict[str, Any]:
    """A run for the result file: figures, and of each seed the best analogue."""
    calls = float(np.mean([seed["calls"] for seed in run["seeds"]]))
    start = float(np.mean([seed["score"] for seed in run["seeds"]]))
    best = [[seed["smiles"], *([seed["trail"][-1]["smiles"]] if seed["trail"] else [])] for seed in run["seeds"]]
    facts = {key: run[key] for key in ("form", "delta", "draws", "unreadable", "known", "cleaning", "valid", "shares", "cpu_seconds")}
    return {**facts, "calls": calls, "start": start, "best": best}


def rows_of(run: Mapping[str, Any], outcomes: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """The README's line of a run."""
    last = outcomes[str(run["draws"])]
    earlier = ", ".join(f"{one['improvement']:.2f} after {draws}" for draws, one in outcomes.items() if one is not last)
    calls = np.mean([seed["calls"] for seed in run["seeds"]])
    words = f"success {last['success']:.1%}, {calls:.0f} scorer calls"
    words += f"; {earlier} draws" if earlier else ""
    words += f"; cleaning alone {run['cleaning']['improvement']:.2f}" if run["form"] == "source" else ""
    published = PUBLISHED.get(run["delta"], {}) if run["form"] != "neutral" else {}
    words += "; " + ", ".join(f"{system} {value}" for system, value in published.items()) + " (m)" if published else ""
    words += f"; {CALLS}" if published and run["delta"] == DELTAS[0] else ""
    what = {"source": "seeds as in ZINC-250k", "neutral": "neutral seeds", "list": "seeds of a list"}[run["form"]]
    measure = f"improvement of penalised logP at similarity >= {run['delta']:g}, {what}, {run['draws']} draws each"
    return [Row(measure, last["improvement"], words, digits=2)]


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analogues", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="zinc250k", help="shipped model or checkpoint folder (default zinc250k)")
    parser.add_argument("--forms", help=f"of the seeds: names separated by commas, or all: {', '.join(FORMS[:2])}; list, with --list")
    parser.add_argument(
        "--deltas", default="0.4", help=f"least similarities, separated by commas, of {', '.join(map(str, DELTAS))}, or all"
    )
    parser.add_argument("--collect", action="store_true", help="write the result file from the runs that are there")
    parser.add_argument("--draws", type=int, default=200, help="decoded sequences of each seed (default 200)")
    parser.add_argument("--batch", type=int, default=Settings().batch, help="of them between two updates (default 10)")
    parser.add_argument("--seeds", type=int, default=LOWEST, help=f"molecules to improve, {LOWEST} by the protocol")
    parser.add_argument("--list", type=Path, help="file of other seeds, a SMILES in each line")
    parser.add_argument("--zinc", type=Path, help="ZINC-250k, the file that the store was prepared from, for the form source")
    store = ROOT / "runs" / "stores" / "zinc250k"
    parser.add_argument("--store", type=Path, default=store, help="the model's prepared data set (default runs/stores/zinc250k)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "analogues", help="working folder (default runs/analogues)")
    common(parser, out="analogues")
    options = parser.parse_args(arguments)
    try:
        options.forms = list(FORMS[:2]) if options.forms == "all" else chosen(options.forms, FORMS)
        options.deltas = [float(d) for d in chosen(options.deltas, [f"{d:g}" for d in DELTAS])]
    except ValueError as error:
        parser.error(str(error))
    for form, option in (("source", "zinc"), ("list", "list")):
        if form in options.forms and getattr(options, option) is None:
            parser.error(f"--{option} FILE is wanted for the form {form}")
    if not options.forms and not options.collect:
        parser.error("--forms or --collect is wanted")
    return options


def pieces_of(options: argparse.Namespace) -> dict[str, Callable[[], Mapping[str, Any]]]:
    """Every run that is asked for, not yet begun."""
    model = load(options.model)
    return {name_of(form, d, options): partial(improve, model, form, d, options) for form in options.forms for d in options.deltas}


def said(run: Mapping[str, Any]) -> str:
    """A line on the terminal."""
    found = outcome(run, run["draws"])
    words = f"improvement {found['improvement']:.2f}, success {found['success']:.1%}, similarity {found['similarity']:.2f}"
    return f"{words}, {run['cpu_seconds']:.0f} s"


def main(arguments: list[str]) -> None:
    """Runs what is missing, then collects where asked."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    RDLogger.DisableLog("rdApp.*")
    if options.forms:
        carry_out(options.folder, pieces_of(options), said)
    if options.collect:
        collect(options, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
