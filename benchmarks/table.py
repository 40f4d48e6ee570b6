"""Writes the README's table of measured results from ``benchmarks/results/*.json``.

``python -m benchmarks.table`` replaces what stands between the markers; ``--check`` changes nothing and exits with 1 where they disagree.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.aims import unmet
from benchmarks.support.record import RESULTS, ROOT, read_results

BEGIN = "<!-- results:begin -->"
END = "<!-- results:end -->"
_DRAWS = tuple(f"draws{which}, {what} valid" for which in ("", " that pass the checks") for what in ("structure", "composition"))
CRYSTALS = ("reconstruction, match", "reconstruction, RMSE", *_DRAWS, "share of draws", "constraints")
# What stands in sight, as measures or beginnings of them; everything else is folded.
HEADLINES: Mapping[str, tuple[str, ...]] = {
    "moses": ("valid before rejection", "unique@10000 before rejection", "FCD/Test", "FCD/TestSF", "Novelty"),
    "conditioning": ("raw mean absolute deviation", "three targets at once"),
    "reconstruction": ("exact reconstruction, all",),
    "reconstruction_zinc": ("reconstruction, checked search",),
    "heads": ("MAE",),
    "pmo": ("AUC top-10, sum", "AUC top-10 where"),
    "pmo_original": ("AUC top-10, sum",),
    "pmo_workers": ("AUC top-10, sum", "AUC top-10 where", "minutes a run"),
    "pareto": ("hypervolume",),
    "analogues": ("improvement",),
    "hits": ("scorer calls",),
    "docking": ("Vina",),
    "crystal_representation": ("round trip",),
    "crystal_perov5": CRYSTALS,
    "crystal_perov5_optimise": ("property optimisation",),
    "crystal_protocol": ("COV",),
    "crystal_perov5_cover": ("draws, COV",),
    "crystal_perov5_predict": ("structure prediction",),
    "crystal_mp20": CRYSTALS,
    "crystal_carbon24": ("reconstruction, match",),
    "crystal_mp20_cover": ("draws, COV",),
    "crystal_mp20_predict": ("structure prediction",),
    "crystal_stable": ("stable, unique and new", "within 0.1 eV/atom"),
    "crystal_speed": ("training", "drawing", "relaxations"),
    "crystal_stability": ("MAE of formation",),
    "preparation": ("preparation, peak memory",),
    "speed": ("training, molecules/s", "sampling, valid"),
}
# Comparisons by which something was chosen, folded apart.
STUDIES = ("ablation", "conditioning_decoders", "overhead", "rate", "representation")


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: the headlines, all rows and those of STUDIES folded, then how each was obtained. Results without rows are left out."""
    shown = {name: record for name, record in results.items() if record.get("rows")}
    if not shown:
        return "No results yet."
    headlines = {name: {"rows": [row for row in shown[name]["rows"] if _leads(name, row)]} for name in HEADLINES if name in shown}
    studies = {name: record for name, record in shown.items() if name in STUDIES}
    others = {name: record for name, record in shown.items() if name not in STUDIES}
    lines = [*_rows(headlines), ""] if headlines else []
    lines += unmet(shown)
    lines += _folded("Everything that was measured", others)
    lines += _folded(f"Studies by which parts were chosen: {', '.join(studies)}", studies)
    return "\n".join([*lines, *_details("How each was obtained", [_origin(name, record) for name, record in shown.items()])])


def _leads(name: str, row: Mapping[str, Any]) -> bool:
    return any(row["measure"].startswith(beginning) for beginning in HEADLINES[name])


def _folded(title: str, results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [*_details(title, _rows(results)), ""] if results else []


def _details(title: str, lines: list[str]) -> list[str]:
    """Lines of Markdown that a reader unfolds by a click on their title."""
    return [f"<details><summary>{title}</summary>", "", *lines, "", "</details>"]


def _rows(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = ["|benchmark|measure|result|published or compared|", "|-|-|-:|-|"]
    for name, record in results.items():
        lines += [_line(name, row) for row in record["rows"]]
    return lines


def _line(name: str, row: Mapping[str, Any]) -> str:
    value = "unknown" if row["value"] is None else f"{row['value']:,.{row['digits']}f}"
    cells = (name, row["measure"], value, row["published"])
    return "|" + "|".join(cell.replace("|", r"\|") for cell in cells) + "|"


def _origin(name: str, record: Mapping[str, Any]) -> str:
    """One list item: command, commit, machine and date of a result."""
    machine, git = record["machine"], record["git"]
    commit = f"commit {git['commit'][:10]}" if git["commit"] else "before the first commit"
    if git["dirty"]:
        commit += " with uncommitted changes"
    processor = machine["cpu"] if machine["gpu"] is None else f"{machine['gpu']}, {machine['cpu']}"
    seed = "" if record.get("seed") is None else f", seed {record['seed']}"
    threads = f"{machine['threads']} thread{'s' if machine['threads'] != 1 else ''}"
    return f"- {name}: `{record['command']}` ({commit}, {processor}, {threads}{seed}, {record['wall_s']:,.0f} s, {record['date'][:10]})"


def replaced(text: str, body: str) -> str:
    """The README's text with ``body`` between the markers. Raises ValueError unless each marker stands there once and in order."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"wanted one line {BEGIN} followed by one line {END}; add them where the table belongs")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{body}\n{END}{after}"


def main(arguments: list[str]) -> int:
    """Writes or checks the table; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__.partition("\n")[0])
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of result files")
    parser.add_argument("--check", action="store_true", help="exit with 1 where the README differs from the results")
    options = parser.parse_args(arguments)
    try:
        text = options.readme.read_text(encoding="utf-8")
        wanted = replaced(text, table(read_results(options.results)))
    except (OSError, ValueError) as error:
        print(f"{options.readme}: {error}", file=sys.stderr)
        return 2
    if text == wanted:
        return 0
    if options.check:
        print(f"{options.readme}: the table differs from {options.results}; run python -m benchmarks.table", file=sys.stderr)
        return 1
    options.readme.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
