"""Long benchmarks keep what they have finished and go on where they were stopped."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import crystal_model
from benchmarks.support.journal import Journal, weights_hash
from molvae.objectives import Objective


def test_what_is_kept_is_not_left(tmp_path: Path) -> None:
    path, texts = tmp_path / "new" / "rows.jsonl", ["a", "b", "c"]
    first = Journal(path, texts)
    assert first.left == [0, 1, 2]
    first.add(2, {"x": 1.5})
    first.add(0, ["é", None])
    again = Journal(path, texts)
    assert again.left == first.left == [1]
    with pytest.raises(KeyError):
        again.all()
    again.add(1, float("nan"))
    assert Journal(path, texts).all()[::2] == [["é", None], {"x": 1.5}]


def test_a_line_that_was_cut_is_dropped(tmp_path: Path) -> None:
    path, texts = tmp_path / "rows.jsonl", ["a", "b"]
    Journal(path, texts).add(0, "first")
    whole = path.read_text(encoding="utf-8")
    for cut in ('{"at": 1, "te', '{"at": 1, "text": "b", "found": 1}'):
        path.write_text(whole + cut, encoding="utf-8")
        again = Journal(path, texts)
        assert again.left == [1]
        assert path.read_text(encoding="utf-8") == whole
    again.add(1, "second")
    assert Journal(path, texts).all() == ["first", "second"]


def test_other_texts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    Journal(path, ["a", "b"]).add(1, 0)
    for others in (["a"], ["b", "a"]):
        with pytest.raises(ValueError, match="other records than are asked for"):
            Journal(path, others)


class FakeModel:
    """Proposes what it started from, SrTiO3 where that is nothing, and stops after so many starts."""

    def __init__(self, path: Path, most: int = 9) -> None:
        self.name, self.path, self.most, self.seeds = "fake", path, most, list[int]()
        (path / "weights.safetensors").write_bytes(b"weights")

    def optimize(self, objective: Objective, *, seeds: tuple[str, ...], seed: int, **others: Any) -> SimpleNamespace:
        assert set(objective.names) == {"heat_ref_views", "log_density"}
        if self.most == 0:
            raise KeyboardInterrupt
        self.most -= 1
        self.seeds.append(seed)
        return SimpleNamespace(candidates=[SimpleNamespace(text=(*seeds, "sg221@aSr@bTi@cO|20.11")[0])])


class FakeNet:
    """Predicts low energies."""

    def __init__(self, data: str) -> None:
        self.data = data

    def predict(self, some: list[object]) -> list[float]:
        return [-9.0] * len(some)


def test_property_optimisation_goes_on_where_it_was_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(crystal_model, "PropertyNet", FakeNet)
    monkeypatch.setattr(crystal_model, "_common", lambda model, options: -7.125)
    texts = ["sg221@aSr@bTi@cO|20.11", "sg221@aBa@bTi@cO|20.11", "sg225@aNa@bCl|22.00"]
    options = Namespace(data="perov_5", starts=2, budget=20, seed=4, endpoint="_views", beside_seeds=8, folder=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        crystal_model.optimise(FakeModel(tmp_path, 1), texts, options)
    model = FakeModel(tmp_path)
    payload, rows = crystal_model.optimise(model, texts, options)
    assert model.seeds == [5, 4, 5]  # the second start, and both of the control
    rates = {"SR5": 1.0, "SR10": 1.0, "SR15": 1.0}
    said = {"starts": 2, "budget": 20, "endpoint": "heat_ref_views", "beside_seeds": 8, "least_log_density": -7.125}
    assert payload == {**said, "rates": rates, "rates, draws of the prior alone": rates}
    assert [row.value for row in rows] == [1.0] * 6
    before = weights_hash(model)  # type: ignore[arg-type]
    (tmp_path / "weights.safetensors").write_bytes(b"other weights")
    assert weights_hash(model) != before  # type: ignore[arg-type]
