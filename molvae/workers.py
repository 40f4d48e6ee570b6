"""Jobs in worker processes of which any may crash or hang: it is replaced, what it was at is reported as lost, and the others go on."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Generic, TypeVar

from molvae.errors import MolvaeError, UsageError
from molvae.processes import detach, end, one_thread

T = TypeVar("T")
A = TypeVar("A")

STARTUP = 300.0
"""Seconds for a worker to start and load its job: a large model from a slow disk, on a busy machine."""
CRASHED, LATE, NOT_STARTED = "crashed", "timed out", "the worker did not start"


@dataclass(frozen=True)
class Trouble:
    """Why a task has no answer. kind: ``CRASHED``, ``LATE`` or ``NOT_STARTED``."""

    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


class WorkerPool(Generic[T, A]):
    """So many processes with a copy of one job each, started when there is work for them and kept until ``close``.

    payload: the job, a pickled callable from a task's content to its answer; a MolvaeError that it raises is raised by ``run``. content: of a
    task, what is sent. seconds: for a task, infinite for no limit. single: workers have one thread each. what: begins the message where no
    worker can be started in the first place.
    """

    def __init__(
        self,
        payload: bytes,
        workers: int,
        *,
        content: Callable[[T], Any],
        seconds: Callable[[T], float],
        single: bool = True,
        what: str = "no worker process can be started",
    ) -> None:
        self._payload, self._most, self._single, self._what = payload, workers, single, what
        self._content, self._seconds = content, seconds
        self._workers: list[_Worker[T]] = []
        self._proved = False  # whether any worker ever got the job to load

    def run(self, queue: deque[T]) -> Iterator[tuple[T, A | Trouble]]:
        """Each task with its answer, as they come, until the queue, which may grow meanwhile, is empty and nothing is under way.

        Raises UsageError where no worker can be started at all, MolvaeError as the job does; then all workers are ended.
        """
        try:
            while queue or any(worker.task is not None for worker in self._workers):
                self._feed(queue)
                until = min(worker.deadline for worker in self._workers)
                heard = connection.wait([w.pipe for w in self._workers], None if math.isinf(until) else max(0.0, until - time.monotonic()))
                for worker in list(self._workers):
                    if worker.pipe in heard:
                        yield from self._hear(worker, queue)
                    elif time.monotonic() > worker.deadline:
                        limit = STARTUP if worker.task is None else self._seconds(worker.task)
                        yield from self._lose(worker, Trouble(LATE, f"no answer within {limit:g} s"), queue)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all workers and what they started; the next run starts afresh."""
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def _feed(self, queue: deque[T]) -> None:
        for worker in [w for w in self._workers if w.ready and w.task is None]:
            if not queue:
                return
            task = queue.popleft()
            try:
                worker.give(task, self._content(task), self._seconds(task))
            except OSError:  # it ended after its last task, which is no fault of this one
                queue.appendleft(task)
                self._drop(worker)
        idle = sum(worker.task is None for worker in self._workers)
        while len(self._workers) < self._most and idle < len(queue):
            self._workers.append(_Worker(self._payload, self._single))
            idle += 1

    def _hear(self, worker: _Worker[T], queue: deque[T]) -> Iterator[tuple[T, A | Trouble]]:
        try:
            word, content = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(1)
            yield from self._lose(worker, Trouble(CRASHED, f"exit code {worker.process.exitcode}"), queue)
            return
        if word == "ready":
            self._proved = worker.ready = True
            worker.deadline = math.inf
        elif word == "raise":
            raise content
        elif word == "broken":
            yield from self._lose(worker, Trouble(NOT_STARTED, content), queue)
        elif (task := worker.take()) is not None:
            yield task, content

    def _lose(self, worker: _Worker[T], why: Trouble, queue: deque[T]) -> Iterator[tuple[T, A | Trouble]]:
        """Drop a worker, whatever it was at; ``_feed`` replaces it."""
        self._drop(worker)
        if worker.ready:
            if worker.task is not None:
                yield worker.task, why
            return
        said = why.detail if why.kind == NOT_STARTED else str(why)
        if not self._proved:
            hint = '; a script that does this needs its if __name__ == "__main__"' if why.kind == CRASHED else ""
            raise UsageError(f"{self._what}: {said}{hint}")
        # It worked before, so this is the machine's doing (memory, a disk). The others go on without it; where there are none, these
        # tasks are lost, the run is not.
        if any(other.ready for other in self._workers):
            self._most = len(self._workers)
            return
        while queue:
            yield queue.popleft(), Trouble(NOT_STARTED, said)

    def _drop(self, worker: _Worker[T]) -> None:
        worker.kill()
        self._workers.remove(worker)


class _Worker(Generic[T]):
    """One worker process, seen from outside. task: None while idle. deadline: in monotonic seconds."""

    def __init__(self, payload: bytes, single: bool) -> None:
        context = multiprocessing.get_context("spawn")  # torch's threads of the parent do not survive a fork
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, payload), daemon=True)
        with one_thread() if single else contextlib.nullcontext():
            self.process.start()
        theirs.close()
        self.ready = False
        self.task: T | None = None
        self.deadline = time.monotonic() + STARTUP

    def give(self, task: T, content: Any, seconds: float) -> None:
        self.pipe.send(content)
        self.task, self.deadline = task, time.monotonic() + seconds

    def take(self) -> T | None:
        task, self.task, self.deadline = self.task, None, math.inf
        return task

    def kill(self) -> None:
        """End it and what it started."""
        end(self.process)
        self.pipe.close()


def _serve(pipe: Any, payload: bytes) -> None:
    """The life of a worker: load the job, then answer until the pipe closes."""
    detach()
    try:
        job = pickle.loads(payload)
    except (Exception, SystemExit) as error:
        pipe.send(("broken", f"{type(error).__name__}: {error}"))
        return
    pipe.send(("ready", None))
    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        while True:
            content = pipe.recv()
            try:
                answer = ("done", job(content))
            except MolvaeError as error:
                answer = ("raise", MolvaeError(str(error)))  # the children's own arguments do not survive pickle
            pipe.send(answer)
