"""Pages of a domain that shows more than a drawing: a 3D scene, facts, figures."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from importlib.resources import files

import numpy as np
import pytest

from molvae.build import domain
from molvae.errors import UsageError
from molvae.records import Candidate, Verdict
from molvae.report import PropertyRequest, ReportData, render_page
from molvae.report.search import SearchReport, render_search_page
from molvae.report.templating import vendored
from tests.report.test_page import Page, draw

TEXTS = ("sg225@aNa@bCl|24.25", "sg221@aTi@bSr@dO|19.30", "sg186@bO:18.18@bZn:00.24|23.10/27.12")
PUBLISHED = "f7cc78921ae72e7623e89cdd111434f58c2efddd2ffda1cd212644b406fb8016"  # build/3Dmol-min.js of the npm package 3dmol 2.5.5


@pytest.fixture
def data() -> ReportData:
    crystals = domain("crystals")
    candidates = [
        Candidate(text, "", Verdict(True), {"e_form": -1.0 - i}, {}, {"e_hull": 0.02}, {"e_hull": 0.01}, extra={"coverage": "sparse"})
        for i, text in enumerate(TEXTS)
    ]
    assert crystals.draw is not None
    return ReportData(
        title="crystals",
        candidates=[*candidates, Candidate("sg999<", "", Verdict(False, ("parse: none",)))],
        draw=crystals.draw,
        properties=[PropertyRequest("e_form", "eV/atom"), PropertyRequest("e_hull", "eV/atom", high=0.1)],
        text_label=crystals.column,
        scene=crystals.scene,
        told=crystals.facts,
        card_figures=crystals.figures,
    )


def test_every_readable_card_has_scene_facts_and_figure(data: ReportData) -> None:
    page = Page(render_page(data))
    assert page.open == []
    scenes = [json.loads(attrs["data-scene"] or "") for _, attrs in page.tags if "data-scene" in attrs]
    assert [sorted(scene["kinds"]) for scene in scenes] == [["Cl", "Na"], ["O", "Sr", "Ti"], ["O", "Zn"]]
    assert len(page.having("told")) == len(page.having("small")) == 3
    assert len(page.having("card")) == 4
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_energies_are_in_table_and_cards(data: ReportData) -> None:
    text = render_page(data)
    assert text.count("e_form <span") >= 4  # the table of the run, and each card that has one
    assert "model 0.0200 ± 0.0100" in text
    assert "<dt>coverage</dt><dd>sparse</dd>" in text
    assert "molecule" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL).lower()


def test_the_page_loads_nothing(data: ReportData) -> None:
    text = render_page(data)
    page = Page(text)
    assert not [tag for tag, attrs in page.tags if tag in {"link", "img", "iframe"} or "src" in attrs]
    assert [tag for tag, _ in page.tags].count("script") == 2
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")  # so that nothing of the viewer's library can reach a server
    assert "connect-src" not in policy
    own = text.replace(vendored("3dmol", "3Dmol-min.js"), "")
    assert set(re.findall(r"https?://[^\"'\s<>)]+", own)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_figures_are_computed_for_the_first_cards_alone_and_the_page_says_so(data: ReportData) -> None:
    calls: list[str] = []

    def figure(text: str) -> str:
        calls.append(text)
        if text == TEXTS[0]:
            raise UsageError("no <hull>")
        return "<svg></svg>"

    text = render_page(dataclasses.replace(data, card_figures={"Hull": figure}, max_figures=2))
    assert calls == list(TEXTS[:2])
    assert "Hull: computed for the first 2 cards." in text
    assert "not drawn: no &lt;hull&gt;" in text


def test_a_page_without_scenes_has_neither_viewer_nor_style(data: ReportData) -> None:
    plain = ReportData(title="t", candidates=data.candidates, draw=draw)
    text = render_page(plain)
    assert Page(text).open == []
    assert len(text) < 60_000
    for word in ("3Dmol", "wide-cards", "data-scene", "told", ".stage", 'class="small"'):
        assert word not in text
    assert [tag for tag, _ in Page(text).tags].count("script") == 1
    empty = render_page(dataclasses.replace(data, candidates=()))
    assert "3Dmol" not in empty


def test_the_viewer_is_the_published_one_with_its_licence() -> None:
    folder = files("molvae.report") / "vendor" / "3dmol"
    assert hashlib.sha256((folder / "3Dmol-min.js").read_bytes()).hexdigest() == PUBLISHED
    assert "BSD-3-Clause" in (folder / "LICENSE").read_text(encoding="utf-8")


def test_the_page_of_a_search_shows_the_same(data: ReportData) -> None:
    search = SearchReport(
        title="search",
        calls=np.arange(1, 4),
        scores=np.array([0.1, 0.2, 0.3]),
        feasible=np.ones(3, bool),
        origins=["drawn"] * 3,
        candidates=data.candidates,
        draw=data.draw,
    )
    plain = render_search_page(search)
    assert [tag for tag, _ in Page(plain).tags].count("script") == 0
    assert "script-src" not in plain
    rich = render_search_page(dataclasses.replace(search, scene=data.scene, told=data.told, card_figures=data.card_figures))
    page = Page(rich)
    assert page.open == []
    assert len([attrs for _, attrs in page.tags if "data-scene" in attrs]) == len(page.having("told")) == len(page.having("small")) == 3
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "script-src 'unsafe-inline'" in rich
