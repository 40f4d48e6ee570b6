"""The keywords of an objective, from Python, the command line and TOML alike, as parsed terms and constraints."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molvae.errors import ConfigError, UsageError
from molvae.objectives.constraints import Likeness, Limit, Structure, parse_constraint, parse_similar, parse_structure
from molvae.objectives.terms import Near, Ramp, Term, Within, parse_term

# One text, several, or names with numbers.
Bunch = str | Iterable[str] | Mapping[str, Any]
KEYS = ("maximize", "minimize", "target", "range", "constraint", "contains", "scaffold", "needs", "similar", "scorer")


@dataclass(frozen=True)
class Parsed:
    """The parts of an objective."""

    terms: tuple[Term, ...]
    limits: tuple[Limit, ...]
    structures: tuple[Structure, ...]
    likenesses: tuple[Likeness, ...]
    scorers: tuple[str, ...]


def read_toml(path: Path) -> dict[str, Any]:
    """The table of an objective in a TOML file: its top level, or its ``[objective]``. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is no readable TOML file: {error}") from error
    inner = table.get("objective")
    return inner if isinstance(inner, dict) and len(table) == 1 else table


def from_table(table: Mapping[str, Any], where: str) -> tuple[Parsed, bool]:
    """The parts, and whether the terms stay separate (``pareto``). Raises ConfigError for unknown keys and wrong types, UsageError for texts."""
    unknown = sorted(set(table).difference(KEYS, ["pareto"]))
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; accepted: {', '.join(KEYS)}, pareto")
    pareto = table.get("pareto", False)
    if not isinstance(pareto, bool):
        raise ConfigError(f"{where}: pareto is {pareto!r}; true or false is wanted")
    try:
        return parse_all({key: value for key, value in table.items() if key != "pareto"}), pareto
    except UsageError as error:
        raise ConfigError(f"{where}: {error}") from error


def parse_all(given: Mapping[str, Any]) -> Parsed:
    """Every keyword's texts or mapping, parsed. Raises UsageError."""
    terms = [_term(kind, item) for kind in ("maximize", "minimize", "target", "range") for item in _items(kind, given.get(kind, ()))]
    found: list[Limit | Structure | Likeness] = []
    for item in _items("constraint", given.get("constraint", ())):
        if not isinstance(item, str):
            raise UsageError(f"constraint {item!r}: a text is wanted, as tpsa<=90")
        found.append(parse_constraint(item))
    for kind in ("contains", "scaffold"):
        found += [_plain_structure(kind, item) for item in _items(kind, given.get(kind, ()))]
    for item in _items("needs", given.get("needs", ())):
        found += [parse_structure(item)] if isinstance(item, str) else _structures(item)
    found += [parse_similar(item) if isinstance(item, str) else _likeness(item) for item in _items("similar", given.get("similar", ()))]
    return Parsed(
        tuple(terms),
        tuple(c for c in found if isinstance(c, Limit)),
        tuple(c for c in found if isinstance(c, Structure)),
        tuple(c for c in found if isinstance(c, Likeness)),
        tuple(_plain_text("scorer", item) for item in _items("scorer", given.get("scorer", ()))),
    )


def _items(key: str, given: Any) -> list[str | tuple[str, Any]]:
    """Texts, or pairs of a name and what is said of it."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, Mapping):
        return [(str(name), said) for name, said in given.items()]
    if not isinstance(given, Iterable):
        raise UsageError(f"{key}={given!r}: a text, a list of texts or a mapping is wanted")
    items: list[str | tuple[str, Any]] = []
    for item in given:
        if isinstance(item, str):
            items.append(item)
        elif key == "needs" and isinstance(item, (tuple, list)) and len(item) == 2:
            items.append((str(item[0]), item[1]))
        else:
            raise UsageError(f"{key}: {item!r} is no text")
    return items


def _numbers(key: str, name: str, said: Any) -> tuple[float, ...]:
    values = said if isinstance(said, (tuple, list)) else (said,)
    if any(isinstance(value, bool) or not hasattr(value, "__float__") for value in values):
        raise UsageError(f"{key} {name}: {said!r}; a number or a pair of numbers is wanted")
    return tuple(float(value) for value in values)


def _term(kind: str, item: str | tuple[str, Any]) -> Term:
    if isinstance(item, str):
        return parse_term(kind, item)
    name, said = item
    if kind == "target":
        values = _numbers(kind, name, said)
        if len(values) not in (1, 2):
            raise UsageError(f"target {name}: {said!r}; a value, or (value, tolerance) is wanted")
        return Near(name, *values)
    if said is None and kind != "range":
        return Ramp("maximize" if kind == "maximize" else "minimize", name)
    values = _numbers(kind, name, said)
    if len(values) != 2:
        raise UsageError(f"{kind} {name}: {said!r}; (low, high) is wanted" + ("" if kind == "range" else ", or None"))
    if kind == "range":
        return Within(name, *values)
    return Ramp("maximize" if kind == "maximize" else "minimize", name, *values)


def _plain_text(key: str, item: str | tuple[str, Any]) -> str:
    if not isinstance(item, str):
        raise UsageError(f"{key}: {item!r}; a text or a list of texts is wanted")
    return item


def _plain_structure(kind: str, item: str | tuple[str, Any]) -> Structure | Likeness:
    return parse_structure(f"{kind} {_plain_text(kind, item)}")


def _structures(item: tuple[str, Any]) -> list[Structure | Likeness]:
    kind, queries = item
    texts = [queries] if isinstance(queries, str) else queries
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"needs {kind}: {queries!r}; a text or a list of texts is wanted")
    return [parse_structure(f"{kind} {text}") for text in texts]


def _likeness(item: tuple[str, Any]) -> Likeness:
    reference, said = item
    values = _numbers("similar", reference, said)
    if len(values) not in (1, 2):
        raise UsageError(f"similar {reference}: {said!r}; the least similarity, or (least, greatest) is wanted")
    return Likeness(reference.strip(), *values)
