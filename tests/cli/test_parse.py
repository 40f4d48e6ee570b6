"""Option values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvae.cli import parse
from molvae.cli.app import hoist
from molvae.errors import UsageError

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize("sign", ["±", "+-", "+/-", ":"])
def test_targets(sign: str) -> None:
    assert parse.targets([f"qed=0.9{sign}0.05", "logp=-2.5", "tpsa = 60"]) == {"qed": (0.9, 0.05), "logp": -2.5, "tpsa": 60.0}


@given(FLOATS, st.floats(min_value=1e-300, allow_infinity=False), st.sampled_from(["±", "+-", "+/-", ":"]))
def test_any_number_is_read_back(value: float, tolerance: float, sign: str) -> None:
    assert parse.targets([f"p={value!r}{sign}{tolerance!r}"]) == {"p": (value, tolerance)}


@pytest.mark.parametrize(
    "text", ["logp", "logp=", "=2", "logp=a", "logp=2:", "logp=2:0", "logp=2:-1", "logp=nan", "logp=2±0.1±0.2", "logp=1 2"]
)
def test_bad_targets(text: str) -> None:
    with pytest.raises(UsageError, match="--target"):
        parse.targets([text])


def test_ranges() -> None:
    assert parse.ranges(["mw=250:400", "logp=-1:", "sa=:4"]) == {"mw": (250, 400), "logp": (-1, math.inf), "sa": (-math.inf, 4)}


@pytest.mark.parametrize("text", ["mw", "mw=", "mw=:", "mw=250", "mw=4:2", "mw=a:b", "=1:2", "mw=nan:3"])
def test_bad_ranges(text: str) -> None:
    with pytest.raises(UsageError, match="--range"):
        parse.ranges([text])


def test_a_property_is_asked_once() -> None:
    with pytest.raises(UsageError, match="already"):
        parse.targets(["a=1", "a=2"])
    with pytest.raises(UsageError, match="already"):
        parse.ranges(["a=1:2", "a=2:3"])


def test_settings() -> None:
    texts = [
        "train.steps=1000",
        "train.learning_rate=1e-3",
        "condition.properties=logp,qed",
        "encoder.views=['graph']",
        "latent.kind=dial",
        "a.b=true",
    ]
    assert parse.settings(texts) == {
        "train.steps": 1000,
        "train.learning_rate": 1e-3,
        "condition.properties": ["logp", "qed"],
        "encoder.views": ["graph"],
        "latent.kind": "dial",
        "a.b": True,
    }
    with pytest.raises(UsageError, match="--set"):
        parse.settings(["train.steps"])


def test_steps_keep_the_commas_of_arguments() -> None:
    known = ["largest_fragment", "neutralise"]
    text = "largest_fragment,elements=C,N,O,neutralise,heavy_atoms=3:50"
    assert parse.steps(text, known) == ("largest_fragment", "elements=C,N,O", "neutralise", "heavy_atoms=3:50")
    assert parse.steps("", known) == ()


def test_fractions() -> None:
    assert parse.fractions(".9,.05,.05") == (0.9, 0.05, 0.05)
    with pytest.raises(UsageError):
        parse.fractions("1,2")


def test_global_options_stand_anywhere_before_two_dashes() -> None:
    assert hoist(["generate", "-n", "3", "--json", "--threads", "2", "-vv", "--device=cpu", "-o", "x", "--", "--json"]) == [
        "--json", "--threads", "2", "-vv", "--device=cpu", "generate", "-n", "3", "-o", "x", "--", "--json",
    ]  # fmt: skip
    assert hoist(["train", "--threads"]) == ["train", "--threads"]
