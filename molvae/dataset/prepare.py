"""From source files to a prepared data set, in parallel and resumable: read, clean, convert, deduplicate, split, store."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import molvae
from molvae.dataset.merge import Progress, merge, whole
from molvae.dataset.plan import Plan, Source, Tally, choose_steps, reference
from molvae.dataset.read import RecordReader, iter_rows, reader_of
from molvae.dataset.shards import UNDECIDED, Bench, make_shard, shard_path, start_worker
from molvae.dataset.splits import split_of_file
from molvae.dataset.store import MANIFEST, Store, read_manifest
from molvae.errors import DataError, UnknownName, UsageError
from molvae.processes import one_thread
from molvae.protocols import Domain
from molvae.records import Row

REQUEST = "request.json"
_SAMPLE = 10_000
_NUMERIC_SHARE = 0.9
_NO_LABELS = frozenset({"index", "unnamed: 0", "id", "line", "split"})


def prepare(
    domain: Callable[[], Domain[Any]],
    source: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    properties: Sequence[str] = (),
    column: str | None = None,
    label_columns: str | Sequence[str] = "auto",
    units: Mapping[str, str] | None = None,
    step_names: Sequence[str] | None = None,
    split: str = "random",
    fractions: tuple[float, float, float] = (0.9, 0.05, 0.05),
    seed: int = 0,
    limit: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] = warnings.warn,
) -> Store:
    """Prepare one or more files as one data set in the folder ``out`` and open it.

    domain: a function at the top level of a module that makes the domain; worker processes import it by name.
    properties: names to compute. label_columns: columns of the source to keep as labels: ``auto`` takes the columns of numbers. A label
    column named like a computed property is kept as ``<name>_given``; to use the given values alone, leave the property out of
    ``properties``. units: unit by label column. step_names: cleaning steps in order, None for the domain's defaults; a step
    that takes arguments is ``name=arguments``.
    split: ``random``, ``group`` or ``scaffold`` (the same: relatives stay together), ``file`` (by file name) or a column that says train,
    valid or test. Of duplicates the first stays, with the labels that only others have. limit: rows to read. progress: called with
    stage, rows done, and rows in all or None. note: called with what a user may not expect.

    Each finished chunk is on disk: after an interruption the same call goes on. The same request to a finished folder just opens it.
    From a script, call it under ``if __name__ == "__main__":`` (worker processes import the script) or with workers=1.
    Of several files in a format of records (such as CIF), one that cannot be read is told of (note) and left out. Raises DataError for other
    files that cannot be read and folders with something else in them, UsageError for requests that make no sense.
    """
    out = Path(out)
    paths = [Path(source)] if isinstance(source, Path | str) else [Path(p) for p in source]
    progress = progress or (lambda stage, done, total: None)
    made, split = domain(), "group" if split == "scaffold" else split
    wishes = {"column": column, "properties": tuple(properties), "split": split, "fractions": fractions, "seed": seed, "limit": limit}
    plan = _plan(reference(domain), made, paths, dict(units or {}), step_names, wishes)
    _check(made, plan)
    scan = _scan(paths, column, made.readers, progress, note)
    origins = tuple(Source(str(path), _sha256(path), split_of_file(path) if split == "file" else UNDECIDED) for path in paths)
    plan = replace(plan, sources=origins, labels=_label_names(paths[0], scan, label_columns, properties, split, note))
    if not _finished(out, plan):
        total = scan.total if limit is None or scan.total is None else min(limit, scan.total)
        _carry_out(made, plan, out, workers or _cores(), total, progress)
    return Store.open(out)


def _plan(
    domain: str,
    made: Domain[Any],
    paths: Sequence[Path],
    units: dict[str, str],
    step_names: Sequence[str] | None,
    wishes: Mapping[str, Any],
) -> Plan:
    """The request before its files are read: no hashes, no label columns yet."""
    steps = tuple(s.name for s in made.steps if s.default) if step_names is None else tuple(step_names)
    sources = tuple(Source(str(path), "") for path in paths)
    return Plan(domain=domain, sources=sources, labels={}, units=units, steps=steps, version=molvae.__version__, **wishes)


def _carry_out(
    domain: Domain[Any],
    plan: Plan,
    out: Path,
    workers: int,
    total: int | None,
    progress: Progress,
) -> None:
    """Make the shards, merge them, and clear up; what is on disk from an earlier try is used."""
    folder = out / "shards"
    folder.mkdir(exist_ok=True)
    shards = _make_shards(plan, folder, domain.readers, workers, total, progress)
    merge(domain, plan, shards, out, progress)
    _clear_up(out)


def _clear_up(out: Path) -> None:
    """Remove what only an unfinished preparation needs."""
    shutil.rmtree(out / "shards", ignore_errors=True)
    (out / REQUEST).unlink(missing_ok=True)


def _check(domain: Domain[Any], plan: Plan) -> None:
    if not plan.sources:
        raise UsageError("no source files; give at least one")
    for name in plan.properties:
        if name not in domain.properties:
            raise UnknownName("property", name, list(domain.properties))
    if len(set(plan.properties)) != len(plan.properties):
        raise UsageError(f"a property named twice: {', '.join(plan.properties)}")
    choose_steps(domain, plan.steps)
    fractions = plan.fractions
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6 or fractions[0] == 0:
        raise UsageError(f"fractions {fractions}; wanted three shares (train, valid, test) that sum to 1, the first above 0")
    if plan.limit is not None and plan.limit < 1:
        raise UsageError(f"limit {plan.limit}; wanted at least 1 row")
    if not plan.split:
        raise UsageError("an empty split; wanted random, group, file or the name of a column")


@dataclass
class _Scan:
    """What a first pass over the sources found: other columns, those of numbers, those of numbers and words with the count of each, and the
    rows in all (None for formats slow to read)."""

    columns: list[str]
    numeric: list[str]
    mixed: dict[str, tuple[int, int]]
    total: int | None


def _scan(
    paths: Sequence[Path], column: str | None, readers: Mapping[str, RecordReader], progress: Progress, note: Callable[[str], None]
) -> _Scan:
    """Read all sources once before the long work, so that a broken file is found in seconds and progress has an end.

    Of several files one in a format of records that cannot be read is told of (``_chunks`` makes a rejected row of it).
    """
    cells: dict[str, list[int]] = {}
    total: int | None = 0
    for path in paths:
        slow = reader_of(path, readers) is not None
        rows = iter_rows(path, column, record_readers=readers)
        try:
            for row in islice(rows, 1000 if slow else _SAMPLE):
                total = None if total is None else total + 1
                for name, cell in row.labels.items():
                    seen = cells.setdefault(name, [0, 0])
                    seen[0] += isinstance(cell, float) and cell == cell
                    seen[1] += isinstance(cell, str)
        except DataError as error:
            if not slow or len(paths) == 1 or not path.exists():
                raise
            note(f"{error} (left out)")
        total = None if slow or total is None else total + sum(1 for _ in rows)
        progress("scan", total or 0, None)
    numeric = [name for name, (numbers, words) in cells.items() if numbers and numbers >= _NUMERIC_SHARE * (numbers + words)]
    mixed = {name: (numbers, words) for name, (numbers, words) in cells.items() if numbers and name not in numeric}
    return _Scan(list(cells), numeric, mixed, total)


def _told_mixed(scan: _Scan) -> str:
    counts = "; ".join(f"{name} ({words:,} of {numbers + words:,} cells are words)" for name, (numbers, words) in scan.mixed.items())
    return f"columns left out, for they hold words beside numbers: {counts}; name them as labels to keep their numbers"


def _label_names(
    path: Path, scan: _Scan, wanted: str | Sequence[str], properties: Sequence[str], split: str, note: Callable[[str], None]
) -> dict[str, str]:
    """Source column -> property name, none of which is a computed one."""
    if wanted == "auto":
        if scan.mixed:
            note(_told_mixed(scan))
        columns = [name for name in scan.numeric if name.lower() not in _NO_LABELS and name != split]
    else:
        columns = [wanted] if isinstance(wanted, str) else list(dict.fromkeys(wanted))
    for name in [*columns, *([] if split in ("random", "group", "file") else [split])]:
        if name not in scan.columns:
            raise DataError(path, f"no column {name!r}; found beside the text: {', '.join(scan.columns[:40]) or 'none'}")
    names: dict[str, str] = {}
    for column in columns:
        name = column
        while name in properties or name in names.values():
            name += "_given"
        names[column] = name
    return names


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _finished(out: Path, plan: Plan) -> bool:
    """Whether ``out`` holds the answer; else make it ready for work. Raises DataError where it holds anything else."""
    if (out / MANIFEST).exists():
        _compare(out, read_manifest(out).get("request"), plan, "holds another prepared data set")
        _clear_up(out)  # a run killed after the manifest was written leaves its shards
        return True
    request = out / REQUEST
    if request.exists():
        try:
            before = json.loads(request.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(request, f"damaged ({error}); delete the folder and start again") from error
        _compare(out, before, plan, "holds the unfinished preparation of another data set")
        return False
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(out, "holds other files; choose a new or empty folder")
    out.mkdir(parents=True, exist_ok=True)
    scratch = out / f".{REQUEST}.{os.getpid()}"
    scratch.write_text(json.dumps(plan.request(), indent=1), encoding="utf-8")
    scratch.replace(request)
    return False


def _compare(out: Path, before: Any, plan: Plan, what: str) -> None:
    now = plan.request()
    differs = sorted(key for key in now if not isinstance(before, dict) or before.get(key) != now[key])
    if not differs:
        return
    raise DataError(out, f"{what} (other: {', '.join(differs)}); choose another folder, or delete this one")


def _make_shards(
    plan: Plan, folder: Path, readers: Mapping[str, RecordReader], workers: int, total: int | None, progress: Progress
) -> list[Path]:
    """Make every shard that is not there yet; returns all of them in the order of the rows."""
    shards: list[Path] = []
    done = 0

    def missing() -> Iterator[tuple[int, int, list[Row]]]:
        nonlocal done
        for number, source, rows in _chunks(plan, readers):
            shards.append(shard_path(folder, number))
            if whole(shards[-1]):
                done += len(rows)
                progress("convert", done, total)
            else:
                yield number, source, rows

    for _, tally in _in_process(plan, folder, missing()) if workers == 1 else _in_pool(plan, folder, missing(), workers):
        done += tally.read
        progress("convert", done, total)
    return shards


def _chunks(plan: Plan, readers: Mapping[str, RecordReader]) -> Iterator[tuple[int, int, list[Row]]]:
    """Chunk number, source index and rows; no chunk spans two sources, so numbering does not depend on what is already there."""
    number, left = 0, plan.limit
    for source, origin in enumerate(plan.sources):
        rows = _to_the_end(iter_rows(origin.path, plan.column, labels=plan.kept_columns(), record_readers=readers), plan, readers)
        while chunk := list(islice(rows, plan.chunk if left is None else min(plan.chunk, left))):
            yield number, source, chunk
            number += 1
            left = None if left is None else left - len(chunk)


def _to_the_end(rows: Iterator[Row], plan: Plan, readers: Mapping[str, RecordReader]) -> Iterator[Row]:
    """The rows of one of several files; where it cannot be read on, a row that says so."""
    try:
        yield from rows
    except DataError as error:
        if len(plan.sources) == 1 or reader_of(Path(error.path), readers) is None:
            raise
        yield Row("", line=error.line or 1, error=error.why)


def _in_process(plan: Plan, folder: Path, chunks: Iterator[tuple[int, int, list[Row]]]) -> Iterator[tuple[int, Tally]]:
    bench: Bench | None = None
    for chunk in chunks:
        bench = bench or Bench.of(plan, folder)
        yield bench.make(*chunk)


def _in_pool(plan: Plan, folder: Path, chunks: Iterator[tuple[int, int, list[Row]]], workers: int) -> Iterator[tuple[int, Tally]]:
    # Not fork: the parent may hold threads (torch, Arrow), whose locks a forked child would inherit.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(["molvae.dataset.shards", plan.domain.partition(":")[0]])
    with one_thread(), ProcessPoolExecutor(workers, context, start_worker, (plan, folder)) as pool:
        waiting: set[Future[tuple[int, Tally]]] = set()
        try:
            for chunk in chunks:
                waiting.add(pool.submit(make_shard, *chunk))
                if len(waiting) >= 2 * workers:
                    finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in finished)
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        except BrokenProcessPool as error:
            why = (
                "a worker process ended, most often for want of memory (use fewer workers), or because a script calls prepare outside "
                "`if __name__ == '__main__':`. What is finished is kept: run the same again to go on"
            )
            raise DataError(folder.parent, why) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
