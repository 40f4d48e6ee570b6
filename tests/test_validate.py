"""Validation on a toy domain of whole numbers (identity: the absolute value), and once on molecules in worker processes."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molvae.domains.molecules import domain as molecules
from molvae.errors import DataError, InvalidRecord, UnknownName, UsageError
from molvae.protocols import Check, Domain, GraphView, Property
from molvae.validate import KnownKeys, Validator, choose_checks, validate_texts


def _parse(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise InvalidRecord(text, "not a whole number") from error


def _similarity(one: int, others: Sequence[int]) -> list[float]:
    return [float(one == other) for other in others]


NUMBERS: Domain[int] = Domain(
    name="numbers",
    parse=_parse,
    write=str,
    key=lambda number: str(abs(number)),
    group=str,
    similarity=_similarity,
    sequences={},
    source="",
    target="",
    graph=GraphView(lambda number: None, (), ()),
    checks=(
        Check("positive", "arithmetic", lambda number: None if number > 0 else f"{number} is not above 0"),
        Check("even", "arithmetic", lambda number: "odd" if number % 2 else None),
        Check("small", "taste", lambda number: None if abs(number) < 10 else "large", default=False),
    ),
    properties={
        "square": Property("square", "1", "n * n", lambda number: float(number**2)),
        "log": Property("log", "1", "natural logarithm", lambda number: math.log(number) if number > 0 else math.nan),
    },
    steps=(),
)


def test_every_failed_check_is_named():
    assert Validator(NUMBERS).verdict(4).ok
    verdict = Validator(NUMBERS).verdict(-3)
    assert not verdict.ok
    assert verdict.reasons == ("positive: -3 is not above 0", "even: odd")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (None, ["positive", "even"]),
        (["default"], ["positive", "even"]),
        (["small", "default"], ["positive", "even", "small"]),
        (["small"], ["small"]),
        ([], []),
    ],
)
def test_choice_of_checks(names, chosen):
    assert [check.name for check in choose_checks(NUMBERS, names)] == chosen


def test_unknown_names_are_refused():
    with pytest.raises(UnknownName, match="positive"):
        validate_texts(NUMBERS, ["1"], checks=["prime"])
    with pytest.raises(UnknownName, match="square"):
        validate_texts(NUMBERS, ["1"], properties=["cube"])
    with pytest.raises(UsageError, match="list of names"):
        validate_texts(NUMBERS, ["1"], checks="positive")
    with pytest.raises(UsageError, match="list of texts"):
        validate_texts(NUMBERS, "1")
    with pytest.raises(UsageError, match="at least one process"):
        validate_texts(NUMBERS, ["1"], workers=0)


def test_candidates_keep_order_and_evidence():
    known = KnownKeys.from_keys(["8"])
    found = validate_texts(NUMBERS, ["8", "two", " 2", "-8", "8", "2"], properties=["log", "square"], known=known)
    assert [candidate.text for candidate in found] == ["8", "two", "2", "-8", "8", "2"]
    assert [candidate.verdict.ok for candidate in found] == [True, False, True, False, True, True]
    assert [candidate.novel for candidate in found] == [False, None, True, False, False, True]
    assert [candidate.extra.get("duplicate_of") for candidate in found] == [None, None, None, 0.0, 0.0, 2.0]
    assert found[1].verdict.reasons == ("parse: not a whole number",)
    assert found[1].key == ""
    assert math.isnan(found[1].measured["log"])
    assert list(found[0].measured) == ["log", "square"]
    assert math.isnan(found[3].measured["log"])
    assert found[3].measured["square"] == 64


def test_novelty_is_unknown_without_a_reference():
    assert [candidate.novel for candidate in validate_texts(NUMBERS, ["2"])] == [None]
    assert [candidate.novel for candidate in validate_texts(NUMBERS, ["2"], known=KnownKeys.from_keys([]))] == [True]


def test_failed_parses_are_no_duplicates_of_one_another():
    assert all(not candidate.extra for candidate in validate_texts(NUMBERS, ["x", "y", "x"]))


@pytest.mark.slow
def test_workers_find_what_one_process_finds():
    texts = [f"C{'C' * (n % 40)}N" for n in range(100)] + ["C" * n + "O" for n in range(1, 80)] + ["c1ccccc", "CC(=O)OO", "CCO", "OCC"]
    alone = validate_texts(molecules(), texts, properties=["logp", "qed"])
    shared = validate_texts(molecules(), texts, properties=["logp", "qed"], workers=2)
    assert list(map(repr, shared)) == list(map(repr, alone))  # repr, as NaN is not equal to itself


def test_molecules_end_to_end():
    good, ring, peroxide, repeat = validate_texts(molecules(), ["OCC", "c1ccccc", "COOC", "CCO"], properties=["logp"])
    assert good.verdict.ok
    assert good.text == "CCO"
    assert good.key == "LFQSCWFLJHTTHZ-UHFFFAOYSA-N"
    assert ring.verdict.reasons[0].startswith("parse: ")
    assert math.isnan(ring.measured["logp"])
    assert peroxide.verdict.reasons == ("reactive_groups: peroxide",)
    assert repeat.extra == {"duplicate_of": 0.0}


@pytest.mark.parametrize("bits", [32, 40, 48, 56, 64])
def test_known_keys_round_trip(tmp_path, bits):
    keys = [f"key {number}" for number in range(5000)]
    known = KnownKeys.from_keys(iter(keys + keys), bits)
    assert len(known) == 5000
    known.save(tmp_path / "known.npz")
    assert (tmp_path / "known.npz").stat().st_size < 5000 * bits // 8 + 2000
    again = KnownKeys.load(tmp_path / "known.npz")
    assert again.bits == bits
    assert again.false_positive == known.false_positive == 5000 / 2**bits
    assert again.contains_many(keys).all()
    assert not again.contains_many([f"other {number}" for number in range(5000)]).any()
    assert "key 7" in again
    assert "kee 7" not in again
    assert 7 not in again


@given(st.sets(st.text()), st.text())
def test_known_keys_answer_like_a_set(keys, other):
    known = KnownKeys.from_keys(keys)
    assert known.contains_many(sorted(keys)).all()
    assert (other in known) == (other in keys)


def test_false_positive_rate_is_as_documented():
    """With hashes that fill 1 / 2**12 of a 32-bit space, so many of the unknown keys are taken for known."""
    rng = np.random.default_rng(0)
    known = KnownKeys(rng.integers(0, 2**32, 2**20, dtype=np.uint64), bits=32)
    hits = int(known.contains_many(str(number) for number in range(100_000)).sum())
    assert hits == pytest.approx(100_000 * known.false_positive, abs=5 * math.sqrt(100_000 * known.false_positive))


def test_foreign_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="not a readable"):
        KnownKeys.load(tmp_path / "missing.npz")
    np.save(tmp_path / "foreign.npy", np.zeros((3, 4)))
    with pytest.raises(DataError, match="not a readable"):
        KnownKeys.load(tmp_path / "foreign.npy")
    (tmp_path / "text.npz").write_text("CCO\n")
    with pytest.raises(DataError, match="not a readable"):
        KnownKeys.load(tmp_path / "text.npz")
    with pytest.raises(UsageError, match="bits=16"):
        KnownKeys.from_keys(["a"], bits=16)
