"""The published figures hold together."""

from __future__ import annotations

import pytest

from benchmarks.crystals.published import GENERATION, PUBLISHED, beside
from benchmarks.crystals.settings import SETTINGS


def test_every_system_is_there_once_a_task_and_data_set() -> None:
    keys = [(row.system, row.data, row.task) for row in PUBLISHED]
    assert len(keys) == len(set(keys))
    assert {row.data for row in PUBLISHED} == {*SETTINGS, "mp_20_biternary", "mpts_52"}
    assert {row.task for row in PUBLISHED} == {"reconstruction", "generation", "novel", "optimisation", "prediction"}


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.system}-{row.data}-{row.task}")
def test_figures_are_possible(row: object) -> None:
    values = row.values  # type: ignore[attr-defined]
    for name, value in values.items():
        assert 0.0 <= value <= (1.0 if name.startswith("SR") else 100.0 if "match" in name or name in GENERATION[:4] else 1000.0)
    rates = [values[name] for name in ("SR5", "SR10", "SR15") if name in values]
    assert rates == sorted(rates)
    if "match@20" in values:
        assert values["match@20"] >= values["match@1"]
        assert values["rmse@20"] <= values["rmse@1"]


def test_words_name_the_source_once() -> None:
    words = beside("generation", "mp_20", "COV-R")
    assert "CDVAE 99.15" in words
    assert words.count("arXiv:2309.04475") == 1
    assert beside("optimisation", "perov_5", "SR5").endswith("table 3 (m))")
    assert beside("generation", "carbon_24", "composition_valid") == ""
