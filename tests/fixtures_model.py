"""A tiny model, trained within seconds on molecules enumerated from a few cores and substituents, for every test that needs some model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import pytest

import molvae
from molvae import config as settings
from molvae.config import Config
from molvae.dataset import Store, prepare
from molvae.domains.molecules import domain
from molvae.training import Trained, train

PROPERTIES = ("logp", "qed", "mw")
_CORES = ("c1ccc({})cc1{}", "c1cc({})ncc1{}", "C1CN({})CCC1{}", "c1cc({})sc1{}", "C1CC({})CCC1{}", "c1nc({})ncc1{}")
_FIRST = ("C", "CC", "C(C)C", "C(C)=O", "CCO", "S(C)(=O)=O")
_SECOND = ("OC", "N(C)C", "C(N)=O", "CF", "C#N", "CC", "COC")


@dataclass(frozen=True)
class Tiny:
    """The files of the tiny model: its source, the prepared store, and the training run with the checkpoint."""

    source: Path
    store: Path
    run: Path
    trained: Trained

    @property
    def checkpoint(self) -> Path:
        """The checkpoint folder."""
        return self.run / "checkpoint"


@cache
def tiny_smiles() -> tuple[str, ...]:
    """252 distinct molecules, each made of a core and two substituents."""
    return tuple(core.format(first, second) for core, first, second in product(_CORES, _FIRST, _SECOND))


def tiny_config(**overrides: object) -> Config:
    """A configuration that trains within seconds; dotted settings as keyword arguments with ``__`` for the dot."""
    small: dict[str, object] = {
        "representation.source_vocabulary": 64,
        "representation.target_vocabulary": 64,
        "encoder.features": 32,
        "encoder.sequence_embed": 16,
        "encoder.sequence_hidden": 16,
        "encoder.graph_hidden": 16,
        "encoder.graph_layers": 2,
        "latent.width": 16,
        "decoder.embed": 32,
        "decoder.hidden": 64,
        "condition.properties": PROPERTIES,
        "condition.width": 16,
        "condition.budget_rank": 4,
        "heads.hidden": 16,
        "heads.layers": 1,
        "train.steps": 250,
        "train.prior_batch": 48,
        "train.code_batch": 48,
        "train.learning_rate": 0.01,
        "train.warmup_steps": 10,
        "train.ema": 0.95,
        "train.precision": "32-true",
        "train.threads": 1,
        "train.log_steps": 20,
        "train.validate_steps": 1000,
    }
    return settings.override(Config(), small | {name.replace("__", "."): value for name, value in overrides.items()})


def write_source(path: Path) -> Path:
    """The molecules as a CSV file with a label column, one bad row and one duplicate."""
    rows = [f"{smiles},{index / 10}" for index, smiles in enumerate(tiny_smiles())]
    path.write_text("\n".join(["smiles,activity", *rows, "C1CC,0", rows[0], ""]), encoding="utf-8")
    return path


def tiny_store(folder: Path) -> Store:
    """The molecules, prepared in ``folder``."""
    source = write_source(folder / "tiny.csv")
    return prepare(domain, source, folder / "store", properties=PROPERTIES, label_columns=(), fractions=(0.8, 0.1, 0.1), workers=1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny model's files; do not change them."""
    folder = tmp_path_factory.mktemp("tiny")
    store = tiny_store(folder)
    trained = train(store, tiny_config(), folder / "run", name="tiny")
    return Tiny(folder / "tiny.csv", store.path, folder / "run", trained)


@pytest.fixture(scope="session")
def model(tiny: Tiny) -> molvae.Model:
    """The tiny model, loaded."""
    return molvae.load(tiny.run)
