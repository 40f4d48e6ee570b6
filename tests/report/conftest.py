"""A small run, written by hand: four good candidates, one that failed a check, one that is no molecule."""

from __future__ import annotations

import pytest

from molvae.records import Candidate, Verdict
from molvae.report import PropertyRequest

EVIL = "C<script>alert('x')</script>"


@pytest.fixture
def candidates() -> list[Candidate]:
    ok = Verdict(True)
    asked = {"logp": 2.5, "tpsa": 20.0}
    return [
        Candidate("CCO", "LFQSCWFLJHTTHZ-UHFFFAOYSA-N", ok, {"logp": -0.0014, "tpsa": 20.23, "hbd": 1.0}, asked, novel=False),
        Candidate(
            "c1ccccc1O",
            "ISWSIDIOOBJBQZ-UHFFFAOYSA-N",
            ok,
            {"logp": 1.3922, "tpsa": 20.23, "hbd": 1.0},
            asked,
            {"logp": 1.5},
            {"logp": 0.25},
            True,
            -12.345678901234567,
            {"similarity": 0.5, "note": "first, best"},
        ),
        Candidate(
            "CCCCOC", "CXBDYQVECUFKRK-UHFFFAOYSA-N", ok, {"logp": 2.4, "tpsa": 9.23, "hbd": 0.0}, asked, novel=True, log_likelihood=-9.5
        ),
        Candidate("CCCCCOC", "DBUJFULDVAZULB-UHFFFAOYSA-N", ok, {"logp": 2.6, "tpsa": 20.5}, asked, novel=True),
        Candidate(
            "C1CCCCCCCC1", "GPTJTTCOVDDHER-UHFFFAOYSA-N", Verdict(False, ("ring size: 9 atoms", "alert: <b>odd</b>")), {"logp": 3.5}, asked
        ),
        Candidate(EVIL, "", Verdict(False, ("parse: no molecule",)), {}, asked),
    ]


@pytest.fixture
def requests() -> tuple[PropertyRequest, ...]:
    return (
        PropertyRequest("logp", label="logP", target=2.5, tolerance=0.2),
        PropertyRequest("tpsa", "Å²", "TPSA", target=20, tolerance=1),
        PropertyRequest("hbd", label="donors"),
    )
