"""How scoring is carried out: in worker processes that may crash and hang, in threads for work done elsewhere, or on the spot."""

from __future__ import annotations

import math
import pickle
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from molvae.errors import UsageError
from molvae.scorers.contract import Failure, Outcome, RemoteScorer, Scorer, attempts
from molvae.workers import NOT_STARTED, Trouble, WorkerPool


@dataclass(frozen=True)
class Task:
    """Texts for one call of a scorer. tries: how often they were tried before."""

    texts: tuple[str, ...]
    tries: int = 0


Settle = Callable[[Task, list[Outcome]], None]


class Runner(Protocol):
    """Carries out every task of the queue; ``settle`` takes each one's outcomes and may put further tasks into the queue."""

    def run(self, queue: deque[Task], settle: Settle) -> None:
        """Return when the queue is empty and nothing is under way."""

    def close(self) -> None:
        """End what is running; the next run starts afresh."""


class OnTheSpot:
    """In this process, one after the other: for scorers that neither crash nor hang."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def run(self, queue: deque[Task], settle: Settle) -> None:
        """See ``Runner``."""
        while queue:
            task = queue.popleft()
            settle(task, attempts(self._scorer, task.texts))

    def close(self) -> None:
        """Nothing runs between calls."""


class Threads:
    """Each thread holds its own copy of a scorer that works elsewhere and keeps its own time limit."""

    def __init__(self, scorer: RemoteScorer, workers: int, timeout: float | None) -> None:
        self._copies: list[RemoteScorer] = [scorer.within(timeout) for _ in range(workers)]

    def run(self, queue: deque[Task], settle: Settle) -> None:
        """See ``Runner``."""
        free = list(self._copies)
        pending: dict[Future[list[Outcome]], tuple[Task, RemoteScorer]] = {}
        with ThreadPoolExecutor(len(self._copies)) as pool:
            try:
                while queue or pending:
                    while queue and free:
                        task, scorer = queue.popleft(), free.pop()
                        pending[pool.submit(attempts, scorer, task.texts)] = (task, scorer)
                    for done in wait(pending, return_when=FIRST_COMPLETED).done:
                        task, scorer = pending.pop(done)
                        free.append(scorer)
                        settle(task, done.result())
            except BaseException:
                self.close()  # frees threads that wait for an answer
                raise

    def close(self) -> None:
        """See ``Runner``."""
        for scorer in self._copies:
            scorer.close()


class Processes:
    """Each worker process holds its own copy of the scorer. A worker that crashes or exceeds its time is replaced.

    timeout: seconds for each text of a task, None for no limit. Raises UsageError for a scorer that cannot travel to another process.
    """

    def __init__(self, scorer: Scorer, workers: int, timeout: float | None) -> None:
        try:
            payload = pickle.dumps(partial(attempts, scorer))
        except Exception as error:
            raise UsageError(
                f"this scorer cannot be sent to worker processes ({error}): define its function in a module or file and name it as "
                "module:function, or score with workers=0, in this process and without protection from crashes and hangs"
            ) from error
        self._pool: WorkerPool[Task, list[Outcome]] = WorkerPool(
            payload,
            workers,
            content=lambda task: task.texts,
            seconds=lambda task: math.inf if timeout is None else timeout * len(task.texts),
            # A thread pool in each of several processes slows them all down.
            single=workers > 1,
            what="the scorer cannot be loaded in a worker process",
        )

    def run(self, queue: deque[Task], settle: Settle) -> None:
        """See ``Runner``. Raises UsageError where the scorer cannot be loaded in a worker process in the first place."""
        try:
            for task, found in self._pool.run(queue):
                settle(task, _failures(found, len(task.texts)) if isinstance(found, Trouble) else found)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See ``Runner``."""
        self._pool.close()


def _failures(trouble: Trouble, count: int) -> list[Outcome]:
    """What became of the texts of one task. A crash or a hang may be another text's fault, or the moment's; those can be tried again."""
    again = trouble.kind != NOT_STARTED
    return [Failure(trouble.kind, trouble.detail, again, shared=again and count > 1)] * count
