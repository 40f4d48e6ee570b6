"""How well do Wyckoff texts hold real crystals? Round trip, invariance to the choice of cell, time, refusals and verdicts, for each data file.

A crystal is read, written as a Wyckoff text, and built again from the text; pymatgen's StructureMatcher compares it with the file's own
structure, with its defaults and with CDVAE's settings (stol 0.5, angle_tol 10, ltol 0.3; arXiv:2110.06197). Invariance: one crystal in
``--every`` is described once more from a rotated, shifted, reordered supercell. Admitted: the mask of decoding, which keeps atoms apart, lets every
symbol of the text through.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core.operations import SymmOp
from pymatgen.core.structure import Structure

from benchmarks.support.record import Row, command_line, write_result
from benchmarks.support.terminal import show
from molvae.dataset.read import iter_rows
from molvae.domains.crystals import domain
from molvae.domains.crystals.asked import start
from molvae.domains.crystals.grammar import State
from molvae.domains.crystals.structure import Crystal, of_structure, parse
from molvae.domains.crystals.wyckoff import symbols, vocabulary
from molvae.errors import InvalidRecord

SEED_OF_CELLS = 1


class Tally:
    """Counts and seconds of one file."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.mismatched: list[str] = []
        self.slowest = 0.0

    def result(self) -> dict[str, Any]:
        """Shares of what was read, milliseconds each, and the reasons."""
        read = max(self.count["read"], 1)
        shares = {name: self.count[name] / read for name in ("match", "match_cdvae", "fixed_point", "admitted", "verdict")}
        invariant = self.count["invariant"] / max(self.count["moved"], 1)
        milliseconds = {name: 1000 * value / read for name, value in self.seconds.items()}
        return {
            "rows": self.count["rows"],
            "read": self.count["read"],
            **shares,
            "invariant": invariant,
            "moved": self.count["moved"],
            "ms": milliseconds | {"all": sum(milliseconds.values()), "slowest_parse": 1000 * self.slowest},
            "refused": dict(self.refused.most_common()),
            "failed_checks": {name: n / read for name, n in self.failed.most_common()},
            "mismatched": self.mismatched[:20],
        }


def moved(structure: Structure, rng: np.random.Generator) -> Structure:
    """The same crystal in another cell: atoms reordered, origin shifted, a supercell of two where it is small, turned."""
    order = rng.permutation(len(structure))
    coords = structure.frac_coords[order] + rng.random(3)
    other = Structure(structure.lattice, [structure[int(i)].specie for i in order], coords)
    if len(other) <= 40:
        other.make_supercell([[1, 0, 0], [1, 2, 0], [0, 0, 1]])
    other.apply_operation(SymmOp.from_axis_angle_and_translation(rng.random(3) + 0.1, 360 * rng.random()))
    return other


def measure(text: str, number: int, tally: Tally, options: argparse.Namespace, rng: np.random.Generator) -> None:
    """One row of a file."""
    kind = domain()
    tally.count["rows"] += 1
    start = time.perf_counter()
    try:
        crystal = parse(text)
    except InvalidRecord as error:
        tally.refused[error.why.split(";")[0][:90]] += 1
        return
    spent = time.perf_counter() - start
    tally.slowest = max(tally.slowest, spent)
    tally.count["read"] += 1
    tally.seconds["parse"] += spent
    for name, step in (("graph", kind.graph.build), ("key", kind.key)):
        start = time.perf_counter()
        step(crystal)
        tally.seconds[name] += time.perf_counter() - start
    again = parse(crystal.text)
    start = time.perf_counter()
    reasons = [check.name for check in kind.checks if check.test(again) is not None]
    tally.seconds["checks"] += time.perf_counter() - start
    tally.failed.update(reasons)
    tally.count["verdict"] += not any(check.name in reasons for check in kind.checks if check.default)
    original = Structure.from_str(text, fmt="cif")
    compare(original, again, tally, number)
    tally.count["admitted"] += admitted(crystal.text)
    tally.count["fixed_point"] += of_structure(again.structure()) == crystal
    if number % options.every == 0:
        tally.count["moved"] += 1
        with contextlib.suppress(InvalidRecord):  # counted as not invariant
            tally.count["invariant"] += of_structure(moved(original, rng)) == crystal


def admitted(text: str) -> bool:
    """Whether a decoder that nothing is asked of could write this text."""
    state, ids = _start()
    for symbol in symbols(text):
        if not state.allowed()[ids[symbol]]:
            return False
        state = state.advance(ids[symbol])
    return True


@lru_cache(maxsize=1)
def _start() -> tuple[State, Mapping[str, int]]:
    tokens = ["<pad>", "<begin>", "<end>", *vocabulary()]
    return start(tokens, 2, {}), {token: number for number, token in enumerate(tokens)}


def compare(original: Structure, again: Crystal, tally: Tally, number: int) -> None:
    """Whether the crystal of the text is the file's, by StructureMatcher."""
    built = again.structure(primitive=True)
    fits = StructureMatcher().fit(original, built)
    tally.count["match"] += fits
    tally.count["match_cdvae"] += fits or StructureMatcher(stol=0.5, angle_tol=10, ltol=0.3).fit(original, built)
    if not fits:
        tally.mismatched.append(f"row {number}: {again.text}")


def run(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All rows of one file, or ``--rows`` of them."""
    tally = Tally()
    rng = np.random.default_rng(SEED_OF_CELLS)
    for number, row in enumerate(islice(iter_rows(path, options.column, labels=()), options.rows)):
        if row.error is not None:
            tally.count["rows"] += 1
            tally.refused[f"row: {row.error}"] += 1
            continue
        measure(row.text, number, tally, options, rng)
    return tally.result()


def main(arguments: list[str]) -> None:
    """Measures every file and writes the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.crystal_representation", description=__doc__)
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="FILE", help="tables with a cif column")
    parser.add_argument("--rows", type=int, help="rows of each file (default all)")
    parser.add_argument("--every", type=int, default=10, help="one crystal in so many is moved to another cell (default 10)")
    parser.add_argument("--column", default="cif", help="column of the CIF texts (default cif)")
    parser.add_argument("--out", default="crystal_representation", help="name of the result; empty: none (default crystal_representation)")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    found = {}
    for path in options.data:
        found[path.name] = run(path, options)
        print(json.dumps({path.name: found[path.name]}, indent=1), flush=True)
    names = ("rows", "read", "match", "match_cdvae", "invariant", "fixed_point", "admitted", "verdict")
    header = ("file", *names, "ms parse", "ms all")
    show(header, [(name, *(f[n] for n in names), f["ms"]["parse"], f["ms"]["all"]) for name, f in found.items()], digits=4)
    rows = [Row(f"round trip (StructureMatcher), {name}", f["match"], digits=4) for name, f in found.items()]
    rows += [Row(f"texts that the mask of decoding admits, {name}", f["admitted"], digits=4) for name, f in found.items()]
    rows += [Row(f"ms to read a crystal, {name}", f["ms"]["parse"], digits=1) for name, f in found.items()]
    if options.out:
        command = command_line("benchmarks.crystal_representation", arguments)
        write_result(options.out, {"files": found}, command=command, seed=SEED_OF_CELLS, rows=rows, threads=1)


if __name__ == "__main__":
    main(sys.argv[1:])
