"""How scoring is carried out: in worker processes that may crash and hang, in threads for work done elsewhere, or on the spot."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Protocol

from molvae.errors import UsageError
from molvae.processes import detach, end
from molvae.scorers.contract import Failure, Outcome, RemoteScorer, Scorer, attempts

# Seconds for a worker process to start and load its scorer: a large model from a slow disk, on a busy machine.
STARTUP = 300.0


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
            self._payload = pickle.dumps(scorer)
        except Exception as error:
            raise UsageError(
                f"this scorer cannot be sent to worker processes ({error}): define its function in a module or file and name it as "
                "module:function, or score with workers=0, in this process and without protection from crashes and hangs"
            ) from error
        self._most, self._timeout = workers, timeout
        self._workers: list[_Worker] = []
        self._proved = False  # whether any worker ever got the scorer to load

    def run(self, queue: deque[Task], settle: Settle) -> None:
        """See ``Runner``. Raises UsageError where the scorer cannot be loaded in a worker process in the first place."""
        try:
            while queue or any(worker.task for worker in self._workers):
                self._feed(queue)
                for task, outcomes in self._listen(queue):
                    settle(task, outcomes)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See ``Runner``."""
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def _feed(self, queue: deque[Task]) -> None:
        for worker in [w for w in self._workers if w.ready and w.task is None]:
            if not queue:
                return
            task = queue.popleft()
            try:
                worker.give(task, self._timeout)
            except OSError:  # it ended after its last task, which is no fault of this one
                queue.appendleft(task)
                self._drop(worker)
        idle = sum(worker.task is None for worker in self._workers)
        while len(self._workers) < self._most and idle < len(queue):
            self._workers.append(_Worker(self._payload, self._most))
            idle += 1

    def _listen(self, queue: deque[Task]) -> list[tuple[Task, list[Outcome]]]:
        """What became of tasks whose workers answered, crashed or ran out of time."""
        now = time.monotonic()
        until = min(worker.deadline for worker in self._workers)
        heard = connection.wait([w.pipe for w in self._workers], None if until == float("inf") else max(0.0, until - now))
        settled: list[tuple[Task, list[Outcome]]] = []
        for worker in list(self._workers):
            if worker.pipe in heard:
                settled += self._hear(worker, queue)
            elif time.monotonic() > worker.deadline:
                late = Failure("timed out", f"no answer within {self._timeout} s a text", again=True)
                settled += self._lose(worker, late, queue)
        return settled

    def _hear(self, worker: _Worker, queue: deque[Task]) -> list[tuple[Task, list[Outcome]]]:
        try:
            word, content = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(1)
            code = worker.process.exitcode
            return self._lose(worker, Failure("crashed", f"exit code {code}", again=True), queue)
        if word == "ready":
            self._proved = True
            worker.ready, worker.deadline = True, float("inf")
            return []
        if word == "broken":
            return self._lose(worker, Failure("the worker did not start", content), queue)
        task = worker.take()
        return [] if task is None else [(task, content)]

    def _lose(self, worker: _Worker, failure: Failure, queue: deque[Task]) -> list[tuple[Task, list[Outcome]]]:
        """Replace a worker, whatever it was at."""
        self._drop(worker)
        if worker.ready:
            if worker.task is None:
                return []
            count = len(worker.task.texts)
            outcome = Failure(failure.reason, failure.detail, failure.again, shared=count > 1)
            return [(worker.task, [outcome] * count)]
        if not self._proved:
            hint = '; a script that scores needs its if __name__ == "__main__"' if failure.reason == "crashed" else ""
            raise UsageError(f"the scorer cannot be loaded in a worker process: {failure}{hint}")
        # It worked before, so this is the machine's doing (memory, a disk). The others go on without it; where there are none, these
        # evaluations are lost, the run is not.
        if any(other.ready for other in self._workers):
            self._most = len(self._workers)
            return []
        lost: list[tuple[Task, list[Outcome]]] = []
        while queue:
            task = queue.popleft()
            lost.append((task, [Failure("the worker did not start", str(failure))] * len(task.texts)))
        return lost

    def _drop(self, worker: _Worker) -> None:
        worker.kill()
        self._workers.remove(worker)


class _Worker:
    """One worker process, seen from outside. deadline: in monotonic seconds."""

    def __init__(self, payload: bytes, siblings: int) -> None:
        # spawn, not fork: torch's threads of the parent do not survive a fork
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, payload, siblings), daemon=True)
        self.process.start()
        theirs.close()
        self.ready = False
        self.task: Task | None = None
        self.deadline = time.monotonic() + STARTUP

    def give(self, task: Task, timeout: float | None) -> None:
        self.pipe.send(task.texts)
        self.task = task
        self.deadline = float("inf") if timeout is None else time.monotonic() + timeout * len(task.texts)

    def take(self) -> Task | None:
        task, self.task, self.deadline = self.task, None, float("inf")
        return task

    def kill(self) -> None:
        """End it and what it started."""
        end(self.process)
        self.pipe.close()


def _serve(pipe: Any, payload: bytes, siblings: int) -> None:
    """The life of a worker process: load the scorer, then answer texts with outcomes until the pipe closes."""
    detach()
    if siblings > 1:
        # Set before numpy or torch are loaded with the scorer: a thread pool in each of several processes slows them all down.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        scorer = pickle.loads(payload)
    except (Exception, SystemExit) as error:
        pipe.send(("broken", f"{type(error).__name__}: {error}"))
        return
    pipe.send(("ready", None))
    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        while True:
            texts = pipe.recv()
            pipe.send(("done", attempts(scorer, texts)))
