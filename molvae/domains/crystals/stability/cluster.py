"""Jobs on the workers of a Dask scheduler that exists already."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from molvae.domains.crystals.stability.pool import Lost, attempt
from molvae.errors import MissingExtra, MolvaeError, UsageError

T = TypeVar("T")

CONNECT = 30.0
"""Seconds to reach the scheduler, and for a first worker to show up."""
START = 120.0
"""Seconds beyond a job's own for a worker to load its libraries."""


def cluster(job: Callable[[str], T], texts: Sequence[str], address: str, seconds: float) -> Iterator[tuple[int, T | Lost]]:
    """Every job on the cluster at this address (``tcp://host:8786``), as they end: one a worker thread at a time.

    seconds: for one job; one that takes longer is reported as lost, and its worker restarted where it has a nanny. The workers need molvae
    with the extra ``stability``. Raises MissingExtra, UsageError where no scheduler answers, MolvaeError where it has no worker.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtra("distributed", "cluster") from error
    try:
        client = Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(f"no Dask scheduler answers at {address!r} ({error}); wanted for example tcp://host:8786") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT)
        except TimeoutError:
            raise MolvaeError(f"the scheduler at {address} has no worker; start one with 'dask worker {address} --nthreads 1'") from None
        yield from _Run(client, client.scatter(job, broadcast=True, hash=False), seconds).go(texts)


def _one(job: Callable[[str], T], text: str) -> T | Lost:
    """One job, on a worker: on one thread, as several jobs may share its machine."""
    import torch

    torch.set_num_threads(1)
    return attempt(job, text)


class _Run:
    """Jobs under way: future -> (place, deadline)."""

    def __init__(self, client: Any, job: Any, seconds: float) -> None:
        self.client, self.job, self.seconds = client, job, seconds
        self.under_way: dict[Any, tuple[int, float]] = {}

    def go(self, texts: Sequence[str]) -> Iterator[tuple[int, Any]]:
        from distributed import wait

        queue = deque(enumerate(texts))
        while queue or self.under_way:
            threads = max(1, sum(self.client.nthreads().values()))
            while queue and len(self.under_way) < threads:
                at, text = queue.popleft()
                # Not pure: two equal texts are two jobs. No second try elsewhere: what ended one worker would end the next.
                future = self.client.submit(_one, self.job, text, pure=False, retries=0)
                self.under_way[future] = (at, time.monotonic() + self.seconds + START)
            pause = max(0.1, min(until for _, until in self.under_way.values()) - time.monotonic())
            with contextlib.suppress(TimeoutError):
                wait(list(self.under_way), timeout=min(pause, 5.0), return_when="FIRST_COMPLETED")
            yield from self._settle()

    def _settle(self) -> Iterator[tuple[int, Any]]:
        for future, (at, until) in list(self.under_way.items()):
            if future.done():
                del self.under_way[future]
                yield at, self._result(future)
            elif time.monotonic() > until:
                del self.under_way[future]
                self._end(future)
                yield at, Lost(f"timed out: no result within {self.seconds:g} s")

    def _result(self, future: Any) -> Any:
        try:
            return future.result()
        except MolvaeError:
            raise
        except Exception as error:  # KilledWorker, CancelledError, a package that the worker lacks
            return Lost(f"lost by the cluster: {type(error).__name__}: {' '.join(str(error).split())[:200]}")

    def _end(self, future: Any) -> None:
        """Free the worker of a job that hangs: a thread cannot be stopped, the process can."""
        holders = [worker for worker, keys in self.client.processing().items() if future.key in keys]
        future.cancel()
        if holders:
            try:
                self.client.restart_workers(holders, timeout=CONNECT, raise_for_error=False)
            except (ValueError, TimeoutError):  # it has no nanny, so it is left to whoever started it
                return
