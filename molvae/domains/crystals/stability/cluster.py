"""Jobs on the workers of a Dask scheduler that exists already."""

from __future__ import annotations

import contextlib
import time
from asyncio import CancelledError
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from molvae.domains.crystals.stability.pool import Lost, attempt
from molvae.errors import MissingExtra, MolvaeError, UsageError

T = TypeVar("T")

CONNECT = 30.0
"""Seconds to reach the scheduler, and for a first worker to show up."""
POLL = 0.2
"""Seconds between looks at what has ended."""
START = 120.0
"""Seconds beyond a job's own for a worker to load its libraries."""


def cluster(
    job_of: Callable[[str], Callable[[str], T]], texts: Sequence[str], address: str, seconds: float
) -> Iterator[tuple[int, T | Lost]]:
    """Every job on the cluster at this address (``tcp://host:8786``), as they end: one a worker thread at a time.

    job_of: text -> what computes it, which travels with it and should be small (data kept on the workers is gone when one dies). seconds: for
    one job; one that takes longer is reported as lost, and its worker restarted where it has a nanny. The workers need molvae with the
    extra ``stability``. Raises MissingExtra, UsageError where no scheduler answers, MolvaeError where it has no worker.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtra("distributed", "cluster") from error
    try:
        client = Client(address, timeout=CONNECT)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(f"no Dask scheduler answers at {address!r} ({error}); wanted for example tcp://host:8786") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT)
        except TimeoutError:
            raise MolvaeError(f"the scheduler at {address} has no worker; start one with 'dask worker {address} --nthreads 1'") from None
        yield from _Run(client, job_of, seconds).go(texts)


def _one(job: Callable[[str], T], text: str) -> T | Lost:
    """One job, on a worker: on one thread, as several jobs may share its machine."""
    import torch

    torch.set_num_threads(1)
    try:
        return attempt(job, text)
    except MolvaeError as error:
        raise MolvaeError(str(error)) from None  # the children's own arguments do not survive pickle


class _Run:
    """Jobs under way: future -> (place, deadline)."""

    def __init__(self, client: Any, job_of: Callable[[str], Any], seconds: float) -> None:
        self.client, self.job_of, self.seconds = client, job_of, seconds
        self.under_way: dict[Any, tuple[int, float]] = {}

    def go(self, texts: Sequence[str]) -> Iterator[tuple[int, Any]]:
        queue = deque(enumerate(texts))
        while queue or self.under_way:
            free = max(1, sum(self.client.nthreads().values())) - len(self.under_way) if queue else 0
            for at, text in [queue.popleft() for _ in range(min(free, len(queue)))]:
                # Not pure: two equal texts are two jobs.
                future = self.client.submit(_one, self.job_of(text), text, pure=False)
                self.under_way[future] = (at, time.monotonic() + self.seconds + START)
            time.sleep(POLL)
            yield from self._settle()

    def _settle(self) -> Iterator[tuple[int, Any]]:
        from distributed import KilledWorker

        for future, (at, until) in list(self.under_way.items()):
            if future.done():
                del self.under_way[future]
                try:
                    yield at, future.result()
                except MolvaeError:
                    raise
                except KilledWorker:
                    yield at, Lost("crashed: the cluster's workers ended while they were at it")
                except (Exception, CancelledError) as error:  # the job's own errors are results; this is a package that the worker lacks
                    yield at, Lost(f"lost by the cluster: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            elif time.monotonic() > until:
                del self.under_way[future]
                self._end(future)
                yield at, Lost(f"timed out: no result within {self.seconds:g} s")

    def _end(self, future: Any) -> None:
        """Free the worker of a job that hangs: a thread cannot be stopped, the process can."""
        holders = [worker for worker, keys in self.client.processing().items() if future.key in keys]
        future.cancel()
        began = time.monotonic()
        # A worker without a nanny cannot be restarted, and is left to whoever started it.
        with contextlib.suppress(ValueError, TimeoutError):
            self.client.restart_workers(holders, timeout=CONNECT, raise_for_error=False)
        waited = time.monotonic() - began
        self.under_way = {other: (at, until + waited) for other, (at, until) in self.under_way.items()}
