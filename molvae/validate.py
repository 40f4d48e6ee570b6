"""Texts to candidates: read back, domain checks, properties, duplicates, novelty. Knows no domain but the one it is handed."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from molvae.distinct import Distinct
from molvae.errors import DataError, InvalidRecord, UnknownName, UsageError
from molvae.protocols import Check, Domain, Property
from molvae.records import Candidate, Verdict

R = TypeVar("R")
DEFAULT = "default"
_CHUNK = 64


class KnownKeys:
    """A frugal set of identities: sorted hashes of ``bits`` bits (32, 40, 48, 56 or 64), made with BLAKE2b.

    A key that is in the set is always found. A key that is not is taken for known with probability ``false_positive`` = n / 2**bits: for
    1.6 million keys 3.7e-4 at 32 bits (2.6 MB on disk), 1.5e-6 at 40 bits (4.2 MB), 8.7e-14 at 64 bits (9 MB).
    """

    def __init__(self, hashes: NDArray[np.uint64], bits: int = 64) -> None:
        """hashes (n,) uint64, each below 2**bits, in any order. Raises UsageError for another number of bits."""
        if bits not in (32, 40, 48, 56, 64):
            raise UsageError(f"bits={bits}: hashes of 32, 40, 48, 56 or 64 bits can be kept")
        self.bits = bits
        self._hashes = np.unique(hashes).astype(np.uint32 if bits == 32 else np.uint64)

    @classmethod
    def from_keys(cls, keys: Iterable[str], bits: int = 64) -> KnownKeys:
        """The set of ``keys``, which are read once and not kept."""
        return cls(_hash(keys, bits), bits)

    @property
    def false_positive(self) -> float:
        """Probability that an unknown key is taken for known."""
        return float(len(self) / 2.0**self.bits)

    def __len__(self) -> int:
        return int(self._hashes.size)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self.contains_many([key])[0])

    def contains_many(self, keys: Iterable[str]) -> NDArray[np.bool_]:
        """(n,) bool, one for each key."""
        wanted = _hash(keys, self.bits).astype(self._hashes.dtype)
        if not len(self):
            return np.zeros(wanted.shape, dtype=np.bool_)
        places = np.minimum(np.searchsorted(self._hashes, wanted), len(self) - 1)
        return np.asarray(self._hashes[places] == wanted, dtype=np.bool_)

    def to_bytes(self) -> bytes:
        """A compressed .npz: gaps between the sorted hashes, one plane for each byte, so that the empty planes vanish (1.6 bytes a key)."""
        wide = self._hashes.astype(np.uint64)
        gaps: NDArray[np.uint64] = wide - np.concatenate([np.zeros(1, np.uint64), wide[:-1]]) if len(wide) else wide
        planes = {f"byte{k}": ((gaps >> np.uint64(8 * k)) & np.uint64(255)).astype(np.uint8) for k in range(self.bits // 8)}
        out = io.BytesIO()
        np.savez_compressed(out, allow_pickle=False, bits=np.array(self.bits), **planes)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, where: Path | str = "known keys") -> KnownKeys:
        """Read what ``to_bytes`` made. Raises DataError for anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                bits = int(file["bits"])
                gaps = sum(file[f"byte{k}"].astype(np.uint64) << np.uint64(8 * k) for k in range(bits // 8))
            return cls(np.cumsum(gaps, dtype=np.uint64), bits)
        except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, UsageError) as error:
            raise DataError(where, f"not a readable set of known keys ({error}); write one with KnownKeys.save") from error

    def save(self, path: Path | str) -> None:
        """Write ``to_bytes`` to exactly this path."""
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: Path | str) -> KnownKeys:
        """Read what ``save`` wrote. Raises DataError for a missing or foreign file."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise DataError(path, f"not a readable set of known keys: {error}") from error
        return cls.from_bytes(data, path)


def _hash(keys: Iterable[str], bits: int) -> NDArray[np.uint64]:
    digests = b"".join(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64) >> np.uint64(64 - bits)


def choose_checks(domain: Domain[R], names: Sequence[str] | None = None) -> tuple[Check[R], ...]:
    """The checks of these names in the domain's order; None or the word "default" stands for the default ones. Raises UnknownName."""
    if isinstance(names, str):
        raise UsageError(f"checks={names!r}: a list of names is wanted, for example [{names!r}]")
    wanted = {DEFAULT} if names is None else set(names)
    known = [check.name for check in domain.checks]
    for name in sorted(wanted.difference(known, [DEFAULT])):
        raise UnknownName("check", name, [*known, DEFAULT])
    return tuple(check for check in domain.checks if check.name in wanted or (check.default and DEFAULT in wanted))


def choose_properties(domain: Domain[R], names: Sequence[str]) -> tuple[Property[R], ...]:
    """The properties of these names in the order asked for. Raises UnknownName."""
    if isinstance(names, str):
        raise UsageError(f"properties={names!r}: a list of names is wanted, for example [{names!r}]")
    for name in names:
        if name not in domain.properties:
            raise UnknownName("property", name, list(domain.properties))
    return tuple(domain.properties[name] for name in dict.fromkeys(names))


def _verdict(checks: Iterable[Check[R]], record: R) -> Verdict:
    found = ((check.name, check.test(record)) for check in checks)
    reasons = tuple(f"{name}: {reason}" for name, reason in found if reason is not None)
    return Verdict(not reasons, reasons)


class Validator(Generic[R]):
    """The checks of one domain, chosen once, and optionally the identities that count as known."""

    def __init__(self, domain: Domain[R], checks: Sequence[str] | None = None, known: KnownKeys | None = None) -> None:
        """checks: names, see ``choose_checks``. Raises UnknownName."""
        self.domain = domain
        self.checks = choose_checks(domain, checks)
        self.known = known

    def verdict(self, record: R) -> Verdict:
        """Every failed check with its reason, not the first alone."""
        return _verdict(self.checks, record)

    def novel(self, key: str) -> bool | None:
        """Whether the identity is not among the known ones; None where there is nothing to compare with."""
        return None if self.known is None or not key else key not in self.known


def validate_texts(
    domain: Domain[R],
    texts: Iterable[str],
    *,
    properties: Sequence[str] = (),
    checks: Sequence[str] | None = None,
    known: KnownKeys | None = None,
    workers: int = 1,
) -> list[Candidate]:
    """One candidate for each text, in the same order.

    A text that is no record keeps its text, has an empty key, the reason ``parse: why`` and NaN for each property. Where a text has the
    identity of an earlier one, or is the same record by ``Domain.twins``, ``extra["duplicate_of"]`` is the row of the first (from 0).
    ``novel`` is None without ``known``. workers: processes; more than one pays from a few thousand texts on, and a script needs its
    ``if __name__ == "__main__"``.

    Raises UnknownName for unknown checks or properties, UsageError for a bare string or fewer than one worker.
    """
    if isinstance(texts, str):
        raise UsageError("texts is one string; a list of texts is wanted")
    if workers < 1:
        raise UsageError(f"workers={workers}: at least one process is wanted")
    validator = Validator(domain, checks, known)
    examine = _Examine(domain, validator.checks, choose_properties(domain, properties))
    rows = list(texts)
    distinct = list(dict.fromkeys(rows))
    if workers == 1 or len(distinct) <= _CHUNK:
        found = [examine(text) for text in distinct]
    else:
        # spawn, not fork: torch's threads of the parent do not survive a fork
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = list(pool.map(examine, distinct, chunksize=_CHUNK))
    return _mark(rows, dict(zip(distinct, found, strict=True)), validator)


def _mark(rows: list[str], found: dict[str, Candidate], validator: Validator[R]) -> list[Candidate]:
    memory = Distinct(validator.domain)
    added: list[int] = []  # rows of what is in the memory
    marked = []
    for row, text in enumerate(rows):
        candidate = replace(found[text], novel=validator.novel(found[text].key))
        if candidate.key and (same := memory.find(candidate.key, candidate.text)) is not None:
            candidate = replace(candidate, extra={"duplicate_of": float(added[same])})
        elif candidate.key:
            memory.add(candidate.key, candidate.text)
            added.append(row)
        marked.append(candidate)
    return marked


class _Examine(Generic[R]):
    """One text to one candidate. Holds only what it calls, so that it travels to worker processes."""

    def __init__(self, domain: Domain[R], checks: tuple[Check[R], ...], properties: tuple[Property[R], ...]) -> None:
        self._parse, self._write, self._key = domain.parse, domain.write, domain.key
        self._checks, self._properties = checks, properties

    def __call__(self, text: str) -> Candidate:
        try:
            record = self._parse(text)
        except InvalidRecord as error:
            unknown = {entry.name: float("nan") for entry in self._properties}
            return Candidate(text, "", Verdict(False, (f"parse: {error.why}",)), unknown)
        measured = {entry.name: entry.compute(record) for entry in self._properties}
        return Candidate(self._write(record), self._key(record), _verdict(self._checks, record), measured)
