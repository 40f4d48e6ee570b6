"""Jobs on texts, here or in worker processes; one that fails, crashes or hangs is reported as lost."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from molvae.errors import MolvaeError
from molvae.workers import Trouble, WorkerPool

T = TypeVar("T")


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
    pool: WorkerPool[tuple[int, str], T | Lost] = WorkerPool(
        pickle.dumps(partial(attempt, job)), workers, content=lambda task: task[1], seconds=lambda task: seconds
    )
    try:
        for (at, _), found in pool.run(deque(enumerate(texts))):
            yield at, Lost(str(found)) if isinstance(found, Trouble) else found
    finally:
        pool.close()
