"""Hits of a profile: the same count for every way, and a tiny run that ends in a result file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import molvae
from benchmarks import hits
from benchmarks.support import record
from benchmarks.support.hits import WAYS, Effort, Profile, Tally, find
from molvae.search.sampler import Recipe
from tests.fixtures_model import Tiny, tiny_smiles

EASY = Profile("easy", {"logp": (0.0, 4.0), "mw": (100.0, 400.0), "qed": (0.2, 1.0)})


def test_calls_are_distinct_molecules_and_hits_are_inside(model: molvae.Model) -> None:
    narrow = Profile("narrow", {"mw": (0.0, 150.0)})
    tally = Tally(model, narrow, Effort(wanted=2, most=10))
    light, heavy = "Cc1ccc(C)cc1", "Cc1ccc(CCCCCC)cc1"
    tally.take(map(model.domain.parse, [heavy, light, light, "CC1CCC(C)CC1", "Cc1ccc(O)cc1"]))
    assert tally.at == [2, 3]
    assert tally.full
    assert tally.calls == 3


def test_calls_end_at_the_limit(model: molvae.Model) -> None:
    tally = Tally(model, Profile("none", {"mw": (0.0, 1.0)}), Effort(wanted=1, most=3))
    tally.take(map(model.domain.parse, tiny_smiles()[:10]))
    assert (tally.calls, tally.at) == (3, [])


@pytest.mark.parametrize("way", WAYS)
def test_every_way_finds_hits_and_recounts_the_same(model: molvae.Model, tiny: Tiny, way: str) -> None:
    effort = Effort(wanted=5, most=60, recipe=Recipe(start=8, batch=4, tune_steps=0))
    found = find(model, EASY, way, effort, 0, tiny.store)
    assert found["hits"] == 5
    assert found["at"][-1] <= found["calls"] <= 60
    assert found["at"] == sorted(set(found["at"]))
    records = [model.domain.parse(text) for text in found["smiles"]]
    assert len({model.domain.write(r) for r in records}) == 5
    assert all(EASY.holds(model, r) and model.validator.verdict(r).ok for r in records)
    assert way != "screening" or found["novel"] == 0.0
    again = find(model, EASY, way, effort, 0, tiny.store)
    assert again["at"] == found["at"]


def test_runs_that_never_got_there_have_no_mean() -> None:
    full = {"hits": 2, "at": [3, 10], "calls": 10, "novel": 1.0}
    short = {"hits": 1, "at": [7], "calls": 100, "novel": 0.0}
    done, cut = hits.figures([full, full], 2), hits.figures([full, short], 2)
    assert (done["calls"], done["rate"]) == (10.0, 200.0)
    assert cut["calls"] != cut["calls"]
    assert cut["rate"] == pytest.approx((200 + 10) / 2)
    assert "not within 100" in hits.shown(cut, 100)


def test_runs_are_kept_and_collected(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hits, "PROFILES", {"easy": EASY})
    monkeypatch.setattr(hits, "write_result", lambda *a, **k: record.write_result(*a, **k, folder=tmp_path / "results"))
    where = [
        "--model",
        str(tiny.run),
        "--store",
        str(tiny.store),
        "--folder",
        str(tmp_path),
        "--seeds",
        "1",
        "--wanted",
        "3",
        "--most",
        "40",
    ]
    hits.main([*where, "--profiles", "all", "--ways", "conditional,prior,screening", "--collect"])
    written = json.loads((tmp_path / "results" / "hits.json").read_text(encoding="utf-8"))
    (row,) = written["rows"]
    assert row["value"] >= 3
    assert "screening" in row["published"]
