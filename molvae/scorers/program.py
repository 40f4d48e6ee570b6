"""An external program as a scorer: a text on one line in, JSON on one line out."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, Any

from molvae.errors import UsageError
from molvae.scorers.contract import Failure, Outcome, RemoteScorer, values_of

STARTUP = 60.0
GRACE = 1.0  # seconds between a program's closed output and its exit code


class _Running:
    """The program as it runs, with threads that read what it writes; reading by thread works on every system and can be timed."""

    def __init__(self, words: Sequence[str]) -> None:
        # A session of its own, so that what the program starts in turn can be ended with it.
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self.lines: queue.Queue[str | None] = queue.Queue()  # None: the program closed its output
        self.complaints: deque[str] = deque(maxlen=3)
        self.served = 0
        listeners = ((self.process.stdout, self.lines.put, True), (self.process.stderr, self.complaints.append, False))
        self._readers = [threading.Thread(target=_listen, args=each, daemon=True) for each in listeners]
        for reader in self._readers:
            reader.start()
        self._end = weakref.finalize(self, _kill, self.process)

    def ask(self, line: str) -> None:
        if self.process.stdin is not None:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def stop(self, grace: float = 0.0) -> int | None:
        """End it after ``grace`` seconds; its own exit code, None where it had to be killed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)
        code = self.process.poll()
        self._end()
        for reader in self._readers:
            reader.join(0.5)  # not for ever: a grandchild in another session may hold the pipe open
        if not any(reader.is_alive() for reader in self._readers):
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        return code


def _listen(stream: IO[str], take: Callable[[Any], None], mark_end: bool) -> None:
    with contextlib.suppress(ValueError, OSError):  # closed meanwhile
        for line in stream:
            take(line)
    if mark_end:
        take(None)


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


class Program(RemoteScorer):
    """A program that runs on between calls: it reads a text from a line of its input and answers it with one line of JSON.

    The answer is a number, a list, or an object name -> number; null is an unknown value. The program must not hold its answers back in
    a buffer (Python: ``print(..., flush=True)``). It is started again after a crash, a time-out or an answer that cannot be read, since
    answers could no longer be told apart. timeout: seconds for one text; the first after a start has ``startup`` more.

    Raises UsageError for a command that is not there.
    """

    def __init__(
        self,
        command: str | Sequence[str],
        names: Sequence[str] = ("score",),
        *,
        timeout: float | None = None,
        startup: float = STARTUP,
    ) -> None:
        super().__init__(names)
        self._words = shlex.split(command) if isinstance(command, str) else list(command)
        if not self._words:
            raise UsageError("scorer program: the command is empty; wanted a program and its arguments")
        if shutil.which(self._words[0]) is None:
            raise UsageError(f"scorer program: there is no program {self._words[0]!r} here, or it is not executable")
        self._timeout, self._startup = timeout, startup
        self._running: _Running | None = None

    def within(self, timeout: float | None) -> Program:
        """A copy that starts its own process."""
        return Program(self._words, self.names, timeout=timeout, startup=self._startup)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_running": None}

    def attempt(self, texts: Sequence[str]) -> list[Outcome]:
        """For each text its values, or how the program failed."""
        return [self._one(text) for text in texts]

    def close(self) -> None:
        """Stop the program."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def _one(self, text: str) -> Outcome:
        if "\n" in text or "\r" in text:
            return Failure("not one line", repr(text)[:80])
        if self._running is not None and not self._running.lines.empty():
            self.close()  # it wrote or ended unasked since its last answer
        try:
            if self._running is None:
                self._running = _Running(self._words)
            line = self._exchange(self._running, text)
        except queue.Empty:
            self.close()
            return Failure("timed out", f"no answer within {self._timeout} s", again=True)
        except OSError as error:
            return self._crashed(str(error))
        if line is None:
            return self._crashed("")
        try:
            reply = json.loads(line)
        except ValueError:
            self.close()
            return Failure("not JSON", repr(line.strip())[:80])
        return values_of(reply, self.names)

    def _exchange(self, running: _Running, text: str) -> str | None:
        """The answer's line; None where the program ended. Raises queue.Empty when the time is over."""
        limit = None if self._timeout is None else self._timeout + (0.0 if running.served else self._startup)
        until = None if limit is None else time.monotonic() + limit
        running.ask(text)
        line = running.lines.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
        running.served += 1
        return line

    def _crashed(self, why: str) -> Failure:
        running, self._running = self._running, None
        code = None if running is None else running.stop(GRACE)
        said = "" if running is None else " | ".join(line.strip() for line in running.complaints)[-200:]
        return Failure("crashed", "; ".join(part for part in (f"exit code {code}", said, why) if part), again=True)
