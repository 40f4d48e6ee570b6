"""Property heads: what a model reads from a code alone, against the true values of held-out molecules.

``--model``: MAE, RMSE and calibration error (Kuleshov et al. 2018) of each head on molecules of MOSES's test split, true values computed by
the domain. ``--qm9 --store DIR``: trains a model for --minutes on a prepared QM9 and reports the errors of HOMO, LUMO and gap in eV on its
test split (its validation split, by which nothing is chosen but the scale of the uncertainty, where there is no test split).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.support.heldout import encodable, held_out
from benchmarks.support.record import ROOT, Row, command_line, write_result
from benchmarks.support.terminal import common, show
from benchmarks.support.training import train_variant, training_facts
from molvae.api import Model, load
from molvae.dataset import Store
from molvae.metrics import calibration_error, mean_absolute_error, root_mean_square_error

HARTREE_EV = 27.211386245988  # CODATA 2018
IN_EV = {"hartree": HARTREE_EV, "ev": 1.0}
# Gómez-Bombarelli et al. 2018, joint property prediction (MAE): ZINC, and QM9 in eV; quoted from memory of the paper.
PUBLISHED = {"logp": "chemical_vae on ZINC 0.15 (m)", "qed": "chemical_vae on ZINC 0.054 (m)"}
PUBLISHED_EV = {"HOMO": "chemical_vae 0.16 (m)", "LUMO": "chemical_vae 0.16 (m)", "gap": "chemical_vae 0.21 (m)"}
COLUMNS = ("mae", "rmse", "calibration", "baseline")

Floats = NDArray[np.float64]


def figures(mean: Floats, std: Floats, truth: Floats) -> dict[str, float]:
    """mae, rmse and calibration (error, in [0, 1/2]) of predictions (n,); baseline: MAE of predicting the median; NaN truths left out."""
    known = truth[np.isfinite(truth)]
    return {
        "mae": mean_absolute_error(mean, truth),
        "rmse": root_mean_square_error(mean, truth),
        "calibration": calibration_error(mean, std, truth),
        "baseline": float(np.abs(known - np.median(known)).mean()) if known.size else float("nan"),
    }


def predicted(model: Model, texts: Sequence[str]) -> tuple[Floats, Floats]:
    """Means and standard deviations (n, P)."""
    mean, std = model.predict(texts)
    return mean.astype(np.float64), std.astype(np.float64)


def moses(options: argparse.Namespace) -> tuple[dict[str, Any], list[Row]]:
    """Every head whose property the domain computes."""
    model = load(options.model)
    texts, origin = held_out(model, options, options.n)
    able = [text for text, can in zip(texts, encodable(model, texts), strict=True) if can]
    mean, std = predicted(model, able)
    records = [model.domain.parse(text) for text in able]
    found: dict[str, dict[str, float]] = {}
    for column, name in enumerate(model.properties):
        if name in model.domain.properties:
            truth = np.array([model.domain.properties[name].compute(record) for record in records])
            found[name] = figures(mean[:, column], std[:, column], truth)
    print(f"{model.name}: heads on {len(able)} molecules of {origin} ({len(texts) - len(able)} without a code)")
    show(("property", *COLUMNS, "published MAE"), [(n, *one.values(), PUBLISHED.get(n, "")) for n, one in found.items()], digits=4)
    rows = [Row(_words("MAE", model, name), one["mae"], PUBLISHED.get(name, "")) for name, one in found.items()]
    rows += [
        Row(f"calibration error of the head, {name}", one["calibration"], "0 is calibrated, 0.5 the worst") for name, one in found.items()
    ]
    return {"molecules": len(able), "without_code": len(texts) - len(able), "data": origin, "heads": found}, rows


def _words(what: str, model: Model, name: str) -> str:
    unit = model.unit(name)
    return f"{what} of the head, {name}" + (f", {unit}" if unit not in ("", "1") else "")


def factor(unit: str) -> float:
    """eV in one unit. Raises SystemExit for one that is neither hartree nor eV."""
    if unit.lower() not in IN_EV:
        raise SystemExit(
            f"unit {unit or 'unknown'!r} of the orbital energies; wanted {' or '.join(IN_EV)}: prepare the set with units, or pass --unit"
        )
    return IN_EV[unit.lower()]


def qm9(options: argparse.Namespace) -> tuple[dict[str, Any], list[Row]]:
    """Train on a prepared QM9 with its orbital energies as labels, and measure on rows it did not see."""
    labels = {"HOMO": options.homo, "LUMO": options.lumo, "gap": options.gap}
    store = Store.open(options.store)
    overrides: dict[str, Any] = {"condition.properties": tuple(labels.values()), "train.seed": options.seed}
    if options.hidden:
        overrides["decoder.hidden"] = options.hidden
    checkpoint = train_variant(options.store, overrides, options.minutes, options.folder, options.threads, "qm9")
    model = load(checkpoint)
    split = "test" if len(store.rows("test")) else "valid"
    rows = store.rows(split)[: options.n]
    texts = store.texts("text", rows)
    able = np.array(encodable(model, texts))
    mean, std = predicted(model, [text for text, can in zip(texts, able, strict=True) if can])
    found = {}
    for name, label in labels.items():
        scale = factor(options.unit or store.units.get(label, ""))
        truth = store.labels[rows[able], store.property_names.index(label)].astype(np.float64)
        column = model.properties.index(label)
        found[name] = figures(scale * mean[:, column], scale * std[:, column], scale * truth)
    print(f"QM9, {int(able.sum())} molecules of the {split} split ({int((~able).sum())} without a code), eV")
    show(("property", *COLUMNS, "published MAE"), [(n, *one.values(), PUBLISHED_EV[n]) for n, one in found.items()], digits=4)
    lines = [Row(f"MAE of the head on QM9, {name}, eV", one["mae"], PUBLISHED_EV[name]) for name, one in found.items()]
    payload = {"molecules": int(able.sum()), "without_code": int((~able).sum()), "split": split, "heads": found}
    return {**payload, "training": training_facts(checkpoint)}, lines


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.heads", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="moses", help="shipped model or checkpoint folder (default moses)")
    parser.add_argument("--n", type=int, default=10_000, help="held-out molecules (default 10000)")
    parser.add_argument(
        "--store", type=Path, help="take held-out rows of this prepared data set instead of MOSES's test split; the QM9 set"
    )
    parser.add_argument("--qm9", action="store_true", help="train on the QM9 in --store and report eV")
    parser.add_argument("--minutes", type=float, default=30.0, help="with --qm9: training time, wall clock (default 30)")
    parser.add_argument("--homo", default="HOMO_au", help="with --qm9: label of the HOMO energy (default HOMO_au)")
    parser.add_argument("--lumo", default="LUMO_au", help="with --qm9: label of the LUMO energy (default LUMO_au)")
    parser.add_argument("--gap", default="HOMO_LUMO_gap_au", help="with --qm9: label of the gap (default HOMO_LUMO_gap_au)")
    parser.add_argument("--unit", choices=tuple(IN_EV), help="with --qm9: unit of these labels (default: as the data set says)")
    parser.add_argument("--hidden", type=int, default=0, help="with --qm9: another decoder.hidden, for tests of this script")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "runs" / "qm9", help="with --qm9: where the model is trained (default runs/qm9)"
    )
    common(parser, out=None)
    options = parser.parse_args(arguments)
    if options.qm9 and options.store is None:
        parser.error("--qm9 wants --store DIR, the prepared QM9")
    return options


def main(arguments: list[str]) -> None:
    """Measures, prints and writes the result file."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    payload, rows = qm9(options) if options.qm9 else moses(options)
    name = options.out or ("heads_qm9" if options.qm9 else "heads")
    command = command_line("benchmarks.heads", arguments)
    write_result(name, payload, command=command, seed=options.seed, rows=rows, threads=options.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
