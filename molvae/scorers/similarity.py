"""Likeness to a reference record as an endpoint, for searches that shall come near one or stay away from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from molvae.errors import InvalidRecord, UsageError
from molvae.scorers.named import Measured

# For annotations alone: it brings torch, which worker processes of most scorers can do without.
if TYPE_CHECKING:
    from molvae.protocols import Domain


class Similarity(Measured):
    """Similarity to a reference record, in [0, 1], as the domain defines it. Raises UsageError where the reference is no record."""

    def __init__(self, domain: Domain[Any], reference: str, name: str = "similarity") -> None:
        try:
            known = domain.parse(reference)
        except InvalidRecord as error:
            raise UsageError(f"{name}: the reference {error}") from error
        super().__init__(domain, {name: partial(_likeness, domain.similarity, known)})


def _likeness(similarity: Callable[[Any, Sequence[Any]], list[float]], reference: Any, record: Any) -> float:
    return similarity(reference, [record])[0]
