"""What a crystal model does with a target: values asked for beside those of raw draws, for every label it was trained with.

A draw's value is measured where the domain can compute it. For the label of CDVAE's property net it is the net's prediction, which took no part
in the model's training, of draws that are valid in structure, since of atoms on one spot it says anything. For any other label it is the model's
own head's, which says less: the same model made the draw. Nothing is selected. The control is what draws would show that ignore their target:
all pairs of an asked value and another draw's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.crystals.property_net import PropertyNet
from benchmarks.crystals.settings import setting
from benchmarks.crystals.validity import validity
from benchmarks.support.conditional import Setting, agreement, asked_values, draw, grid, measured, targets_of, training_labels
from molvae.api import Model
from molvae.domains.crystals import Crystal

Floats = NDArray[np.float64]


def conditioning(model: Model, data: str, draws: int, guidance: float, seed: int) -> dict[str, dict[str, Any]]:
    """By label: ``judge`` of the draws' values, ``unit``, and the figures of ``agreement``. draws: for each label, over nine targets."""
    labels, net = training_labels(model), PropertyNet(data)
    found: dict[str, dict[str, Any]] = {}
    for column, name in enumerate(model.properties):
        asked = asked_values(grid(labels[:, column]), draws)
        records = draw(model, targets_of(model, {name: asked}), Setting(guidance=guidance), seed).records
        judge, values = _judged(model, name, data, net, records)
        found[name] = {"judge": judge, "unit": model.unit(name), "draws": len(asked), **agreement(asked, values)}
    return found


def _judged(model: Model, name: str, data: str, net: PropertyNet, records: Sequence[Crystal | None]) -> tuple[str, Floats]:
    """Who says the values, and the values (n,), NaN where there is none."""
    if name in model.domain.properties:
        return "measured", measured(model, name, records)
    values = np.full(len(records), np.nan)
    at = [k for k, record in enumerate(records) if record is not None]
    some = [record for record in records if record is not None]
    if name == setting(data).label:
        values[at] = np.where(validity(some).structure, net.predict(some), np.nan)
        return "CDVAE's property net", values
    mean, _ = model.predict([record.text for record in some])
    values[at] = mean[:, model.properties.index(name)]
    return "own head", values
