from __future__ import annotations

import math

import pytest
from rich.console import Console

from molvae.errors import UsageError
from molvae.records import Candidate, Verdict
from molvae.report import PropertyRequest, statistics, summary_table
from molvae.report.properties import inside_all, number, spread

NAN = math.nan


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.5, "2.50"), (0.87123, "0.871"), (-1.2345, "−1.23"), (71.24, "71.2"), (412.3, "412"), (3.0, "3"), (NAN, "–"), (1e-5, "1.00e−05")],
)
def test_numbers_for_reading(value: float, text: str) -> None:
    assert number(value) == text


def test_uncertainty_has_the_decimals_of_its_value() -> None:
    assert spread(2.8512, 0.2134) == "2.85 ± 0.21"
    assert spread(66.71, 7.568) == "66.7 ± 7.6"
    assert spread(66.71, 0.0012) == "66.7 ± 0.00120"
    assert spread(2.85, NAN) == "2.85"


def test_inside_a_tolerance_counts_the_edge() -> None:
    request = PropertyRequest("p", target=0.2, tolerance=0.1)
    assert request.inside(0.3) is True
    assert request.inside(0.301) is False
    assert request.inside(NAN) is None
    assert request.inside(0.3, asked=0.5) is False  # a candidate's own target goes first


def test_ranges_and_their_words() -> None:
    low = PropertyRequest("p", low=0.6)
    assert (low.inside(0.6), low.inside(0.5), low.wish(), low.deviation(0.5)) == (True, False, "≥ 0.6", pytest.approx(0.1))
    assert PropertyRequest("p", low=1, high=2).wish() == "1 to 2"
    assert PropertyRequest("p", target=2.5, tolerance=0.3).wish() == "2.5 ± 0.3"
    assert PropertyRequest("p", direction="maximise").wish() == "maximise"
    assert PropertyRequest("p", target=1).inside(1.0) is None  # no tolerance, so nothing to judge by


def test_a_range_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(UsageError, match="low <= high"):
        PropertyRequest("p", low=2, high=1)


def test_statistics_by_hand(candidates: list[Candidate], requests: tuple[PropertyRequest, ...]) -> None:
    row = statistics(candidates, requests[0])
    values = [-0.0014, 1.3922, 2.4, 2.6, 3.5]
    assert row.known == 5
    assert row.mean == pytest.approx(sum(values) / 5)
    assert row.deviation == pytest.approx(sum(abs(v - 2.5) for v in values) / 5)
    assert (row.judged, row.inside) == (5, 2)
    assert row.wish == "2.5 ± 0.2"


def test_inside_all_is_unknown_rather_than_true(candidates: list[Candidate], requests: tuple[PropertyRequest, ...]) -> None:
    assert [inside_all(c, requests) for c in candidates] == [False, False, False, True, False, None]


def test_several_targets_in_words() -> None:
    rows = [Candidate("C", "", Verdict(True), {"p": 1.0}, {"p": t}) for t in (1.0, 2.0, 3.0)]
    assert statistics(rows, PropertyRequest("p", tolerance=0.5)).wish == "3 targets from 1 to 3, ± 0.5"


def test_summary_table_prints_names_with_brackets(candidates: list[Candidate]) -> None:
    console = Console(width=140)
    request = PropertyRequest("logp", label="logP [bold]", target=2.5, tolerance=0.2)
    with console.capture() as capture:
        console.print(summary_table(candidates, [request], title="run [1]"))
    text = capture.get()
    assert "logP [bold]" in text
    assert "2.5 ± 0.2" in text
    assert "2/5 (40%)" in text
    assert "run [1]" in text
    assert len(summary_table(candidates).rows) == 3
