"""Records to batches and token sequences back to texts, for one domain and one pair of vocabularies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from molvae.dataset.batches import Columns, batch_graphs, pad_rows, standardise
from molvae.dataset.store import Store
from molvae.errors import CheckpointError, InvalidRecord, UnknownName, UsageError
from molvae.protocols import Domain, Prefix, SequenceView
from molvae.records import Batch, TokenBatch
from molvae.tokens import END, SymbolBPE

R = TypeVar("R")


@dataclass(frozen=True)
class Labels:
    """Names and units of the P conditioning properties, in the order of the label columns."""

    names: tuple[str, ...]
    units: Mapping[str, str]


@dataclass(frozen=True)
class Representation(Generic[R]):
    """How a model reads and writes records of a domain. source: the encoder's string and vocabulary; target: the decoder's."""

    domain: Domain[R]
    source: SequenceView[R]
    source_bpe: SymbolBPE
    target: SequenceView[R]
    target_bpe: SymbolBPE
    labels: Labels
    views: tuple[str, ...]
    learnt: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        domain: Domain[R],
        store: Store,
        *,
        source: str,
        target: str,
        source_size: int,
        target_size: int,
        properties: Sequence[str],
        views: Sequence[str],
        sample: int = 200_000,
    ) -> Representation[R]:
        """Learn both vocabularies from at most ``sample`` training rows; single symbols come from all training rows read."""
        for name in (source, target):
            if name not in domain.sequences:
                raise UnknownName(f"string of the {domain.name} domain", name, list(domain.sequences))
        labels = labels_in(store, properties)
        rows = store.rows("train")
        if len(rows) > sample:
            rows = np.sort(np.random.default_rng(0).choice(rows, sample, replace=False))

        learnt: dict[str, tuple[str, ...]] = {}

        def settled(name: str) -> SequenceView[R]:
            view = domain.sequences[name]
            if view.learn is not None:
                learnt[name] = tuple(view.learn(t for t in store.texts(name, rows) if t))
            return _using(view, learnt)

        def learn(view: SequenceView[R], size: int) -> SymbolBPE:
            if view.alphabet:
                return SymbolBPE(view.alphabet, ())
            texts = (t for t in store.texts(view.name, rows) if t)
            return SymbolBPE.train((view.symbols(t) for t in texts), size)

        reads, writes = settled(source), settled(target)
        return cls(domain, reads, learn(reads, source_size), writes, learn(writes, target_size), labels, tuple(views), learnt)

    # --- records -> tensors --------------------------------------------------------------------------------------------------------

    def columns(self, store: Store, mean: torch.Tensor, std: torch.Tensor) -> Columns:
        """A store as this model reads it; labels standardised by mean and std (P,)."""
        index = [store.property_names.index(p) for p in self.labels.names]
        labels = standardise(np.asarray(store.labels[:, index]), mean, std)
        source = store.tokens(self.source.name, self.source_bpe, self.source.symbols) if "sequence" in self.views else None
        target = store.tokens(self.target.name, self.target_bpe, self.target.symbols)
        return Columns(store, source, target, "graph" in self.views, labels, "written" in self.views)

    def unwritten(self, store: Store) -> str:
        """The first row of a store, of which ``columns`` were made, that the vocabularies cannot write, and why; empty where there is none."""
        views = [(self.target, self.target_bpe), *([(self.source, self.source_bpe)] if "sequence" in self.views else [])]
        for view, bpe in views:
            for row, why in store.untokenised(view.name, bpe)["first"][:1]:
                return f"{store.texts('text', np.array([row]))[0]} ({view.name}: {why})"
        return ""

    def batch(self, records: Sequence[R], views: Sequence[str] | None = None, *, target: bool = False) -> Batch:
        """Records as a batch, with the chosen views (all that the model reads where None). Raises InvalidRecord for the first that has no string."""
        wanted = self._wanted(views)
        sources = [self.reads(r) for r in records] if "sequence" in wanted else []
        targets = [self.writes(r) for r in records] if target or "written" in wanted else []
        batch = self._assembled(records, sources, targets, wanted)
        return batch if target else replace(batch, target=None)

    def able(self, records: Sequence[R], views: Sequence[str] | None = None) -> tuple[Batch | None, list[int]]:
        """The batch, with targets, of those records that the model can read and write, None where there are none, and their places."""
        wanted = self._wanted(views)
        strings: list[tuple[list[int], list[int]]] = []
        places: list[int] = []
        for place, record in enumerate(records):
            try:
                strings.append((self.reads(record), self.writes(record)))
            except InvalidRecord:
                continue
            places.append(place)
        if not places:
            return None, places
        sources, targets = zip(*strings, strict=True)
        return self._assembled([records[k] for k in places], sources, targets, wanted), places

    def _wanted(self, views: Sequence[str] | None) -> tuple[str, ...]:
        wanted = self.views if views is None else tuple(views)
        if unknown := [v for v in wanted if v not in self.views]:
            raise UnknownName("view of this model", unknown[0], list(self.views))
        return wanted

    def _assembled(
        self, records: Sequence[R], sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], wanted: Sequence[str]
    ) -> Batch:
        """Records whose strings are tokens already, as far as they are wanted."""
        writing = pad_rows(targets) if targets else None
        return Batch(
            size=len(records),
            coded=len(records),
            source=pad_rows(sources) if "sequence" in wanted else None,
            graph=batch_graphs([self.domain.graph.build(r) for r in records]) if "graph" in wanted else None,
            target=writing,
            labels=torch.full((len(records), len(self.labels.names)), torch.nan),
            written=writing if "written" in wanted else None,
        )

    def targets(self, records: Sequence[R]) -> TokenBatch:
        """The decoder's sequences of these records. Raises InvalidRecord."""
        return pad_rows([self.writes(r) for r in records])

    def encodable(self, record: R, views: Sequence[str] | None = None) -> None:
        """Raises InvalidRecord where the model cannot read or write this record; with views, where it has no string for one of them."""
        wanted = ("sequence", "written") if views is None else self._wanted(views)
        if "sequence" in wanted:
            self.reads(record)
        if "written" in wanted:
            self.writes(record)

    def reads(self, record: R) -> list[int]:
        """The encoder's tokens of a record. Raises InvalidRecord where it has no such string or a symbol is unknown."""
        return self.source_bpe.encode(self.source.symbols(self.source.write(record)))

    def writes(self, record: R) -> list[int]:
        """The decoder's tokens of a record. Raises as ``reads``."""
        return self.target_bpe.encode(self.target.symbols(self.target.write(record)))

    # --- tokens -> records ---------------------------------------------------------------------------------------------------------

    def text(self, tokens: Sequence[int]) -> str:
        """Token ids -> the string they spell, valid or not."""
        return "".join(self.target_bpe.decode(list(tokens)))

    def record(self, tokens: Sequence[int]) -> R:
        """Token ids -> record. Raises InvalidRecord where they spell none."""
        text = self.text(tokens)
        if not text:
            raise InvalidRecord(text, "the decoder wrote an empty string")
        return self.target.read(text)

    def rules(self, asked: Mapping[str, str] | None = None) -> Prefix | None:
        """The empty prefix under the target's grammar with what is asked by the names of ``Domain.constraints``; None where there is none.

        Raises UsageError for names that the domain does not know, and for wishes that cannot be read or fulfilled.
        """
        wishes = dict(asked or {})
        known = self.domain.constraints if self.target.grammar is not None else {}
        if unknown := [name for name in wishes if name not in known]:
            what = f"it has {', '.join(known)}" if known else "it has none"
            raise UsageError(f"{unknown[0]!r} is no constraint of the {self.domain.name} domain's {self.target.name} strings; {what}")
        if self.target.grammar is None:
            return None
        bpe = self.target_bpe
        tokens = [*[""] * (END + 1), *("".join(bpe.token_symbols(number)) for number in range(END + 1, len(bpe)))]
        return self.target.grammar(tokens, END, wishes)

    # --- storage -------------------------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable; ``from_dict`` with the same domain restores it."""
        return {
            "domain": self.domain.name,
            "source": {"view": self.source.name, "vocabulary": self.source_bpe.to_dict()},
            "target": {"view": self.target.name, "vocabulary": self.target_bpe.to_dict()},
            "labels": list(self.labels.names),
            "units": dict(self.labels.units),
            "views": list(self.views),
            "learnt": {name: list(values) for name, values in self.learnt.items()},
            "node_sizes": list(self.domain.graph.node_sizes),
            "edge_sizes": list(self.domain.graph.edge_sizes),
        }

    @classmethod
    def from_dict(cls, domain: Domain[R], values: Mapping[str, Any], where: str) -> Representation[R]:
        """Raises CheckpointError where the entries are missing or do not fit this version's domain."""
        try:
            sizes = (tuple(values["node_sizes"]), tuple(values["edge_sizes"]))
            source, target = values["source"], values["target"]
            learnt = {name: tuple(kept) for name, kept in values.get("learnt", {}).items()}
            result = cls(
                domain,
                _using(domain.sequences[source["view"]], learnt),
                SymbolBPE.from_dict(source["vocabulary"]),
                _using(domain.sequences[target["view"]], learnt),
                SymbolBPE.from_dict(target["vocabulary"]),
                Labels(tuple(values["labels"]), dict(values["units"])),
                tuple(values["views"]),
                learnt,
            )
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise CheckpointError(where, f"representation.json is damaged ({type(error).__name__}: {error}); get a fresh copy") from error
        if sizes != (domain.graph.node_sizes, domain.graph.edge_sizes):
            raise CheckpointError(where, "its graph columns differ from this version's; retrain it, or use the version that wrote it")
        return result


def _using(view: SequenceView[R], learnt: Mapping[str, tuple[str, ...]]) -> SequenceView[R]:
    return view.using(learnt[view.name]) if view.using is not None and view.name in learnt else view


def only(batch: Batch, view: str) -> Batch:
    """A batch of several views as one that has this view alone."""
    fields = {"sequence": "source", "graph": "graph", "written": "written"}
    others: dict[str, Any] = {field: None for name, field in fields.items() if name != view}
    return replace(batch, **others)


def parts_begun(view: SequenceView[Any], bpe: SymbolBPE) -> list[int]:
    """For each token (V), 2 where a symbol of it begins the string's last part, 1 where it begins another one, else 0."""
    kinds = [0] * len(bpe)
    for number in range(END + 1, len(bpe)):
        symbols = set(bpe.token_symbols(number))
        kinds[number] = 2 if symbols & view.closes else 1 if symbols & view.begins else 0
    return kinds


def labels_in(store: Store, properties: Sequence[str]) -> Labels:
    """These labels of a store. Raises UnknownName where it lacks one."""
    if missing := [p for p in properties if p not in store.property_names]:
        raise UnknownName(f"label in {store.path}", missing[0], list(store.property_names))
    return Labels(tuple(properties), {p: store.units.get(p, "") for p in properties})


def labels_of(store: Store, names: Sequence[str]) -> NDArray[np.float32]:
    """Label columns (n, P) of a store by name, in their own units."""
    return np.asarray(store.labels[:, [store.property_names.index(p) for p in names]])
