"""Shards streamed into the memory-mapped columns of a store, without duplicates. Axes: n rows that stay, m rows of one shard."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from molvae.dataset.plan import Plan, Summary, Tally
from molvae.dataset.ragged import Array, ColumnWriter, RaggedWriter, decode_texts, gather
from molvae.dataset.splits import decide, first_of_each
from molvae.dataset.store import FORMAT, MANIFEST, SPLITS
from molvae.errors import DataError
from molvae.protocols import Domain, Twins

FIRST = 20
_OFTEN = 100  # rows between two reports of comparing them
Progress = Callable[[str, int, int | None], None]


class Shard:
    """The columns of one shard file, read when asked for."""

    def __init__(self, path: Path) -> None:
        self._file = np.load(path, allow_pickle=False)

    def __enter__(self) -> Shard:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self._file.files

    def plain(self, name: str) -> Array:
        return np.asarray(self._file[name])

    def ragged(self, name: str, rows: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
        """Concatenated values and lengths of the given rows of one ragged column."""
        values, lengths = self._file[f"{name}.values"], self._file[f"{name}.lengths"]
        starts = np.cumsum(lengths) - lengths
        return gather(values, starts[rows], lengths[rows]), lengths[rows]

    def texts(self, name: str) -> list[str]:
        return decode_texts(self._file[f"{name}.values"], self._file[f"{name}.lengths"])


def _has(path: Path, name: str) -> bool:
    with Shard(path) as shard:
        return name in shard


def whole(path: Path) -> bool:
    """Whether a shard file is there and was written to its end."""
    try:
        with Shard(path) as shard:
            return "tally" in shard and len(shard.plain("line")) == len(shard.plain("labels"))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return False


def merge(domain: Domain[Any], plan: Plan, shards: Sequence[Path], out: Path, progress: Progress) -> None:
    """Write the columns, ``rejected.csv`` and, last, the manifest under ``out``. Raises DataError where no row stays."""
    scratch = out / f".columns-{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        index = _Index(shards, domain, progress)
        kept = np.flatnonzero(index.first == np.arange(len(index.first)))
        first_bad = _write_rejected(plan, index, shards, scratch / "rejected.csv")
        if len(kept) == 0:
            (scratch / "rejected.csv").replace(out / "rejected.csv")
            shown = "; ".join(first_bad[:3]) or "the sources hold none"
            raise DataError(out, f"no row of {index.tally.read} can be used: {shown}. All are in {out / 'rejected.csv'}")
        split = decide(plan.split, index.split[kept], index.groups[kept], plan.fractions, plan.seed)
        index.fill(len(plan.properties), shards)
        views = _write_columns(domain, plan, index, kept, split, shards, scratch, progress)
        counts = np.bincount(split, minlength=3)
        summary = Summary(
            read=index.tally.read,
            kept=len(kept),
            duplicates=len(index.first) - len(kept),
            rejected=dict(index.tally.rejected.most_common()),
            changed=dict(index.tally.changed),
            unreadable_labels=dict(index.tally.unreadable_labels),
            first=tuple(first_bad),
            splits={name: int(counts[code]) for code, name in enumerate(SPLITS)},
        )
        for file in sorted(scratch.iterdir()):
            file.replace(out / file.name)
        _write_manifest(domain, plan, summary, views, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Index:
    """What is needed of all rows at once, about 36 bytes each: first row of the same record, split, group; and the counts."""

    def __init__(self, shards: Sequence[Path], domain: Domain[Any], progress: Progress) -> None:
        self.tally = Tally()
        digests, splits, groups, self.counts = [], [], [], list[int]()
        for path in shards:
            with Shard(path) as shard:
                self.tally.add(Tally.from_json(str(shard.plain("tally"))))
                digests.append(shard.plain("digest"))
                splits.append(shard.plain("split"))
                groups.append(shard.plain("group"))
                self.counts.append(len(splits[-1]))
        if domain.twins is not None:
            self.first = _compared(domain.twins(), domain.parse, shards, lambda done: progress("compare", done, sum(self.counts)))
        else:
            self.first = first_of_each(np.concatenate(digests)) if digests else np.empty(0, np.int64)
        self.split = np.concatenate(splits) if splits else np.empty(0, np.uint8)
        self.groups = np.concatenate(groups) if groups else np.empty(0, np.uint64)
        self.filled = np.empty((0, 3))  # row, column, value

    def fill(self, computed: int, shards: Sequence[Path]) -> None:
        """Give labels that are unknown where a record stands first the first value that one of its duplicates has; not those computed."""
        again = np.flatnonzero(self.first != np.arange(len(self.first)))
        if len(again) == 0:
            return
        parts, found = [], []
        for path in shards:
            with Shard(path) as shard:
                parts.append(shard.plain("labels")[:, computed:])
        labels = np.concatenate(parts)
        for row in again.tolist() if labels.shape[1] else ():
            first = int(self.first[row])
            for column in np.flatnonzero(np.isnan(labels[first]) & ~np.isnan(labels[row])).tolist():
                labels[first, column] = labels[row, column]
                found.append((first, computed + column, labels[row, column]))
        self.filled = np.array(found, np.float64).reshape(-1, 3)

    def labels(self, labels: Array, start: int) -> Array:
        """The labels (m, P) of a shard whose first row is ``start``, with what ``fill`` found."""
        row, column, value = self.filled[(self.filled[:, 0] >= start) & (self.filled[:, 0] < start + len(labels))].T
        labels[row.astype(int) - start, column.astype(int)] = value
        return labels

    def rows(self, kept: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """For each shard, which of its rows are among the ``kept`` rows of all."""
        start = 0
        for count in self.counts:
            low, high = np.searchsorted(kept, [start, start + count])
            yield kept[low:high] - start
            start += count


def _write_columns(
    domain: Domain[Any],
    plan: Plan,
    index: _Index,
    kept: NDArray[np.int64],
    split: NDArray[np.uint8],
    shards: Sequence[Path],
    folder: Path,
    progress: Progress,
) -> dict[str, str]:
    """Write every column of the kept rows; returns sequence view -> column, which is ``text`` for views that equal the canonical text."""
    own = [name for name in domain.sequences if any(_has(path, f"view.{name}.values") for path in shards)]
    with ExitStack() as stack:
        labels = stack.enter_context(ColumnWriter(folder / "labels.npy", np.float32, (len(plan.names),)))
        plain = {
            "source": stack.enter_context(ColumnWriter(folder / "file.npy", np.uint16)),
            "line": stack.enter_context(ColumnWriter(folder / "line.npy", np.int64)),
        }
        ragged = {name: stack.enter_context(RaggedWriter(folder / name, np.uint8)) for name in ("text", "key")}
        ragged |= {f"view.{name}": stack.enter_context(RaggedWriter(folder / f"view.{name}", np.uint8)) for name in own}
        graph = domain.graph
        for name, dtype, width in (
            ("nodes", np.uint8, len(graph.node_sizes)),
            ("edges", np.uint16, 2),
            ("edge_features", np.uint8, len(graph.edge_sizes)),
        ):
            ragged[name] = stack.enter_context(RaggedWriter(folder / name, dtype, (width,)))
        done = start = 0
        for path, rows, count in zip(shards, index.rows(kept), index.counts, strict=True):
            with Shard(path) as shard:
                labels.append(index.labels(shard.plain("labels"), start)[rows])
                for name, column in plain.items():
                    column.append(shard.plain(name)[rows])
                for name, target in ragged.items():
                    target.append(*shard.ragged(name if f"{name}.values" in shard else "text", rows))
            done, start = done + len(rows), start + count
            progress("write", done, len(kept))
        with ColumnWriter(folder / "split.npy", np.uint8) as column:
            column.append(split)
    return {name: f"view.{name}" if name in own else "text" for name in domain.sequences}


def _compared(twins: Twins[Any], parse: Callable[[str], Any], shards: Sequence[Path], report: Callable[[int], None]) -> NDArray[np.int64]:
    """For each row (n,) the first that is the same record (``Domain.twins``), its own number where there is none. report: rows done."""
    first: list[int] = []
    added: list[int] = []
    for path in shards:
        with Shard(path) as shard:
            for text in shard.texts("text"):
                same = twins.find(record := parse(text))
                if same is None:
                    twins.add(record)
                    added.append(len(first))
                first.append(added[-1 if same is None else same])
                if len(first) % _OFTEN == 0:
                    report(len(first))
    report(len(first))
    return np.array(first, np.int64)


def _write_rejected(plan: Plan, index: _Index, shards: Sequence[Path], file: Path) -> list[str]:
    """Write all rejected rows and duplicates; returns the first rejected ones as ``file:line: reason``."""
    names = [Path(source.path).name for source in plan.sources]
    sources, lines = _origins(shards)
    first_bad: list[str] = []
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["file", "line", "reason", "text"])
        start = 0
        for path, count in zip(shards, index.counts, strict=True):
            with Shard(path) as shard:
                name = names[int(shard.plain("chunk_source"))]
                for line, why, text in zip(shard.plain("bad_line").tolist(), shard.texts("bad_why"), shard.texts("bad_text"), strict=True):
                    table.writerow([name, line, why, text])
                    if len(first_bad) < FIRST:
                        first_bad.append(f"{name}:{line}: {why}")
            for row in range(start, start + count):
                if (first := int(index.first[row])) != row:
                    table.writerow([name, int(lines[row]), f"duplicate of {names[sources[first]]}:{lines[first]}", ""])
            start += count
    return first_bad


def _origins(shards: Sequence[Path]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """Source index and line of every row in the shards."""
    sources, lines = [np.empty(0, np.uint16)], [np.empty(0, np.int64)]
    for path in shards:
        with Shard(path) as shard:
            sources.append(shard.plain("source"))
            lines.append(shard.plain("line"))
    return np.concatenate(sources), np.concatenate(lines)


def _write_manifest(domain: Domain[Any], plan: Plan, summary: Summary, views: dict[str, str], out: Path) -> None:
    units = {name: domain.properties[name].unit for name in plan.properties}
    units |= {name: plan.units.get(column, plan.units.get(name, "")) for column, name in plan.labels.items()}
    manifest = {
        "format": "molvae-store",
        "format_version": FORMAT,
        "molvae": plan.version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "domain": domain.name,
        "rows": summary.kept,
        "properties": list(plan.names),
        "units": units,
        "views": views,
        "sources": [Path(source.path).name for source in plan.sources],
        "fingerprint": plan.fingerprint,
        "request": plan.request(),
        "summary": {name: getattr(summary, name) for name in Summary.__dataclass_fields__},
    }
    scratch = out / f".{MANIFEST}.{os.getpid()}"
    scratch.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    scratch.replace(out / MANIFEST)
