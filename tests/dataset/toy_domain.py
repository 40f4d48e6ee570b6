"""A domain of words, small enough that every result can be worked out in the test. Worker processes import it by name."""

from __future__ import annotations

import math
import time

import numpy as np

from molvae.errors import InvalidRecord, UsageError
from molvae.protocols import Domain, GraphView, Property, SequenceView, Step
from molvae.records import GraphArrays


def parse(text: str) -> str:
    if text == "boom":
        raise RuntimeError("a bug in the domain")
    if not text.isascii() or not text.isalpha():
        raise InvalidRecord(text, "letters are wanted")
    return text


def write_odd(word: str) -> str:
    if word.startswith("x"):
        raise InvalidRecord(word, "starts with x")
    return word + word


def build(word: str) -> GraphArrays:
    codes = np.frombuffer(word.lower().encode(), np.uint8) - ord("a")
    chain = np.arange(len(word) - 1)
    edges = np.stack([chain, chain + 1], axis=1).astype(np.uint16)
    return GraphArrays(np.stack([codes, codes % 2], axis=1), edges, (chain % 3).astype(np.uint8)[:, None])


def vowels(word: str) -> float:
    count = sum(letter in "aeiou" for letter in word)
    return float(count) if count else math.nan


def slow(word: str) -> float:
    time.sleep(0.002)
    return 0.0


def step(specification: str) -> Step[str]:
    name, _, least = specification.partition("=")
    if name != "least":
        raise UsageError(f"unknown step {name}")

    def apply(word: str) -> str:
        if len(word) < int(least):
            raise InvalidRecord(word, "too short")
        return word

    return Step("least", "drop short words", apply)


def view(name: str, write, read) -> SequenceView[str]:
    return SequenceView(name, write, list, read)


def domain() -> Domain[str]:
    return Domain(
        name="words",
        parse=parse,
        write=lambda word: word,
        key=lambda word: word.lower(),
        group=lambda word: word[0],
        similarity=lambda word, others: [float(word == other) for other in others],
        sequences={
            "plain": view("plain", lambda word: word, parse),
            "back": view("back", lambda word: word[::-1], lambda text: text[::-1]),
            "odd": view("odd", write_odd, lambda text: text[: len(text) // 2]),
        },
        source="back",
        target="plain",
        graph=GraphView(build, (26, 2), (3,)),
        checks=(),
        properties={
            "length": Property("length", "letters", "number of letters", lambda word: float(len(word))),
            "vowels": Property("vowels", "letters", "number of vowels", vowels),
            "slow": Property("slow", "1", "takes its time", slow),
        },
        steps=(
            Step("lower", "lower case", str.lower),
            Step("no_q", "drop words with q", no_q, default=False),
        ),
        step=step,
        queries={},
        readers={},
        exporters={},
        draw=lambda text: "<svg/>",
    )


def no_q(word: str) -> str:
    if "q" in word:
        raise InvalidRecord(word, "has a q")
    return word
