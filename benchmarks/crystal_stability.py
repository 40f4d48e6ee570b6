"""How good are formation energies and partial hulls? CHGNet against the Materials Project's tables, and heights of compositions left out.

Hull: every file together makes a reference. Of compositions whose known phases lie off the hull, so that its true height (E_f - e_hull) does not
depend on them, one at a time is left out and its height computed from the rest. Energies: ``--rows`` rows of the first file, as they stand
and relaxed; the error of e_hull is against the full reference, which knows the composition.
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.support.record import Row, command_line, write_result
from benchmarks.support.terminal import show
from molvae.domains.crystals.stability import Reference, Settings, assess, tables
from molvae.domains.crystals.structure import parse

CLOSE = 0.05  # eV an atom


def heights(reference: Reference, count: int, seed: int) -> dict[str, Any]:
    """Errors of the heights of left-out compositions, for well and for thinly covered ones."""
    off = [phase for phase in reference.phases if phase.kind == "height"]
    errors: dict[str, list[float]] = {"elements": [], "sparse": [], "good": []}
    for at in np.random.default_rng(seed).permutation(len(off))[:count].tolist():
        left_out = off[at]
        around = reference.within(left_out.fractions)
        found = Reference("rest", "", tuple(p for p in around.phases if p is not left_out)).height(left_out.fractions)
        errors[found.coverage].append(found.energy - left_out.energy)
    return {name: summary(values) for name, values in errors.items()}


def summary(errors: Sequence[float]) -> dict[str, float]:
    """n, mean, mean and median absolute error, and the share within 50 meV an atom."""
    if not len(errors):
        return {"n": 0, "bias": math.nan, "mae": math.nan, "median": math.nan, "within_50_mev": math.nan}
    size = np.abs(np.array(errors))
    return {
        "n": len(errors),
        "bias": float(np.mean(errors)),
        "mae": float(size.mean()),
        "median": float(np.median(size)),
        "within_50_mev": float((size < CLOSE).mean()),
    }


def energies(path: Path, reference: Reference, count: int, seed: int) -> dict[str, Any]:
    """Errors of formation energies and of energies above the hull, and what relaxing takes."""
    rows = pd.read_csv(path).sample(count, random_state=seed)
    above = next(name for name in tables.ABOVE if name in rows)
    standing, relaxed, over, seconds, steps, atoms, converged = [], [], [], [], [], [], 0
    for text, formation, height in zip(rows["cif"], rows["formation_energy_per_atom"], rows[above], strict=True):
        crystal = parse(text)
        standing.append(assess(crystal, reference, Settings()).e_form - formation)
        found = assess(crystal, reference, Settings(relaxed=True))
        assert found.relaxed is not None
        converged += found.relaxed.converged
        seconds.append(found.relaxed.seconds)
        steps.append(found.relaxed.steps)
        atoms.append(len(crystal.primitive.numbers))
        relaxed.append(found.e_form - formation)
        over.append(found.e_hull - height)
    cost = {"seconds": float(np.mean(seconds)), "slowest": max(seconds), "steps": float(np.mean(steps)), "atoms": float(np.mean(atoms))}
    return {
        "as_it_stands": summary(standing),
        "relaxed": summary(relaxed),
        "e_hull": summary([e for e in over if np.isfinite(e)]),
        "converged": converged / count,
        **cost,
    }


def main(arguments: list[str]) -> None:
    """Measures both and writes the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.crystal_stability", description=__doc__)
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="FILE", help="tables with cif, formation energy, e_above_hull"
    )
    parser.add_argument("--rows", type=int, default=100, help="crystals to relax (default 100)")
    parser.add_argument("--left-out", type=int, default=2500, help="compositions to leave out (default 2500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="crystal_stability", help="name of the result; empty: none (default crystal_stability)")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    reference = Reference.build([tables.read(path) for path in options.data], "all", ", ".join(path.name for path in options.data))
    hull = heights(reference, options.left_out, options.seed)
    found = energies(options.data[0], reference, options.rows, options.seed)
    names = ("n", "bias", "mae", "median", "within_50_mev")
    parts = {f"height left out, {name}": part for name, part in hull.items()}
    parts |= {f"E form, {name}": found[name] for name in ("as_it_stands", "relaxed")} | {"E above hull": found["e_hull"]}
    show(("eV/atom", *names), [(label, *(part[name] for name in names)) for label, part in parts.items()], digits=3)
    rows = [
        Row(f"MAE of formation energies against the Materials Project, {options.rows} rows, eV/atom", found["relaxed"]["mae"]),
        Row("hull heights of left-out compositions within 50 meV/atom, coverage good", hull["good"]["within_50_mev"], digits=2),
        Row("the same, coverage sparse", hull["sparse"]["within_50_mev"], digits=2),
        Row("s to relax a crystal, one thread", found["seconds"], digits=2),
    ]
    if options.out:
        result = {"compositions": len(reference.phases), "heights": hull, "energies": found}
        command = command_line("benchmarks.crystal_stability", arguments)
        write_result(options.out, result, command=command, seed=options.seed, rows=rows, threads=1)


if __name__ == "__main__":
    main(sys.argv[1:])
