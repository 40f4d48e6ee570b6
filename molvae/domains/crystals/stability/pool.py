"""Jobs in worker processes of which any may crash or hang: it is replaced, its job is reported as lost, and the others go on."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection
from typing import Any, Generic, TypeVar

from molvae.errors import MolvaeError, UsageError
from molvae.processes import detach, end, one_thread

T = TypeVar("T")

STARTUP = 300.0
"""Seconds for a worker to start and load its libraries: a slow disk, a busy machine."""


class Lost(str):
    """Why a job has no result."""

    __slots__ = ()


def here(job: Callable[[str], T], texts: Sequence[str]) -> Iterator[tuple[int, T | Lost]]:
    """Every job in this process, without protection from crashes and hangs."""
    for at, text in enumerate(texts):
        yield at, attempt(job, text)


def attempt(job: Callable[[str], T], text: str) -> T | Lost:
    """The result of one job, or why there is none. A missing package or a wrong argument is nobody's single fault and is raised."""
    try:
        return job(text)
    except MolvaeError:
        raise
    except Exception as error:
        return Lost(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")


def local(job: Callable[[str], T], texts: Sequence[str], workers: int, seconds: float) -> Iterator[tuple[int, T | Lost]]:
    """Every job in one of so many processes, as they end. job: travels by pickle. seconds: for one job.

    Raises UsageError where no worker can load the job, MolvaeError as the job does.
    """
    pool: _Pool[T] = _Pool(job, workers, seconds)
    try:
        yield from pool.run(texts)
    finally:
        pool.close()


class _Pool(Generic[T]):
    def __init__(self, job: Callable[[str], T], workers: int, seconds: float) -> None:
        self._payload = pickle.dumps(job)
        self._most, self._seconds = workers, seconds
        self._workers: list[_Worker] = []
        self._proved = False

    def run(self, texts: Sequence[str]) -> Iterator[tuple[int, T | Lost]]:
        queue = deque(enumerate(texts))
        while queue or any(worker.at is not None for worker in self._workers):
            self._feed(queue)
            until = min(worker.deadline for worker in self._workers)
            pause = None if until == float("inf") else max(0.0, until - time.monotonic())
            heard = connection.wait([worker.pipe for worker in self._workers], pause)
            for worker in list(self._workers):
                if worker.pipe in heard:
                    yield from self._hear(worker)
                elif time.monotonic() > worker.deadline:
                    yield from self._lose(worker, f"timed out: no result within {self._seconds:g} s")

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def _feed(self, queue: deque[tuple[int, str]]) -> None:
        idle = [worker for worker in self._workers if worker.at is None]
        while len(self._workers) < self._most and len(idle) < len(queue):
            worker = _Worker(self._payload)
            self._workers.append(worker)
            idle.append(worker)
        for worker in idle:
            if worker.ready and queue:
                at, text = queue.popleft()
                try:
                    worker.give(at, text, self._seconds)
                except OSError:  # it ended after its last job, which is no fault of this one
                    queue.appendleft((at, text))
                    self._drop(worker)

    def _hear(self, worker: _Worker) -> Iterator[tuple[int, T | Lost]]:
        try:
            word, content = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(1)
            yield from self._lose(worker, f"crashed: the worker ended with exit code {worker.process.exitcode}")
            return
        if word == "ready":
            self._proved = worker.ready = True
            worker.deadline = float("inf")
        elif word == "raise":
            raise content
        elif word == "broken":
            yield from self._lose(worker, content)
        else:
            at = worker.take()
            if at is not None:
                yield at, content

    def _lose(self, worker: _Worker, why: str) -> Iterator[tuple[int, T | Lost]]:
        self._drop(worker)
        if worker.at is not None:
            yield worker.at, Lost(why)
        elif not worker.ready and not self._proved:
            hint = '; a script that does this needs its if __name__ == "__main__"' if "crashed" in why else ""
            raise UsageError(f"no worker process can be started: {why}{hint}")
        elif not worker.ready:
            # One worked before, so that this is the machine's doing (memory, a disk): go on with fewer, at least one.
            self._most = max(1, len(self._workers))

    def _drop(self, worker: _Worker) -> None:
        worker.kill()
        self._workers.remove(worker)


class _Worker:
    """One worker process, seen from outside. at: the place of its job, None while idle. deadline: in monotonic seconds."""

    def __init__(self, payload: bytes) -> None:
        context = multiprocessing.get_context("spawn")  # torch's threads of the parent do not survive a fork
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, payload), daemon=True)
        with one_thread():
            self.process.start()
        theirs.close()
        self.ready = False
        self.at: int | None = None
        self.deadline = time.monotonic() + STARTUP

    def give(self, at: int, text: str, seconds: float) -> None:
        self.pipe.send(text)
        self.at, self.deadline = at, time.monotonic() + seconds

    def take(self) -> int | None:
        at, self.at, self.deadline = self.at, None, float("inf")
        return at

    def kill(self) -> None:
        """End it and what it started."""
        end(self.process)
        self.pipe.close()


def _serve(pipe: Any, payload: bytes) -> None:
    """The life of a worker: load the job, then answer texts until the pipe closes."""
    detach()
    try:
        job = pickle.loads(payload)
    except (Exception, SystemExit) as error:
        pipe.send(("broken", f"{type(error).__name__}: {error}"))
        return
    pipe.send(("ready", None))
    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        while True:
            text = pipe.recv()
            try:
                answer = ("done", attempt(job, text))
            except MolvaeError as error:
                answer = ("raise", MolvaeError(str(error)))  # the children's own arguments do not survive pickle
            pipe.send(answer)
