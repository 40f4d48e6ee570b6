"""The small protocol between the core and a domain (molecules, crystals). The core imports nothing but this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from molvae.records import Candidate, GraphArrays, Row

R = TypeVar("R")
R_in = TypeVar("R_in", contravariant=True)


class Prefix(Protocol):
    """The beginning of a token sequence under a grammar. Immutable. V: size of the vocabulary."""

    def allowed(self) -> NDArray[np.bool_]:
        """Which tokens (V,) may come next, at least one while the end mark was not taken. Shared: do not change it."""

    def advance(self, token: int) -> Prefix:
        """The prefix that a token makes longer. Raises UsageError where it may not come next."""


@dataclass(frozen=True)
class SequenceView(Generic[R]):
    """One way to write a record as a string of symbols.

    write: raises InvalidRecord where the record has no such string. symbols: ``"".join(symbols(s)) == s``.
    read: raises InvalidRecord; ``key(read(write(r))) == key(r)``. A view whose symbols depend on the data (whole ring systems as symbols)
    has learn: training strings -> what to keep in the checkpoint; and using: that -> the view with these symbols.

    alphabet: every symbol there can be; such a view has them all as its tokens, none merged. grammar: strings of the tokens, id of the end mark,
    what is asked by the names of ``Domain.constraints`` -> the empty prefix, whose every completion ``read`` accepts; it raises UsageError for
    wishes that it cannot read or that nothing fulfils. longest: tokens a draw may have. leeway: string -> log of how many strings say nearly
    the same, where numbers have more digits than tell records apart; None: each says something else. begins, closes: symbols at which a part of the
    string begins, such as an orbit, and at which its last part does, of strings made of parts.
    """

    name: str
    write: Callable[[R], str]
    symbols: Callable[[str], list[str]]
    read: Callable[[str], R]
    learn: Callable[[Iterable[str]], list[str]] | None = None
    using: Callable[[Sequence[str]], SequenceView[R]] | None = None
    alphabet: tuple[str, ...] = ()
    grammar: Callable[[Sequence[str], int, Mapping[str, str]], Prefix] | None = None
    longest: int = 128
    leeway: Callable[[str], float] | None = None
    begins: frozenset[str] = frozenset()
    closes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GraphView(Generic[R]):
    """A record as a graph of categorical features. node_sizes and edge_sizes: number of categories of each feature column."""

    build: Callable[[R], GraphArrays]
    node_sizes: tuple[int, ...]
    edge_sizes: tuple[int, ...]


@dataclass(frozen=True)
class Property(Generic[R]):
    """A number computed from a record; ``compute`` returns NaN where it is undefined and never raises."""

    name: str
    unit: str
    description: str
    compute: Callable[[R], float]


@dataclass(frozen=True)
class Check(Generic[R]):
    """A test of validity or stability. ``test`` returns None where passed, else the reason in words.

    source: where the rule comes from. default: part of the verdict unless the user says otherwise.
    """

    name: str
    source: str
    test: Callable[[R], str | None]
    default: bool = True


@dataclass(frozen=True)
class Step(Generic[R]):
    """A cleaning step: returns the (possibly changed) record, or raises InvalidRecord to drop it with a reason."""

    name: str
    description: str
    apply: Callable[[R], R]
    default: bool = True


@dataclass(frozen=True)
class Source(Generic[R]):
    """Endpoints that a domain offers beside its properties: published objectives by name, programs set up by a file.

    open: an argument -> name of the endpoint, and the function of a record behind it, which travels to worker processes and raises
    InvalidRecord with the reason where a record has no value. ``open`` raises UnknownName, UsageError, DataError, and MissingExtra where an
    optional package is absent. argument: what it is, in a word for messages. names: the arguments there are, none where it is a file.
    """

    open: Callable[[str], tuple[str, Callable[[R], float]]]
    argument: str
    description: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison(Generic[R]):
    """A measure of two sets of records. compute: drawn, reference -> the value, NaN where it is undefined; raises MissingExtra where an
    optional package is absent. description: what its values mean."""

    name: str
    description: str
    compute: Callable[[Sequence[R], Sequence[R]], float]


@dataclass(frozen=True)
class StabilityPlan:
    """How stabilities are to be computed.

    reference: name or file of what is known of competing records. relax: before anything else. ensemble: say how far several models disagree.
    dynamics: names among ``Stability.dynamics``. steps, force, threshold: None for the domain's own. seconds: for one record. workers: local
    processes, 0 for this one; or cluster: address of a scheduler.
    """

    reference: str
    relax: bool = False
    ensemble: bool = False
    dynamics: tuple[str, ...] = ()
    steps: int | None = None
    force: float | None = None
    threshold: float | None = None
    seconds: float = 600.0
    workers: int = 1
    cluster: str | None = None


@dataclass(frozen=True)
class StabilityRow:
    """What came out for one record. verdict: one of ``Stability.verdicts``. values: by column, NaN and empty where unknown. reason: why there is
    no verdict, or no result."""

    verdict: str
    reason: str
    values: Mapping[str, float | str | bool]


@dataclass(frozen=True)
class HullReport:
    """What a reference was made of. counts: what it holds, by kind. left_out: (where, why) of rows that say nothing. remarks: what will surprise."""

    name: str
    rows: int
    counts: Mapping[str, int]
    left_out: Sequence[tuple[str, str]]
    remarks: Sequence[str]


@dataclass(frozen=True)
class Stability:
    """Stability of a domain's records.

    run: texts, plan -> (place in the texts, result), as they come; a record that fails is a result with its reason. Raises UsageError, DataError
    for a bad reference, MissingExtra where an optional package is absent. build: files, systems to be asked of a public database, name, file
    to write -> report. competitors: text, reference -> the record's composition and the known phases of its elements, each with its formation
    energy. columns: of every row, in order. verdicts: the best first; the last one is for what failed.
    """

    run: Callable[[Sequence[str], StabilityPlan], Iterator[tuple[int, StabilityRow]]]
    build: Callable[[Sequence[Path], Sequence[str], str, Path], HullReport]
    competitors: Callable[[str, str], tuple[Mapping[str, float], Sequence[tuple[Mapping[str, float], float]]]]
    columns: tuple[str, ...]
    verdicts: tuple[str, ...]
    dynamics: tuple[str, ...]


class Twins(Protocol[R_in]):
    """A memory of records, in which one is the same as another although their keys differ."""

    def find(self, record: R_in) -> int | None:
        """The number of the one that is the same, as they were added, from 0; None for a new one."""

    def add(self, record: R_in) -> None:
        """Remember a record."""


@dataclass(frozen=True)
class Domain(Generic[R]):
    """Everything the core knows about a kind of matter.

    parse raises InvalidRecord(text, why); ``parse(write(r)) == r``; key is the identity for unique and novel.
    group: text by which a grouped split keeps relatives together (Murcko scaffold, reduced formula).
    sequences: the encoder's and the decoder's strings by name; source, target: the defaults among them.
    similarity: in [0, 1], 1 for identical records. queries: kind -> (text -> test of a record), such as substructures; a bad text raises
    UsageError. step: a cleaning step with arguments from ``name=arguments``. readers and exporters: file formats of the domain by suffix.
    draw: text -> SVG. scene: text -> JSON of what a 3D viewer shows: colours and radii of elements, balls, sticks, lines. facts: text ->
    name -> value in words, such as symmetry. figures: name -> (text -> SVG), such as a diffraction pattern. All raise InvalidRecord.
    features: records (n) -> non-negative counts (n, F) float32 for surrogates of a search, or None where there are none.
    sources: kind -> further endpoints, named ``kind:argument``. comparisons: of drawn records with reference ones. stability: None where a
    domain has none. library: known records -> (record -> its nearest among them, as columns ``nearest``, ``nearest_similarity`` and the domain's
    own; nothing where there are none). matches: whether two records are the same within the field's tolerances, where texts of the same record can
    differ. words: what a record is, in short words for columns of tables. column: what a record's text is called in
    tables. vary: a relative of a record, which need not exist but reads and writes like one (``molvae.practice``). constraints: name -> what it
    means, of wishes that the grammar of the target string fulfils exactly.
    databases: public ones that records are asked of: name -> (what, table to write -> rows). twins: () -> a memory of records that says which of
    them another one is, where keys are too coarse or too fine to say which are duplicates.
    settings: dotted settings of ``molvae.config`` in which this domain's models differ from the general defaults. split: how a data set's rows
    are split where nobody says.
    """

    name: str
    parse: Callable[[str], R]
    write: Callable[[R], str]
    key: Callable[[R], str]
    group: Callable[[R], str]
    similarity: Callable[[R, Sequence[R]], list[float]]
    sequences: Mapping[str, SequenceView[R]]
    source: str
    target: str
    graph: GraphView[R]
    checks: Sequence[Check[R]]
    properties: Mapping[str, Property[R]]
    steps: Sequence[Step[R]]
    step: Callable[[str], Step[R]] | None = None
    queries: Mapping[str, Callable[[str], Callable[[R], bool]]] = field(default_factory=dict)
    readers: Mapping[str, Callable[[Path], Iterator[Row]]] = field(default_factory=dict)
    exporters: Mapping[str, Callable[[Sequence[Candidate], Path], None]] = field(default_factory=dict)
    draw: Callable[[str], str] | None = None
    scene: Callable[[str], str] | None = None
    facts: Callable[[str], Mapping[str, str]] | None = None
    figures: Mapping[str, Callable[[str], str]] = field(default_factory=dict)
    features: Callable[[Sequence[R]], NDArray[np.float32]] | None = None
    sources: Mapping[str, Source[R]] = field(default_factory=dict)
    comparisons: Sequence[Comparison[R]] = ()
    stability: Stability | None = None
    library: Callable[[Sequence[R]], Callable[[R], Mapping[str, float | str]]] | None = None
    matches: Callable[[R, R], bool] | None = None
    words: Callable[[R], Mapping[str, str]] | None = None
    column: str = "text"
    vary: Callable[[R, np.random.Generator], R] | None = None
    constraints: Mapping[str, str] = field(default_factory=dict)
    databases: Mapping[str, Callable[[str, Path], int]] = field(default_factory=dict)
    twins: Callable[[], Twins[R]] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    split: str = "random"
