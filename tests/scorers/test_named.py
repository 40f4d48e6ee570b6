"""What a domain offers beside its properties, named in a text."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from molvae.errors import InvalidRecord, UnknownName, UsageError
from molvae.protocols import Domain, Source
from molvae.scorers import Failure, Guarded, Measured, named, of
from tests.fixtures_words import length, words


def picky(word: str) -> float:
    if len(word) > 5:
        raise InvalidRecord(word, "too long for this")
    return math.inf if word == "endless" else float(len(word))


def open_(argument: str) -> tuple[str, Callable[[str], float]]:
    if argument not in ("length", "picky"):
        raise UnknownName("task", argument, ["length", "picky"])
    return argument, length if argument == "length" else picky


def offering() -> Domain[str]:
    return replace(words(), sources={"task": Source(open_, "TASK", "numbers", ("length", "picky"))})


def test_a_task_by_its_name_in_this_process_and_another() -> None:
    scorer = of("task:picky", domain=offering())
    assert isinstance(scorer, Measured)
    assert scorer.names == ("picky",)
    assert of("size=task:length", domain=offering()).names == ("size",)
    outcomes = scorer.attempt(["abc", "no!", "abcdefgh"])
    assert outcomes[0] == (3.0,)
    assert [(o.reason, o.detail, o.again) for o in outcomes[1:] if isinstance(o, Failure)] == [
        ("not a valid record", "letters are wanted", False),
        ("not scored", "too long for this", False),
    ]
    with Guarded(scorer, workers=1) as guard:
        assert guard(["abc", "abcdefgh"])[0] == (3.0,)
        assert guard.failures == {"not scored": 1}


def test_functions_of_a_record_as_endpoints() -> None:
    scorer = Measured(words(), {"size": length, "short": picky})
    assert scorer(["abc"]) == [(3.0, 3.0)]
    assert all(map(math.isnan, scorer(["abcdefgh"])[0]))


def test_what_is_unknown_or_unclear_is_refused() -> None:
    domain = offering()
    with pytest.raises(UnknownName, match=r"unknown task 'lenght'; known: length, picky; did you mean length\?"):
        of("task:lenght", domain=domain)
    with pytest.raises(UnknownName, match="unknown scorer 'quest'; known: task"):
        named(domain, "quest:length")
    with pytest.raises(UsageError, match="wanted task:TASK; numbers"):
        of("task:", domain=domain)
    with pytest.raises(UsageError, match="2 names came: a, b"):
        of("a,b=task:length", domain=domain)
    with pytest.raises(UsageError, match="similar:RECORD or task:TASK, with NAME="):
        of("length", domain=domain)
    with pytest.raises(UsageError, match="sklearn:FILE or similar:RECORD, with NAME="):
        of("length")
