"""The text that names a scorer, as on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from molvae.errors import UsageError
from molvae.scorers.callables import Function
from molvae.scorers.contract import ReportingScorer
from molvae.scorers.http import Http
from molvae.scorers.named import named
from molvae.scorers.program import Program
from molvae.scorers.similarity import Similarity
from molvae.scorers.sklearn_model import Method, Sklearn

# For annotations alone: it brings torch, which worker processes of most scorers can do without.
if TYPE_CHECKING:
    from molvae.protocols import Domain

# Names end before the first sign of an address, a command or a function, so that an = inside those stays theirs.
_NAMED = re.compile(r"([^=:/\\]+)=(.*)", re.DOTALL)


def of(
    spec: str | Callable[..., Any],
    *,
    batch: bool = False,
    trust: bool = False,
    featurise: Callable[[str], Sequence[float]] | None = None,
    domain: Domain[Any] | None = None,
) -> ReportingScorer:
    """A scorer from its text, or from a Python function.

    ``module:function`` · ``path/to/file.py:function`` · either with ``:batch``, for a function of a list of texts · ``program:COMMAND`` ·
    ``http://...`` · ``sklearn:FILE`` · ``sklearn:FILE:predict_proba`` · ``similar:RECORD`` · what the domain offers, as ``pmo:TASK``. Before
    any of these ``NAME=``, or for several endpoints ``NAME,NAME=``, says what the endpoints are called; otherwise by the function's name,
    the file's, the task's, ``similarity`` or ``score``.

    batch: a function takes lists, as ``:batch`` says. trust, featurise: see ``Sklearn``; by default the domain's features. domain: of the
    records, for ``similar:`` and its own sources, which go before modules of their names. Raises UsageError, UnknownName, and what the scorers raise.
    """
    if not isinstance(spec, str):
        return Function(spec, batch=batch)
    names, rest = None, spec.strip()
    labelled = _NAMED.fullmatch(rest)
    if labelled is not None:
        names, rest = [name.strip() for name in labelled[1].split(",")], labelled[2].strip()
    kind, _, argument = rest.partition(":")
    if kind == "program":
        return Program(argument, names or ("score",))
    if kind in ("http", "https"):
        return Http(rest, names or ("score",))
    if kind == "similar":
        return _similar(argument, names or ["similarity"], domain)
    if kind == "sklearn":
        return _sklearn(argument, names, trust, featurise or _features(domain))
    if domain is not None and kind in domain.sources:
        return named(domain, rest, names)
    if rest.endswith(":batch"):
        batch, rest = True, rest.removesuffix(":batch")
    if ":" not in rest:
        raise UsageError(f"scorer {spec!r}: wanted {_forms(domain)}, with NAME= before it where the endpoint is to be called otherwise")
    return Function(rest, names, batch=batch)


def _forms(domain: Domain[Any] | None) -> str:
    known = ["module:function", "path/to/file.py:function", "program:COMMAND", "http://ADDRESS", "sklearn:FILE", "similar:RECORD"]
    known += [f"{kind}:{source.argument}" for kind, source in domain.sources.items()] if domain is not None else []
    return f"{', '.join(known[:-1])} or {known[-1]}"


def _similar(reference: str, names: Sequence[str], domain: Domain[Any] | None) -> ReportingScorer:
    if domain is None:
        raise UsageError(f"scorer 'similar:{reference}': similarity is a domain's; hand in domain=model.domain")
    if len(names) != 1:
        raise UsageError(f"scorer 'similar:{reference}' gives one value; {len(names)} names came: {', '.join(names)}")
    return Similarity(domain, reference, names[0])


def _features(domain: Domain[Any] | None) -> Callable[[str], Sequence[float]] | None:
    """Texts to the domain's counts, where it has any: of molecules 2,048 Morgan bits of radius 2."""
    return None if domain is None or domain.features is None else partial(_counts, domain.features, domain.parse)


def _counts(features: Callable[[Sequence[Any]], Any], parse: Callable[[str], Any], text: str) -> Sequence[float]:
    counts: Sequence[float] = features([parse(text)])[0]
    return counts


def _sklearn(
    argument: str, names: Sequence[str] | None, trust: bool, featurise: Callable[[str], Sequence[float]] | None
) -> ReportingScorer:
    method: Method = "predict"
    if argument.endswith(":predict_proba"):
        method, argument = "predict_proba", argument.removesuffix(":predict_proba")
    if not argument:
        raise UsageError("scorer 'sklearn:' names no file; wanted sklearn:FILE")
    return Sklearn(argument, featurise, names, trust=trust, method=method)
