"""Whatever a scorer does, it loses that one evaluation and never the run."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from molvae.errors import UsageError
from molvae.scorers import Function, Guarded, Program, Similarity, of
from tests.fixtures_words import words

SCORES = """
import os, pathlib, sys, time

FOLDER = pathlib.Path(__file__).parent

def once(text):
    marker = FOLDER / (text + ".tried")
    first = not marker.exists()
    marker.touch()
    return first

def odd(text):
    print("to the output", text)
    if text == "crash":
        os._exit(3)
    if text == "hang":
        time.sleep(60)
    if text == "raise":
        raise RuntimeError("no")
    if text == "exit":
        sys.exit(1)
    if text == "crash once" and once(text):
        os._exit(4)
    if text == "raise once" and once(text):
        raise RuntimeError("not yet")
    odd_values = {"nan": float("nan"), "two": (1, 2), "text": "5", "none": None, "inf": float("inf")}
    return odd_values.get(text, float(len(text)))

def batch(texts):
    return [odd(text) for text in texts]

def process(text):
    time.sleep(0.1)
    return os.getpid()
"""
GOOD = ["a", "bb", "ccc", "dddd", "eeeee"]


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    file = tmp_path / "scores.py"
    file.write_text(SCORES)
    return file


def right(guarded: Guarded, texts: Sequence[str]) -> None:
    """Good texts have their length, all others NaN."""
    for text, (value,) in zip(texts, guarded(texts), strict=True):
        if text in GOOD or text.endswith("once"):
            assert value == len(text), text
        else:
            assert math.isnan(value), text


def test_every_failure_costs_one_evaluation(scores: Path, capfd: pytest.CaptureFixture[str]) -> None:
    texts = ["a", "crash", "bb", "hang", "raise", "nan", "two", "text", "exit", "ccc", "crash once", "raise once", "none", "inf", "dddd"]
    with Guarded(of(f"{scores}:odd"), timeout=1.0, retries=1, workers=2) as guarded:
        right(guarded, texts)
        assert guarded.failures == {
            "crashed": 1,
            "timed out": 1,
            "raised RuntimeError": 1,
            "raised SystemExit": 1,
            "returned NaN": 3,
            "wrong number of values": 1,
            "not a number": 1,
        }
        said = dict(guarded.last_failures)
        assert said["crash"] == "crashed: exit code 3"
        assert said["raise"] == "raised RuntimeError: no"
        assert guarded.evaluations == len(texts)
        again = guarded(texts)
        assert [len(row) for row in again] == [1] * len(texts)
        assert guarded.evaluations == len(texts)
        right(guarded, ["eeeee"])
    assert capfd.readouterr().out == ""  # what scoring code prints does not mix with results


def test_a_batch_that_fails_is_taken_apart(scores: Path) -> None:
    with Guarded(of(f"{scores}:batch:batch"), timeout=0.5, retries=0, batch=4) as guarded:
        right(guarded, ["a", "crash", "bb", "hang", "ccc", "raise", "nan", "dddd"])
        assert guarded.failures == {"crashed": 1, "timed out": 1, "raised RuntimeError": 1, "returned NaN": 1}


def test_workers_share_the_work_and_are_kept(scores: Path) -> None:
    with Guarded(of(f"{scores}:process"), workers=2, batch=64) as guarded:
        first = {value for (value,) in guarded([f"a{k}" for k in range(12)])}
        second = {value for (value,) in guarded([f"b{k}" for k in range(12)])}
        assert len(first) == 2
        assert first == second
        assert os.getpid() not in first


def test_nothing_is_scored_twice() -> None:
    calls: list[str] = []

    def count(text: str) -> float:
        calls.append(text)
        return math.nan if text == "no" else len(text)

    seen = {"K": (7.0,)}
    guarded = Guarded(Function(count), workers=0, seen=seen)
    assert guarded(["aa", "known", "aa", "AA"], keys=["A", "K", "A", "A"]) == [(2.0,), (7.0,), (2.0,), (2.0,)]
    assert calls == ["aa"]
    assert seen == {"K": (7.0,), "A": (2.0,)}
    assert guarded.values(["bbb", "aa"], keys=["B", "A"]) == [{"count": 3.0}, {"count": 2.0}]
    for _ in range(2):
        assert math.isnan(guarded(["no"])[0][0])
    assert calls == ["aa", "bbb", "no"]
    assert (guarded.evaluations, guarded.failures) == (3, {"returned NaN": 1})
    assert guarded(["same", "same"], keys=["one", "other"]) == [(4.0,), (4.0,)]
    assert guarded([]) == []


class Short:
    """A foreign scorer that keeps no promise."""

    names = ("a", "b")

    def __call__(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        if "bad" in texts:
            raise OSError("no licence")
        return [(1.0, 2.0)] * (len(texts) - ("short" in texts))


def test_foreign_scorers_are_held_to_the_contract() -> None:
    guarded = Guarded(Short(), workers=0, batch=8, retries=2)
    found = dict(zip("axbyc", guarded(["a", "bad", "b", "short", "c"]), strict=True))
    assert found["a"] == found["b"] == found["c"] == (1.0, 2.0)
    assert all(map(math.isnan, (*found["x"], *found["y"])))
    assert guarded.failures == {"raised OSError": 1, "wrong number of values": 1}


def test_parts_of_a_domain_travel_to_workers() -> None:
    with Guarded(Similarity(words(), "banana"), batch=8) as guarded:
        assert guarded.values(["banana", "b4"])[0] == {"similarity": 1.0}
        assert guarded.failures == {"not a valid record": 1}


PROGRAM = """
import sys, time
for count, line in enumerate(sys.stdin):
    text = line.strip()
    if text == "hang":
        time.sleep(60)
    if count == 3 or text == "die":
        sys.exit(5)  # half way through
    time.sleep(0.02)
    print(len(text), flush=True)
"""


def test_programs_run_in_threads_and_are_started_again(tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    texts = [*GOOD, "ffffff", "die", "ggggggg", "hhhhhhhh"]
    scorer = Program([sys.executable, "-S", str(file)], startup=1.0)
    with Guarded(scorer, timeout=5, retries=3, workers=2, batch=3) as guarded:
        found = dict(zip(texts, guarded(texts), strict=True))
    assert all(found[text] == (len(text),) for text in texts if text != "die")
    assert math.isnan(found["die"][0])
    assert guarded.failures == {"crashed": 1}
    with Guarded(scorer, timeout=0.3, retries=0, workers=2) as guarded:
        assert math.isnan(guarded(["hang"])[0][0])
        assert guarded.failures == {"timed out": 1}


def test_scorers_that_cannot_travel_or_load_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="module:function"):
        Guarded(Function(lambda text: 1.0, ["a"]))
    file = tmp_path / "late.py"
    for text, hint in (("1 / 0", "ZeroDivisionError"), ("import os\nos._exit(9)", "exit code 9; .*__main__")):
        file.write_text("def score(text):\n    return 1.0\n")
        late = of(f"{file}:score")
        file.write_text(text)
        with Guarded(late) as guarded, pytest.raises(UsageError, match=f"cannot be loaded in a worker process: .*{hint}"):
            guarded(["a"])
    with Guarded(Unloadable(), timeout=None) as guarded, pytest.raises(UsageError, match=r"cannot be loaded .* not here"):
        guarded(["a"])


def test_a_worker_that_cannot_be_replaced_costs_evaluations_not_the_run(tmp_path: Path) -> None:
    file = tmp_path / "score.py"
    file.write_text("import os\ndef score(text):\n    return len(text) if text != 'crash' else os._exit(1)\n")
    with Guarded(of(f"{file}:score"), retries=0) as guarded:
        assert guarded(["aa"]) == [(2.0,)]
        file.write_text("1 / 0")
        assert all(math.isnan(value) for (value,) in guarded(["crash", "b", "cc"]))
        assert guarded.failures == {"crashed": 1, "the worker did not start": 2}
        assert "ZeroDivisionError" in guarded.last_failures[-1][1]


class Unloadable:
    """Travels, but does not arrive."""

    names = ("a",)

    def __call__(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        return [(1.0,)] * len(texts)

    def __setstate__(self, state: object) -> None:
        raise RuntimeError("not here")

    def __getstate__(self) -> dict[str, int]:
        return {"some": 1}


def test_settings_out_of_range() -> None:
    scorer = Function(len, ["n"])
    for settings in ({"timeout": 0.0}, {"retries": -1}, {"workers": -1}, {"batch": 0}, {"seen": {"a": (1.0, 2.0)}}):
        with pytest.raises(UsageError):
            Guarded(scorer, **settings)  # type: ignore[arg-type]
    guarded = Guarded(scorer, workers=0)
    with pytest.raises(UsageError, match="one string"):
        guarded("abc")
    with pytest.raises(UsageError, match="1 keys for 2 texts"):
        guarded(["a", "b"], keys=["a"])


def test_a_broken_off_call_keeps_what_it_had(scores: Path) -> None:
    """Ctrl-C in the middle: what was scored is in ``seen``, and the guard goes on."""
    seen: dict[str, tuple[float, ...]] = {}
    guarded = Guarded(of(f"{scores}:odd"), timeout=60, seen=seen)
    keep = guarded._keep

    def stop(text: str, *rest: object) -> None:
        keep(text, *rest)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    guarded._keep = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        guarded(["a", "hang"])
    guarded._keep = keep  # type: ignore[method-assign]
    assert seen == {"a": (1.0,)}
    started = time.monotonic()
    with guarded:
        assert guarded(["a", "bb"]) == [(1.0,), (2.0,)]
    assert time.monotonic() - started < 30
