"""Conditional generation: how near raw draws come to what is asked, how fast checked candidates come, and what helps.

With ``--store``: ``--variant plain|budget`` trains the decoder without or with the running budget and measures it alone and together with
the exemplar prior and guidance; ``--collect`` writes the comparison and prints it. With ``--model``: the final figures of one model at
chosen settings.

Deviations are those of raw valid draws, none of them selected by a measured value; targets are nine quantiles of the training labels,
evenly spaced from 5 to 95 %, asked one property at a time. What the product delivers after rejection is reported separately.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.support.codes import exemplar_rows
from benchmarks.support.conditional import (
    Floats,
    Setting,
    agreement,
    asked_values,
    draw,
    grid,
    in_deviations,
    measured,
    single,
    targets_of,
    training_labels,
)
from benchmarks.support.delivery import delivered, raw_hits
from benchmarks.support.heldout import held_out
from benchmarks.support.record import ROOT, Row, command_line, write_result
from benchmarks.support.terminal import common, show
from benchmarks.support.training import keep, kept, train_variant, training_facts
from molvae.api import Model, load
from molvae.dataset import Store

VARIANTS: dict[str, dict[str, Any]] = {"plain": {"condition.budget": False}, "budget": {"condition.budget": True}}
PROPERTIES = ("logp", "qed", "tpsa", "sa", "mw")
SETTINGS = tuple(
    Setting(prior, level, guidance)
    for prior, level in (("normal", 1.0), ("exemplars", 0.5), ("exemplars", 0.6), ("exemplars", 0.7))
    for guidance in (0.0, 1.0)
)
# Bagal et al., J. Chem. Inf. Model. 2022: one property on MOSES, mean absolute deviation; quoted from memory of the paper.
MOLGPT = {"logp": 0.23, "tpsa": 3.5, "sa": 0.13, "qed": 0.056}
COLUMNS = ("deviation", "ignoring", "spearman", "valid", "novel", "differ", "distinct")


def properties_of(model: Model) -> tuple[str, ...]:
    """Those of PROPERTIES that the model can be asked for."""
    return tuple(name for name in PROPERTIES if name in model.properties)


def points_of(model: Model) -> dict[str, Floats]:
    """Nine targets for each property."""
    labels = training_labels(model)
    return {name: grid(labels[:, model.properties.index(name)]) for name in properties_of(model)}


def spread_of(model: Model) -> dict[str, float]:
    """Standard deviation of each property's training labels."""
    return {name: float(model.vae.label_std[model.properties.index(name)]) for name in properties_of(model)}


def table_of(model: Model, setting: Setting, draws: int, seed: int, texts: Sequence[str] | None) -> dict[str, dict[str, float]]:
    """The figures of single-property draws by property."""
    return {
        name: single(model, name, asked_values(points, draws), setting, seed + k, texts)
        for k, (name, points) in enumerate(points_of(model).items())
    }


# --- comparison of decoders -----------------------------------------------------------------------------------------------------------


def run(options: argparse.Namespace) -> None:
    """Train one decoder and measure it in every setting."""
    name = options.variant
    overrides: dict[str, Any] = {**VARIANTS[name], "train.seed": options.seed}
    if options.hidden:
        overrides["decoder.hidden"] = options.hidden
    checkpoint = train_variant(options.store, overrides, options.minutes, options.folder / name, options.threads, name)
    model, store = load(checkpoint), Store.open(options.store)
    texts = store.texts("text", exemplar_rows(model, store))
    found = {}
    for setting in SETTINGS:
        found[setting.name] = table_of(model, setting, options.draws, options.seed, texts)
        print(f"{name}, {setting.name}: {in_deviations(found[setting.name], spread_of(model)):.3f} sd", file=sys.stderr, flush=True)
    sizes = {"minutes": options.minutes, "draws": options.draws, "seed": options.seed, "threads": options.threads}
    kept_metrics = {k: model.metrics.get(k) for k in ("valid_reconstruction", "valid_nll_prior", "valid_nll_targets")}
    keep(
        options.folder,
        name,
        {"training": training_facts(checkpoint), "sizes": sizes, "spread": spread_of(model), "held_out": kept_metrics, "settings": found},
    )


def collect(options: argparse.Namespace, arguments: list[str]) -> None:
    """One result file of the decoders measured so far."""
    found = kept(options.folder, VARIANTS)
    if len({str(one["sizes"]) for one in found.values()}) != 1:
        raise SystemExit("the decoders were trained or measured with different settings; run them again with the same options")
    print("mean absolute deviation of raw valid draws, one property asked; sd: mean over properties in training standard deviations")
    names = tuple(next(iter(found.values()))["spread"])
    lines, rows = [], []
    for decoder, one in found.items():
        for setting, table in one["settings"].items():
            overall = in_deviations(table, one["spread"])
            shares = [
                float(np.nanmean([table[p][c] for p in names])) if _any(table, c) else float("nan") for c in ("valid", "novel", "differ")
            ]
            lines.append((decoder, setting, overall, *(table[p]["deviation"] for p in names), *shares))
            shown = ", ".join(f"{p} {table[p]['deviation']:.3g}" for p in names)
            rows.append(Row(f"deviation in label sd, {decoder} decoder, {setting}", overall, f"{shown}; {shares[0]:.0%} of draws valid"))
    show(("decoder", "setting", "sd", *names, "valid", "novel", "differ"), lines)
    facts = [(n, one["training"]["steps"], *(one["held_out"].values())) for n, one in found.items()]
    show(("decoder", "steps", "reconstruction", "nats", "nats, all targets"), facts)
    sizes = next(iter(found.values()))["sizes"]
    command = command_line("benchmarks.conditioning", arguments)
    out = options.out or "conditioning_decoders"
    write_result(out, {"decoders": found}, command=command, seed=sizes["seed"], rows=rows, threads=int(sizes["threads"]))


def _any(table: dict[str, dict[str, float]], column: str) -> bool:
    return any(np.isfinite(one[column]) for one in table.values())


# --- final figures of one model -------------------------------------------------------------------------------------------------------


def permuted_control(model: Model, setting: Setting, draws: int, seed: int) -> dict[str, dict[str, float]]:
    """Draws whose targets were permuted before the model saw them, against the unpermuted ones: the deviation of random pairs is due."""
    out = {}
    for k, (name, points) in enumerate(points_of(model).items()):
        asked = asked_values(points, draws)
        shown = np.random.default_rng(seed + k).permutation(asked)
        values = measured(model, name, draw(model, targets_of(model, {name: shown}), setting, seed + k).records)
        found = agreement(asked, values)
        out[name] = {"deviation": found["deviation"], "random_pairs": found["ignoring"], "spearman": found["spearman"]}
    return out


def final(options: argparse.Namespace, arguments: list[str]) -> None:
    """Every figure of one model at the chosen settings."""
    model = load(options.model)
    setting = Setting(options.prior, options.level, options.guidance, options.temperature)
    texts = None
    if options.store is not None and setting.prior == "exemplars":
        store = Store.open(options.store)
        texts = store.texts("text", exemplar_rows(model, store))
    singles = table_of(model, setting, options.draws, options.seed, texts)
    control = permuted_control(model, setting, options.draws, options.seed)
    print(f"{model.name}, {setting.name}: one property asked, raw valid draws")
    show(("property", *COLUMNS, "MolGPT"), [(n, *(one[c] for c in COLUMNS), MOLGPT.get(n, float("nan"))) for n, one in singles.items()])
    print("\ntargets permuted before the model sees them: deviation from the unpermuted ones, beside that of random pairs")
    show(("property", "deviation", "random pairs", "spearman"), [(n, *one.values()) for n, one in control.items()])
    asked, origin = held_out(model, options, options.targets)
    raw = raw_hits(model, asked, setting, options.each, options.seed)
    print(f"\nlogP, QED and TPSA at once, as {origin} have them: raw draws")
    show(tuple(raw), [tuple(raw.values())])
    given = delivered(model, asked[: options.delivered], setting, options.wanted, options.most, options.seed)
    print(f"\nthe same through model.generate, {options.threads} thread(s), checked and distinct")
    show(tuple(given), [tuple(given.values())])
    payload = {"setting": setting.name, "single": singles, "permuted": control, "three": raw, "delivered": given, "targets": origin}
    payload["grid"] = {name: points.tolist() for name, points in points_of(model).items()}
    rows = final_rows(model, singles, control, raw, given)
    command = command_line("benchmarks.conditioning", arguments)
    write_result(options.out or "conditioning", payload, command=command, seed=options.seed, rows=rows, threads=options.threads)


def final_rows(
    model: Model, singles: dict[str, dict[str, float]], control: dict[str, dict[str, float]], raw: dict[str, float], given: dict[str, float]
) -> list[Row]:
    """The README's lines."""
    rows = []
    for name, one in singles.items():
        unit = model.unit(name)
        beside = f"MolGPT {MOLGPT[name]:g} (m); " if name in MOLGPT else ""
        beside += f"draws that ignore the target {one['ignoring']:.3g}; targets permuted {control[name]['deviation']:.3g}"
        rows.append(Row(f"raw mean absolute deviation, {name}" + (f", {unit}" if unit not in ("", "1") else ""), one["deviation"], beside))
    for column, words in (("spearman", "Spearman of asked and measured"), ("valid", "raw valid share"), ("novel", "novel among the valid")):
        rows.append(Row(f"{words}, mean over properties", float(np.mean([one[column] for one in singles.values()]))))
    rows += [
        Row("three targets at once, raw share of draws inside all (±0.3, ±0.05, ±6)", raw["hit"]),
        Row("three targets at once, checked distinct candidates a second", given["accepted_per_s"], digits=1),
        Row("of delivered candidates, read back by RDKit", given["valid"]),
    ]
    return rows


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conditioning", description=(__doc__ or "").partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--variant", choices=tuple(VARIANTS), help="train this decoder on --store and measure it in every setting")
    what.add_argument("--collect", action="store_true", help="write the comparison of the decoders")
    what.add_argument("--model", help="final figures of this shipped model or checkpoint folder")
    parser.add_argument("--store", type=Path, help="prepared data set; with --model, the one it was trained on (else MOSES's test split)")
    parser.add_argument("--minutes", type=float, default=30.0, help="training time of each decoder, wall clock (default 30)")
    parser.add_argument("--draws", type=int, default=1000, help="draws for each property (default 1000)")
    parser.add_argument("--prior", choices=("normal", "exemplars"), default="normal", help="with --model (default normal)")
    parser.add_argument("--level", type=float, help="with --model: noise level (default 1, exemplars 0.6)")
    parser.add_argument("--guidance", type=float, default=0.0, help="with --model (default 0)")
    parser.add_argument("--temperature", type=float, default=1.0, help="with --model (default 1)")
    parser.add_argument("--targets", type=int, default=200, help="held-out molecules whose three labels are asked for (default 200)")
    parser.add_argument("--each", type=int, default=20, help="raw draws for each of them (default 20)")
    parser.add_argument("--delivered", type=int, default=20, help="of them, those also asked through model.generate (default 20)")
    parser.add_argument("--wanted", type=int, default=100, help="candidates wanted for each (default 100)")
    parser.add_argument("--most", type=int, default=20_000, help="most draws for each (default 20000)")
    parser.add_argument("--hidden", type=int, default=0, help="another decoder.hidden, for tests of this script")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "conditioning", help="working folder (default runs/conditioning)")
    common(parser, out=None)
    options = parser.parse_args(arguments)
    if options.variant and options.store is None:
        parser.error("--store DIR is wanted: a data set of `molvae data prepare`")
    if options.level is None:
        options.level = 1.0 if options.prior == "normal" else 0.6
    return options


def main(arguments: list[str]) -> None:
    """Carries out one of the three parts."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    if options.variant:
        run(options)
    elif options.collect:
        collect(options, arguments)
    else:
        final(options, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
