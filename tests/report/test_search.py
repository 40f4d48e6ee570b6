"""The page of a search: its sections, what it makes of odd runs, and the numbers behind its figures."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from molvae.errors import UsageError
from molvae.records import Candidate, Verdict
from molvae.report import PropertyRequest, figures
from molvae.report.search import History, SearchReport, project, render_search_page, write_search_page
from tests.report.conftest import EVIL
from tests.report.test_page import Page, draw

SECTIONS = ("asked", "summary", "funnel", "convergence", "endpoints", "map", "origins", "lost", "structures")
N = 60


def run(n: int = N, objectives: int = 1, seed: int = 0) -> SearchReport:
    """A search of n calls with 1 or more objectives."""
    rng = np.random.default_rng(seed)
    names = ("qed", "logp", "mw", "sa", "act")[: max(2, objectives)]
    endpoints = {name: rng.normal(size=n) for name in names}
    several = objectives > 1
    found = [
        Candidate("CCO", "A", Verdict(True), {"qed": 0.5, "logp": 1.2}, novel=True, extra={"score": 0.91, "call": 7.0, "origin": "prior"}),
        Candidate(EVIL, "B", Verdict(False, ("alert: <b>odd</b>",)), {"qed": 0.4}, novel=False, extra={"score": 0.5}),
    ]
    return SearchReport(
        title="Search <for> qed",
        calls=np.arange(1, n + 1),
        scores=np.full(n, np.nan) if several else rng.random(n),
        feasible=rng.random(n) < 0.8,
        origins=[("prior", "around <0.3>")[k % 2] for k in range(n)],
        candidates=found,
        draw=draw,
        endpoints=endpoints,
        objectives=np.stack([endpoints[name] for name in names], 1) if several else np.zeros((n, 0)),
        objective_names=names if several else (),
        properties=[PropertyRequest("logp", "log <units>", target=0.5, tolerance=0.2), PropertyRequest("qed", direction="maximise")],
        goals=[("qed", "maximise <b>")],
        constraints=["contains <i>c1</i>"],
        codes=rng.normal(size=(n, 8)),
        code_rows=np.arange(n),
        steps=[("drawn", 4 * n), ("scored", n)],
        failures={"raised <ValueError>": 3},
        facts={"Model": "<moses>"},
        summary={"best score": "0.9"},
        text_label="smiles",
        file_names=["all.csv"],
    )


def ids(page: Page) -> list[str]:
    return [str(attrs["id"]) for _, attrs in page.tags if "id" in attrs]


def test_the_page_parses_and_has_every_section() -> None:
    page = Page(render_search_page(run()))
    assert page.open == []
    assert set(SECTIONS) <= set(ids(page))
    assert "front" not in ids(page)
    assert len(ids(page)) == len(set(ids(page)))
    assert len(page.having("card")) == 2
    labels = " ".join(str(attrs["aria-label"]) for tag, attrs in page.tags if tag == "svg" and "aria-label" in attrs)
    for figure in ("score against calls", "Distribution of qed", "Distribution of logp", "Latent map", "Moves"):
        assert figure in labels


def test_everything_from_the_user_is_escaped_and_nothing_runs_or_loads() -> None:
    text = render_search_page(run(objectives=3))
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag in {"script", "b", "i", "for", "moses", "units", "link", "img", "molecule"}]
    assert "script-src" not in text
    assert "no &lt;molecule&gt;" in text
    assert "raised &lt;ValueError&gt;" in text
    assert re.findall(r"url\((?!#)", text) == []
    addresses = set(re.findall(r"https?://[^\"'\s<>)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_a_card_tells_score_call_origin_and_novelty() -> None:
    text = render_search_page(run())
    first = text[text.index('<article class="card">') : text.index("</article>")]
    for said in ("0.910", "<dd>7</dd>", "<dd>prior</dd>", "novel", "checks passed", "CCO", "1.20", "0.5 ± 0.2", "outside"):
        assert said in first


def test_equal_data_gives_equal_bytes(tmp_path: Path) -> None:
    write_search_page(tmp_path / "a.html", run(n=500))
    write_search_page(tmp_path / "b.html", run(n=500))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize(("objectives", "pairs"), [(2, 1), (3, 3), (5, 6)])
def test_pareto_searches_show_the_front_in_pairs(objectives: int, pairs: int) -> None:
    text = render_search_page(run(objectives=objectives))
    page = Page(text)
    assert page.open == []
    assert "front" in ids(page)
    assert text.count(", Pareto front") == pairs
    assert ("of 10 pairs" in text) is (objectives == 5)


@pytest.mark.parametrize("objectives", [1, 3])
def test_odd_runs_have_a_page(objectives: int) -> None:
    full = run(objectives=objectives)
    none = dataclasses.replace(full, feasible=np.zeros(N, bool), candidates=())
    unknown = dataclasses.replace(
        full,
        scores=np.full(N, np.nan),
        objectives=np.full_like(full.objectives, np.nan),
        endpoints={name: np.full(N, np.nan) for name in full.endpoints},
        candidates=(),
    )
    one, nothing = run(1, objectives), run(0, objectives)
    no_codes = dataclasses.replace(full, codes=np.zeros((0, 8)), code_rows=np.zeros(0, np.int64), endpoints={}, failures={})
    for data in (none, unknown, one, nothing, no_codes):
        page = Page(render_search_page(data))
        assert page.open == []
        assert set(SECTIONS) <= set(ids(page))
    assert f"{N} of {N} scored records have no known score" in render_search_page(unknown)
    assert "Nothing that was scored meets every constraint" in render_search_page(none)
    assert "No scored record has a code" in render_search_page(no_codes)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(UsageError, match="59 scores of 60 calls"):
        dataclasses.replace(run(), scores=np.zeros(59))
    with pytest.raises(UsageError, match="codes"):
        dataclasses.replace(run(), code_rows=np.arange(3))


def test_history_counts_only_feasible_known_scores() -> None:
    scores = np.array([np.nan, 0.2, 0.9, 0.4, np.nan, 0.1])
    feasible = np.array([True, True, False, True, True, True])
    history = History.of(scores, feasible)
    np.testing.assert_array_equal(history.counts, [False, True, False, True, False, True])
    np.testing.assert_allclose(history.best, [np.nan, 0.2, 0.2, 0.4, 0.4, 0.4])
    np.testing.assert_allclose(history.top10, [np.nan, 0.2, 0.2, 0.3, 0.3, 0.7 / 3])
    np.testing.assert_allclose(history.share(2), [0, 0.5, 0.5, 0.5, 0.5, 0.5])


def test_mean_of_the_ten_best_is_that_of_a_sort() -> None:
    scores = np.random.default_rng(1).random(80)
    history = History.of(scores, np.ones(80, bool))
    for row in (0, 5, 30, 79):
        assert history.top10[row] == pytest.approx(np.sort(scores[: row + 1])[::-1][:10].mean())


def test_the_dominated_volume_grows_to_the_exact_one() -> None:
    # In the unit box between the worst (0, 0) and the best (1, 1) of each objective, the front (1, 0.5), (0.5, 1) dominates 3/4.
    objectives = np.array([[0.0, 0.0], [1.0, 0.5], [9.0, 9.0], [0.5, 1.0]])
    history = History.of(np.full(4, np.nan), np.array([True, True, False, True]), objectives)
    np.testing.assert_allclose(history.volume, [0, 0.5, 0.5, 0.75], atol=0.03)
    np.testing.assert_array_equal(history.front, [False, True, False, True])


def test_the_map_shows_the_widest_directions() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(400, 6)) * np.array([5.0, 0.1, 0.1, 2.0, 0.1, 0.1]) + 3
    points, shares = project(codes)
    assert shares[0] == pytest.approx(25 / 29, abs=0.05)
    assert sum(shares) > 0.99
    assert abs(np.corrcoef(points[:, 0], codes[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(points[:, 1], codes[:, 3])[0, 1]) > 0.99
    for few in (codes[:0], codes[:1], np.ones((3, 6))):
        points, shares = project(few)
        assert points.shape == (len(few), 2)
        assert np.isnan(shares).all()


def test_many_calls_stay_a_page_that_opens() -> None:
    data = dataclasses.replace(run(10_000), codes=np.random.default_rng(0).normal(size=(2000, 64)), code_rows=np.arange(2000))
    assert len(render_search_page(data)) < 2_000_000


def test_figures_refuse_what_cannot_be_drawn() -> None:
    request = PropertyRequest("p")
    with pytest.raises(UsageError, match="nothing to draw"):
        figures.convergence([], {}, [], axis="score", share_label="usable")
    with pytest.raises(UsageError, match="no known value"):
        figures.distribution(request, [float("nan")], [True], marked_label="top")
    with pytest.raises(UsageError, match="lengths differ"):
        figures.front(request, request, [1.0], [1.0, 2.0], [True])
    with pytest.raises(UsageError, match="nothing to draw"):
        figures.latent_map(np.zeros((0, 2)), [], [], axes_labels=("a", "b"), label="score", marked_label="top")
    with pytest.raises(UsageError, match="nothing to draw"):
        figures.origins([], [], [], labels=("a", "b"))
