"""What the trials of a search's study say, in their user attributes: which record was scored, with what outcome, by whom.

"text", "key": the record, set before it is scored; "worker": who is at it; "values": endpoint -> value; "violations"; "origin": the move that
proposed it; "failed": why the score is unknown, which sets the trial apart from one that was never scored; "again": a value known before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from torch import Tensor

from molvae.search.pool import Scored

EDGE = 1e-5  # shares of the normal distribution that are cut off at both ends of a dimension, beyond 4.3 standard deviations


_QUANTILE = FloatDistribution(EDGE, 1.0 - EDGE)


def space(width: int) -> dict[str, BaseDistribution]:
    """The search space of a study: for each dimension of the code its quantile under the prior N(0, 1), so that even is what the prior is."""
    # One object for all, because Optuna copies each trial with all that hangs on it when it is told.
    return {f"u{k}": _QUANTILE for k in range(width)}


def point(z: Tensor) -> dict[str, float]:
    """A code (D,) as parameters of the space."""
    return {f"u{k}": v for k, v in enumerate(torch.special.ndtr(z.double()).clamp(EDGE, 1.0 - EDGE).tolist())}


def code_at(parameters: Mapping[str, float]) -> Tensor:
    """The code (D,) of parameters; the inverse of ``point``."""
    z: Tensor = torch.special.ndtri(torch.tensor(list(parameters.values()), dtype=torch.float64))
    return z.float()


@dataclass(frozen=True)
class Known:
    """A record that was scored. values: one for each objective, none where scoring failed, for the reason ``failed``."""

    text: str
    key: str
    values: tuple[float, ...]
    violations: tuple[float, ...] = ()
    origin: str = ""
    failed: str = ""


def key_of(trial: FrozenTrial) -> str | None:
    """The key of the trial's record; None where it has none, or none yet."""
    key = trial.user_attrs.get("key")
    return key if isinstance(key, str) and isinstance(trial.user_attrs.get("text"), str) else None


def is_scored(trial: FrozenTrial) -> bool:
    """Whether the trial holds the outcome of a call of the scorer; not so one that was set aside, cut short, or told what was known."""
    if key_of(trial) is None or "again" in trial.user_attrs:
        return False
    return trial.state == TrialState.COMPLETE or (trial.state == TrialState.FAIL and "failed" in trial.user_attrs)


def known(trial: FrozenTrial) -> Known:
    """The outcome that a scored trial holds."""
    attributes = trial.user_attrs
    values = tuple(trial.values or ()) if trial.state == TrialState.COMPLETE else ()
    violations = tuple(float(v) for v in attributes.get("violations", ()))
    said = (str(attributes.get(name, "")) for name in ("origin", "failed"))
    return Known(attributes["text"], attributes["key"], values, violations, *said)


def finished(
    one: Known, endpoints: Mapping[str, float], code: Sequence[float], width: int, attributes: Mapping[str, Any] | None = None
) -> FrozenTrial:
    """A scored record as a trial; without parameters where its code is not of this width."""
    code = code if len(code) == width else ()
    said: dict[str, Any] = {"text": one.text, "key": one.key, "values": dict(endpoints), "origin": one.origin, **(attributes or {})}
    return create_trial(
        state=TrialState.COMPLETE if one.values else TrialState.FAIL,
        values=list(one.values) or None,
        params={f"u{k}": v for k, v in enumerate(code)},
        distributions=space(width) if code else {},
        user_attrs={
            **said,
            **({"violations": list(one.violations)} if one.violations else {}),
            **({} if one.values else {"failed": one.failed}),
        },
    )


def open_trial(text: str, key: str, worker: str, origin: str, code: Sequence[float]) -> FrozenTrial:
    """A trial under way on this record."""
    return create_trial(
        state=TrialState.RUNNING,
        params={f"u{k}": v for k, v in enumerate(code)},
        distributions=space(len(code)),
        user_attrs={"text": text, "key": key, "worker": worker, "origin": origin},
    )


def scored(one: Known, call: int, group: str, endpoints: Mapping[str, float]) -> Scored:
    """The record for a pool. A failure or a violated constraint takes it out of the ranking."""
    single = len(one.values) == 1
    rank = (one.values[0] if single else 0.0) if one.values and all(v <= 0 for v in one.violations) else math.nan
    score, several = (one.values[0], ()) if single else (math.nan, one.values)
    return Scored(one.text, one.key, score, rank, dict(endpoints), one.violations, several, one.origin, call, group, one.failed)
