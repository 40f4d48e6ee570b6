"""Three properties at once, as held-out molecules have them: raw draws, and what the product's own call delivers in what time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.support.conditional import Setting, draw, measured, targets_of
from molvae.api import Model
from molvae.errors import InvalidRecord

TOLERANCE = {"logp": 0.3, "qed": 0.05, "tpsa": 6.0}


def labels_of(model: Model, text: str) -> dict[str, float]:
    """logP, QED and TPSA of a molecule, by the domain's own code."""
    record = model.domain.parse(text)
    return {name: model.domain.properties[name].compute(record) for name in TOLERANCE}


def raw_hits(model: Model, texts: Sequence[str], setting: Setting, each: int, seed: int) -> dict[str, float]:
    """Raw draws with the three labels of each text asked for.

    hit: share of all draws, invalid ones included, that lie within TOLERANCE of all three; valid: share of all draws; deviation_NAME: mean
    absolute, of the valid ones.
    """
    labels = [labels_of(model, text) for text in texts]
    asked = {name: np.repeat([one[name] for one in labels], each) for name in TOLERANCE}
    found = draw(model, targets_of(model, asked), setting, seed)
    gaps = {name: np.abs(measured(model, name, found.records) - asked[name]) for name in TOLERANCE}
    inside = np.all([gaps[name] <= TOLERANCE[name] for name in TOLERANCE], axis=0)  # NaN, of an invalid draw, is outside
    valid = np.array([record is not None for record in found.records])
    mean = {f"deviation_{name}": float(np.nanmean(gap)) if valid.any() else float("nan") for name, gap in gaps.items()}
    return {"draws": len(valid), "hit": float(inside.mean()), "valid": float(valid.mean()), **mean}


def delivered(model: Model, texts: Sequence[str], setting: Setting, wanted: int, most: int, seed: int) -> dict[str, float]:
    """``model.generate`` with the three labels of each text and TOLERANCE, ``wanted`` distinct candidates or ``most`` draws each.

    accepted: draws that were valid, passed the verdict, were new to the request and inside all three (what a call finds beyond ``wanted``
    in its last batch included); accepted_per_s: over the seconds of the calls; acceptance: over all draws; served: share of the requests
    met in full; valid: share of the delivered texts that read back and pass the verdict; distinct: of all delivered; novel: not training
    molecules.
    """
    texts_out: list[str] = []
    drawn = met = good = inside = 0
    seconds = 0.0
    novel: list[bool] = []
    for k, text in enumerate(texts):
        targets = {name: (value, TOLERANCE[name]) for name, value in labels_of(model, text).items()}
        made = model.generate(
            wanted,
            targets=targets,
            temperature=setting.temperature,
            guidance=setting.guidance,
            level=setting.level,
            prior=setting.prior,
            seed=seed + k,
            max_draws=most,
        )
        drawn, seconds, met = drawn + made.funnel.drawn, seconds + made.seconds, met + (made.short is None)
        inside += made.funnel.inside
        texts_out += [candidate.text for candidate in made.candidates]
        novel += [candidate.novel for candidate in made.candidates if candidate.novel is not None]
        good += sum(_passes(model, candidate.text) for candidate in made.candidates)
    count = len(texts_out)
    return {
        "requests": len(texts),
        "accepted": inside,
        "drawn": drawn,
        "accepted_per_s": inside / seconds,
        "acceptance": inside / drawn,
        "served": met / len(texts),
        "valid": good / count if count else float("nan"),
        "distinct": len(set(texts_out)) / count if count else float("nan"),
        "novel": float(np.mean(novel)) if novel else float("nan"),
    }


def _passes(model: Model, text: str) -> bool:
    try:
        return model.validator.verdict(model.domain.parse(text)).ok
    except InvalidRecord:
        return False
