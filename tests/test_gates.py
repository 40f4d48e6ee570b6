"""What stands between a draw and a candidate: labels that only the heads know, and runs that cannot succeed."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

import molvae
from molvae import Model
from molvae.errors import UnknownName, UsageError
from molvae.gates import PATIENCE
from tests.cli.conftest import Cli, cli
from tests.fixtures_model import Tiny

__all__ = ["cli"]


@pytest.fixture(scope="module")
def assay(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with its logp renamed: a label that the domain cannot compute, with a head that can predict it."""
    folder = tmp_path_factory.mktemp("assay") / "checkpoint"
    shutil.copytree(tiny.checkpoint, folder)
    values = json.loads((folder / "representation.json").read_text())
    values |= {"labels": ["activity" if name == "logp" else name for name in values["labels"]], "units": {"activity": "nM"}}
    (folder / "representation.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize("asked", [{"ranges": {"activity": (1.2, 1.6)}}, {"targets": {"activity": (1.4, 0.2)}}])
def test_a_label_that_nobody_computes_is_judged_by_its_prediction(assay: Path, asked: dict[str, dict[str, tuple[float, float]]]) -> None:
    model = molvae.load(assay)
    found = model.generate(12, **asked)
    assert len(found.candidates) == 12
    for candidate in found.candidates:
        assert 1.2 <= candidate.predicted["activity"] <= 1.6
        mean, _ = model.predict([candidate.text])
        assert candidate.predicted["activity"] == pytest.approx(float(mean[0, 0]), abs=1e-4)
        assert "activity" not in candidate.measured
    funnel = found.funnel
    assert funnel.predicted_inside is not None
    assert funnel.inside > funnel.predicted_inside >= 12
    assert found.acceptance == pytest.approx(funnel.predicted_inside / funnel.drawn)
    assert found.reasons["predicted outside the tolerance"] == funnel.inside - funnel.predicted_inside
    loose = model.generate(40, **asked, verify=False)
    assert loose.funnel.predicted_inside is None
    assert any(not 1.2 <= c.predicted["activity"] <= 1.6 for c in loose.candidates)


def test_a_label_out_of_reach_is_said_to_be_predicted(assay: Path) -> None:
    found = molvae.load(assay).generate(5, ranges={"activity": (30, 40)}, max_draws=600)
    assert found.candidates == []
    assert found.acceptance == 0
    assert "predicted outside the tolerance: " in str(found.short)
    assert "(activity: judged by the model's prediction)" in str(found.short)


def test_without_such_labels_nothing_is_predicted_on_the_way(model: Model) -> None:
    found = model.generate(5, targets={"logp": 1.5}, predict=False)
    assert found.funnel.predicted_inside is None
    assert not found.candidates[0].predicted


def test_the_command_says_what_is_prediction(cli: Cli, assay: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "a.csv", tmp_path / "a.html"
    done = cli("generate", "--model", assay, "-n", 6, "--range", "activity=1:2", "-o", out, "--report", page)
    assert done.code == 0, done.err
    assert "~6/6" in done.out
    assert "~ activity: not computable, so these are the model's predictions" in done.out
    assert "→ predicted inside " in done.out
    assert "predicted inside" in page.read_text()
    done = cli("generate", "--model", assay, "-n", 6, "--range", "activity=1:2", "--json")
    assert done.json["funnel"]["predicted_inside"] >= 6


def test_a_hopeless_run_says_so(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.representation.target_bpe, "decode", lambda tokens: ["nonsense"])
    found = model.generate(3)
    assert (found.candidates, found.funnel.drawn, found.funnel.valid) == ([], PATIENCE, 0)
    assert f"none of the first {PATIENCE} draws is a valid record, so the run stopped early" in str(found.short)


def test_numbers_that_are_none(model: Model) -> None:
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(UsageError, match="guidance"):
            model.generate(1, guidance=value)
        with pytest.raises(UsageError, match="temperature"):
            model.generate(1, temperature=value)


def test_known_names_are_listed_once(model: Model) -> None:
    with pytest.raises(UnknownName) as caught:
        model.generate(1, measure=["nope"])
    assert str(caught.value).count("logp") == 1
