"""Whether a model knows what it is given: properties as in its training data, and records that come back from their own codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from molvae.cli.shared import State, number

if TYPE_CHECKING:
    from molvae.api import Model

LOOKED_AT = 200  # records whose properties are computed for the warning
MARGIN = 0.25  # standard deviations beyond the smallest and largest training label seen that are no surprise
SPREAD = 4.0  # standard deviations from the mean, where a model carries no exemplars to ask


def warn_of_strange(state: State, model: Model, texts: Sequence[str]) -> None:
    """Say so where records lie outside of what the model was trained on, by the properties that it was trained with."""
    looked = texts[:LOOKED_AT]
    found = [(text, why) for text, why in ((text, strange(model, text)) for text in looked) if why]
    if not found:
        return
    text, why = found[0]
    among = f"of the first {len(looked)} records" if len(looked) < len(texts) else f"of {len(texts)} records"
    what = f"{len(found)} {among} lie outside the training data of {model.name}, as" if len(texts) > 1 else "outside the training data:"
    state.warn(f"{what} {text}: {why}; what the model makes of it says little")


def strange(model: Model, text: str) -> str:
    """The properties of a record that are outside of the training data's range, in words."""
    record = model.domain.parse(text)
    found = []
    for place, name in enumerate(model.properties):
        if name not in model.domain.properties:
            continue
        value = model.domain.properties[name].compute(record)
        low, high = trained(model, place)
        if value < low or value > high:
            found.append(f"{name} {number(value)}, trained on {number(low)} to {number(high)}")
    return "; ".join(found)


def trained(model: Model, place: int) -> tuple[float, float]:
    """The range of one label in the training data: of the exemplars that the model carries, else the usual spread."""
    mean, std = float(model.vae.label_mean[place]), float(model.vae.label_std[place])
    low = high = SPREAD
    if model.sampler.exemplars is not None:
        labels = model.sampler.exemplars.labels[:, place].float()
        labels = labels[~labels.isnan()]
        if labels.numel():
            low, high = MARGIN - float(labels.min()), MARGIN + float(labels.max())
    return mean - low * std, mean + high * std


def returning(state: State, model: Model, texts: Sequence[str]) -> list[bool]:
    """Whether each record comes back from its own noiseless code, by the most likely tokens; warns of those that do not."""
    found = model.reconstruct(texts)
    for one in found:
        if not one.exact:
            back = "as no valid record" if one.text is None else f"as {one.text}"
            state.warn(f"{one.asked} comes back from its own code {back}: what is found may start from that instead")
    return [one.exact for one in found]
