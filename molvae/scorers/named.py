"""What a domain offers beside its properties as scorers: published objectives by name, docking by a settings file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molvae.errors import InvalidRecord, UnknownName, UsageError
from molvae.scorers.contract import Failure, Outcome, ReportingScorer, values_of

# For annotations alone: it brings torch, which worker processes of most scorers can do without.
if TYPE_CHECKING:
    from molvae.protocols import Domain


class Measured(ReportingScorer):
    """Functions of a record as endpoints. measures: name -> function, which raises InvalidRecord with the reason where it has no value.

    It keeps single functions of the domain, which travel to worker processes.
    """

    def __init__(self, domain: Domain[Any], measures: Mapping[str, Callable[[Any], float]]) -> None:
        super().__init__(list(measures))
        self._parse, self._measures = domain.parse, tuple(measures.values())

    def attempt(self, texts: Sequence[str]) -> list[Outcome]:
        """For each text its values, or why there are none."""
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Outcome:
        try:
            record = self._parse(text)
        except InvalidRecord as error:
            return Failure("not a valid record", error.why)
        try:
            return values_of([measure(record) for measure in self._measures], self.names)
        except InvalidRecord as error:
            return Failure("not scored", error.why)


def named(domain: Domain[Any], spec: str, names: Sequence[str] | None = None) -> Measured:
    """The scorer ``kind:argument`` of a domain, as ``pmo:perindopril_mpo``. names: one, for its endpoint to be called otherwise.

    Raises UnknownName, UsageError, and what the source raises: MissingExtra, DataError.
    """
    kind, _, argument = spec.partition(":")
    if kind not in domain.sources:
        raise UnknownName("scorer", kind, list(domain.sources))
    source = domain.sources[kind]
    if not argument:
        raise UsageError(f"scorer {spec!r}: wanted {kind}:{source.argument}; {source.description}")
    if names is not None and len(names) != 1:
        raise UsageError(f"scorer {spec!r} gives one value; {len(names)} names came: {', '.join(names)}")
    name, measure = source.open(argument)
    return Measured(domain, {names[0] if names else name: measure})
