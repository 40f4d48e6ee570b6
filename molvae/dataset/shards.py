"""One chunk of source rows made into one shard file; runs in worker processes. Axes: m kept rows of the chunk, P properties."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np

from molvae.dataset.plan import Plan, Tally, choose_steps, resolve
from molvae.dataset.ragged import Ragged, encode_texts
from molvae.errors import InvalidRecord
from molvae.protocols import Domain, Property, Step
from molvae.records import GraphArrays, Row

UNDECIDED = 255
CANONICAL = "canonicalisation"
_LARGEST = float(np.finfo(np.float32).max)
SPLIT_WORDS = {"train": 0, "training": 0, "valid": 1, "validation": 1, "val": 1, "dev": 1, "test": 2, "testing": 2, "holdout": 2}


class _Rejected(Exception):
    """A row that is left out. Attributes: reason (counted by), why (in words)."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason
        self.why = why


@dataclass
class _Kept:
    """The columns of a chunk under construction, one entry per kept row."""

    lines: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    groups: list[bytes] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)
    labels: list[list[float]] = field(default_factory=list)
    graphs: list[GraphArrays] = field(default_factory=list)
    views: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """What one worker needs for its chunks, made once: the domain and the chosen steps and properties."""

    plan: Plan
    folder: Path
    domain: Domain[Any]
    steps: Sequence[Step[Any]]
    properties: Sequence[Property[Any]]

    @classmethod
    def of(cls, plan: Plan, folder: Path) -> Bench:
        domain: Domain[Any] = resolve(plan.domain)()
        steps = choose_steps(domain, plan.steps)
        return cls(plan, folder, domain, steps, [domain.properties[name] for name in plan.properties])

    def make(self, number: int, source: int, rows: Sequence[Row]) -> tuple[int, Tally]:
        """Clean and convert the rows of chunk ``number`` and write its shard; returns number and counts."""
        kept = _Kept(views={name: [] for name in self.domain.sequences})
        tally = Tally()
        bad: list[tuple[int, str, str]] = []
        for row in rows:
            tally.read += 1
            try:
                self._row(row, source, kept, tally)
            except _Rejected as error:
                tally.rejected[error.reason] += 1
                bad.append((row.line, f"{error.reason}: {error.why}", row.text[:200]))
        _write(shard_path(self.folder, number), kept, tally, bad, source, self)
        return number, tally

    def _row(self, row: Row, source: int, kept: _Kept, tally: Tally) -> None:
        """Convert one row and append it to every column, or to none. Raises _Rejected."""
        if row.error is not None:
            raise _Rejected("unusable row", row.error)
        domain = self.domain
        record = parsed = _apply("not parsed", domain.parse, row.text)
        changed: list[str] = []
        for step in self.steps:
            after = _apply(step.name, step.apply, record)
            if after is not record and after != record:
                changed.append(step.name)
            record = after
        text = _apply("not written", domain.write, record)
        if (_apply("not written", domain.write, parsed) if changed else text) != row.text:
            changed.append(CANONICAL)
        strings = {name: self._string(name, record) for name in domain.sequences}
        graph = _apply("no graph", domain.graph.build, record)
        key = _apply("no key", domain.key, record)
        group = _apply("no group", domain.group, record) if self.plan.split == "group" else ""
        split = self._split(row, source)
        values = [_apply(f"property {p.name}", p.compute, record) for p in self.properties]
        values += [self._label(row, column, tally) for column in self.plan.labels]
        kept.lines.append(row.line)
        kept.texts.append(text)
        kept.keys.append(key)
        kept.groups.append(hashlib.blake2b(group.encode(), digest_size=8).digest())
        kept.splits.append(split)
        kept.labels.append(values)
        kept.graphs.append(graph)
        for name, string in strings.items():
            kept.views[name].append(string)
        tally.changed.update(changed)

    def _string(self, name: str, record: Any) -> str:
        try:
            string: str = _apply(f"no {name} string", self.domain.sequences[name].write, record)
            return string
        except _Rejected:
            # Without its default strings a record can neither be read nor written by a model; any other view is a bonus.
            if name in (self.domain.source, self.domain.target):
                raise
            return ""

    def _split(self, row: Row, source: int) -> int:
        column = self.plan.split_column()
        if column is None:
            return self.plan.sources[source].split
        word = str(row.labels.get(column, "")).strip().lower()
        if word not in SPLIT_WORDS:
            raise _Rejected("no split", f"{word!r} in column {column!r}; wanted train, valid or test")
        return SPLIT_WORDS[word]

    def _label(self, row: Row, column: str, tally: Tally) -> float:
        cell = row.labels.get(column, np.nan)
        if isinstance(cell, str):
            tally.unreadable_labels[self.plan.labels[column]] += 1
            return np.nan
        return cell if abs(cell) <= _LARGEST else np.nan


def _apply(reason: str, function: Callable[[Any], Any], argument: Any) -> Any:
    """function(argument), with every failure counted under ``reason``: one odd record must not end a run of a million."""
    try:
        return function(argument)
    except InvalidRecord as error:
        raise _Rejected(reason, error.why) from error
    except MemoryError:
        raise
    except Exception as error:
        raise _Rejected(reason, f"unexpected {type(error).__name__}: {error}") from error


def shard_path(folder: Path, number: int) -> Path:
    """The file of one shard."""
    return folder / f"shard-{number:06d}.npz"


def _write(path: Path, kept: _Kept, tally: Tally, bad: list[tuple[int, str, str]], source: int, bench: Bench) -> None:
    columns: dict[str, Any] = {
        "chunk_source": np.array(source, np.uint16),
        "line": np.array(kept.lines, np.int64),
        "source": np.full(len(kept.lines), source, np.uint16),
        "split": np.array(kept.splits, np.uint8),
        "labels": np.array(kept.labels, np.float64).reshape(len(kept.lines), len(bench.plan.names)).astype(np.float32),
        "group": np.frombuffer(b"".join(kept.groups), np.uint64),
        "digest": np.frombuffer(b"".join(_digest(key) for key in kept.keys), np.uint64).reshape(-1, 2),
        "tally": np.array(tally.to_json()),
        "bad_line": np.array([line for line, _, _ in bad], np.int64),
    }
    texts = {"text": kept.texts, "key": kept.keys, "bad_why": [why for _, why, _ in bad], "bad_text": [text for _, _, text in bad]}
    # A view that says the same as the canonical text is kept once.
    texts |= {f"view.{name}": strings for name, strings in kept.views.items() if strings != kept.texts}
    for name, strings in texts.items():
        columns[f"{name}.values"], columns[f"{name}.lengths"] = encode_texts(strings)
    view = bench.domain.graph
    for name, dtype, width, arrays in (
        ("nodes", np.uint8, len(view.node_sizes), [graph.nodes for graph in kept.graphs]),
        ("edges", np.uint16, 2, [graph.edges for graph in kept.graphs]),
        ("edge_features", np.uint8, len(view.edge_sizes), [graph.edge_features for graph in kept.graphs]),
    ):
        ragged = Ragged.of(arrays, dtype, (width,))
        columns[f"{name}.values"], columns[f"{name}.lengths"] = ragged.values, ragged.lengths()
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        np.savez(file, **columns)
    scratch.replace(path)


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


_bench: Bench | None = None


def start_worker(plan: Plan, folder: Path) -> None:
    """Set up a worker process: one thread, quiet, and gone when its parent is."""
    global _bench
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
        os.environ[name] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    parent = parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
        # Libraries under a domain write their complaints about single rows to file descriptor 2; every reason is in the shard.
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 2)
        os.close(silent)
    _bench = Bench.of(plan, folder)


def make_shard(number: int, source: int, rows: Sequence[Row]) -> tuple[int, Tally]:
    """Bench.make in a worker that ``start_worker`` set up."""
    if _bench is None:
        raise RuntimeError("make_shard before start_worker")
    return _bench.make(number, source, rows)
