"""Conditions that a candidate meets or not. A violation is at most 0 where one is met, else how far outside the candidate lies."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from molvae.errors import UsageError
from molvae.objectives.terms import NAME, NUMBER, number

_LIMIT = re.compile(rf"\s*({NAME})\s*(<=|>=|≤|≥|<|>)\s*({NUMBER})\s*")
_PLAIN = {"≤": "<=", "≥": ">="}
_KIND = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Limit:
    """An endpoint on one side of a value, in the endpoint's unit."""

    name: str
    sign: Literal["<=", ">=", "<", ">"]
    value: float

    def __post_init__(self) -> None:
        if not re.fullmatch(NAME, self.name) or self.sign not in ("<=", ">=", "<", ">") or not math.isfinite(self.value):
            raise UsageError(f"constraint {self}: wanted NAME<=NUMBER, NAME>=NUMBER, NAME<NUMBER or NAME>NUMBER, as tpsa<=90")

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{number(self.value)}"

    def violation(self, value: float) -> float:
        """How far outside, at most 0 inside; NaN for NaN."""
        gap = value - self.value if self.sign.startswith("<") else self.value - value
        # Exactly on a strict limit is outside, by the least number that says so.
        return math.ulp(self.value) if gap == 0 and "=" not in self.sign else gap


@dataclass(frozen=True)
class Structure:
    """A condition on the record by one of the domain's queries, such as ``contains c1ccncc1``."""

    kind: str
    query: str

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind) or self.kind == "similar" or not self.query or self.query != self.query.strip():
            raise UsageError(f"constraint {self.kind!r} {self.query!r}: wanted a kind of query and its text, as: contains c1ccncc1")

    def __str__(self) -> str:
        return f"{self.kind} {self.query}"


@dataclass(frozen=True)
class Likeness:
    """Similarity to a reference record between two numbers in [0, 1]."""

    reference: str
    low: float
    high: float = 1.0

    def __post_init__(self) -> None:
        if not self.reference or self.reference != self.reference.strip() or not 0.0 <= self.low <= self.high <= 1.0:
            raise UsageError(
                f"similar {self.reference}:{self.low}:{self.high}: wanted RECORD:LOW or RECORD:LOW:HIGH with 0 <= LOW <= HIGH <= 1"
            )

    def __str__(self) -> str:
        """Both ends are written, so that a reference that ends in ``:1`` (an aromatic bond to a ring closure) reads back as it is."""
        return f"{self.reference}:{number(self.low)}:{number(self.high)}"

    def violation(self, similarity: float) -> float:
        """How far outside, at most 0 inside; NaN for NaN."""
        return math.nan if math.isnan(similarity) else max(self.low - similarity, similarity - self.high)


def parse_similar(text: str) -> Likeness:
    """``RECORD:LOW`` or ``RECORD:LOW:HIGH``, read from the right because records may hold colons.

    Where the last two parts are numbers in order, they are LOW and HIGH: a reference that itself ends in ``:1`` needs both written.
    Raises UsageError.
    """
    head, colon, last = text.rpartition(":")
    if not colon or not _is_number(last):
        raise UsageError(f"similar {text!r}: wanted RECORD:LOW or RECORD:LOW:HIGH, as CCO:0.4")
    reference, colon, low = head.rpartition(":")
    if colon and _is_number(low) and 0.0 <= float(low) <= float(last):
        return Likeness(reference.strip(), float(low), float(last))
    return Likeness(head.strip(), float(last))


def parse_structure(text: str) -> Structure | Likeness:
    """``contains c1ccncc1`` or ``similar CCO:0.4``. Raises UsageError."""
    kind, _, query = text.strip().partition(" ")
    return parse_similar(query.strip()) if kind == "similar" else Structure(kind, query.strip())


def parse_constraint(text: str) -> Limit | Structure | Likeness:
    """``tpsa<=90``, ``contains c1ccncc1`` or ``similar CCO:0.4``. Raises UsageError."""
    match = _LIMIT.fullmatch(text)
    if match is not None:
        sign: Literal["<=", ">=", "<", ">"] = _PLAIN.get(match[2], match[2])  # type: ignore[assignment]
        return Limit(match[1], sign, float(match[3]))
    kind, _, query = text.strip().partition(" ")
    if kind != "similar" and (not _KIND.fullmatch(kind) or not query.strip() or re.search(r"[<>≤≥]\s*$|^\s*[<>≤≥]", query)):
        raise UsageError(f"constraint {text!r}: wanted a limit, as tpsa<=90, or a structure, as: contains c1ccncc1, or: similar CCO:0.4")
    return parse_structure(text)


def _is_number(text: str) -> bool:
    return re.fullmatch(NUMBER, text.strip()) is not None
