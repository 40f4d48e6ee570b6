"""The language of objectives reads back as it was written, and its numbers are the closed forms."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import tomlkit
from hypothesis import assume, given
from hypothesis import strategies as st

from molvae.errors import ConfigError, UnknownName, UsageError
from molvae.objectives import Likeness, Limit, Near, Objective, Ramp, Structure, Within
from tests.fixtures_words import words

GAUSS = [(0.0, 1.0), (1.0, math.exp(-0.5)), (2.0, math.exp(-2.0))]  # widths outside -> desirability

names = st.from_regex(r"[A-Za-z_]([A-Za-z0-9_.()/ -]{0,8}[A-Za-z0-9_)])?", fullmatch=True)
numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: x + 0.0)
weights = st.one_of(st.just(1.0), st.floats(1e-3, 1e3))
spans = st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1])
ramps = st.builds(
    lambda kind, name, span, weight: Ramp(kind, name, *(span or (None, None)), weight),
    st.sampled_from(["maximize", "minimize"]),
    names,
    st.none() | spans,
    weights,
)
nears = st.builds(Near, names, numbers, st.none() | st.floats(1e-6, 1e6), weights)
withins = st.builds(lambda name, span, weight: Within(name, *span, weight), names, spans, weights)
terms = st.lists(ramps | nears | withins, min_size=1, max_size=5, unique_by=lambda term: term.name)
limits = st.builds(Limit, names, st.sampled_from(["<=", ">=", "<", ">"]), numbers)
queries = st.builds(Structure, st.sampled_from(["contains", "scaffold"]), st.text("cC1n()[];H:,=#+-", min_size=1))
references = st.text("cC1n()=:#", min_size=1).map(lambda text: text.strip())
likenesses = st.builds(lambda reference, pair: Likeness(reference, *sorted(pair)), references, st.tuples(st.floats(0, 1), st.floats(0, 1)))
objectives = st.builds(
    Objective,
    terms.map(tuple),
    st.lists(limits, max_size=3).map(tuple),
    st.lists(queries, max_size=3).map(tuple),
    st.lists(likenesses, max_size=3).map(tuple),
    st.booleans(),
)


@given(objectives)
def test_every_objective_reads_back(objective: Objective) -> None:
    table = objective.to_dict()
    assert Objective.from_toml(table) == objective
    assert Objective.from_toml(json.loads(json.dumps(table))) == objective
    assert Objective.from_toml(tomlkit.parse(tomlkit.dumps(table)).unwrap()) == objective
    assert Objective.of(**table) == objective


@given(st.text(max_size=30), st.sampled_from(["maximize", "minimize", "target", "range", "constraint", "needs", "similar"]))
def test_any_text_is_read_or_refused_in_words(text: str, key: str) -> None:
    try:
        objective = Objective.of(**({"maximize": "own_goal"} | {key: [text]}))
    except UsageError:
        return
    assert Objective.of(**objective.to_dict()) == objective


def test_texts_and_python_values_say_the_same() -> None:
    texts = Objective.of(
        maximize=["qed=0.3:0.9*2", "activity"],
        minimize="sa=1:5",
        target=["logp=2.5±0.5", "tpsa=60+-10", "hbd=1+/-1", "hba=3:1*0.5", "rings=2"],
        range="mw=250:400",
        constraint=["charge >= -1", "similar c1:c:c:c:c:c:1:0.2:1", "contains [NX3;H2]"],
        needs=["scaffold c1ccccc1"],
        similar="CCO:0.4",
        pareto=True,
    )
    assert texts.terms == (
        Ramp("maximize", "qed", 0.3, 0.9, 2.0),
        Ramp("maximize", "activity"),
        Ramp("minimize", "sa", 1, 5),
        Near("logp", 2.5, 0.5),
        Near("tpsa", 60, 10),
        Near("hbd", 1, 1),
        Near("hba", 3, 1, 0.5),
        Near("rings", 2),
        Within("mw", 250, 400),
    )
    assert texts.limits == (Limit("charge", ">=", -1),)
    assert texts.structures == (Structure("contains", "[NX3;H2]"), Structure("scaffold", "c1ccccc1"))
    assert texts.likenesses == (Likeness("c1:c:c:c:c:c:1", 0.2, 1), Likeness("CCO", 0.4))
    assert texts.names[:2] == ("qed", "activity")
    assert texts.names[-1] == "charge"
    values = Objective.of(
        maximize={"qed": (0.3, 0.9), "activity": None},
        target={"logp": (2.5, 0.5), "rings": 2},
        range={"mw": [250, 400]},
        needs={"contains": ["C", "N"], "scaffold": "c1ccccc1"},
        similar={"CCO": 0.4, "CCN": (0.1, 0.2)},
    )
    assert values.terms[0] == replace(texts.terms[0], weight=1.0)
    assert values.terms[2:4] == (texts.terms[3], texts.terms[7])
    assert values.structures == (Structure("contains", "C"), Structure("contains", "N"), Structure("scaffold", "c1ccccc1"))
    assert values.likenesses == (Likeness("CCO", 0.4), Likeness("CCN", 0.1, 0.2))
    assert Objective.of(maximize="a", needs=["similar CCO:0.4", ("similar", "CCO:0.4")]).likenesses == (Likeness("CCO", 0.4),) * 2
    assert Objective.of(maximize="a", needs=[("contains", "C")]).structures == (Structure("contains", "C"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CCO:0.4", Likeness("CCO", 0.4)),
        ("CCO:0.4:0.8", Likeness("CCO", 0.4, 0.8)),
        ("c1:c:c:c:c:c:1:0.4", Likeness("c1:c:c:c:c:c:1", 0.4)),  # 1 cannot be the LOW of 0.4
        ("c1:c:c:c:c:c:1:1:1", Likeness("c1:c:c:c:c:c:1", 1, 1)),
        ("c1:c:c:c:c:c1:.4", Likeness("c1:c:c:c:c:c1", 0.4)),
        ("[CH3:7]C:0.4", Likeness("[CH3:7]C", 0.4)),
        ("C2:C:2:0.4", Likeness("C2:C:2", 0.4)),
    ],
)
def test_references_with_colons_are_read_from_the_right(text: str, expected: Likeness) -> None:
    assert Objective.of(maximize="a", similar=text).likenesses == (expected,)


@pytest.mark.parametrize(
    ("key", "text", "hint"),
    [
        ("maximize", "qed=0.9", "LOW:HIGH"),
        ("maximize", "qed=0.9:0.3", "below"),
        ("minimize", "sa*0", "weight"),
        ("minimize", "sa*x", "WEIGHT"),
        ("maximize", "a,b", "NAME"),
        ("maximize", "", "NAME"),
        ("target", "logp", "VALUE"),
        ("target", "logp=2±0", "tolerance"),
        ("target", "logp=two", "VALUE"),
        ("range", "mw=:400", "mw<=400"),
        ("range", "mw=3:3", "below"),
        ("constraint", "tpsa=90", "tpsa<=90"),
        ("constraint", "tpsa <= much", "tpsa<=90"),
        ("constraint", "tpsa<=", "tpsa<=90"),
        ("needs", "contains", "contains"),
        ("similar", "CCO", "LOW"),
        ("similar", "CCO:1.4", "LOW"),
        ("similar", ":0.4", "LOW"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_is_wanted(key: str, text: str, hint: str) -> None:
    with pytest.raises(UsageError, match="(?s)" + key.replace("needs", "constraint")) as caught:
        Objective.of(**({"maximize": ["own_goal"]} | {key: [text]}))
    assert hint in str(caught.value)


def test_other_refusals() -> None:
    with pytest.raises(UsageError, match="without a goal"):
        Objective.of(constraint="tpsa<=90")
    with pytest.raises(UsageError, match="2 terms on qed"):
        Objective.of(maximize="qed", range="qed=0:1")
    with pytest.raises(UsageError, match="logp: \\(1, 2, 3\\)"):
        Objective.of(target={"logp": (1, 2, 3)})
    with pytest.raises(UsageError, match="number"):
        Objective.of(target={"logp": "high"})
    with pytest.raises(UsageError, match="no text"):
        Objective.of(maximize=[3])


def test_structures_and_scorers_have_their_own_keys_everywhere() -> None:
    said = {"contains": ["c1ccncc1", "[NX3;H2]"], "scaffold": "c1ccccc1", "scorer": ["activity=my.py:predict:batch", "x=program:a b"]}
    found = Objective.of(maximize="activity", **said)
    assert found.structures == (Structure("contains", "c1ccncc1"), Structure("contains", "[NX3;H2]"), Structure("scaffold", "c1ccccc1"))
    assert found.scorers == tuple(said["scorer"])
    assert Objective.from_toml({"maximize": "activity", **said}) == found == Objective.from_toml(found.to_dict())
    with pytest.raises(ConfigError, match="scorer"):
        Objective.from_toml({"maximize": "activity", "scorer": {"a": "b"}})


def test_separate_objectives_without_bounds_are_raw() -> None:
    both = Objective.of(maximize="qed", minimize="mw=100:300", target="logp=2", pareto=True).completed({"logp": (0, 4), "qed": (0.2, 0.4)})
    judged = both.judge({"qed": 0.9, "mw": 200, "logp": 2.1})
    assert judged.objectives == (0.9, 0.5, 1.0)
    assert both.components({"qed": 0.9, "mw": 200}) == pytest.approx({"qed": 0.9, "mw": 0.5, "logp": math.nan}, nan_ok=True)
    assert math.isnan(both.judge({"qed": 0.9, "mw": math.nan, "logp": 2.1}).score)
    assert Objective.of(maximize="qed").components({"qed": 0.9}) == {}


def test_toml_files(tmp_path: Path) -> None:
    file = tmp_path / "aim.toml"
    expected = Objective.of(maximize=["qed"], target={"logp": (2.5, 0.5)}, constraint=["tpsa<=90"], pareto=True)
    body = 'maximize = "qed"\ntarget = {logp = [2.5, 0.5]}\nconstraint = ["tpsa≤90"]\npareto = true\n'
    for text in (body, "[objective]\n" + body):
        file.write_text(text, encoding="utf-8")
        assert Objective.from_toml(file) == expected
    for text, hint in (
        ('maximise = "qed"', "unknown key 'maximise'; accepted: maximize, minimize"),
        ('maximize = "qed=1"', "aim.toml: maximize 'qed=1'"),
        ("pareto = 1", "pareto is 1"),
        ("maximize = 3", "maximize=3"),
        ("maximize", "no readable TOML"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            Objective.from_toml(file)
        assert hint in str(caught.value)
    with pytest.raises(ConfigError, match="absent"):
        Objective.from_toml(tmp_path / "absent.toml")


def test_ramps_are_linear_and_clipped() -> None:
    up, down = Ramp("maximize", "a", 2, 6), Ramp("minimize", "a", 2, 6)
    for value, expected in ((1, 0), (2, 0), (3, 0.25), (6, 1), (9, 1)):
        assert up.desirability(value) == expected
        assert down.desirability(value) == 1 - expected


@pytest.mark.parametrize(("widths", "expected"), GAUSS)
def test_targets_and_ranges_fall_as_gaussians(widths: float, expected: float) -> None:
    near, within = Near("a", 3.0, 0.5), Within("a", 2.0, 6.0)
    for sign in (-1, 1):
        assert near.desirability(3.0 + sign * (0.5 + 0.5 * widths)) == pytest.approx(expected)
    assert within.desirability(2.0 - 0.4 * widths) == pytest.approx(expected)
    assert within.desirability(6.0 + 0.4 * widths) == pytest.approx(expected)
    assert near.desirability(3.2) == within.desirability(4.0) == 1.0


def test_a_lone_goal_without_bounds_scores_its_own_value() -> None:
    up, down = Objective.of(maximize="a*3", constraint="b<=1"), Objective.of(minimize="a")
    assert up.judge({"a": 7.5, "b": 0}).score == 7.5
    assert down.judge({"a": 7.5}).score == -7.5
    assert down.judge({"a": 7.5}).objectives == (-7.5,)
    assert Objective.of(maximize="a=0:10").judge({"a": 7.5}).score == 0.75
    assert up.completed({"a": (0, 1)}) == up


def test_the_score_is_the_weighted_geometric_mean() -> None:
    objective = Objective.of(maximize="a=0:1*2", minimize="b=0:1", target="c=5±1")
    judged = objective.judge({"a": 0.5, "b": 0.2, "c": 7.0})
    assert judged.components == pytest.approx({"a": 0.5, "b": 0.8, "c": math.exp(-0.5)})
    assert judged.objectives == tuple(judged.components.values())
    assert judged.score == pytest.approx((0.5**2 * 0.8 * math.exp(-0.5)) ** 0.25)
    assert objective.judge({"a": 0, "b": 0.2, "c": 7.0}).score == 0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=4), st.lists(st.floats(0.1, 5), min_size=4, max_size=4), st.floats(0.1, 9))
def test_the_score_stays_between_its_parts_and_ignores_the_scale_of_weights(parts: list[float], weight: list[float], scale: float) -> None:
    values = {f"e{k}": part for k, part in enumerate(parts)}
    one, other = (
        Objective(tuple(Ramp("maximize", name, 0, 1, w * s) for name, w in zip(values, weight, strict=False))) for s in (1, scale)
    )
    score = one.judge(values).score
    assert min(parts) - 1e-12 <= score <= max(parts) + 1e-12
    assert other.judge(values).score == pytest.approx(score)


def test_unknown_values_are_never_zero() -> None:
    objective = Objective.of(maximize=["a=0:1", "b=0:1"], constraint="c<=1")
    good = {"a": 0.0, "b": 0.5, "c": 0.5}
    assert objective.judge(good).score == 0
    for name in good:
        for bad in (math.nan, math.inf):
            judged = objective.judge(good | {name: bad})
            assert math.isnan(judged.score)
            assert judged.feasible == (name != "c")
    assert math.isnan(Objective.of(maximize="a").judge({"a": math.nan}).score)
    with pytest.raises(UnknownName, match="endpoint 'b'"):
        objective.judge({"a": 1})


def test_violations_count_in_the_unit_of_the_endpoint() -> None:
    objective = Objective.of(maximize="a", constraint=["b<=90", "b>=10", "b<90", "b>10"])
    assert objective.judge({"a": 1, "b": 95}).violations == (5, -85, 5, -85)
    on_low, on_high = objective.judge({"a": 1, "b": 10}), objective.judge({"a": 1, "b": 90})
    assert [v <= 0 for v in on_low.violations] == [True, True, True, False]
    assert [v <= 0 for v in on_high.violations] == [True, True, False, True]
    assert max(*on_low.violations, *on_high.violations) < 1e-12
    assert objective.judge({"a": 1, "b": 200}).score == 1  # constraints are no penalties


def test_missing_bounds_are_usual_ones_or_refused() -> None:
    objective = Objective.of(maximize="a", target="b=3", minimize="c=0:1")
    done = objective.completed({"a": (0, 10), "b": (0, 4)})
    assert done.terms == (Ramp("maximize", "a", 0, 10), Ramp("minimize", "c", 0, 1), Near("b", 3, 0.4))
    with pytest.raises(UsageError, match="a=LOW:HIGH"):
        objective.completed({"b": (0, 4)})
    with pytest.raises(UsageError, match="b=3±TOLERANCE"):
        objective.completed({"a": (0, 4)})
    with pytest.raises(UsageError, match="a=LOW:HIGH"):
        objective.judge({"a": 1, "b": 1, "c": 1})


def test_a_bound_objective_judges_the_record() -> None:
    objective = Objective.of(
        maximize="length", constraint=["vowels<=2", "similar aaaa:0.5", "similar eeee:0:0.5"], needs="contains ab", minimize="docking"
    )
    usual = {"length": (0.0, 10.0), "docking": (-10.0, 0.0)}
    bound = objective.bind(words(), endpoints=["docking"], usual=usual)
    assert bound.names == ("length", "docking", "vowels")
    assert bound.labels == ("vowels<=2", "contains ab", "similar aaaa:0.5:1", "similar eeee:0:0.5")
    values = {"length": 4.0, "vowels": 3.0, "docking": -5.0}
    judged = bound.judge(values, "aaab")
    assert judged.violations == bound.violations_of("aaab", values) == (1.0, 0.0, -0.25, 0.0)
    assert judged.score == pytest.approx(math.sqrt(0.4 * 0.5))
    assert bound.violations_of("eeee", values) == (1.0, 1.0, 0.5, 0.5)
    with pytest.raises(UsageError, match="condition on the record"):
        objective.judge(values)


def test_names_queries_and_references_are_checked_at_the_door() -> None:
    domain = words()
    with pytest.raises(UnknownName, match=r"endpoint 'docking'; known: .*length"):
        Objective.of(maximize="docking").bind(domain)
    with pytest.raises(UnknownName, match="query 'scaffold'; known: contains, similar"):
        Objective.of(maximize="length", needs="scaffold x").bind(domain)
    with pytest.raises(UsageError, match="no query"):
        Objective.of(maximize="length", needs="contains 1").bind(domain)
    with pytest.raises(UsageError, match="letters are wanted"):
        Objective.of(maximize="length", similar="a1:0.4").bind(domain)
    with pytest.raises(UsageError, match="vowels=LOW:HIGH"):
        Objective.of(maximize="length=0:1", minimize="vowels").bind(domain)


@given(st.sampled_from(["maximize", "minimize"]), spans, numbers, numbers)
def test_more_of_what_is_wanted_is_never_worse(kind: str, span: tuple[float, float], one: float, other: float) -> None:
    assume(one < other)
    ramp = Ramp("maximize" if kind == "maximize" else "minimize", "a", *span)
    worse, better = (one, other) if kind == "maximize" else (other, one)
    assert 0 <= ramp.desirability(worse) <= ramp.desirability(better) <= 1
