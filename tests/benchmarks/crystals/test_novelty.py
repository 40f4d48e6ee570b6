"""Stable, unique, new: counted by hand; the control's crystals; and the whole pipeline for a moment."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import crystal_stable
from benchmarks.crystals import novelty
from benchmarks.crystals.decorations import atomic_volumes, decorations
from benchmarks.crystals.novelty import Judged, novel, summary, unique
from benchmarks.support import record
from molvae.domains.crystals.structure import Crystal, parse
from molvae.domains.crystals.wyckoff import NUMBER
from molvae.protocols import StabilityRow
from tests.fixtures_crystals import rows

SALT, LARGER = parse("sg225@aNa@bCl|22.00"), parse("sg225@aNa@bCl|22.10")
OTHER_TYPE, OTHER = parse("sg221@aNa@bCl|22.00"), parse("sg225@aK@bCl|22.00")


def judged(crystal: Crystal | None, e_hull: float = 0.05, coverage: str = "good", verdict: str = "metastable") -> Judged:
    return Judged(crystal, verdict, coverage, e_hull, 0.1)


def test_unique_and_new_go_by_structure() -> None:
    assert unique([SALT, LARGER, None, OTHER_TYPE, OTHER, SALT]) == [True, False, False, True, True, False]
    assert novel([SALT, OTHER_TYPE, OTHER, None], [LARGER]) == [False, True, True, False]
    assert novel([SALT], []) == [True]


def test_shares_by_hand() -> None:
    some = [
        judged(SALT),  # known
        judged(OTHER),  # stable, unique, new
        judged(OTHER),  # a repeat
        judged(OTHER_TYPE, 0.03, "sparse", "no verdict"),  # close and new, but little is known
        judged(parse("sg221@aTi@bSr@cO|19.30"), 0.4, "good", "unstable"),
        judged(None, math.nan, "none", "failed"),
    ]
    found = summary(some, [LARGER])
    assert found["count"] == 6
    assert found["failed"] == 1
    assert found["stable"] == pytest.approx(3 / 6)
    assert found["close"] == pytest.approx(4 / 6)
    assert found["unique"] == pytest.approx(4 / 6)
    assert found["new"] == pytest.approx(4 / 6)
    assert found["sun"] == pytest.approx(1 / 6)
    assert found["close_unique_new"] == pytest.approx(2 / 6)
    assert found["coverage"] == {"good": 4, "sparse": 1, "none": 1}
    assert found["median_e_hull"] == pytest.approx(0.05)


class FakeStability:
    """Says what it is told of each crystal, in reverse order, the first of them failed; stops after so many."""

    def __init__(self, most: int = 100) -> None:
        self.most, self.asked = most, list[str]()

    def run(self, texts: list[str], plan: object) -> Iterator[tuple[int, StabilityRow]]:
        self.asked += texts
        values = {"coverage": "good", "e_hull": 0.2, "rms": 0.0, "seconds": 1.0}
        for at in reversed(range(len(texts))):
            if self.most == 0:
                raise KeyboardInterrupt
            self.most -= 1
            failed = texts[at] == SALT.text
            yield at, StabilityRow("failed" if failed else "unstable", "", values | {"relaxed": "" if failed else texts[at]})


def test_rows_are_judged_in_the_order_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(novelty, "STABILITY", FakeStability())
    found = novelty.relaxed([SALT.text, OTHER.text, OTHER_TYPE.text], "hull.json", 1, tmp_path / "rows.jsonl")
    assert [one.crystal for one in found] == [None, OTHER, OTHER_TYPE]
    assert [one.close for one in found] == [False] * 3


def test_relaxing_goes_on_where_it_was_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    texts, journal = [SALT.text, OTHER.text, OTHER_TYPE.text], tmp_path / "rows.jsonl"
    monkeypatch.setattr(novelty, "STABILITY", FakeStability(2))
    with pytest.raises(KeyboardInterrupt):
        novelty.relaxed(texts, "hull.json", 1, journal)
    again = FakeStability()
    monkeypatch.setattr(novelty, "STABILITY", again)
    assert [one.crystal for one in novelty.relaxed(texts, "hull.json", 1, journal)] == [None, OTHER, OTHER_TYPE]
    assert again.asked == [SALT.text]
    with pytest.raises(ValueError, match="other records"):
        novelty.relaxed(texts[::-1], "hull.json", 1, journal)


def test_volumes_of_elements_add_up() -> None:
    found = atomic_volumes([parse(text) for text in rows()])
    assert found.shape == (103,)
    made = parse("sg225@aNa@bCl|19.11")
    guess = found[[NUMBER["Na"] - 1, NUMBER["Cl"] - 1]].mean()
    assert guess == pytest.approx(made.primitive.volume / 2, rel=0.1)
    assert found[NUMBER["U"] - 1] > 0  # an element that does not occur


def test_decorations_keep_the_type_and_use_what_occurs() -> None:
    known = [parse(text) for text in rows()]
    some = list(islice(decorations(known, lambda one: one.group == 221, np.random.default_rng(0)), 20))
    occurring = {z for one in known for z in one.primitive.numbers.tolist()}
    assert {one.group for one in some} == {221}
    assert all(set(one.primitive.numbers.tolist()) <= occurring and len(set(one.primitive.numbers.tolist())) == 3 for one in some)
    assert len({one.formula for one in some}) > 10
    again = list(islice(decorations(known, lambda one: one.group == 221, np.random.default_rng(0)), 20))
    assert some == again


@pytest.mark.slow
def test_the_whole_pipeline(crystal_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("chgnet", reason="the extra stability is not installed")
    from molvae.domains.crystals.stability.service import STABILITY

    monkeypatch.setattr(record.write_result, "__kwdefaults__", record.write_result.__kwdefaults__ | {"folder": tmp_path})
    table = {"formula": ["NaCl", "MgO", "SrTiO3"], "formation_energy_per_atom": [-2.1, -3.0, -3.5], "e_above_hull": [0.0, 0.0, 0.0]}
    pd.DataFrame(table).to_csv(tmp_path / "known.csv", index=False)
    STABILITY.build([tmp_path / "known.csv"], [], "small", tmp_path / "hull.json")
    options = ["--store", str(crystal_run.parent / "store"), "--model", str(crystal_run), "--reference", str(tmp_path / "hull.json")]
    crystal_stable.main([*options, "--count", "2,1", "--workers", "1", "--folder", str(tmp_path / "work")])
    found = json.loads((tmp_path / "crystal_stable.json").read_text(encoding="utf-8"))
    assert set(found["results"]["sources"]) == {"model", "decorations", "training"}
    assert found["results"]["reference"] == {"name": "small", "source": "known.csv"}
    assert found["results"]["sources"]["training"]["new"] == 0.0
    assert [one["count"] for one in found["results"]["sources"].values()] == [2, 1, 1]
    assert len(found["rows"]) == 9
    with pytest.raises(SystemExit):
        crystal_stable.main([*options, "--sources", "none"])
    for count in ("0", "2,many"):
        with pytest.raises(SystemExit):
            crystal_stable.main([*options, "--count", count])
