"""What worker processes of this package have in common: one thread each, a group of their own, and an end that takes their children along."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing.process import BaseProcess

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Numerical libraries read these when they are loaded. Several processes with a pool of threads each slow one another down tenfold."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Processes started meanwhile have one thread each: they inherit this before any of our code runs there."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def detach() -> None:
    """In a worker, first of all: a group of its own, and what it prints goes to standard error."""
    if hasattr(os, "setsid"):
        os.setsid()  # it can be ended with its children, and Ctrl-C is the parent's to handle
    # What foreign code prints must not mix with results that the parent writes to its output.
    sys.stdout.flush()
    os.dup2(2, 1)


def end(process: BaseProcess) -> None:
    """End a worker that has detached itself, and what it started."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg") and process.pid is not None:
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
