"""A prepared data set: one folder of memory-mapped columns and a manifest. Axes: n rows, P properties, F features, k chosen rows."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from molvae.dataset.ragged import Array, Ragged, RaggedWriter, decode_texts, open_array
from molvae.errors import DataError, InvalidRecord, UnknownName

FORMAT = 1
MANIFEST = "manifest.json"
SPLITS = ("train", "valid", "test")
TOKEN_BLOCK = 20_000


class Vocabulary(Protocol):
    """What the store asks of a tokeniser, such as molvae.tokens.SymbolBPE; token ids fit uint16."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the encoding of any string may change."""

    def encode(self, symbols: list[str]) -> list[int]:
        """Token ids of one string of symbols. Raises InvalidRecord where a symbol is unknown."""

    def encode_many(self, rows: Sequence[list[str]]) -> list[list[int] | None]:
        """Token ids of each row, None where a symbol is unknown."""


class LabelScale(NamedTuple):
    """mean (P,) and std (P,) float32 in each property's own unit. NaN where no training row has a label; a constant property has std 1."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a prepared data set. Raises DataError where ``path`` holds none that this version reads."""
    file = path / MANIFEST
    if not file.is_file():
        raise DataError(path, f"no prepared data set (there is no {MANIFEST}); make one with `molvae data prepare`")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(file, f"no JSON ({error}); prepare the data set again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != "molvae-store":
        raise DataError(file, "not the manifest of a molvae data set")
    if manifest.get("format_version") != FORMAT:
        raise DataError(file, f"format {manifest.get('format_version')}, this version reads {FORMAT}; prepare the data set again")
    return manifest


class Store:
    """A prepared data set, read-only. Open with ``Store.open(path)``; pickles as its path, so worker processes map the same files.

    labels (n, P) float32, NaN where unknown; split (n,) uint8: 0 train, 1 valid, 2 test; file (n,) uint16 and line (n,) int64: where each
    row came from (index into ``manifest["sources"]``, 1-based line); nodes: rows (N, F_node) uint8; edges: rows (E, 2) uint16, each
    undirected edge once; edge_features: rows (E, F_edge) uint8.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        try:
            self.domain: str = manifest["domain"]
            self.property_names: tuple[str, ...] = tuple(manifest["properties"])
            self.units: dict[str, str] = dict(manifest["units"])
            self._count: int = int(manifest["rows"])
            self._views: dict[str, str] = dict(manifest["views"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(path / MANIFEST, f"the entry {error} is missing or wrong; prepare the data set again") from error
        self.labels: NDArray[np.float32] = self._plain("labels", (self._count, len(self.property_names)), np.float32)
        self.split: NDArray[np.uint8] = self._plain("split", (self._count,), np.uint8)
        self.file: NDArray[np.uint16] = self._plain("file", (self._count,), np.uint16)
        self.line: NDArray[np.int64] = self._plain("line", (self._count,), np.int64)
        self.nodes = self._ragged("nodes", 2, np.uint8)
        self.edges = self._ragged("edges", 2, np.uint16)
        self.edge_features = self._ragged("edge_features", 2, np.uint8)
        self._keys = self._ragged("key", 1, np.uint8)
        self._texts = {column: self._ragged(column, 1, np.uint8) for column in {"text", *self._views.values()}}

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Open a folder made by ``prepare``. Raises DataError where it is missing, damaged, foreign or of another format."""
        path = Path(path)
        return cls(path, read_manifest(path))

    def _plain(self, name: str, shape: tuple[int, ...], dtype: type) -> Array:
        file = self.path / f"{name}.npy"
        array = open_array(file)
        if array.shape != shape or array.dtype != dtype:
            raise DataError(file, f"{array.dtype} {array.shape}, the manifest wants {np.dtype(dtype)} {shape}; prepare the data set again")
        return array

    def _ragged(self, name: str, axes: int, dtype: type) -> Ragged:
        column = Ragged.open(self.path / name)
        if len(column) != self._count or column.values.ndim != axes or column.values.dtype != dtype:
            raise DataError(
                self.path / name, f"{len(column)} rows of {column.values.dtype}, the manifest wants {self._count} of {np.dtype(dtype)}"
            )
        return column

    def __len__(self) -> int:
        return self._count

    def __reduce__(self) -> tuple[Callable[[Path], Store], tuple[Path]]:
        return Store.open, (self.path,)

    @property
    def fingerprint(self) -> str:
        """Of the request that made this data set (sources, cleaning, split, seed) and of its rows and labels, hexadecimal."""
        content = [self.manifest.get("fingerprint", ""), self._count, *self.property_names]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def views(self) -> tuple[str, ...]:
        """Names that ``texts`` and ``tokens`` take."""
        return ("text", *self._views)

    def rows(self, split_name: str) -> NDArray[np.int64]:
        """Row numbers (k,) of ``train``, ``valid``, ``test`` or ``all``, in ascending order."""
        if split_name == "all":
            return np.arange(self._count, dtype=np.int64)
        if split_name not in SPLITS:
            raise UnknownName("split", split_name, [*SPLITS, "all"])
        return np.flatnonzero(self.split == SPLITS.index(split_name)).astype(np.int64, copy=False)

    def _column(self, view: str) -> str:
        if view == "text":
            return "text"
        if view not in self._views:
            raise UnknownName("sequence view", view, list(self.views))
        return self._views[view]

    def texts(self, view: str, rows: NDArray[np.int64]) -> list[str]:
        """The canonical texts (view ``text``) or the strings of a sequence view; empty where the record has no such string."""
        return decode_texts(*self._texts[self._column(view)].take(rows))

    def keys(self, rows: NDArray[np.int64]) -> list[str]:
        """Identities (InChIKeys for molecules)."""
        return decode_texts(*self._keys.take(rows))

    def label_scale(self) -> LabelScale:
        """Mean and standard deviation of each property over the training rows, ignoring NaN."""
        rows = self.rows("train")
        count = np.zeros(len(self.property_names))
        total, squares = np.zeros_like(count), np.zeros_like(count)
        blocks = [rows[start : start + 100_000] for start in range(0, len(rows), 100_000)]
        for block in blocks:
            values = self.labels[block].astype(np.float64)
            count += np.isfinite(values).sum(0)
            total += np.where(np.isfinite(values), values, 0).sum(0)
        with np.errstate(invalid="ignore"):
            mean = total / count
        for block in blocks:
            gap = self.labels[block] - mean
            squares += np.where(np.isfinite(gap), gap * gap, 0).sum(0)
        with np.errstate(invalid="ignore"):
            std = np.sqrt(squares / count)
        std = np.where(std <= 1e-12 * np.abs(mean), 1.0, std)
        return LabelScale(mean.astype(np.float32), std.astype(np.float32))

    def tokens(self, view: str, bpe: Vocabulary, symbols: Callable[[str], list[str]]) -> Ragged:
        """Token ids, rows (T,) uint16, of one view's strings; made once per vocabulary and kept beside the columns.

        A row that cannot be tokenised has length 0; ``untokenised`` says how many there are and shows the first.
        """
        self._column(view)
        folder = self._token_folder(view, bpe.fingerprint)
        if not folder.is_dir():
            self._make_tokens(view, bpe, symbols, folder)
        tokens = Ragged.open(folder / "tokens")
        if len(tokens) != self._count or tokens.values.dtype != np.uint16:
            raise DataError(folder, "these cached tokens are damaged; delete this folder and try again")
        return tokens

    def untokenised(self, view: str, bpe: Vocabulary) -> dict[str, Any]:
        """``{"count": rows without tokens, "first": [[row, reason], ...]}`` for tokens made before. Raises DataError where none were."""
        file = self._token_folder(view, bpe.fingerprint) / "info.json"
        try:
            return dict(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise DataError(file, "no report on these tokens; call `tokens` first") from error

    def _token_folder(self, view: str, fingerprint: str) -> Path:
        return self.path / "tokens" / f"{view}-{fingerprint[:32]}"

    def _make_tokens(self, view: str, bpe: Vocabulary, symbols: Callable[[str], list[str]], folder: Path) -> None:
        folder.parent.mkdir(exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
        count, first = 0, list[list[Any]]()
        try:
            with RaggedWriter(scratch / "tokens", np.uint16) as writer:
                for start in range(0, self._count, TOKEN_BLOCK):
                    rows = np.arange(start, min(start + TOKEN_BLOCK, self._count))
                    encoded, failed = _encode(bpe, symbols, self.texts(view, rows))
                    writer.append(np.fromiter((i for ids in encoded for i in ids), np.uint16), np.array([len(ids) for ids in encoded]))
                    count += len(failed)
                    first += [[int(rows[i]), why] for i, why in failed[: 20 - len(first)]]
            (scratch / "info.json").write_text(json.dumps({"count": count, "first": first}), encoding="utf-8")
            try:
                scratch.replace(folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was faster, with the same tokens
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _encode(bpe: Vocabulary, symbols: Callable[[str], list[str]], texts: Sequence[str]) -> tuple[list[list[int]], list[tuple[int, str]]]:
    """Token ids of each text (empty where it cannot be tokenised), and index and reason of those."""
    failed: dict[int, str] = {}
    split: list[list[str]] = []
    for i, text in enumerate(texts):
        try:
            split.append(symbols(text))
        except InvalidRecord as error:
            split.append([])
            failed[i] = error.why
        if not text:
            failed[i] = "the record has no string of this view"
    encoded = bpe.encode_many(split)
    for i, ids in enumerate(encoded):
        if ids is None:
            try:
                bpe.encode(split[i])
            except InvalidRecord as error:
                failed[i] = error.why
    return [ids or [] for ids in encoded], sorted(failed.items())
