"""The ablation: every variant is a search of its own, and a result file has only what was run on all tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

import molvae
from benchmarks import ablation
from benchmarks.support import record, tasks
from molvae.search.sampler import Recipe


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, model: molvae.Model) -> None:
    """The toy model, and the number of nitrogens as every task."""

    def nitrogens(texts: Sequence[str]) -> list[tuple[float]]:
        return [(text.upper().count("N") / 10,) for text in texts]

    monkeypatch.setattr(tasks, "named", lambda domain, name: nitrogens)
    monkeypatch.setattr(ablation, "load", lambda name: model)
    monkeypatch.setattr(ablation, "Recipe", lambda: Recipe(start=8, batch=8))


def test_the_parts_are_parts_of_the_recipe() -> None:
    for changes in ablation.PARTS.values():
        assert set(changes) <= set(Recipe.__dataclass_fields__)


def test_runs_are_kept_and_collected_once_they_are_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ablation, "write_result", lambda *a, **k: record.write_result(*a, **k, folder=tmp_path / "results"))
    base = ["--tasks", "median1,median2", "--budget", "30", "--folder", str(tmp_path / "runs")]
    variants = ["default", "without tuning", "without moves", "random", "nsga2"]
    ablation.main([*base, "--variants", ",".join(variants)])
    (tmp_path / "runs" / "nsga2-median2-seed0-30.json").unlink()
    ablation.main([*base, "--variants", "default"])
    assert capsys.readouterr().err.count("default-median1") == 1  # not run twice
    ablation.main([*base, "--collect"])
    found = json.loads((tmp_path / "results" / "ablation.json").read_text(encoding="utf-8"))
    made = found["results"]["runs"]
    assert set(made) == {"default", "without tuning", "without moves", "random"}
    assert all(run["calls"] == 30 and 0 <= run["auc_top10"] <= 1 for t in made.values() for runs in t.values() for run in runs)
    assert len(found["rows"]) == 4


def test_unknown_names_are_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        ablation.main(["--variants", "defualt"])
    assert "unknown variant 'defualt'; known: default" in capsys.readouterr().err
