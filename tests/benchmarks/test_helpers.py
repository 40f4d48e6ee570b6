"""Pure helpers of the benchmark scripts: grids, agreement of asked and measured, tables, rows, settings."""

from __future__ import annotations

import gzip
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import heads, moses, rate, reconstruction, speed
from benchmarks.support import training
from benchmarks.support.codes import Cloud, Posterior, draw_valid
from benchmarks.support.conditional import Setting, agreement, asked_values, grid, in_deviations, random_pairs
from benchmarks.support.heldout import from_file
from benchmarks.support.terminal import lines
from molvae import config as settings
from molvae.config import Config
from molvae.domains.molecules import domain
from molvae.validate import KnownKeys

# --- grids and agreement ----------------------------------------------------------------------------------------------------------------


def test_grid_is_evenly_spaced_in_quantiles_and_ignores_unknown_labels() -> None:
    labels = np.concatenate([np.linspace(0.0, 100.0, 1001), [math.nan] * 7])
    points = grid(labels)
    assert points == pytest.approx(np.linspace(5.0, 95.0, 9))
    with pytest.raises(ValueError, match="no known label"):
        grid(np.array([math.nan]))


def test_every_grid_point_is_asked_equally_often() -> None:
    asked = asked_values(np.arange(9.0), 1000)
    assert len(asked) == 999
    assert set(np.unique(asked, return_counts=True)[1]) == {111}
    assert len(asked_values(np.arange(9.0), 3)) == 9


def test_agreement_of_perfect_draws_leaves_out_invalid_ones() -> None:
    asked = np.repeat([1.0, 2.0, 3.0], 4)
    values = asked.copy()
    values[::4] = math.nan
    found = agreement(asked, values)
    assert found["deviation"] == found["bias"] == found["sd_within"] == 0.0
    assert found["spearman"] == pytest.approx(1.0)
    assert found["valid"] == 0.75


def test_agreement_signs_and_units() -> None:
    found = agreement(np.array([1.0, 1.0, 2.0, 2.0]), np.array([1.5, 0.5, 3.0, 3.0]))
    assert found["deviation"] == pytest.approx(0.75)
    assert found["bias"] == pytest.approx(0.5)


def test_agreement_without_valid_draws_is_unknown() -> None:
    found = agreement(np.array([1.0, 2.0]), np.array([math.nan, math.nan]))
    assert found["valid"] == 0.0
    assert all(math.isnan(value) for name, value in found.items() if name != "valid")


def test_draws_that_ignore_their_target_deviate_like_random_pairs() -> None:
    rng = np.random.default_rng(0)
    asked, values = rng.normal(size=2000), rng.normal(size=2000)
    assert random_pairs(asked, values) == pytest.approx(2 / math.sqrt(math.pi), rel=0.03)  # E|X - Y| of independent N(0, 1)
    assert agreement(asked, values)["deviation"] == pytest.approx(random_pairs(asked, values), rel=0.05)


def test_overall_deviation_is_in_standard_deviations() -> None:
    assert in_deviations({"a": {"deviation": 2.0}, "b": {"deviation": 3.0}}, {"a": 4.0, "b": 2.0}) == pytest.approx(1.0)


def test_setting_names_tell_settings_apart() -> None:
    names = {Setting(p, t, w).name for p in ("normal", "exemplars") for t in (0.5, 1.0) for w in (0.0, 1.0)}
    assert len(names) == 8
    with pytest.raises(ValueError, match="wanted normal or exemplars"):
        Setting("uniform")


# --- codes ------------------------------------------------------------------------------------------------------------------------------


def test_blur_keeps_centre_and_spread_at_every_level() -> None:
    generator = torch.Generator().manual_seed(0)
    own = Cloud(torch.tensor([3.0, -1.0]), torch.tensor([2.0, 0.5]))
    codes = own.centre + own.spread * torch.randn(20_000, 2, generator=generator)
    assert torch.allclose(own.blurred(codes, 0.0, generator), codes, atol=1e-5)
    for level in (0.4, 1.0):
        blurred = own.blurred(codes, level, generator)
        assert torch.allclose(blurred.mean(0), own.centre, atol=0.06)
        assert torch.allclose(blurred.std(0), own.spread, rtol=0.03)
        correlation = torch.corrcoef(torch.stack([blurred[:, 0], codes[:, 0]]))[0, 1]
        assert float(correlation) == pytest.approx(math.sqrt(1 - level * level), abs=0.03)


def test_posterior_of_zero_width_draws_its_mean() -> None:
    mean = torch.randn(5, 3)
    assert torch.equal(Posterior(mean, torch.zeros(5, 3)).draw(torch.Generator()), mean)


def test_draw_valid_counts_every_draw_and_gives_up() -> None:
    def every_second(n: int) -> list[Any]:
        return [k if k % 2 else None for k in range(n)]

    found, share = draw_valid(every_second, 300, 10_000)
    assert (len(found), share) == (300, 0.5)
    found, share = draw_valid(lambda n: [None] * n, 10, 700)
    assert (found, share) == ([], 0.0)


# --- tables and rows --------------------------------------------------------------------------------------------------------------------


def test_table_is_aligned_and_shows_unknown_numbers_as_a_dash() -> None:
    assert lines(("name", "x"), [("a", 1.0), ("long", math.nan), ("b", 12)]) == ["name      x", "a     1.000", "long      -", "b        12"]
    with pytest.raises(ValueError, match="2 cells under a header of 1"):
        lines(("a",), [(1, 2)])


def test_best_bound_is_the_tightest() -> None:
    assert rate.best({"nats": {"1": {"bound": 22.0}, "0.5": {"bound": 60.0}}}) == (22.0, "1")


def test_rate_rows_name_each_variant_once_a_measure() -> None:
    one = {
        "reconstruction": 0.8,
        "floor": 0.5,
        "nats": {"1": {"bound": 22.0}},
        "draws": {"N(0, I) at level 1": {"fcd": 0.7, "valid": 0.8, "distinct": 1.0}},
        "analogues": [{"t": t, "valid": 0.9, "tanimoto": 0.6, "same": 0.1} for t in rate.RADII],
    }
    measures = [row.measure for row in rate.rows({"dial": one, "vae-beta-1": one})]
    assert len(measures) == len(set(measures)) == 8


def test_moses_rows_state_the_decoders_own_validity() -> None:
    values = dict.fromkeys(moses.PUBLISHED, 0.5)
    assert [row.value for row in moses.rows(values, (0.81, 0.99), False)[:2]] == [0.81, 0.99]
    assert len(moses.rows(values, None, False)) == len(moses.PUBLISHED)


def test_speed_rows_state_batch_and_precision() -> None:
    own = {"molecules": 1000, "seconds": 2.0, "batch": 224, "encoded_of_batch": 96, "precision": "32-true", "peak_gib": 1.0}
    peer = {"molecules": 300, "seconds": 1.0, "peak_gib": 2.0}
    first = speed.rows({"own-train": own, "peer-train": peer})[0]
    assert (first.value, first.published) == (500.0, "MOSES VAE, same run: 300")
    assert "96 of 224 a batch encoded, 32-true" in first.measure


def test_views_are_named_after_what_they_read() -> None:
    def model(*views: str) -> Any:
        return SimpleNamespace(representation=SimpleNamespace(views=views, source=source, target=target))

    source, target = SimpleNamespace(name="selfies"), SimpleNamespace(name="groups")

    two = {"selfies": ("sequence",), "graph": ("graph",), "selfies and graph": ("sequence", "graph")}
    assert reconstruction.views_of(model("sequence", "graph")) == two
    three = ("sequence", "graph", "written")
    assert reconstruction.views_of(model(*three)) == {**two, "groups": ("written",), "all": three}
    assert reconstruction.views_of(model("graph")) == {"graph": ("graph",)}


# --- heads ------------------------------------------------------------------------------------------------------------------------------


def test_head_figures_of_calibrated_predictions() -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=20_000)
    truth = mean + 0.5 * rng.normal(size=20_000)
    found = heads.figures(mean, np.full(20_000, 0.5), truth)
    assert found["rmse"] == pytest.approx(0.5, rel=0.02)
    assert found["mae"] == pytest.approx(0.5 * math.sqrt(2 / math.pi), rel=0.02)
    assert found["calibration"] < 0.01
    assert found["baseline"] > found["mae"]


def test_orbital_energies_need_a_known_unit() -> None:
    assert heads.factor("eV") == 1.0
    assert heads.factor("hartree") == pytest.approx(27.2114, abs=1e-4)
    with pytest.raises(SystemExit, match="wanted hartree or ev"):
        heads.factor("")


# --- data and settings ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".smi", ".smi.gz"])
def test_held_out_molecules_of_a_file_are_unknown_canonical_and_distinct(tmp_path: Path, suffix: str) -> None:
    molecules = domain()
    text = "OCC\nC1=CC=CC=C1C\nCc1ccccc1\nCCN x\nno molecule\n"
    path = tmp_path / f"file{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode())
    known = KnownKeys.from_keys([molecules.key(molecules.parse("CCO"))])
    validator = SimpleNamespace(known=known, novel=lambda key: key not in known)
    model: Any = SimpleNamespace(name="m", domain=molecules, validator=validator)
    assert sorted(from_file(model, path, 10, seed=0)) == ["CCN", "Cc1ccccc1"]
    assert len(from_file(model, path, 1, seed=0)) == 1


def test_differing_names_the_settings() -> None:
    other = settings.override(Config(), {"train.seed": 3, "condition.budget": False})
    assert training.differing(Config(), Config()) == []
    assert training.differing(Config(), other) == ["condition.budget: True / False", "train.seed: 0 / 3"]


def test_a_run_with_other_settings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(settings.dump(Config()), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"train\.seed: 0 / 1"):
        training.train_variant(tmp_path / "store", {"train.seed": 1}, 0.0, tmp_path, 0, "v")


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(settings.dump(Config()), encoding="utf-8")
    (tmp_path / training.FINISHED).write_text('{"stopped": "finished"}', encoding="utf-8")
    assert training.train_variant(tmp_path / "store", {}, 0.0, tmp_path, 0, "v") == tmp_path / "checkpoint"


def test_findings_are_kept_by_name(tmp_path: Path) -> None:
    training.keep(tmp_path, "b", {"x": 1})
    names: Sequence[str] = ("a", "b")
    assert training.kept(tmp_path, names) == {"b": {"x": 1}}
    with pytest.raises(SystemExit, match="--variant a first"):
        training.kept(tmp_path / "none", names)


@pytest.mark.parametrize("variant", rate.VARIANTS.values(), ids=rate.VARIANTS)
def test_the_variants_are_configurations(variant: dict[str, Any]) -> None:
    train = settings.override(Config(), variant).train
    assert train.prior_batch + train.code_batch == 224


def test_a_variant_needs_a_store(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        rate.parse(["--variant", "dial"])
    assert "--store DIR is wanted" in capsys.readouterr().err
