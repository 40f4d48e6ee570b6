"""Search processes side by side on this machine: started, heard, stopped, and missed when they die."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from molvae.errors import MolvaeError, UsageError

TICK = 1.0  # seconds between two looks at the study
COUNTS = ("drawn", "valid", "new", "refused")
AVERAGED = ("share", "stale")  # counts that do not add up over workers


@dataclass(frozen=True)
class Report:
    """What one worker did so far. stopped: why it ended, "" while it goes on."""

    counts: Mapping[str, float] = field(default_factory=dict)
    scorer_seconds: float = 0.0
    stopped: str = ""


class Line:
    """A worker's line to the process that started it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.stop = False

    def tell(self, report: Report) -> bool:
        """Report, and hear whether to stop: asked to, or left alone."""
        try:
            self._pipe.send(report)
            self.stop = self.stop or (self._pipe.poll() and bool(self._pipe.recv()))
        except (OSError, EOFError):
            self.stop = True
        return self.stop


Work = Callable[[int, Line], Report]


class Fleet:
    """``count`` processes that each carry out ``work(number, line)``. Set ``interrupted`` to stop all of them after their batch.

    Attributes: ``reports`` and ``lost`` by number, lost with the reason in words. Raises UsageError for work that cannot travel.
    """

    def __init__(self, work: Work, count: int) -> None:
        try:
            self._payload = pickle.dumps(work)
        except Exception as error:
            raise UsageError(
                f"this search cannot be sent to {count} processes ({error}): name scorers as module:function, or search with workers=1"
            ) from error
        self.interrupted = False
        self.reports: dict[int, Report] = {k: Report() for k in range(count)}
        self.lost: dict[int, str] = {}
        self._usage: str | None = None
        self._threads = max(1, torch.get_num_threads() // count)

    def run(self, tick: Callable[[], None], gone: Callable[[int], None]) -> None:
        """Until every process has ended. tick: called about once a second. gone: told the number of each that ended, whatever the reason.

        Raises UsageError, MolvaeError where all of them failed.
        """
        members = {k: _Process(k, self._payload, self._threads) for k in self.reports}
        told = False
        try:
            while members:
                heard = wait([m.pipe for m in members.values()], TICK)
                for number, member in list(members.items()):
                    if member.pipe in heard and not self._hear(number, member):
                        member.end()
                        self._miss(number, member)
                        del members[number]
                        gone(number)
                if self.interrupted and not told:
                    told = True
                    for member in members.values():
                        member.stop()
                tick()
        finally:
            for number, member in members.items():
                member.kill()
                gone(number)
        if len(self.lost) == len(self.reports):
            words = "; ".join(dict.fromkeys(self.lost.values()))
            raise UsageError(self._usage) if self._usage else MolvaeError(f"every worker was lost: {words}; go on with --resume")

    def counts(self) -> dict[str, float]:
        """Counts over all workers: sums, or means of what is no number of things."""
        out = dict.fromkeys(COUNTS, 0.0)
        for report in self.reports.values():
            for name, value in report.counts.items():
                out[name] = out.get(name, 0.0) + value / (len(self.reports) if name.startswith(AVERAGED) else 1)
        return out

    def _hear(self, number: int, member: _Process) -> bool:
        """Take in what a worker said; False once it is silent for good."""
        try:
            while member.pipe.poll():
                said = member.pipe.recv()
                if isinstance(said, Report):
                    self.reports[number] = said
                else:
                    usage, self.lost[number] = said
                    self._usage = self.lost[number] if usage else self._usage
        except (EOFError, OSError):
            return False
        return True

    def _miss(self, number: int, member: _Process) -> None:
        code = member.process.exitcode
        if code and number not in self.lost:
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            self.lost[number] = f"worker {number} ended with {name}"


class _Process:
    """One worker process, seen from outside. Not daemonic: it has scorer processes of its own."""

    def __init__(self, number: int, payload: bytes, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_live, args=(theirs, payload, number, threads), name=f"molvae-search-{number}")
        self.process.start()
        theirs.close()

    def stop(self) -> None:
        with contextlib.suppress(OSError):  # it ended by itself
            self.pipe.send(True)

    def end(self) -> None:
        self.process.join()
        self.pipe.close()

    def kill(self) -> None:
        self.process.kill()
        self.end()


def _live(pipe: Connection, payload: bytes, number: int, threads: int) -> None:
    """The life of a worker process."""
    line = Line(pipe)

    def stop(signal_: int, frame: object) -> None:
        line.stop = True

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says when to stop
    signal.signal(signal.SIGTERM, stop)
    torch.set_num_threads(threads)
    answer: Any
    try:
        work: Work = pickle.loads(payload)
        answer = work(number, line)
    except MolvaeError as error:
        answer = (isinstance(error, UsageError), str(error))
    except Exception:
        answer = (False, f"worker {number} failed: {traceback.format_exc()}")
    with contextlib.suppress(OSError):  # the parent is gone
        pipe.send(answer)
