"""Conditional draws without any selection, and what they are worth. Axes: n draws, P properties, G grid points."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from benchmarks.support.codes import decode
from molvae.api import Model
from molvae.sample import noised

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """How codes are proposed and decoded. prior: "normal" or "exemplars"; level: noise level, 1 for the normal prior."""

    prior: str = "normal"
    level: float = 1.0
    guidance: float = 0.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.prior not in ("normal", "exemplars"):
            raise ValueError(f"prior {self.prior!r}; wanted normal or exemplars")

    @property
    def name(self) -> str:
        """Short name of the setting for tables."""
        start = "N(0, I)" if self.prior == "normal" else "exemplars"
        return f"{start} t={self.level:g} w={self.guidance:g}" + (f" T={self.temperature:g}" if self.temperature != 1.0 else "")


def grid(labels: Floats, points: int = 9, low: float = 0.05, high: float = 0.95) -> Floats:
    """Targets (G,): evenly spaced quantiles of the known labels from ``low`` to ``high``."""
    known = labels[np.isfinite(labels)]
    if not known.size:
        raise ValueError("no known label to take quantiles of")
    return np.quantile(known, np.linspace(low, high, points))


def asked_values(points: Floats, draws: int) -> Floats:
    """Each grid point as often as fits into ``draws``, at least once: (n,)."""
    return np.repeat(points, max(1, draws // len(points)))


def training_labels(model: Model) -> Floats:
    """Labels (M, P) of the model's exemplars, a random sample of its training molecules, in their own units."""
    exemplars = model.sampler.exemplars
    if exemplars is None:
        raise SystemExit(f"{model.name} carries no exemplars, whose labels give the targets")
    return (exemplars.labels * model.vae.label_std + model.vae.label_mean).double().numpy()


def targets_of(model: Model, values: dict[str, Floats]) -> Tensor:
    """Columns by property (n,) -> targets (n, P) with NaN for the properties not named."""
    size = len(next(iter(values.values())))
    out = torch.full((size, len(model.properties)), torch.nan)
    for name, column in values.items():
        out[:, model.properties.index(name)] = torch.from_numpy(np.asarray(column, np.float32))
    return out


@dataclass(frozen=True)
class Draws:
    """Records of n draws (None where invalid), the exemplar each started from (None for the normal prior), and the seconds they took."""

    records: list[Any]
    exemplars: list[int] | None
    seconds: float


def draw(model: Model, targets: Tensor, setting: Setting, seed: int) -> Draws:
    """One draw for each row of targets (n, P), in their own units."""
    generator = torch.Generator().manual_seed(seed)
    start = time.perf_counter()
    chosen: Tensor | None = None
    if setting.prior == "exemplars":
        source = model.sampler.exemplars
        if source is None:
            raise SystemExit(f"{model.name} carries no exemplars")
        chosen = source.choose(model.vae.standardise(targets), generator)
        codes = noised(source.codes[chosen], torch.full((len(targets),), setting.level), generator)
    else:
        codes = torch.randn(len(targets), model.vae.latent.width, generator=generator)
    records = decode(model, codes, setting.level, targets, temperature=setting.temperature, guidance=setting.guidance, generator=generator)
    return Draws(records, None if chosen is None else chosen.tolist(), time.perf_counter() - start)


def measured(model: Model, name: str, records: Sequence[Any]) -> Floats:
    """The property of each record, NaN where there is no record: (n,)."""
    compute = model.domain.properties[name].compute
    return np.array([np.nan if record is None else compute(record) for record in records])


def random_pairs(asked: Floats, values: Floats) -> float:
    """Mean absolute difference over all pairs of an asked value and a known measured one: what draws that ignore their target would show."""
    known = values[np.isfinite(values)]
    return float(np.abs(asked[:, None] - known[None, :]).mean()) if known.size else float("nan")


def single(model: Model, name: str, asked: Floats, setting: Setting, seed: int, texts: Sequence[str] | None = None) -> dict[str, float]:
    """Draws with one property asked for, none selected: deviation of the valid ones and their quality. texts: of the exemplars, if known.

    deviation: mean absolute, in the property's unit; bias: mean signed one; sd_within: mean standard deviation at a grid point; spearman:
    rank correlation of asked and measured; ignoring: deviation of random pairs; valid: share of the draws; novel, differ: shares of the valid
    ones that are not training molecules, and not their own exemplar; distinct: distinct molecules among the valid ones.
    """
    found = draw(model, targets_of(model, {name: asked}), setting, seed)
    values = measured(model, name, found.records)
    return {"draws": len(asked), **agreement(asked, values), **quality(model, found, texts)}


def agreement(asked: Floats, values: Floats) -> dict[str, float]:
    """Of asked and measured values (n,), NaN where invalid: deviation, bias, sd_within, spearman, ignoring and the valid share."""
    known = np.isfinite(values)
    gap = (values - asked)[known]
    if gap.size < 2:
        return dict.fromkeys(("deviation", "bias", "sd_within", "spearman", "ignoring"), float("nan")) | {"valid": float(known.mean())}
    within = [values[known & (asked == point)].std() for point in np.unique(asked) if (known & (asked == point)).any()]
    varied = np.ptp(asked[known]) > 0 and np.ptp(values[known]) > 0
    return {
        "deviation": float(np.abs(gap).mean()),
        "bias": float(gap.mean()),
        "sd_within": float(np.mean(within)),
        "spearman": float(spearmanr(asked[known], values[known]).statistic) if varied else float("nan"),
        "ignoring": random_pairs(asked, values),
        "valid": float(known.mean()),
    }


def quality(model: Model, found: Draws, texts: Sequence[str] | None) -> dict[str, float]:
    """Shares of the valid draws: novel, differ (from the own exemplar), distinct; and draws a second. NaN where it cannot be told."""
    nan = float("nan")
    valid = [k for k, record in enumerate(found.records) if record is not None]
    own = [model.domain.write(found.records[k]) for k in valid]
    if not valid:
        return {"novel": nan, "differ": nan, "distinct": nan, "draws_per_s": len(found.records) / found.seconds}
    known = model.validator.known
    new = nan if known is None else float(np.mean([model.domain.key(found.records[k]) not in known for k in valid]))
    differ = nan
    if found.exemplars is not None and texts is not None:
        differ = float(np.mean([text != texts[found.exemplars[k]] for text, k in zip(own, valid, strict=True)]))
    return {"novel": new, "differ": differ, "distinct": len(set(own)) / len(own), "draws_per_s": len(found.records) / found.seconds}


def in_deviations(found: dict[str, dict[str, float]], spread: dict[str, float]) -> float:
    """Mean over the properties of the deviation in standard deviations of the training labels: one figure for a setting."""
    return float(np.mean([one["deviation"] / spread[name] for name, one in found.items()]))
