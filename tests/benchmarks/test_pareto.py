"""Pareto search: exact hypervolumes, the genetic algorithm's parts, and a tiny run of every method that ends in a result file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rdkit import Chem

import molvae
from benchmarks import pareto
from benchmarks.support import frontiers, pieces, record, selfies_ga
from benchmarks.support.hypervolume import curve, hypervolume
from molvae.search.sampler import Recipe
from tests.fixtures_model import Tiny, tiny_smiles

# --- hypervolume ------------------------------------------------------------------------------------------------------------------------


def test_by_hand() -> None:
    assert hypervolume(np.array([[0.5, 0.5]]), (0, 0)) == pytest.approx(0.25)
    assert hypervolume(np.array([[0.8, 0.2], [0.2, 0.8], [0.1, 0.1], [0.8, 0.2]]), (0, 0)) == pytest.approx(0.16 + 0.12)
    assert hypervolume(np.array([[1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]]), (0, 0, 0)) == pytest.approx(0.125 + 3 * 0.125)
    assert hypervolume(np.array([[0.5, 0.5], [0.9, -1.0]]), (0.25, 0.0)) == pytest.approx(0.125)
    assert hypervolume(np.zeros((0, 3)), (0, 0, 0)) == 0.0


@pytest.mark.parametrize("objectives", [2, 3])
def test_equals_counted_random_points(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    points = rng.random((30, objectives))
    thrown = rng.random((100_000, objectives))
    covered = (thrown[:, None] <= points[None]).all(2).any(1).mean()
    assert hypervolume(points, (0.0,) * objectives) == pytest.approx(covered, abs=0.005)


@given(st.integers(2, 3), st.integers(0, 12), st.integers(0, 2**31))
def test_equals_inclusion_of_grid_cells_with_ties(objectives: int, count: int, seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, 5, (count, objectives)).astype(float)  # on a grid, so that many tie
    cells = np.stack(np.meshgrid(*[np.arange(1, 5)] * objectives, indexing="ij"), -1).reshape(-1, objectives)
    covered = (cells[:, None] <= points[None]).all(2).any(1).sum()
    assert hypervolume(points, (0.0,) * objectives) == pytest.approx(float(covered))


def test_unusable_points_are_refused() -> None:
    with pytest.raises(ValueError, match="2 or 3"):
        hypervolume(np.ones((1, 4)), (0,) * 4)
    with pytest.raises(ValueError, match="NaN"):
        hypervolume(np.array([[np.nan, 1.0]]), (0, 0))


def test_curve_never_falls_and_ends_at_the_volume_of_everything() -> None:
    values = np.random.default_rng(0).random((250, 3))
    found = curve(values, (0, 0, 0), 100)
    assert len(found) == 3
    assert found == sorted(found)
    assert found[0] == pytest.approx(hypervolume(values[:100], (0, 0, 0)))
    assert found[-1] == pytest.approx(hypervolume(values, (0, 0, 0)))


# --- genetic algorithm ------------------------------------------------------------------------------------------------------------------


def test_ranks_and_crowding_by_hand() -> None:
    points = np.array([[3.0, 1.0], [1.0, 3.0], [2.0, 2.0], [1.0, 1.0], [2.0, 1.0]])
    rank, crowd = selfies_ga.ranked(points)
    assert rank.tolist() == [0, 0, 0, 2, 1]
    assert crowd[2] == pytest.approx(2.0)
    assert np.isinf(crowd[[0, 1]]).all()


def size_and_oxygens(texts: list[str]) -> NDArray[np.float64]:
    molecules = [Chem.MolFromSmiles(text) for text in texts]
    return np.array(
        [[min(1.0, m.GetNumAtoms() / 40), sum(a.GetSymbol() == "O" for a in m.GetAtoms()) / m.GetNumAtoms()] for m in molecules]
    )


def test_run_pays_for_each_molecule_once_and_improves() -> None:
    asked: list[str] = []

    def evaluate(texts: list[str]) -> NDArray[np.float64]:
        asked.extend(texts)
        return size_and_oxygens(texts)

    settings = selfies_ga.Settings(population=20)
    found = selfies_ga.SelfiesGA(evaluate, settings, 200, seed=0).run(tiny_smiles()[:40])  # type: ignore[arg-type]
    assert [m.smiles for m in found] == asked
    assert len(set(asked)) == len(asked) == 200
    values = np.array([m.objectives for m in found])
    assert hypervolume(values, (0, 0)) > 1.2 * hypervolume(values[:40], (0, 0))
    again = selfies_ga.SelfiesGA(size_and_oxygens, settings, 200, seed=0).run(tiny_smiles()[:40])  # type: ignore[arg-type]
    assert [m.smiles for m in again] == asked


def test_what_is_not_accepted_is_neither_scored_nor_paid_for() -> None:
    accept = lambda smiles: "N" not in smiles  # noqa: E731
    ga = selfies_ga.SelfiesGA(size_and_oxygens, selfies_ga.Settings(population=10), 60, seed=0, accept=accept)  # type: ignore[arg-type]
    found = ga.run(tiny_smiles()[:30])
    assert found
    assert not any("N" in m.smiles for m in found)


# --- script -----------------------------------------------------------------------------------------------------------------------------


def test_every_method_spends_the_budget_and_no_more(model: molvae.Model, tiny: Tiny) -> None:
    problem = frontiers.PROBLEMS["qed_sa_celecoxib"]
    effort = frontiers.Effort(24, Recipe(start=12, batch=6, tune_steps=0), selfies_ga.Settings(population=8))
    for method in frontiers.METHODS:
        found = frontiers.figures(model, problem, method, effort, 0, tiny.store)
        assert found["calls"] == 24
        assert 0 < found["hypervolume_verdict"] <= found["hypervolume"] < 1
        assert found["front"]
        assert found["passing"] == 1.0 or method == "ga"


def test_runs_are_kept_and_collected(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pareto, "write_result", lambda *a, **k: record.write_result(*a, **k, folder=tmp_path / "results"))
    common = [
        "--model",
        str(tiny.run),
        "--store",
        str(tiny.store),
        "--folder",
        str(tmp_path),
        "--budget",
        "12",
        "--seeds",
        "1",
        "--start",
        "8",
    ]
    pareto.main([*common, "--problems", "qed_sa_celecoxib", "--methods", "ga,molvae"])
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    assert len(before) == 2
    pareto.main([*common, "--problems", "qed_sa_celecoxib", "--methods", "ga,molvae", "--collect"])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")} == before
    written = json.loads((tmp_path / "results" / "pareto.json").read_text(encoding="utf-8"))
    assert [row["measure"] for row in written["rows"]] == ["hypervolume after 12 calls, qed, sa, celecoxib"]
    assert "SELFIES GA" in written["rows"][0]["published"]
    assert "ga" in capsys.readouterr().out


def test_calls_until_a_level() -> None:
    assert pareto.reached([0.1, 0.2, 0.3], 0.2) == 200
    assert pareto.reached([0.1], 0.2) is None
    assert pareto.mean_curve([{"curve": [0.0, 1.0]}, {"curve": [1.0]}]) == [0.5, 1.0]


def test_nothing_to_collect_and_unknown_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="none of the 2 pieces"):
        pieces.gathered(tmp_path, ["a", "b"])
    with pytest.raises(ValueError, match="unknown 'c'"):
        pieces.chosen("a,c", ("a", "b"))
    assert pieces.chosen("all", ("a", "b")) == ["a", "b"]
