"""Where values come from: the domain, functions, programs, services, saved models; and the texts that name them."""

from __future__ import annotations

import json
import math
import pickle
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molvae.errors import DataError, MissingExtra, UsageError
from molvae.scorers import Failure, Function, Http, Program, Similarity, Sklearn, of
from molvae.scorers.contract import values_of
from tests.fixtures_words import length, words

NAN = math.nan


def same(found: list[tuple[float, ...]], expected: list[tuple[float, ...]]) -> bool:
    return np.array_equal(np.array(found), np.array(expected), equal_nan=True)


def reasons(outcomes: list[Any]) -> list[str | None]:
    return [outcome.reason if isinstance(outcome, Failure) else None for outcome in outcomes]


@pytest.mark.parametrize(
    ("reply", "names", "expected"),
    [
        (3, ["a"], (3.0,)),
        (True, ["a"], (1.0,)),
        (np.float32(0.5), ["a"], (0.5,)),
        (np.array([1, 2]), ["a", "b"], (1.0, 2.0)),
        ([1, None], ["a", "b"], (1.0, NAN)),
        ({"b": 2, "a": 1, "more": "x"}, ["a", "b"], (1.0, 2.0)),
        (math.inf, ["a"], (NAN,)),
        (None, ["a"], (NAN,)),
        ({"a": 1}, ["a", "b"], "wrong number of values"),
        ([1], ["a", "b"], "wrong number of values"),
        ([], ["a"], "wrong number of values"),
        ("0.5", ["a"], "not a number"),
        (1j, ["a"], "not a number"),
        ([[1], 2], ["a", "b"], "not a number"),
        (10**400, ["a"], "not a number"),
    ],
)
def test_replies_become_values(reply: Any, names: list[str], expected: Any) -> None:
    found = values_of(reply, names)
    if isinstance(expected, str):
        assert isinstance(found, Failure)
        assert found.reason == expected
    else:
        assert isinstance(found, tuple)
        assert same([found], [expected])


def test_similarity_to_a_reference() -> None:
    domain = words()
    texts = ["abab", "no!", "xyz"]
    scorer = Similarity(domain, "abba")
    assert scorer.names == ("similarity",)
    assert same(scorer(texts), [(0.5,), (NAN,), (0,)])
    assert reasons(scorer.attempt(texts)) == [None, "not a valid record", None]
    assert same(pickle.loads(pickle.dumps(scorer))(texts), scorer(texts))
    named = of("near=similar:abba", domain=domain)
    assert named.names == ("near",)
    assert same(named(texts), scorer(texts))
    with pytest.raises(UsageError, match="the reference 'no!'"):
        of("similar:no!", domain=domain)
    with pytest.raises(UsageError, match="hand in domain"):
        of("similar:abba")
    with pytest.raises(UsageError, match="2 names came: a, b"):
        of("a,b=similar:abba", domain=domain)
    with pytest.raises(UsageError, match="no two alike"):
        of("a,a=program:cat")


SCORES = """
import neighbour

def size(text):
    if text == "bad":
        raise ValueError("a bad one")
    return len(text) * neighbour.FACTOR

def pair(text):
    return {"a": len(text), "b": text.count("a")}

def many(texts):
    if "bad" in texts:
        raise SystemExit(3)
    return [len(text) for text in texts]

def short(texts):
    return [1.0]

FACTOR = 2

class Box:
    @staticmethod
    def inner(text):
        return 1
"""


@pytest.fixture
def scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of scoring functions with a neighbour that it imports."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "neighbour", raising=False)
    (tmp_path / "neighbour.py").write_text("FACTOR = 1\n")
    file = tmp_path / "scores.py"
    file.write_text(SCORES)
    return file


def test_functions_by_file(scores: Path) -> None:
    size = of(f"{scores}:size")
    assert size.names == ("size",)
    assert same(size(["abc", "bad", "a"]), [(3,), (NAN,), (1,)])
    assert [str(f) for f in size.attempt(["bad"])] == ["raised ValueError: a bad one"]
    assert same(pickle.loads(pickle.dumps(size))(["abc"]), [(3,)])
    assert same(of(f"a,b={scores}:pair")(["banana"]), [(6, 3)])
    assert same(of(f"b={scores}:pair")(["banana"]), [(3,)])
    many = of(f"n={scores}:many:batch")
    assert many.names == ("n",)
    assert same(many(["abc", "d"]), [(3,), (1,)])
    assert reasons(many.attempt(["abc", "bad"])) == ["raised SystemExit"] * 2
    assert reasons(of(f"{scores}:short", batch=True).attempt(["a", "b"])) == ["wrong number of values"] * 2
    assert reasons(of(f"{scores}:size:batch").attempt(["a", "b"])) == ["not a list"] * 2
    assert of(f"{scores}:Box.inner")(["a"]) == [(1.0,)]


def test_functions_by_module_and_as_objects() -> None:
    assert of("tests.fixtures_words:length")(["abc"]) == [(3.0,)]
    assert of("math:fabs").names == ("fabs",)
    assert of(length)(["abc"]) == Function(length)(["abc"]) == [(3.0,)]
    assert Function(lambda texts: [len(t) for t in texts], ["n"], batch=True)(["a", "bb"]) == [(1.0,), (2.0,)]
    with pytest.raises(UsageError, match="no name of its own"):
        Function(lambda text: 1.0)


def test_functions_that_are_not_there(scores: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    for spec, hint in (
        ("nothing", "module:function"),
        (f"{tmp_path}/absent.py:f", "no file"),
        (f"{tmp_path}/broken.py:f", "ZeroDivisionError"),
        ("no_such_module:f", r"\./no_such_module.py:f"),
        (f"{scores}:FACTOR", "a function is wanted"),
        (f"{scores}:sise", "known: .*size"),
        ("a,,b=math:fabs", "none empty"),
        ("sklearn:", "names no file"),
        ("ftp://host/x", "no_such|No module|ftp"),
        ("program:", "empty"),
        ("program:no-such-program-here", "no program"),
    ):
        with pytest.raises(UsageError, match=hint):
            of(spec)


PROGRAM = """
import json, sys
print("loading", file=sys.stderr, flush=True)
count = 0
for line in sys.stdin:
    text = line.strip()
    count += 1
    if text == "die":
        print("out of memory", file=sys.stderr, flush=True)
        sys.exit(7)
    if text == "hang":
        import time
        time.sleep(60)
    if text == "talk":
        print("hello", flush=True)
    if text == "twice":
        print(99, flush=True)
    reply = {"list": [1, 2], "object": {"n": len(text), "count": 0}, "null": [None, 1]}.get(text, [len(text), count])
    print(json.dumps(reply), flush=True)
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    file = tmp_path / "program with space.py"
    file.write_text(PROGRAM)
    scorer = Program([sys.executable, "-S", str(file)], ["n", "count"], timeout=1.0, startup=20)
    yield scorer
    scorer.close()


def test_a_program_runs_on_between_calls_and_survives_its_own_death(program: Program) -> None:
    assert same(program(["abc", "list", "object", "null"]), [(3, 1), (1, 2), (6, 0), (NAN, 1)])
    assert same(program(["a"]), [(1, 5)])  # the same process still
    outcomes = program.attempt(["die", "ab", "a\nb"])
    assert reasons(outcomes) == ["crashed", None, "not one line"]
    assert str(outcomes[0]).startswith("crashed: exit code 7; loading | out of memory")
    assert outcomes[1] == (2, 1)  # a new process


def test_a_program_that_hangs_or_talks_out_of_turn_is_started_again(program: Program) -> None:
    assert program(["ab"]) == [(2, 1)]
    outcomes = program.attempt(["hang", "ab", "talk", "abc", "ab"])
    assert reasons(outcomes) == ["timed out", None, "not JSON", None, None]
    assert outcomes[1::2] == [(2, 1), (3, 1)]
    assert outcomes[4] == (2, 2)
    assert reasons(program.attempt(["twice"])) == ["wrong number of values"]
    if program._running is not None:  # the second line has come before the next question
        while program._running.lines.empty():
            threading.Event().wait(0.01)
    assert program(["abcd"]) == [(4, 1)]


def test_a_copy_has_its_own_process(program: Program) -> None:
    copy = program.within(5.0)
    assert program(["a"]) == copy(["a"]) == [(1, 1)]
    copy.close()
    assert program(["a"]) == [(1, 2)]
    assert of(f"n,count=program:{sys.executable} -c pass").names == ("n", "count")


class Service(BaseHTTPRequestHandler):
    """Lengths of texts, and every misbehaviour by name."""

    def do_POST(self) -> None:
        texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["texts"]
        if "slow" in texts:
            threading.Event().wait(1.0)
        code = 503 if "busy" in texts else 400 if "bad" in texts else 200
        scores: list[Any] = [{"n": len(text)} if len(text) % 2 else [len(text)] if len(text) % 4 else len(text) for text in texts]
        body: Any = {"scores": scores[1:] if "lost" in texts else scores}
        answer = b"<html>" if "page" in texts else json.dumps(["nothing"] if "empty" in texts else body).encode()
        self.send_response(code)
        self.end_headers()
        if self.headers.get("X-Key", "k") == "k":
            self.wfile.write(answer)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/score?version=1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with serving() as url:
        scorer = of(f"n={url}")
        assert isinstance(scorer, Http)
        assert scorer(["abcd", "ab", "abc"]) == [(4,), (2,), (3,)]
        assert of(url).names == ("score",)
        quick = scorer.within(0.5)
        for text, reason, again in (
            ("busy", "HTTP 503", True),
            ("bad", "HTTP 400", False),
            ("page", "not JSON", False),
            ("empty", "no scores in the answer", False),
            ("lost", "wrong number of values", False),
            ("slow", "timed out", True),
        ):
            failure = quick.attempt([text])[0]
            assert isinstance(failure, Failure)
            assert (failure.reason, failure.again, failure.shared) == (reason, again, False)
        assert all(isinstance(f, Failure) and f.shared for f in quick.attempt(["ab", "bad"]))
    assert reasons(scorer.attempt(["ab"])) == ["no answer"]
    with pytest.raises(UsageError, match="http://"):
        Http("ftp://127.0.0.1/")


def features(text: str) -> list[float]:
    if text == "bad":
        raise ValueError("no features")
    return [float(len(text)), float(text.count("a"))]


class Sum:
    """As much of a scikit-learn model as is used."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return rows.sum(axis=1)

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([1 - rows[:, 1] / 10, rows[:, 1] / 10], axis=1)


def test_a_saved_model(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is optional")
    joblib = pytest.importorskip("joblib")
    linear = pytest.importorskip("sklearn.linear_model")
    model = linear.LinearRegression().fit([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [1.0, 3.0, 0.0])
    file = tmp_path / "activity.joblib"
    joblib.dump(model, file)
    scorer = of(f"sklearn:{file}", trust=True, featurise=features)
    assert scorer.names == ("activity",)
    found = scorer(["ab", "bad", "aa"])
    assert np.allclose(found, [(1 + 2 * 2 - 1,), (NAN,), (1 + 2 * 2 - 2,)], equal_nan=True)
    assert np.allclose(pickle.loads(pickle.dumps(scorer))(["ab"]), [(4,)])
    (tmp_path / "sum.pkl").write_bytes(pickle.dumps(Sum()))
    assert of(f"p=sklearn:{tmp_path}/sum.pkl:predict_proba", trust=True, featurise=features)(["aab"]) == [(0.2,)]
    assert of(f"p,q=sklearn:{tmp_path}/sum.pkl:predict_proba", trust=True, featurise=features)(["aab"]) == [(0.8, 0.2)]
    with pytest.raises(UsageError, match="runs whatever code"):
        of(f"sklearn:{file}", featurise=features)
    with pytest.raises(UsageError, match="featurise=FUNCTION"):
        of(f"sklearn:{file}", trust=True)
    (tmp_path / "odd.pkl").write_bytes(pickle.dumps([1]))
    with pytest.raises(DataError, match="a list, which has no predict"):
        Sklearn(tmp_path / "odd.pkl", features, trust=True)
    with pytest.raises(DataError, match="not a readable"):
        Sklearn(tmp_path / "absent.pkl", features, trust=True)


def test_a_saved_model_without_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtra, match=r"molvae\[sklearn\]"):
        Sklearn(tmp_path / "any.pkl", features, trust=True)
