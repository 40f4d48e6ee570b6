"""Constrained analogue search: the score, the choice of seeds, the search's promises, and a tiny run that ends in a result file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem, DataStructs

import molvae
from benchmarks import analogues
from benchmarks.support import record
from benchmarks.support.analogues import PRINTS, Lines, Seed, Settings
from benchmarks.support.penalised import parts
from benchmarks.support.seeds import clean, listed_seeds, protocol_seeds
from molvae.dataset import Store
from tests.fixtures_model import Tiny

# --- score ------------------------------------------------------------------------------------------------------------------------------


def test_equals_the_published_check_value() -> None:
    # the check that stands at the end of VJTNN's props/properties.py
    smiles = "ClC1=CC=C2C(C=C(C(C)=O)C(C(NC3=CC(NC(NC4=CC(C5=C(C)C=CC=C5)=CC=C4)=O)=CC=C3)=O)=C2)=C1"
    assert parts(Chem.MolFromSmiles(smiles)).score == pytest.approx(5.30, abs=0.005)


def test_large_cycles_are_penalised_atom_by_atom() -> None:
    six, eight, chain = (parts(Chem.MolFromSmiles(smiles)) for smiles in ("C1CCCCC1", "C1CCCCCCC1", "CCCCCC"))
    assert (six.cycle, eight.cycle, chain.cycle) == (0, 2, 0)
    assert eight.plain == pytest.approx(eight.logp - eight.sa)


# --- seeds ------------------------------------------------------------------------------------------------------------------------------


def test_protocol_takes_the_lowest_of_the_test_split(model: molvae.Model, tiny: Tiny) -> None:
    store = Store.open(tiny.store)
    held = store.texts("text", store.rows("test"))
    plain = sorted(parts(Chem.MolFromSmiles(text)).plain for text in held)
    seeds = protocol_seeds(model, store, None, seed=0, count=1000, lowest=5)
    assert [parts(Chem.MolFromSmiles(seed.text)).plain for seed in seeds] == pytest.approx(plain[:5])
    assert all(seed.text == seed.cleaned for seed in seeds)


def test_only_the_file_the_store_was_made_from_is_read(model: molvae.Model, tiny: Tiny, tmp_path: Path) -> None:
    other = tmp_path / "other.smi"
    other.write_text("CCO\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="not the one file"):
        protocol_seeds(model, Store.open(tiny.store), other, seed=0)


def test_listed_seeds_are_cleaned_as_training_was(model: molvae.Model, tmp_path: Path) -> None:
    path = tmp_path / "seeds.smi"
    path.write_text("CC[NH3+] 1\n\nc1ccccc1O\n", encoding="utf-8")
    assert listed_seeds(model, path) == [Seed("CC[NH3+]", "CCN"), Seed("c1ccccc1O", "Oc1ccccc1")]
    assert clean(model, "CC(=O)[O-]") == "CC(=O)O"


# --- search -----------------------------------------------------------------------------------------------------------------------------


def test_analogues_keep_every_promise(model: molvae.Model, tiny: Tiny) -> None:
    seeds = protocol_seeds(model, Store.open(tiny.store), None, seed=0, lowest=4)
    lines = Lines(model, seeds, 0.3, Settings(draws=45, batch=8), seed=0).run()
    assert [line.seed for line in lines] == seeds
    assert sum(bool(line.trail) for line in lines) >= 1
    for line in lines:
        own = Chem.MolFromSmiles(line.seed.text)
        scores = [one.parts.score for one in line.trail]
        assert scores == sorted(scores)
        assert line.calls <= 45
        for one in line.trail:
            molecule = Chem.MolFromSmiles(one.text)
            assert one.parts.score == pytest.approx(parts(molecule).score)
            assert one.parts.score > parts(own).score
            assert 0.3 <= DataStructs.TanimotoSimilarity(PRINTS.GetFingerprint(own), PRINTS.GetFingerprint(molecule)) == one.similarity
            assert model.validator.verdict(model.domain.parse(one.text)).ok
            assert 1 <= one.draw <= 45
    again = Lines(model, seeds, 0.3, Settings(draws=45, batch=8), seed=0).run()
    assert [[one.text for one in line.trail] for line in again] == [[one.text for one in line.trail] for line in lines]


def test_the_cleaned_seed_is_the_first_draw_of_a_charged_one(model: molvae.Model) -> None:
    seeds = [Seed("CC(=O)N1CCC([NH+](C)C)CC1", "CC(=O)N1CCC(N(C)C)CC1")]
    line = Lines(model, seeds, 0.0, Settings(draws=1), seed=0).run()[0]
    assert [one.text for one in line.trail] == [seeds[0].cleaned]
    assert line.best(1) is line.trail[0]
    assert line.best(0) is None


def test_outcome_counts_failures_as_no_improvement() -> None:
    better = {"smiles": "C", "draw": 30, "similarity": 0.5, "score": 3.0, "plain": 2.0}
    seeds = [{"smiles": "CC", "score": 1.0, "plain": 1.5, "calls": 2, "trail": [better]}, {"score": 0.0, "plain": 0.0, "trail": []}]
    run = {"unreadable": 2, "seeds": seeds}
    late = analogues.outcome(run, 80)
    assert (late["improvement"], late["plain"], late["similarity"], late["success"]) == (0.5, 0.125, 0.5, 0.25)
    early = analogues.outcome(run, 20)
    assert early["improvement"] == early["success"] == 0.0
    assert np.isnan(early["similarity"])


def test_runs_are_kept_and_collected(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analogues, "write_result", lambda *a, **k: record.write_result(*a, **k, folder=tmp_path / "results"))
    where = ["--model", str(tiny.run), "--store", str(tiny.store), "--folder", str(tmp_path)]
    analogues.main([*where, "--seeds", "3", "--draws", "24", "--forms", "neutral", "--deltas", "0.4,0", "--collect"])
    assert len(list(tmp_path.glob("*.json"))) == 2
    written = json.loads((tmp_path / "results" / "analogues.json").read_text(encoding="utf-8"))
    assert [row["measure"].split(",")[0] for row in written["rows"]] == [
        "improvement of penalised logP at similarity >= 0.4",
        "improvement of penalised logP at similarity >= 0",
    ]
    assert set(written["results"]["outcomes"]["neutral-0.4-seed0-3-24"]) == {"20", "24"}


def test_source_seeds_need_their_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        analogues.parse(["--forms", "source"])
    assert "--zinc FILE" in capsys.readouterr().err
