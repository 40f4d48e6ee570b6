"""Jobs on a Dask cluster: a worker that dies, a job that hangs, and addresses where nobody answers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import pytest

from molvae.domains.crystals.stability import cluster
from molvae.domains.crystals.stability.pool import Lost
from molvae.errors import MissingExtra, MolvaeError, UsageError

distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'molvae[cluster]'")


def job(text: str) -> str:
    if text == "crash":
        os._exit(7)
    if text == "hang":
        time.sleep(1000)
    if text == "missing":
        raise MissingExtra("chgnet", "stability")
    return text.upper()


def job_of(text: str) -> Callable[[str], str]:
    return job


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r"molvae\[cluster\]"):
        list(cluster.cluster(job_of, ["a"], "tcp://127.0.0.1:1", 1.0))


@pytest.mark.slow
def test_an_address_where_nobody_answers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 2.0)
    with pytest.raises(UsageError, match="no Dask scheduler answers"):
        list(cluster.cluster(job_of, ["a"], "tcp://127.0.0.1:1", 1.0))
    with pytest.raises(UsageError, match="no Dask scheduler answers"):
        list(cluster.cluster(job_of, ["a"], "nowhere://x", 1.0))


@pytest.mark.slow
def test_what_crashes_is_lost_alone() -> None:
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as made:
        found = dict(cluster.cluster(job_of, ["a", "crash", "b"], made.scheduler_address, 60.0))
        with pytest.raises(MolvaeError, match=r"molvae\[stability\]"):
            list(cluster.cluster(job_of, ["missing"], made.scheduler_address, 60.0))
    assert [found[at] for at in (0, 2)] == ["A", "B"]
    assert isinstance(found[1], Lost)
    assert found[1].startswith("crashed")


@pytest.mark.slow
def test_what_hangs_is_lost_alone_and_its_worker_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "START", 15.0)
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as made:
        found = dict(cluster.cluster(job_of, ["a", "hang", "b"], made.scheduler_address, 2.0))
    assert [found[at] for at in (0, 2)] == ["A", "B"]
    assert isinstance(found[1], Lost)
    assert found[1].startswith("timed out")
