"""A tiny model of crystals, trained within seconds on rock salts and perovskites."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from molvae import build
from molvae.config import override
from molvae.dataset import Store, prepare
from molvae.domains.crystals import Crystal
from molvae.representation import Labels, Representation
from molvae.tokens import SymbolBPE
from molvae.training import train

SMALL = {
    "encoder.sequence_hidden": 32,
    "encoder.features": 32,
    "encoder.graph_hidden": 16,
    "latent.width": 8,
    "latent.summary": 4,
    "decoder.embed": 16,
    "decoder.hidden": 32,
    "decoder.layers": 2,
    "decoder.heads": 2,
    "train.steps": 120,
    "train.learning_rate": 5e-3,
    "train.warmup_steps": 10,
    "train.ema": 0.9,
    "train.precision": "32-true",
    "train.threads": 1,
    "heads.hidden": 16,
}


BLANK = {
    **{"encoder.sequence_hidden": 32, "encoder.graph_hidden": 16, "encoder.features": 32, "decoder.embed": 16, "decoder.hidden": 32},
    **{"decoder.heads": 2, "latent.width": 8, "latent.summary": 4, "condition.properties": ["density"]},
}
"""Settings of a model that is not trained, as small as can be, of ``wyckoff_strings``."""


def wyckoff_strings(views: tuple[str, ...] = ("sequence", "graph")) -> Representation[Crystal]:
    """How such a model reads and writes crystals: with every symbol of their strings, and density as its only label."""
    domain = build.domain("crystals")
    view = domain.sequences["wyckoff"]
    bpe = SymbolBPE(view.alphabet, ())
    return Representation(domain, view, bpe, view, bpe, Labels(("density",), {}), views)


def rows() -> Iterator[str]:
    """Rock salts and perovskites, as Wyckoff texts of plausible volumes."""
    for at, metal in enumerate(("Li", "Na", "K", "Rb", "Mg", "Ca", "Sr", "Ba")):
        for anion in ("F", "Cl", "Br", "O", "S", "Se"):
            yield f"sg225@a{metal}@b{anion}|{18 + at % 4:02d}.{10 + at:02d}"
        for small in ("Ti", "Zr", "Hf", "Nb", "Sn"):
            for anion in ("O", "S", "F"):
                yield f"sg221@a{metal}@b{small}@c{anion}|{18 + at % 4:02d}.{20 + at:02d}"


@pytest.fixture(scope="session")
def crystal_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its training folder."""
    place = tmp_path_factory.mktemp("crystals")
    source = place / "rows.csv"
    pd.DataFrame({"wyckoff": list(rows())}).to_csv(source, index=False)
    store = prepare(build.maker("crystals"), [source], place / "store", properties=("density", "volume_per_atom"), workers=1)
    train(Store.open(store.path), override(build.usual("crystals"), SMALL), place / "run")
    return place / "run"
