"""Time and memory of preparing a whole data set: ``molvae data prepare`` in a process of its own, watched from outside.

``--data FILE --store DIR`` prepares, unless DIR is there already, and keeps what was seen in the working folder; ``--collect`` writes the
result file from every data set that was watched. Every two seconds the resident memory of the process and all its workers is summed
twice: as each process has it (shared pages counted once a process: an upper bound), and in proportional shares (each page once), where the
system tells them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.support.record import ROOT, Row, command_line, write_result
from benchmarks.support.terminal import show

EVERY = 2.0  # seconds between samples
PROPERTIES = "logp,qed,tpsa,sa,mw"


def memory(root: psutil.Process) -> dict[str, int]:
    """Bytes that the process and all its descendants hold now: "rss", and "pss" where the system tells it."""
    total: dict[str, int] = {}
    try:
        family = [root, *root.children(recursive=True)]
    except psutil.Error:
        return total
    for process in family:
        try:
            held = process.memory_full_info()._asdict()
        except psutil.Error:  # it has ended meanwhile
            continue
        for name in ("rss", "pss"):
            if name in held:
                total[name] = total.get(name, 0) + held[name]
    return total


def watch(command: list[str], log: Path) -> None:
    """Run the command to its end, a line of ``log`` each sample. Raises SystemExit where it fails, and leaves no log."""
    part = log.with_suffix(".part")
    begin = time.monotonic()
    with part.open("w", encoding="utf-8") as out, subprocess.Popen(command) as child:
        root = psutil.Process(child.pid)
        while child.poll() is None:
            if seen := memory(root):
                print(json.dumps({"t": round(time.monotonic() - begin, 1), **seen}), file=out, flush=True)
            time.sleep(EVERY)
        print(json.dumps({"t": round(time.monotonic() - begin, 1)}), file=out)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {child.returncode}; its error is above")
    part.replace(log)


def summary(log: Path, store: Path) -> dict[str, Any]:
    """Wall seconds, peak memory in GiB and rows kept."""
    samples = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    peaks = {f"peak_{name}_gib": max(s[name] for s in samples if name in s) / 2**30 for name in ("rss", "pss") if name in samples[0]}
    kept = json.loads((store / "manifest.json").read_text(encoding="utf-8"))["rows"]
    size = sum(path.stat().st_size for path in store.iterdir()) / 2**30
    return {"seconds": samples[-1]["t"], **peaks, "rows": kept, "store_gib": size, "samples": len(samples)}


def collect(options: argparse.Namespace, arguments: list[str]) -> None:
    """The table and the result file of every data set watched so far."""
    logs = {log.stem: log for log in sorted(options.folder.glob("*.jsonl"))}
    if not logs:
        raise SystemExit(f"{options.folder}: nothing was watched yet; give --data and --store first")
    found = {name: summary(log, options.stores / name) for name, log in logs.items()}
    show(
        ("data", "rows", "minutes", "peak GiB", "store GiB"),
        [(n, f["rows"], f["seconds"] / 60, _peak(f), f["store_gib"]) for n, f in found.items()],
    )
    rows = []
    for name, f in found.items():
        share = f"each page once {f['peak_pss_gib']:.2f}; " if "peak_pss_gib" in f else ""
        rows += [
            Row(f"preparation, minutes, {name}", f["seconds"] / 60, f"{f['rows']:,} molecules kept, {options.workers} workers", 1),
            Row(f"preparation, peak memory of all processes, GiB, {name}", f["peak_rss_gib"], f"{share}at most 4 wanted", 2),
        ]
    payload = {"sets": found, "properties": PROPERTIES, "workers": options.workers}
    write_result("preparation", payload, command=command_line("benchmarks.preparation", arguments), seed=0, rows=rows, threads=1)


def _peak(found: dict[str, Any]) -> float:
    return float(found["peak_rss_gib"])


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preparation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, help="file of molecules, as molvae data fetch leaves it")
    parser.add_argument("--name", help="name of the data set, and of its folder under --stores")
    parser.add_argument("--fractions", default="0.9,0.05,0.05", help="train, valid and test shares (default 0.9,0.05,0.05)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--stores", type=Path, default=ROOT / "runs" / "stores", help="where prepared sets lie (default runs/stores)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "preparation", help="working folder (default runs/preparation)")
    parser.add_argument("--collect", action="store_true", help="write the result file from what was watched")
    options = parser.parse_args(arguments)
    if (options.data is None) != (options.name is None):
        parser.error("--data and --name go together")
    if options.data is None and not options.collect:
        parser.error("--data with --name, or --collect, is wanted")
    return options


def main(arguments: list[str]) -> None:
    """Prepares what is asked for, then collects where asked."""
    options = parse(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.data is not None:
        log, store = options.folder / f"{options.name}.jsonl", options.stores / options.name
        if store.exists():
            raise SystemExit(f"{store} is there already; remove it to measure its preparation")
        cut = ["--fractions", options.fractions, "--workers", str(options.workers)]
        watch(
            [
                sys.executable,
                str(ROOT / "cli.py"),
                "data",
                "prepare",
                str(options.data),
                "-o",
                str(store),
                "--properties",
                PROPERTIES,
                *cut,
            ],
            log,
        )
    if options.collect:
        collect(options, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
