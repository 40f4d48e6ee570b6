"""Stable, unique, new: crystals of a model relaxed by CHGNet and placed against a named hull, beside two controls through the same pipeline.

Sources: draws of the prior that pass the product's verdict; the same with an energy of 0 above the hull asked, which the model's own head judges;
known structure types with other elements (``benchmarks.crystals.decorations``), passed by the same verdict; and training crystals as they
are, which show what share the pipeline calls stable of what exists. Stable: at most 0.1 eV/atom above the hull where that is known well
(coverage good); close: where it is known at all, in which case the height is a lower bound. Unique and new: by StructureMatcher, among the
relaxed crystals and against the training crystals. ``molvae hull build`` makes the reference.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

import molvae
from benchmarks.crystals.decorations import decorations
from benchmarks.crystals.novelty import relaxed, summary
from benchmarks.support.journal import weights_hash
from benchmarks.support.record import ROOT, Row, command_line, write_result
from benchmarks.support.terminal import show
from molvae.api import Model
from molvae.dataset import Store
from molvae.domains.crystals import Crystal
from molvae.domains.crystals.stability import Reference
from molvae.domains.crystals.structure import parse

HEIGHT = "e_above_hull"
WORDS = {
    "model": "the model",
    "asked": f"the model, asked for {HEIGHT} = 0",
    "decorations": "control: other elements in known types",
    "training": "control: training crystals",
}


def of_model(model: Model, known: Sequence[Crystal], count: int, seed: int) -> list[str]:
    """Draws that pass the verdict, repeats and known ones among them."""
    return [one.text for one in model.generate(count, seed=seed, unique=False, predict=False).candidates]


def of_model_asked(model: Model, known: Sequence[Crystal], count: int, seed: int) -> list[str]:
    """The same, towards the hull; none from a model that was not trained with that label."""
    if HEIGHT not in model.properties:
        return []
    return [one.text for one in model.generate(count, targets={HEIGHT: 0.0}, seed=seed, unique=False).candidates]


def of_decorations(model: Model, known: Sequence[Crystal], count: int, seed: int) -> list[str]:
    """Known structure types with other elements."""
    made = decorations(known, lambda one: model.validator.verdict(one).ok, np.random.default_rng(seed))
    return [one.text for one in islice(made, count)]


def of_training(model: Model, known: Sequence[Crystal], count: int, seed: int) -> list[str]:
    """Training crystals as they are."""
    return [known[at].text for at in np.random.default_rng(seed).permutation(len(known))[:count]]


SOURCES: dict[str, Callable[[Model, Sequence[Crystal], int, int], list[str]]] = {
    "model": of_model,
    "asked": of_model_asked,
    "decorations": of_decorations,
    "training": of_training,
}

CONTROLS = ("decorations", "training")
"""Sources that come from the data set alone."""


def rows_of(found: dict[str, dict[str, Any]], reference: str) -> list[Row]:
    """Lines of the table, the model's and the controls' beside one another."""
    rows = []
    for name, one in found.items():
        covered = ", ".join(f"{count} {coverage}" for coverage, count in sorted(one["coverage"].items()))
        rows.append(Row(f"stable, unique and new, {WORDS[name]}, %", 100 * one["sun"], f"{one['count']} crystals; hull {reference}", 1))
        beside = f"coverage: {covered}; {one['failed']} failed; median {one['median_e_hull']:.3f} eV/atom above the hull"
        rows.append(Row(f"within 0.1 eV/atom of a well known hull, {WORDS[name]}, %", 100 * one["stable"], beside, 1))
        what = f"unique {one['unique']:.1%}, new {one['new']:.1%}; all three {one['close_unique_new']:.1%}"
        rows.append(Row(f"within 0.1 eV/atom of what is known of the hull, {WORDS[name]}, %", 100 * one["close"], what, 1))
    return rows


def counts(text: str) -> list[int]:
    """Numbers separated by commas. Raises ValueError."""
    found = [int(part) for part in text.split(",")]
    if min(found) < 1:
        raise ValueError(f"{min(found)} crystals; wanted at least 1")
    return found


def main(arguments: list[str]) -> None:
    """Runs the sources one after the other, each kept in the working folder, and writes the result."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crystal_stable", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="mp20", help="shipped model or checkpoint folder (default mp20)")
    parser.add_argument("--store", type=Path, required=True, help="the prepared data set that the model was trained on")
    parser.add_argument("--reference", type=Path, required=True, help="a hull made by 'molvae hull build'")
    words = "crystals of each source, in their order, the last number for all that follow (default 1000)"
    parser.add_argument("--count", type=counts, default="1000", metavar="N[,N...]", help=words)
    parser.add_argument("--sources", default=",".join(SOURCES), help=f"of {', '.join(SOURCES)} (default all)")
    parser.add_argument("--workers", type=int, default=2, help="processes that relax (default 2)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "stable", help="working folder (default runs/stable)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="crystal_stable", help="name of the result (default crystal_stable)")
    options = parser.parse_args(arguments)
    names = options.sources.split(",")
    if unknown := [name for name in names if name not in SOURCES]:
        parser.error(f"unknown source {unknown[0]!r}; known: {', '.join(SOURCES)}")
    torch.set_num_threads(1)
    model, store = molvae.load(options.model), Store.open(options.store)
    reference = Reference.open(str(options.reference))
    options.folder.mkdir(parents=True, exist_ok=True)
    of_data, of_weights = f"data-{store.fingerprint[:8]}", f"{model.name}-{weights_hash(model)}"
    known: list[Crystal] = []
    found: dict[str, dict[str, Any]] = {}
    for name, count in zip(names, [*options.count, *options.count[-1:] * len(names)], strict=False):
        of = of_data if name in CONTROLS else of_weights
        path = options.folder / f"{of}-{name}-{options.reference.stem}-{count}-seed{options.seed}.json"
        if not path.exists():
            known = known or [parse(text) for text in store.texts("text", store.rows("train"))]
            texts = SOURCES[name](model, known, count, options.seed)
            if not texts:
                continue
            judged = relaxed(texts, str(options.reference), options.workers, path.with_suffix(".jsonl"))
            path.write_text(json.dumps(summary(judged, known)), encoding="utf-8")
        found[name] = json.loads(path.read_text(encoding="utf-8"))
        print(f"{WORDS[name]}: SUN {found[name]['sun']:.3f}", file=sys.stderr, flush=True)
    rows = rows_of(found, f"{reference.name} of {len(reference.phases):,} compositions ({reference.source})")
    show(("measure", "value"), [(row.measure, row.value) for row in rows], digits=1)
    payload = {"model": model.name, "reference": {"name": reference.name, "source": reference.source}, "sources": found}
    command = command_line("benchmarks.crystal_stable", arguments)
    write_result(options.out, payload, command=command, seed=options.seed, rows=rows, threads=options.workers)


if __name__ == "__main__":
    main(sys.argv[1:])
