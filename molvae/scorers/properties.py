"""Endpoints that the domain itself computes: properties, similarity to a reference, tests of structure."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molvae.errors import InvalidRecord, UnknownName, UsageError
from molvae.scorers.contract import Failure, Outcome, ReportingScorer, Values

# For annotations alone: it brings torch, which worker processes of most scorers can do without.
if TYPE_CHECKING:
    from molvae.protocols import Domain


class _OfRecord(ReportingScorer):
    """Reads the record and leaves the rest to ``measure``. It keeps single functions of the domain, which travel to worker processes."""

    def __init__(self, domain: Domain[Any], names: Sequence[str]) -> None:
        super().__init__(names)
        self._parse = domain.parse

    @abstractmethod
    def measure(self, record: Any) -> Values:
        """The values of a record."""

    def attempt(self, texts: Sequence[str]) -> list[Outcome]:
        """For each text its values, or that it is no record."""
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Outcome:
        try:
            record = self._parse(text)
        except InvalidRecord as error:
            return Failure("not a valid record", error.why)
        return self.measure(record)


class Properties(_OfRecord):
    """Computed properties of the domain, by name. Raises UnknownName."""

    def __init__(self, domain: Domain[Any], names: Sequence[str]) -> None:
        super().__init__(domain, names)
        for name in names:
            if name not in domain.properties:
                raise UnknownName("property", name, list(domain.properties))
        self._properties = [domain.properties[name] for name in names]

    def measure(self, record: Any) -> Values:
        """Each property, NaN where it is undefined."""
        return tuple(entry.compute(record) for entry in self._properties)


class Similarity(_OfRecord):
    """Similarity to a reference record, in [0, 1]. Raises UsageError where the reference is no record."""

    def __init__(self, domain: Domain[Any], reference: str, name: str = "similarity") -> None:
        super().__init__(domain, [name])
        self._similarity = domain.similarity
        try:
            self._reference = domain.parse(reference)
        except InvalidRecord as error:
            raise UsageError(f"{name}: the reference {error}") from error

    def measure(self, record: Any) -> Values:
        """The similarity alone."""
        return (float(self._similarity(self._reference, [record])[0]),)


class Structures(_OfRecord):
    """Tests of structure as endpoints, 1 where one holds, else 0. tests: name -> (kind of query, its text).

    Raises UnknownName, UsageError for a query that cannot be read.
    """

    def __init__(self, domain: Domain[Any], tests: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(domain, list(tests))
        for kind, _ in tests.values():
            if kind not in domain.queries:
                raise UnknownName("query", kind, list(domain.queries))
        self._tests = [domain.queries[kind](query) for kind, query in tests.values()]

    def measure(self, record: Any) -> Values:
        """1 or 0 for each test."""
        return tuple(float(bool(test(record))) for test in self._tests)
