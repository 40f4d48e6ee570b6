"""The text that names a scorer, as on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from molvae.errors import UsageError
from molvae.scorers.callables import Function
from molvae.scorers.contract import ReportingScorer
from molvae.scorers.http import Http
from molvae.scorers.program import Program
from molvae.scorers.sklearn_model import Method, Sklearn

# Names end before the first sign of an address, a command or a function, so that an = inside those stays theirs.
_NAMED = re.compile(r"([^=:/\\]+)=(.*)", re.DOTALL)


def of(
    spec: str | Callable[..., Any],
    *,
    batch: bool = False,
    trust: bool = False,
    featurise: Callable[[str], Sequence[float]] | None = None,
) -> ReportingScorer:
    """A scorer from its text, or from a Python function.

    ``module:function`` · ``path/to/file.py:function`` · either with ``:batch``, for a function of a list of texts · ``program:COMMAND`` ·
    ``http://...`` · ``sklearn:FILE`` · ``sklearn:FILE:predict_proba``. Before any of these ``NAME=``, or for several endpoints
    ``NAME,NAME=``, says what the endpoints are called; otherwise by the function's name, the model file's, or ``score``.

    batch: a function takes lists, as ``:batch`` says. trust, featurise: see ``Sklearn``. Raises UsageError, UnknownName, and what the
    scorers raise.
    """
    if not isinstance(spec, str):
        return Function(spec, batch=batch)
    names, rest = None, spec.strip()
    named = _NAMED.fullmatch(rest)
    if named is not None:
        names, rest = [name.strip() for name in named[1].split(",")], named[2].strip()
    kind, _, argument = rest.partition(":")
    if kind == "program":
        return Program(argument, names or ("score",))
    if kind in ("http", "https"):
        return Http(rest, names or ("score",))
    if kind == "sklearn":
        return _sklearn(argument, names, trust, featurise)
    if rest.endswith(":batch"):
        batch, rest = True, rest.removesuffix(":batch")
    if ":" not in rest:
        raise UsageError(
            f"scorer {spec!r}: wanted module:function, path/to/file.py:function, program:COMMAND, http://ADDRESS or sklearn:FILE, "
            "with NAME= before it where the endpoint is to be called otherwise"
        )
    return Function(rest, names, batch=batch)


def _sklearn(
    argument: str, names: Sequence[str] | None, trust: bool, featurise: Callable[[str], Sequence[float]] | None
) -> ReportingScorer:
    method: Method = "predict"
    if argument.endswith(":predict_proba"):
        method, argument = "predict_proba", argument.removesuffix(":predict_proba")
    if not argument:
        raise UsageError("scorer 'sklearn:' names no file; wanted sklearn:FILE")
    return Sklearn(argument, featurise, names, trust=trust, method=method)
