"""What a scorer is, what a failed evaluation says, and how anything that came back becomes numbers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from molvae.errors import UsageError

Values = tuple[float, ...]


@dataclass(frozen=True)
class Failure:
    """Why one evaluation gave no values.

    reason: the same words for all failures of a kind, so that they can be counted. again: another try may succeed. shared: the whole call
    failed, so that the fault may lie with another of its texts.
    """

    reason: str
    detail: str = ""
    again: bool = False
    shared: bool = False

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


Outcome = Values | Failure


class Scorer(Protocol):
    """Texts to endpoint values: one tuple for each text in the order of ``names``, NaN for failure. Never raises for a single bad text."""

    @property
    def names(self) -> tuple[str, ...]:
        """The endpoints."""

    def __call__(self, texts: Sequence[str]) -> list[Values]:
        """One tuple of values for each text."""


class ReportingScorer(ABC):
    """A scorer that says why an evaluation failed. together: whether it takes several texts at once better than one after the other."""

    together = False

    def __init__(self, names: Sequence[str]) -> None:
        """Raises UsageError for no names, an empty or a repeated one."""
        if isinstance(names, str):
            raise UsageError(f"names={names!r}: a list of names is wanted, for example [{names!r}]")
        if not names or not all(names) or len(set(names)) < len(names):
            raise UsageError(f"endpoint names {list(names)}: wanted at least one, none empty, no two alike")
        self.names = tuple(names)

    @abstractmethod
    def attempt(self, texts: Sequence[str]) -> list[Outcome]:
        """For each text its values or why there are none."""

    def __call__(self, texts: Sequence[str]) -> list[Values]:
        """One tuple of values for each text, NaN where there are none."""
        return [unknown(self.names) if isinstance(found, Failure) else found for found in self.attempt(texts)]


class RemoteScorer(ReportingScorer):
    """A scorer whose work is done outside this process. It keeps its own time limit, so threads are enough to run several at once."""

    @abstractmethod
    def within(self, timeout: float | None) -> RemoteScorer:
        """An independent copy with this time limit for each text, in seconds."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what it holds outside; the next call takes it up again."""


def unknown(names: Sequence[str]) -> Values:
    """NaN for each endpoint."""
    return (math.nan,) * len(names)


def values_of(reply: Any, names: Sequence[str]) -> Outcome:
    """A number, a list or a mapping (name -> number) as one value for each name; None and infinities are unknown, NaN. A failure stays one."""
    if isinstance(reply, Failure):
        return reply
    if hasattr(reply, "tolist"):
        reply = reply.tolist()
    if isinstance(reply, Mapping):
        missing = [name for name in names if name not in reply]
        if missing:
            return Failure("wrong number of values", f"no {', '.join(missing)} in the reply")
        parts = [reply[name] for name in names]
    else:
        parts = list(reply) if isinstance(reply, (list, tuple)) else [reply]
    if len(parts) != len(names):
        return Failure("wrong number of values", f"{len(parts)} came, {len(names)} wanted: {', '.join(names)}")
    values: list[float] = []
    for part in parts:
        # A text is no number even where it spells one: a service that quotes its numbers is more likely broken than modest.
        if part is not None and not hasattr(part, "__float__"):
            return Failure("not a number", repr(part)[:80])
        try:
            value = math.nan if part is None else float(part)
        except Exception as error:
            return Failure("not a number", f"{part!r:.80}: {error}")
        values.append(value if math.isfinite(value) else math.nan)
    return tuple(values)


def batch_values(replies: Any, count: int, names: Sequence[str]) -> list[Outcome]:
    """A list of replies, one for each of ``count`` texts."""
    if hasattr(replies, "tolist"):
        replies = replies.tolist()
    if not isinstance(replies, (list, tuple)):
        return [Failure("not a list", repr(replies)[:80], shared=count > 1)] * count
    if len(replies) != count:
        return [Failure("wrong number of values", f"{len(replies)} replies to {count} texts", shared=count > 1)] * count
    return [values_of(reply, names) for reply in replies]


def raised(error: BaseException, *, shared: bool = False) -> Failure:
    """The failure that an exception of the scorer's own code stands for."""
    return Failure(f"raised {type(error).__name__}", str(error)[:200], again=True, shared=shared)


def attempts(scorer: Scorer, texts: Sequence[str]) -> list[Outcome]:
    """What any scorer says of the texts; whatever it does short of ending the process becomes a failure."""
    try:
        found: Any = scorer.attempt(texts) if isinstance(scorer, ReportingScorer) else scorer(texts)
    except (Exception, SystemExit) as error:
        return [raised(error, shared=len(texts) > 1)] * len(texts)
    return batch_values(found, len(texts), scorer.names)
