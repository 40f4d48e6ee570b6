"""A scorer that cannot take the run down with it: time limits, retries, several at once, and no text scored twice."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from molvae.errors import UsageError
from molvae.scorers.contract import Failure, Outcome, RemoteScorer, Scorer, Values, unknown
from molvae.scorers.workers import OnTheSpot, Processes, Runner, Task, Threads

SHOWN = 10


class Guarded:
    """A scorer in worker processes (in threads where its work is done elsewhere), itself a scorer.

    An evaluation that crashes its process, hangs, raises, or returns NaN, the wrong number of values or no number is lost, NaN, and
    counted in ``failures``; never the run. Each worker that ends or is ended is replaced.

    timeout: seconds for each text, None for no limit; the loading of a scorer is not counted. retries: further tries after a crash, a
    time-out or an exception; what a scorer returned it would return again. workers: processes or threads; 0 scores in this process, with
    neither time limit nor protection from crashes. batch: texts in one call of the scorer; those of a call that failed as a whole are
    tried once more one by one. seen: key -> values of what was scored before, failures (NaN) among them; it is kept up to date, so that a
    resumed run can hand it in again.

    Attributes: ``failures`` reason -> count; ``why`` key -> reason, of keys with an unknown value; ``last_failures`` of the latest (text,
    reason with details); ``evaluations`` the number of distinct texts that were scored, the cost of the run; ``keep``, told of each new
    evaluation as soon as it is there: key, values, and the reason where one of them is unknown, else "".

    Raises UsageError for settings out of range and for scorers that cannot travel to other processes. Close it, or use ``with``.
    """

    def __init__(
        self,
        scorer: Scorer,
        *,
        timeout: float | None = 60.0,
        retries: int = 1,
        workers: int = 1,
        batch: int = 1,
        seen: dict[str, Values] | None = None,
    ) -> None:
        if timeout is not None and not timeout > 0:
            raise UsageError(f"timeout={timeout}: a number of seconds above 0, or None for no limit")
        if retries < 0 or workers < 0 or batch < 1:
            raise UsageError(f"retries={retries}, workers={workers}, batch={batch}: wanted at least 0, 0 and 1")
        self.names = scorer.names
        self.seen: dict[str, Values] = {} if seen is None else seen
        for key, values in self.seen.items():
            if len(values) != len(self.names):
                raise UsageError(f"seen[{key!r}] holds {len(values)} values; wanted {len(self.names)}: {', '.join(self.names)}")
        self.failures: dict[str, int] = {}
        self.why: dict[str, str] = {}
        self.keep: Callable[[str, Values, str], None] | None = None
        self.last_failures: deque[tuple[str, str]] = deque(maxlen=SHOWN)
        self.evaluations = 0
        self._retries, self._batch, self._workers = retries, batch, max(1, workers)
        self._runner: Runner
        if isinstance(scorer, RemoteScorer):
            self._runner = Threads(scorer, self._workers, timeout)
        else:
            self._runner = Processes(scorer, workers, timeout) if workers else OnTheSpot(scorer)

    def __call__(self, texts: Sequence[str], keys: Sequence[str] | None = None) -> list[Values]:
        """One tuple of values for each text, NaN where there are none. keys: identities, by default the texts; each is scored once.

        Raises UsageError for a bare string, and where the scorer cannot even be loaded.
        """
        if isinstance(texts, str):
            raise UsageError("texts is one string; a list of texts is wanted")
        keys = texts if keys is None else keys
        if len(keys) != len(texts):
            raise UsageError(f"{len(keys)} keys for {len(texts)} texts; one for each is wanted")
        # One text for each new key, and all keys of a text, should a caller's identities be finer than its texts.
        first = dict(reversed([(key, text) for key, text in zip(keys, texts, strict=True) if key not in self.seen]))
        new: dict[str, list[str]] = {}
        for key in dict.fromkeys(key for key in keys if key in first):
            new.setdefault(first[key], []).append(key)
        self._score(new)
        return [self.seen[key] for key in keys]

    def know(self, seen: Mapping[str, tuple[Values, str]]) -> None:
        """Take over what was evaluated before: key -> values, and why one of them is unknown."""
        for key, (values, why) in seen.items():
            self.seen[key] = values
            if why:
                self.why[key] = why

    def values(self, texts: Sequence[str], keys: Sequence[str] | None = None) -> list[dict[str, float]]:
        """The same as mappings, endpoint -> value."""
        return [dict(zip(self.names, row, strict=True)) for row in self(texts, keys)]

    def close(self) -> None:
        """End the workers; another call starts new ones."""
        self._runner.close()

    def __enter__(self) -> Guarded:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _score(self, new: dict[str, list[str]]) -> None:
        texts = list(new)
        size = min(self._batch, max(1, math.ceil(len(texts) / self._workers)))  # a small call still keeps every worker busy
        queue = deque(Task(tuple(texts[k : k + size])) for k in range(0, len(texts), size))

        def settle(task: Task, outcomes: list[Outcome]) -> None:
            for text, outcome in zip(task.texts, outcomes, strict=True):
                if isinstance(outcome, Failure) and outcome.shared and len(task.texts) > 1:
                    queue.append(Task((text,), task.tries))
                elif isinstance(outcome, Failure) and outcome.again and task.tries < self._retries:
                    queue.append(Task((text,), task.tries + 1))
                else:
                    self._keep(text, outcome, new[text])

        self._runner.run(queue, settle)

    def _keep(self, text: str, outcome: Outcome, keys: list[str]) -> None:
        self.evaluations += 1
        why = ""
        if isinstance(outcome, Failure):
            why, values = outcome.reason, unknown(self.names)
            self._note(text, why, str(outcome))
        else:
            values = outcome
            empty = [name for name, value in zip(self.names, values, strict=True) if math.isnan(value)]
            if empty:
                why = "returned NaN"
                self._note(text, why, f"{why}: {', '.join(empty)}" if len(self.names) > 1 else why)
        for key in keys:
            self.know({key: (values, why)})
            if self.keep is not None:
                self.keep(key, values, why)

    def _note(self, text: str, reason: str, words: str) -> None:
        self.failures[reason] = self.failures.get(reason, 0) + 1
        self.last_failures.append((text, words))
