"""Molecules that a model did not train on: held-out rows of its prepared data set, MOSES's test split, or a file less what it knows."""

from __future__ import annotations

import argparse
import gzip
import random
from pathlib import Path

import numpy as np

from benchmarks.support import molsets
from molvae.api import Model
from molvae.dataset import Store
from molvae.errors import InvalidRecord


def from_store(store: Store, n: int, seed: int) -> list[str]:
    """At most n random molecules of the test split, of the validation split where there is no test split."""
    rows = store.rows("test")
    rows = rows if len(rows) else store.rows("valid")
    if not len(rows):
        raise SystemExit(f"{store.path}: no held-out rows; prepare it with a share for validation or test")
    return store.texts("text", np.random.default_rng(seed).permutation(rows)[:n])


def from_moses(model: Model, n: int, seed: int, local: Path | None) -> list[str]:
    """n random molecules of MOSES's test split in the model's canonical form."""
    chosen = random.Random(seed).sample(molsets.split("test", local), n)
    return [model.domain.write(model.domain.parse(text)) for text in chosen]


def from_file(model: Model, path: Path, n: int, seed: int) -> list[str]:
    """At most n random molecules of a file (one SMILES a line, maybe gzipped), cleaned by the default steps, that the model did not train on."""
    if model.validator.known is None:
        raise SystemExit(f"{model.name} carries no list of its training molecules, so held-out ones cannot be told")
    data = path.read_bytes()
    content = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    texts = [line.split()[0] for line in content.splitlines() if line.strip()]
    random.Random(seed).shuffle(texts)
    found: dict[str, None] = {}
    for text in texts:
        if len(found) == n:
            break
        try:
            record = model.domain.parse(text)
            for step in model.domain.steps:
                record = step.apply(record) if step.default else record
        except InvalidRecord:
            continue  # cleaning dropped it from the training data too
        if model.validator.novel(model.domain.key(record)):
            found[model.domain.write(record)] = None
    return list(found)


def held_out(model: Model, options: argparse.Namespace, n: int) -> tuple[list[str], str]:
    """n held-out molecules by the options of ``add_source``, and in words where they are from."""
    if options.store is not None:
        return from_store(Store.open(options.store), n, options.seed), "held-out rows of the prepared data set"
    return from_moses(model, n, options.seed, options.molsets), "MOSES test split"


def encodable(model: Model, texts: list[str]) -> list[bool]:
    """Whether the model's vocabularies can read and write each molecule."""
    found = []
    for text in texts:
        try:
            model.representation.encodable(model.domain.parse(text))
            found.append(True)
        except InvalidRecord:
            found.append(False)
    return found
