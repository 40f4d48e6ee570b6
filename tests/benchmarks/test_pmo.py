"""How the PMO benchmark counts calls and scores a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import QED

import molvae
from benchmarks import pmo as benchmark
from benchmarks.support import pmo, record
from benchmarks.support.pmo_published import PUBLISHED, SCREENING, SUMS, SYSTEMS
from benchmarks.support.tasks import search_side_by_side
from molvae.domains.molecules.oracles import GUACAMOL, PMO_TASKS
from molvae.search import Settings

# --- area under the curve ---------------------------------------------------------------------------------------------------------------


def test_constant_scores_lose_the_first_rise_alone() -> None:
    # The curve rises from 0 to 1 over the first 100 calls, so half of them is lost.
    assert pmo.top_auc([1.0] * 10_000) == pytest.approx(1 - 50 / 10_000)
    assert pmo.top_auc([1.0] * 100) == pytest.approx(1 - 50 / 10_000)
    assert pmo.top_auc([1.0] * 40) == pytest.approx(1 - 20 / 10_000)


def test_a_hit_at_the_end_counts_from_the_last_logged_point() -> None:
    scores = [0.0] * 999 + [1.0]
    assert pmo.top_auc(scores, n=1, budget=1000) == pytest.approx(50 / 1000)
    assert pmo.top_auc(scores, n=10, budget=1000) == pytest.approx(5 / 1000)
    assert pmo.top_auc(scores, n=1, budget=2000) == pytest.approx((50 + 1000) / 2000)
    assert pmo.top_auc(scores, n=1, budget=2000, finished=False) == pytest.approx(50 / 2000)


def test_by_hand_over_three_logged_points() -> None:
    scores = [0.1, 0.3, 0.2, 0.6, 0.5]  # top-2 mean after 2, 4 and 5 calls: 0.2, 0.45, 0.55
    expected = 2 * (0 + 0.2) / 2 + 2 * (0.2 + 0.45) / 2 + 1 * (0.45 + 0.55) / 2
    assert pmo.top_auc(scores, n=2, budget=10, every=2, finished=False) == pytest.approx(expected / 10)
    assert pmo.top_auc(scores, n=2, budget=10, every=2) == pytest.approx((expected + 5 * 0.55) / 10)


@pytest.mark.parametrize(
    ("calls", "n", "expected"),
    [  # what mol_opt's own top_auc(buffer, n, True, 100, 10000) answers for these buffers
        (30, 10, 0.8523719646247626),
        (100, 100, 0.49912170980313786),
        (101, 10, 0.9475418706905165),
        (250, 1, 0.9920685520135905),
        (250, 10, 0.9741254621764766),
        (9999, 100, 0.9693164484860602),
        (10000, 10, 0.992525682022583),
    ],
)
def test_equals_mol_opt(calls: int, n: int, expected: float) -> None:
    buffer = {f"molecule {i}": [(i * 7919 % 10007) / 10007, i + 1] for i in reversed(range(calls))}
    assert pmo.top_auc(pmo.ordered(buffer), n) == pytest.approx(expected, abs=1e-14)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(1, 12))
def test_area_lies_between_nothing_and_the_best_and_never_falls_with_a_better_molecule(scores: Sequence[float], n: int) -> None:
    area = pmo.top_auc(scores, n, budget=60, every=7)
    assert -1e-12 <= area <= max(scores) + 1e-12
    better = [*scores]
    better[0] = 1.0
    assert pmo.top_auc(better, n, budget=60, every=7) >= area - 1e-12


@pytest.mark.parametrize(("scores", "reason"), [([], "at least one"), ([0.0] * 11, "budget of 10"), ([0.1, float("nan")], "score 2 ")])
def test_unusable_scores_are_refused(scores: list[float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        pmo.top_auc(scores, budget=10)


def test_summary_counts_hits_and_calls() -> None:
    scores = [0.2, 0.9, 0.5, 0.96]
    found = pmo.summary(scores, budget=10, every=2)
    assert (found["calls"], found["top1"], found["hits>=0.5"], found["hits>=0.95"]) == (4, 0.96, 3, 1)
    assert found["auc_top10"] == pmo.top_auc(scores, 10, 10, 2)
    assert pmo.calls_until(scores, 0.9, 2) == 4
    assert pmo.calls_until(scores, 0.9, 3) is None


def test_a_molecule_is_paid_for_once_and_the_budget_holds() -> None:
    asked: list[str] = []

    def length(smiles: str) -> float:
        asked.append(smiles)
        return len(smiles)

    calls = pmo.Calls(length, budget=2)
    assert [calls(smiles) for smiles in ("OCC", "CCO", "not a molecule", "", "CC", "CCC", "C(O)C")] == [3, 3, 0, 0, 2, 0, 3]
    assert asked == ["CCO", "CC"]
    assert calls.finished
    assert calls.scores == [3, 2]


# --- published rows and the table -------------------------------------------------------------------------------------------------------


def test_published_columns_add_up_to_the_published_sums() -> None:
    assert set(PUBLISHED) == set(PMO_TASKS)
    for name, column, total in zip((*SYSTEMS, *SCREENING), zip(*PUBLISHED.values(), strict=True), SUMS, strict=True):
        assert sum(column) == pytest.approx(total, abs=0.2 if name == "LSTM-HC" else 0.02)


def test_runs_are_collected_with_what_fails_the_verdict_counted_and_as_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(task: str, auc: float, kept: float, seconds: float) -> None:
        found = {
            "figures": {"auc_top10": auc},
            "auc_top10_verdict": kept,
            "chemistry": {"fail_verdict": 0.1, "alerts": 0.25, "hard": 0.0},
            "seconds": seconds,
            "scorer_seconds": 60.0,
        }
        (tmp_path / f"{task}-seed0-10000.json").write_text(json.dumps(found), encoding="utf-8")

    run("qed", 0.9, 0.8, 120.0)
    run("jnk3", 0.5, 0.4, 300.0)
    monkeypatch.setattr(benchmark, "write_result", lambda *a, **k: record.write_result(*a, **k, folder=tmp_path / "results"))
    benchmark.main(["--collect", "--folder", str(tmp_path)])
    rows = {row["measure"]: row for row in json.loads((tmp_path / "results" / "pmo.json").read_text(encoding="utf-8"))["rows"]}
    assert rows["AUC top-10, sum of 2 tasks"]["value"] == pytest.approx(1.4)
    assert rows["AUC top-10 where what fails the product's verdict counts 0, sum of 2 tasks"]["value"] == pytest.approx(1.2)
    assert rows["minutes a run without the scorer, mean"]["value"] == pytest.approx(2.5)
    assert rows["minutes a run without the scorer, longest"]["value"] == pytest.approx(4.0)
    with pytest.raises(SystemExit, match="no runs"):  # those of several processes have names of their own
        benchmark.main(["--collect", "--folder", str(tmp_path), "--workers", "2"])
    assert "NF-BO 0.649" in rows["AUC top-10, jnk3"]["published"]
    assert "25% have a structural alert" in rows["AUC top-10, qed"]["published"]


@pytest.mark.slow
def test_two_processes_spend_one_budget(model: molvae.Model) -> None:
    if GUACAMOL.found() is None:
        pytest.skip(f"{GUACAMOL.file} is not at hand")
    found = search_side_by_side("qed", model, Settings(40, 0), workers=2)
    assert (len(found.pool), found.stopped) == (40, "budget")
    assert len({one.key for one in found.pool}) == 40
    # The task's own score, not a desirability made of it.
    assert {one.text: pytest.approx(one.score) for one in found.pool} == {
        one.text: QED.qed(Chem.MolFromSmiles(one.text)) for one in found.pool
    }
    assert 0 < found.scorer_seconds < found.seconds
