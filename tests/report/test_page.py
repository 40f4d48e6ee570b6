from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from molvae.errors import InvalidRecord, UsageError
from molvae.records import Candidate, Verdict
from molvae.report import Funnel, PropertyRequest, ReportData, figures, render_page, write_page

VOID = {"meta", "input", "br", "link", "img", "path", "use", "circle", "rect"}


class Page(HTMLParser):
    """Collects tags and checks that they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def having(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.tags if name in (attrs.get("class") or "").split()]


def draw(text: str) -> str:
    if "<" in text:
        raise InvalidRecord(text, "no <molecule>")
    return '<svg class="drawn" viewBox="0 0 4 3"><path d="M0 0L4 3"/></svg>'


@pytest.fixture
def data(candidates: list[Candidate], requests: tuple[PropertyRequest, ...]) -> ReportData:
    return ReportData(
        title="Run <1> & more",
        candidates=candidates,
        draw=draw,
        properties=requests,
        constraints=("no <i>alerts</i>",),
        funnel=Funnel(drawn=1000, valid=800, novel=6),
        model_name="small <model>",
        seed=7,
        date="2025-03-04",
        settings={"<level>": "0.8 & up"},
        text_label="SMILES",
        table_name="out.csv",
    )


def test_page_parses_and_has_a_drawing_for_each_readable_candidate(data: ReportData) -> None:
    page = Page(render_page(data))
    assert page.open == []
    assert len(page.having("card")) == 6
    assert len(page.having("drawn")) == 5
    assert len([tag for tag, attrs in page.tags if tag == "figure"]) == 3  # two histograms and a scatter plot


def test_everything_from_the_user_is_escaped(data: ReportData) -> None:
    text = render_page(data)
    page = Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 1  # our own
    assert "alert('x')</script>" not in text
    assert not [tag for tag, _ in page.tags if tag in {"b", "i", "model", "level", "molecule"}]
    assert "no &lt;molecule&gt;" in text
    assert [attrs["data-text"] for attrs in page.having("text")][-1] == data.candidates[-1].text


def test_the_page_loads_nothing(data: ReportData) -> None:
    text = render_page(data)
    page = Page(text)
    assert not [tag for tag, attrs in page.tags if tag in {"link", "img", "iframe"} or "src" in attrs]
    assert "@import" not in text
    assert re.findall(r"url\((?!#)", text) == []
    addresses = set(re.findall(r"https?://[^\"'\s<>)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names, not places
    assert any("default-src 'none'" in (attrs.get("content") or "") for tag, attrs in page.tags if tag == "meta")


def test_no_id_twice(data: ReportData) -> None:
    ids = [attrs["id"] for _, attrs in Page(render_page(data)).tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_bytes_are_the_same_every_time(data: ReportData, tmp_path: Path) -> None:
    write_page(tmp_path / "a.html", data)
    write_page(tmp_path / "b.html", data)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_inside_and_outside_are_marked(data: ReportData) -> None:
    page = Page(render_page(data))
    assert [card["data-inside"] for card in page.having("card")] == ["outside"] * 3 + ["inside", "outside", ""]
    assert [card["data-novel"] for card in page.having("card")] == ["no", "yes", "yes", "yes", "", ""]


def test_sort_keys_match_the_options(data: ReportData) -> None:
    page = Page(render_page(data))
    options = [attrs for tag, attrs in page.tags if tag == "option"]
    for card in page.having("card"):
        assert len((card["data-sort"] or "").split(" ; ")) == len(options) == 6
    logp = [(card["data-sort"] or "").split(" ; ")[2] for card in page.having("card")]
    assert logp == ["-0.0014", "1.3922", "2.4", "2.6", "3.5", ""]


def test_no_more_cards_than_allowed(data: ReportData) -> None:
    text = render_page(dataclasses.replace(data, max_cards=2))
    assert len(Page(text).having("card")) == 2
    assert "The first 2 of 6 candidates" in text
    assert "out.csv" in text


def test_funnel_shows_known_steps_only(data: ReportData) -> None:
    text = render_page(data)
    assert "80.0 %" in text
    assert "passed checks" not in text


def test_an_empty_run_has_a_page(data: ReportData) -> None:
    empty = ReportData(title="nothing", candidates=(), draw=draw, properties=data.properties, funnel=Funnel(drawn=0, valid=0))
    page = Page(render_page(empty))
    assert page.open == []
    assert page.having("card") == []


def test_a_run_without_targets_draws_what_it_measured() -> None:
    rows = [Candidate("C", "", Verdict(True), {"a": float(i)}) for i in range(4)]
    text = render_page(ReportData(title="t", candidates=rows, draw=draw, properties=[PropertyRequest("a")]))
    assert "No target was set." in text
    assert text.count("<figure") == 1


def test_figures_are_plain_svg_and_deterministic() -> None:
    request = PropertyRequest("a<b", "Å", target=1, tolerance=0.5)
    first = figures.histogram(request, [0.1, 0.9, 1.2, float("nan")])
    assert first == figures.histogram(request, [0.1, 0.9, 1.2, float("nan")])
    assert ET.fromstring(first).attrib["aria-label"] == "Histogram of a<b (Å)"
    assert "var(" not in first
    assert figures.ACCENT not in figures.themed(first)
    other = PropertyRequest("$x_{", low=0)
    assert ET.fromstring(figures.scatter(request, other, [1, 2], [3, 4], [True, None])) is not None


def test_constant_values_and_counts_can_be_drawn() -> None:
    for values in ([2.5] * 5, [0.0, 1.0, 1.0, 3.0], [1e300, -1e300], [7.0]):
        ET.fromstring(figures.histogram(PropertyRequest("p"), values))


def test_figures_refuse_what_cannot_be_drawn() -> None:
    request = PropertyRequest("p")
    with pytest.raises(UsageError, match="no known value"):
        figures.histogram(request, [float("nan")])
    with pytest.raises(UsageError, match="no candidate has both"):
        figures.scatter(request, request, [float("nan")], [1.0])
    with pytest.raises(UsageError, match="lengths differ"):
        figures.scatter(request, request, [1.0, 2.0], [1.0])


def test_many_points_become_an_image_inside_the_svg() -> None:
    x, y = PropertyRequest("x"), PropertyRequest("y")
    values = [i / 7 for i in range(figures.MAX_VECTOR_POINTS + 1)]
    svg = figures.scatter(x, y, values, values[::-1])
    assert svg == figures.scatter(x, y, values, values[::-1])
    assert "data:image/png;base64," in svg
    assert len(svg) < 400_000
