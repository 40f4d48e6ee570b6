"""Records each once: one memory of which were seen, for all that must tell a new record from one that is there."""

from __future__ import annotations

from typing import Any

from molvae.protocols import Domain


class Distinct:
    """A memory of records. Two are the same that share their domain's key, or that its ``twins`` take for one though their keys differ."""

    def __init__(self, domain: Domain[Any]) -> None:
        self._parse, self._twins = domain.parse, None if domain.twins is None else domain.twins()
        self._numbers: dict[str, int] = {}  # by key
        self._count = 0

    def find(self, key: str, text: str) -> int | None:
        """The number of the one that is the same, as they were added, from 0; None for a new one. text: canonical."""
        number = self._numbers.get(key)
        if number is None and self._twins is not None and (number := self._twins.find(self._parse(text))) is not None:
            self._numbers[key] = number
        return number

    def add(self, key: str, text: str) -> None:
        """Remember a record that ``find`` knew nothing of."""
        self._numbers.setdefault(key, self._count)
        self._count += 1
        if self._twins is not None:
            self._twins.add(self._parse(text))
