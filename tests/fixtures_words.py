"""A domain of words for objectives and scorers, with functions that travel to worker processes by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from molvae.errors import InvalidRecord, UsageError
from molvae.protocols import Domain, GraphView, Property
from molvae.records import GraphArrays


def parse(text: str) -> str:
    if not text.isascii() or not text.isalpha():
        raise InvalidRecord(text, "letters are wanted")
    return text


def same(word: str) -> str:
    return word


def likeness(word: str, others: Sequence[str]) -> list[float]:
    """Share of places with the same letter."""
    return [sum(a == b for a, b in zip(word, other, strict=False)) / max(len(word), len(other)) for other in others]


def length(word: str) -> float:
    return float(len(word))


def vowels(word: str) -> float:
    return float(sum(letter in "aeiou" for letter in word)) or math.nan


class Contains:
    """Whether a word holds another."""

    def __init__(self, part: str) -> None:
        self.part = part

    def __call__(self, word: str) -> bool:
        return self.part in word


def contains(query: str) -> Callable[[str], bool]:
    if not query.isalpha():
        raise UsageError(f"{query!r} is no query; letters are wanted")
    return Contains(query)


def build(word: str) -> GraphArrays:
    raise InvalidRecord(word, "words have no graph")


def words() -> Domain[str]:
    return Domain(
        name="words",
        parse=parse,
        write=same,
        key=str.lower,
        group=same,
        similarity=likeness,
        sequences={},
        source="",
        target="",
        graph=GraphView(build, (), ()),
        checks=(),
        properties={
            "length": Property("length", "letters", "number of letters", length),
            "vowels": Property("vowels", "letters", "number of vowels, undefined for none", vowels),
        },
        steps=(),
        queries={"contains": contains},
    )
