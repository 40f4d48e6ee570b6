"""What a preparation is asked to do, and what came of it: plain data that travels to workers and into the manifest."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from molvae.errors import UsageError
from molvae.protocols import Domain, Step

CHUNK = 5_000
"""Source rows in one shard."""


def reference(function: Callable[..., Any]) -> str:
    """``module:name`` by which worker processes import a function. Raises UsageError for lambdas and inner functions."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "<")
    if module is None or "<" in name or "." in name:
        raise UsageError(f"{function!r} cannot be imported by worker processes; give a function at the top level of a module")
    return f"{module}:{name}"


def resolve(text: str) -> Any:
    """The object that ``reference`` named."""
    module, _, name = text.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class Source:
    """One input file: path, SHA-256 of its bytes, and the split all its rows belong to (255: to be decided)."""

    path: str
    sha256: str
    split: int = 255


@dataclass(frozen=True)
class Plan:
    """A request in full; two with the same ``fingerprint`` make the same data set.

    domain: ``module:name`` of the function that makes it. steps: specifications in order. labels: the source's column -> the
    property's name. split: ``random``, ``group``, ``file`` or a column's name. The text column is looked up in each file where None.
    """

    domain: str
    sources: tuple[Source, ...]
    column: str | None
    properties: tuple[str, ...]
    labels: Mapping[str, str]
    units: Mapping[str, str]
    steps: tuple[str, ...]
    split: str
    fractions: tuple[float, float, float]
    seed: int
    limit: int | None
    version: str
    chunk: int = CHUNK

    def request(self) -> dict[str, Any]:
        """The plan as JSON; files by name and content, because where they lie does not matter."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        content["sources"] = [{**source, "path": Path(source["path"]).name} for source in content["sources"]]
        return content

    @property
    def fingerprint(self) -> str:
        """SHA-256 of ``request``, hexadecimal."""
        return hashlib.sha256(json.dumps(self.request(), sort_keys=True).encode()).hexdigest()

    @property
    def names(self) -> tuple[str, ...]:
        """All properties in column order: the computed, then the given."""
        return (*self.properties, *self.labels.values())

    def split_column(self) -> str | None:
        """The source column that tells the split, if one does."""
        return None if self.split in ("random", "group", "file") else self.split

    def kept_columns(self) -> frozenset[str]:
        """Source columns that the preparation reads besides the text."""
        column = self.split_column()
        return frozenset(self.labels) | (frozenset({column}) if column else frozenset())


def choose_steps(domain: Domain[Any], specifications: tuple[str, ...]) -> list[Step[Any]]:
    """Cleaning steps by name, or by ``name=arguments``. Raises UsageError for unknown ones."""
    known = {step.name: step for step in domain.steps}
    steps: list[Step[Any]] = []
    for text in specifications:
        if text in known:
            steps.append(known[text])
        elif domain.step is not None and "=" in text:
            steps.append(domain.step(text))
        else:
            more = "" if domain.step is None else "; those with arguments are NAME=ARGUMENTS, see 'molvae data prepare --help'"
            raise UsageError(f"unknown cleaning step {text!r}; known: {', '.join(known) or 'none'}{more}")
    return steps


@dataclass
class Tally:
    """Counts over one chunk or all: rows read, rows rejected by reason, rows changed by step, cells that were no numbers."""

    read: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    unreadable_labels: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add the counts of another chunk."""
        self.read += other.read
        self.rejected.update(other.rejected)
        self.changed.update(other.changed)
        self.unreadable_labels.update(other.unreadable_labels)

    def to_json(self) -> str:
        """All counts as JSON."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> Tally:
        """The inverse of ``to_json``."""
        content = json.loads(text)
        return cls(content["read"], *(Counter(content[name]) for name in ("rejected", "changed", "unreadable_labels")))


@dataclass(frozen=True)
class Summary:
    """What a preparation did with its rows: ``read == kept + duplicates + sum(rejected.values())``.

    rejected: reason -> rows. changed: cleaning step, or ``canonicalisation``, -> rows it changed. unreadable_labels: property -> cells that
    were no numbers and are NaN now. first: the first bad rows as ``file:line: reason``; all of them are in ``rejected.csv``.
    """

    read: int
    kept: int
    duplicates: int
    rejected: Mapping[str, int]
    changed: Mapping[str, int]
    unreadable_labels: Mapping[str, int]
    first: tuple[str, ...]
    splits: Mapping[str, int]

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Summary:
        """The summary that a prepared data set carries."""
        content = dict(manifest["summary"])
        return cls(**{**content, "first": tuple(content["first"])})
