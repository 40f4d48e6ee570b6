"""An objective: terms and constraints together, and what a candidate's values are worth under it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvae.errors import InvalidRecord, UnknownName, UsageError
from molvae.objectives.constraints import Likeness, Limit, Structure
from molvae.objectives.table import Bunch, Parsed, from_table, parse_all, read_toml
from molvae.objectives.terms import Bounds, Ramp, Term

if TYPE_CHECKING:
    from molvae.protocols import Domain

_ORDER = ("maximize", "minimize", "target", "range")


@dataclass(frozen=True)
class Judgement:
    """What values are worth.

    score: the raw value of a lone maximize (negated: minimize) term without bounds, else the weighted geometric mean of the
    desirabilities, in [0, 1]; of separate objectives their sum, by which nothing is ranked; NaN where any value is unknown. objectives: one
    number for each term, more is better, for Pareto search: raw values of maximize and minimize terms without bounds, else desirabilities.
    violations: one number for each constraint in the order of ``Objective.labels``, at most 0 where met. components: endpoint -> its
    number among the objectives.
    """

    score: float
    objectives: tuple[float, ...]
    violations: tuple[float, ...]
    components: Mapping[str, float] = field(default_factory=dict)

    @property
    def feasible(self) -> bool:
        """Every constraint is known to be met."""
        return all(violation <= 0 for violation in self.violations)


@dataclass(frozen=True)
class Objective:
    """Terms and constraints. Built by ``Objective.of`` or ``from_toml``; ``to_dict`` reads back as the same objective.

    terms are kept in the order maximize, minimize, target, range. pareto: the terms are separate objectives rather than one score.
    scorers: texts that name where endpoints come from which nobody computes (``molvae.scorers.of``).
    """

    terms: tuple[Term, ...]
    limits: tuple[Limit, ...] = ()
    structures: tuple[Structure, ...] = ()
    likenesses: tuple[Likeness, ...] = ()
    pareto: bool = False
    scorers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.terms:
            raise UsageError("an objective without a goal; wanted at least one maximize, minimize, target or range")
        for name, count in Counter(term.name for term in self.terms).items():
            if count > 1:
                raise UsageError(f"{count} terms on {name}; give each endpoint one, and say the rest by a constraint, as {name}<=5")
        object.__setattr__(self, "terms", tuple(sorted(self.terms, key=lambda term: _ORDER.index(term.kind))))

    @classmethod
    def of(
        cls,
        *,
        maximize: Bunch = (),
        minimize: Bunch = (),
        target: Bunch = (),
        range: Bunch = (),
        constraint: Bunch = (),
        contains: Bunch = (),
        scaffold: Bunch = (),
        needs: Bunch | Iterable[tuple[str, str]] = (),
        similar: Bunch = (),
        scorer: Bunch = (),
        pareto: bool = False,
    ) -> Objective:
        """An objective from texts, one or a list for each keyword, or from mappings of names to numbers.

        maximize, minimize: ``"qed"``, ``"qed=0.3:0.9*2"``, ``{"qed": (0.3, 0.9)}``, ``{"qed": None}``. target: ``"logp=2.5±0.5"``,
        ``{"logp": (2.5, 0.5)}``, ``{"logp": 2.5}``. range: ``"mw=250:400"``, ``{"mw": (250, 400)}``. constraint: ``"tpsa<=90"``, or any
        of the next with its word, ``"similar CCO:0.4"``. contains, scaffold: ``"c1ccncc1"``. needs: those and a domain's other queries,
        ``"contains c1ccncc1"``, ``("contains", "c1ccncc1")``, ``{"contains": "c1ccncc1"}``. similar: ``"CCO:0.4"``, ``"CCO:0.4:0.8"``,
        ``{"CCO": (0.4, 0.8)}``, ``{"CCO": 0.4}``. scorer: ``"activity=my_model.py:predict:batch"``.

        Raises UsageError.
        """
        given: dict[str, Any] = {"maximize": maximize, "minimize": minimize, "target": target, "range": range, "constraint": constraint}
        given |= {"contains": contains, "scaffold": scaffold, "needs": needs, "similar": similar, "scorer": scorer}
        return cls._from(parse_all(given), pareto)

    @classmethod
    def from_toml(cls, source: Path | str | Mapping[str, Any]) -> Objective:
        """An objective from a TOML file or its table: the keywords of ``of``, at top level or under ``[objective]``.

        Raises ConfigError for an unreadable file or an unknown key, UsageError for a term that cannot be read.
        """
        if isinstance(source, Mapping):
            return cls._from(*from_table(source, "objective"))
        return cls._from(*from_table(read_toml(Path(source)), str(source)))

    @classmethod
    def _from(cls, parsed: Parsed, pareto: bool) -> Objective:
        return cls(parsed.terms, parsed.limits, parsed.structures, parsed.likenesses, pareto, parsed.scorers)

    def to_dict(self) -> dict[str, Any]:
        """The objective as plain texts by keyword, for a run's configuration; ``from_toml`` reads it."""
        table: dict[str, Any] = {kind: [str(term) for term in self.terms if term.kind == kind] for kind in _ORDER}
        table["constraint"] = [str(limit) for limit in self.limits]
        table["needs"] = [str(structure) for structure in self.structures]
        table["similar"] = [str(likeness) for likeness in self.likenesses]
        table["scorer"] = list(self.scorers)
        return {key: texts for key, texts in table.items() if texts} | ({"pareto": True} if self.pareto else {})

    @property
    def names(self) -> tuple[str, ...]:
        """The endpoints whose values are needed, those of the terms first."""
        return tuple(dict.fromkeys([*(term.name for term in self.terms), *(limit.name for limit in self.limits)]))

    @property
    def labels(self) -> tuple[str, ...]:
        """The constraints as texts, in the order of ``Judgement.violations``."""
        return (*map(str, self.limits), *map(str, self.structures), *(f"similar {likeness}" for likeness in self.likenesses))

    @property
    def raw(self) -> bool:
        """Whether the score is an endpoint's own value: one maximize or minimize term without bounds."""
        term = self.terms[0]
        return len(self.terms) == 1 and isinstance(term, Ramp) and term.low is None

    def completed(self, usual: Bounds) -> Objective:
        """With bounds and tolerances that were left out taken from ``usual``, name -> (low, high). Raises UsageError where one is missing.

        Separate objectives need no bounds, for they are compared with themselves alone: those would make all beyond them alike.
        """
        free = [self.raw or (self.pareto and isinstance(term, Ramp)) for term in self.terms]
        return replace(self, terms=tuple(t if done else t.completed(usual) for t, done in zip(self.terms, free, strict=True)))

    def judge(self, values: Mapping[str, float]) -> Judgement:
        """What these values are worth; a value that is not finite is unknown.

        Raises UnknownName for a missing endpoint, UsageError for a term without bounds and for conditions on the record, which
        ``bind(domain).judge`` judges.
        """
        if self.structures or self.likenesses:
            raise UsageError(
                f"{self.labels[len(self.limits)]!r} is a condition on the record; use objective.bind(domain).judge(values, record)"
            )
        return self._judge(values, ())

    def bind(self, domain: Domain[Any], *, endpoints: Sequence[str] = (), usual: Bounds | None = None) -> BoundObjective:
        """This objective in a domain, every name, query and reference checked.

        endpoints: names that scorers provide beside the domain's properties. usual: bounds for terms without their own, name ->
        (low, high), such as 5 and 95 % of the training data. Raises UnknownName, UsageError.
        """
        known = list(dict.fromkeys([*domain.properties, *endpoints]))
        for name in self.names:
            if name not in known:
                raise UnknownName("endpoint", name, known)
        return BoundObjective(self.completed(usual or {}), domain)

    def _judge(self, values: Mapping[str, float], further: Sequence[float]) -> Judgement:
        known = {name: _finite(values, name) for name in self.names}
        bare = [isinstance(term, Ramp) and term.low is None and (self.raw or self.pareto) for term in self.terms]
        parts = [_worth(term, known[term.name], raw=raw) for term, raw in zip(self.terms, bare, strict=True)]
        score = sum(parts) if self.raw or self.pareto else _geometric_mean(parts, [term.weight for term in self.terms])
        violations = (*(limit.violation(known[limit.name]) for limit in self.limits), *further)
        if any(math.isnan(value) for value in (*known.values(), *violations)):
            score = math.nan
        return Judgement(score, tuple(parts), violations, {term.name: part for term, part in zip(self.terms, parts, strict=True)})

    def components(self, values: Mapping[str, float]) -> dict[str, float]:
        """What each term gives of these values, by its endpoint, NaN for those that are not there; nothing where the score is the value itself."""
        if self.raw:
            return {}
        known = {name: float(values.get(name, math.nan)) for name in self.names}
        return dict(self._judge(known, ()).components)


class BoundObjective:
    """An objective in a domain: it also judges conditions on the record."""

    def __init__(self, objective: Objective, domain: Domain[Any]) -> None:
        self.objective = objective
        self._similarity = domain.similarity
        self._tests: list[Callable[[Any], bool]] = []
        for structure in objective.structures:
            if structure.kind not in domain.queries:
                raise UnknownName("query", structure.kind, [*domain.queries, "similar"])
            self._tests.append(domain.queries[structure.kind](structure.query))
        self._references: list[Any] = []
        for likeness in objective.likenesses:
            try:
                self._references.append(domain.parse(likeness.reference))
            except InvalidRecord as error:
                raise UsageError(
                    f"similar {likeness}: the reference {error}; a reference that ends in a colon and a digit needs both LOW and HIGH"
                ) from error

    @property
    def names(self) -> tuple[str, ...]:
        """The endpoints whose values are needed."""
        return self.objective.names

    @property
    def labels(self) -> tuple[str, ...]:
        """The constraints as texts, in the order of the violations."""
        return self.objective.labels

    def judge(self, values: Mapping[str, float], record: Any) -> Judgement:
        """What a record with these values is worth. Raises UnknownName for a missing endpoint."""
        return self.objective._judge(values, self._of_record(record))

    def violations_of(self, record: Any, values: Mapping[str, float]) -> tuple[float, ...]:
        """One number for each constraint: at most 0 where met, else how far outside in the endpoint's unit; 1 for a missing structure.

        Raises UnknownName for a missing endpoint.
        """
        limits = [limit.violation(_finite(values, limit.name)) for limit in self.objective.limits]
        return (*limits, *self._of_record(record))

    def _of_record(self, record: Any) -> list[float]:
        found = [0.0 if test(record) else 1.0 for test in self._tests]
        for likeness, reference in zip(self.objective.likenesses, self._references, strict=True):
            found.append(likeness.violation(self._similarity(reference, [record])[0]))
        return found


def _worth(term: Term, value: float, *, raw: bool) -> float:
    return term.raw(value) if raw and isinstance(term, Ramp) else term.desirability(value)


def _finite(values: Mapping[str, float], name: str) -> float:
    if name not in values:
        raise UnknownName("endpoint", name, list(values))
    value = float(values[name])
    return value if math.isfinite(value) else math.nan


def _geometric_mean(parts: Sequence[float], weights: Sequence[float]) -> float:
    if any(math.isnan(part) for part in parts):
        return math.nan
    if any(part <= 0 for part in parts):
        return 0.0
    return math.exp(sum(weight * math.log(part) for part, weight in zip(parts, weights, strict=True)) / sum(weights))
