"""Worker processes: results as they come, and jobs that crash, hang, raise, or cannot be loaded."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from molvae.domains.crystals.stability.pool import Lost, here, local
from molvae.errors import MissingExtra, MolvaeError, UsageError
from molvae.processes import ONE_THREAD


def job(text: str) -> str:
    if text == "crash":
        os._exit(7)
    if text == "hang":
        time.sleep(1000)
    if text == "raise":
        raise OverflowError("too\nlarge")
    if text == "missing":
        raise MissingExtra("chgnet", "stability")
    if text == "threads":
        return " ".join(os.environ.get(name, "") for name in ONE_THREAD)
    print("noise", flush=True)
    return text.upper()


class Unloadable:
    def __call__(self, text: str) -> str:
        return text

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise RuntimeError("no weights")


@pytest.mark.slow
def test_what_crashes_hangs_or_raises_is_lost_alone(capfd: pytest.CaptureFixture[str]) -> None:
    texts = ["a", "crash", "b", "raise", "hang", "threads"]
    before = dict(os.environ)
    found = dict(local(job, texts, 2, 3.0))
    assert os.environ == before
    assert [found[at] for at in (0, 2, 5)] == ["A", "B", "1 1 1 1"]
    assert all(isinstance(found[at], Lost) for at in (1, 3, 4))
    assert "exit code 7" in found[1]
    assert found[3] == "OverflowError: too large"
    assert found[4].startswith("timed out")
    assert "noise" not in capfd.readouterr().out


@pytest.mark.slow
def test_what_concerns_every_job_is_raised() -> None:
    with pytest.raises(MolvaeError, match=r"molvae\[stability\]"):
        list(local(job, ["missing"], 1, 60.0))
    with pytest.raises(MissingExtra):
        list(here(job, ["missing"]))
    with pytest.raises(UsageError, match="no worker process can be started: RuntimeError: no weights"):
        list(local(Unloadable(), ["a"], 1, 60.0))


@pytest.mark.slow
def test_a_consumer_that_stops_early_leaves_no_process() -> None:
    import multiprocessing

    results = local(job, ["a", "hang"], 2, 100.0)
    assert next(results) == (0, "A")
    results.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()


def test_without_processes_errors_are_lost_too() -> None:
    assert list(here(job, ["a", "raise"])) == [(0, "A"), (1, "OverflowError: too large")]
