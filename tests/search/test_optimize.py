"""``model.optimize``: objective, scorers, gates, the folder of a run and going on from it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest

import molvae
from molvae.errors import DataError, InvalidRecord, UnknownName, UsageError
from molvae.objectives import Objective
from molvae.records import Candidate
from molvae.scorers import Guarded, of
from molvae.search.journal import NAME, PLAN
from molvae.search.loop import GIVEN_TEXT
from molvae.search.pending import Pending, forget, gather, left
from molvae.search.sampler import Recipe

SMALL = Recipe(batch=16, start=32, elite=20, screen=2, tune_steps=1)
LOGP = Objective.of(maximize="logp")


def length(text: str) -> float:
    """An endpoint of the user's own."""
    if text.endswith("N"):
        raise ValueError("no nitrogen at the end, please")
    return float(len(text))


def pending(folder: Path) -> list[str]:
    """Texts whose evaluations are kept for a batch that has not ended."""
    return [text for rows in left(folder).values() for text in rows]


def run(model: molvae.Model, objective: Objective = LOGP, budget: int = 64, **options):
    return model.optimize(objective, budget=budget, **{"recipe": SMALL, **options})


def test_candidates_come_best_first_with_their_evidence(model: molvae.Model):
    found = run(model, keep=12)
    assert len(found.candidates) == 12
    scores = [c.extra["score"] for c in found.candidates]
    assert scores == sorted(scores, reverse=True)
    assert all(c.verdict.ok and c.measured["logp"] == pytest.approx(c.extra["score"]) for c in found.candidates)
    assert found.front == 0


def test_constraints_keep_what_breaks_them_out_but_it_counts(model: molvae.Model):
    found = run(model, Objective.of(maximize="logp", constraint="mw<=130", needs="contains c"), budget=80)
    assert len(found.search.pool) == 80
    assert found.candidates
    assert all(c.measured["mw"] <= 130 and "c" in c.text for c in found.candidates if "mw" in c.measured)
    broken = [s for s in found.search.pool if not s.feasible]
    assert broken
    assert not {s.text for s in broken} & {c.text for c in found.candidates}


SEEDS = ("Cc1ccccc1", "CCCCCC", "Cc1ccc(CC)cc1")


@pytest.mark.parametrize("sampler", ["auto", "random"])
def test_seeds_are_scored_first_and_searched_around(model: molvae.Model, sampler: str):
    found = run(model, budget=60, seeds=(*SEEDS, SEEDS[0]), sampler=sampler)
    first = [s for s in found.search.pool if s.call <= 3]
    assert {s.text for s in first} == {model.domain.write(model.domain.parse(t)) for t in SEEDS}
    assert {s.origin for s in first} == {"given"}
    assert len(found.search.study.trials) >= 60
    if sampler == "auto":
        assert any(s.origin.startswith(("around", "cross", "grow", "graft")) for s in found.search.pool if s.call <= 20)
    assert len(found.search.pool) == 60


def test_draws_of_the_prior_can_stand_beside_the_seeds(model: molvae.Model):
    def origins(beside: int) -> list[str]:
        found = run(model, budget=40, seeds=SEEDS[:1], recipe=Recipe(batch=10, beside_seeds=beside))
        return [s.origin for s in sorted(found.search.pool, key=lambda s: s.call)]

    with_prior = origins(10)
    assert with_prior[:11] == ["given", *["prior"] * 10]
    assert set(with_prior[11:]) - {"prior"}  # the search goes on from them
    assert any(origin.startswith("around") for origin in origins(0)[1:11])


def test_a_seed_that_fails_the_verdict_is_not_scored_and_no_record_is_an_error(model: molvae.Model):
    found = run(model, budget=20, seeds=("CC=C=C=C", SEEDS[0]))
    assert not model.validator.verdict(model.domain.parse("CC=C=C=C")).ok
    assert [s.text for s in found.search.pool if s.origin == "given"] == [SEEDS[0]]
    assert found.warnings == ("1 of 2 seeds left out, for records must pass the verdict",)
    with pytest.raises(InvalidRecord, match="not a molecule"):
        run(model, budget=20, seeds=("not a molecule",))


def test_candidates_share_a_scaffold_as_often_as_allowed(model: molvae.Model):
    free, spread = run(model, budget=80, keep=20), run(model, budget=80, keep=20, per_group=2)

    def most(candidates: Sequence[Candidate]) -> int:
        groups = Counter(model.domain.group(model.domain.parse(c.text)) for c in candidates)
        return max(count for group, count in groups.items() if group)

    assert most(free.candidates) > 2 == most(spread.candidates)


def test_a_front_holds_no_beaten_record(model: molvae.Model):
    found = run(model, Objective.of(maximize="logp", minimize="mw", pareto=True), budget=96)
    front = found.search.pool.front()
    assert 0 < found.front == len(front) < 96
    for one in front:
        better = [o for o in found.search.pool if all(a >= b for a, b in zip(o.objectives, one.objectives, strict=True))]
        assert all(o.objectives == one.objectives for o in better)
    assert len(found.search.study.best_trials) >= len(front)


def test_objectives_of_a_front_are_what_was_measured(model: molvae.Model):
    found = run(model, Objective.of(maximize="logp", minimize="mw=100:300", pareto=True), budget=32)
    for one in found.search.pool:
        assert one.objectives[0] == pytest.approx(one.values["logp"])  # without bounds: two beyond usual ones are not alike
        assert one.objectives[1] == pytest.approx(min(1, max(0, (300 - one.values["mw"]) / 200)))
    with pytest.raises(UsageError, match="cmaes knows one objective"):
        run(model, Objective.of(maximize="logp", minimize="mw", pareto=True), sampler="cmaes")


def test_one_record_is_delivered_once(model: molvae.Model):
    tautomers = ("Oc1ccccn1", "O=c1cccc[nH]1")
    assert len({model.domain.key(model.domain.parse(text)) for text in tautomers}) == 1
    found = run(model, budget=12, seeds=tautomers, verify=False, keep=12)
    assert {s.text for s in found.search.pool} >= set(tautomers)
    assert len({c.text for c in found.candidates} & set(tautomers)) == 1


def together(texts: Sequence[str]) -> list[float]:
    """How many texts came in one call."""
    return [float(len(texts))] * len(texts)


def test_scorers_that_take_several_get_several(model: molvae.Model):
    asked = Objective.of(maximize="n", scorer=f"n={__name__}:together:batch")
    assert {s.score for s in run(model, asked, budget=16).search.pool} == {16.0}
    assert {s.score for s in run(model, asked, budget=16, scorer_batch=4).search.pool} == {4.0}
    assert {s.score for s in run(model, asked, budget=16, scorer_workers=2).search.pool} == {8.0}
    alone = Objective.of(maximize="builtins", scorer="builtins=builtins:len")
    assert all(s.score == len(s.text) for s in run(model, alone, budget=16).search.pool)


def test_scorers_provide_endpoints_and_lose_single_evaluations(model: molvae.Model):
    found = run(model, Objective.of(maximize="length"), scorers=[Guarded(of(length), workers=0)], budget=96)
    assert found.candidates[0].extra["score"] == len(found.candidates[0].text)
    assert sum(found.failures.values()) == sum(s.text.endswith("N") for s in found.search.pool)
    with pytest.raises(UnknownName, match="lenght"):
        run(model, Objective.of(maximize="lenght"), scorers=[Guarded(of(length), workers=0)])
    with pytest.raises(UsageError, match="two scorers"):
        run(model, Objective.of(maximize="length"), scorers=[Guarded(of(length), workers=0), Guarded(of(length), workers=0)])


@pytest.mark.parametrize("name", ["tpe", "nsga2", "random"])
def test_optunas_samplers_search_the_same_space(model: molvae.Model, name):
    found = run(model, Objective.of(maximize="logp", constraint="mw<=400"), sampler=name, budget=20)
    assert len(found.search.pool) == 20
    assert len({s.text for s in found.search.pool}) == 20
    assert type(found.search.study.sampler).__name__.lower().startswith(name[:3])


def test_unknown_samplers_and_empty_budgets(model: molvae.Model):
    with pytest.raises(UnknownName, match="annealing"):
        run(model, sampler="annealing")
    with pytest.raises(UsageError, match="budget 0"):
        run(model, budget=0)


class TestGoingOn:
    def test_nothing_is_lost_and_nothing_scored_twice(self, model: molvae.Model, tmp_path: Path):
        scored: list[str] = []

        def counted(text: str) -> float:
            scored.append(text)
            return length(text.replace("N", "O"))

        def part(budget: int, resume: bool):
            scorer = Guarded(of(counted), workers=0)
            return run(model, Objective.of(maximize="counted"), budget=budget, scorers=[scorer], out=tmp_path / "run", resume=resume)

        first = part(48, resume=False)
        lines = (tmp_path / "run" / NAME).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["text"] for line in lines] == [s.text for s in first.search.pool]
        # A kill in the middle of a write leaves half a line.
        with (tmp_path / "run" / NAME).open("a", encoding="utf-8") as file:
            file.write('{"text": "CC')
        second = part(96, resume=True)
        assert [s.text for s in second.search.pool][:48] == [s.text for s in first.search.pool]
        assert [s.score for s in second.search.pool][:48] == [s.score for s in first.search.pool]
        assert len(second.search.pool) == 96
        assert len(scored) == len(set(scored)) == 96
        assert len(second.search.study.trials) == 96
        assert second.candidates[0].measured["counted"] == second.candidates[0].extra["score"]

    def test_a_kill_in_the_middle_of_a_batch_costs_nothing(self, model: molvae.Model, tmp_path: Path):
        scored: list[str] = []

        def counted(text: str) -> float:
            if len(scored) == 20:
                raise KeyboardInterrupt  # what no guard holds back, as a kill
            scored.append(text)
            return math.nan if len(scored) == 18 else float(len(text))

        def part(**options):
            return run(model, Objective.of(maximize="counted"), budget=48, scorers=[Guarded(of(counted), workers=0)], **options)

        with pytest.raises(KeyboardInterrupt):
            part(out=tmp_path / "run")
        first = list(scored)
        assert pending(tmp_path / "run") == first[16:]
        scored.append("")  # so that it goes on
        found = part(out=tmp_path / "run", resume=True)
        scored.remove("")
        assert len(scored) == len(set(scored)) == len(found.search.pool) == 48
        assert {s.text for s in found.search.pool if s.call <= 20} == set(first)
        assert found.failures == {"returned NaN": 1}
        assert not list((tmp_path / "run").glob(".pending*"))

    def test_why_scores_are_unknown_is_known_after_going_on(self, model: molvae.Model, tmp_path: Path):
        asked = {"objective": Objective.of(maximize="length", scorer=f"{__name__}:length"), "out": tmp_path / "run"}
        asked |= {"seeds": ("CC(C)N", "CCCCC"), "verify": False}
        run(model, budget=16, **asked)
        found = run(model, budget=17, resume=True, **asked)
        lost = {s.text: s.failed for s in found.search.pool if s.text.endswith("N")}
        assert lost["CC(C)N"] == "raised ValueError"
        assert found.failures == {"raised ValueError": len(lost)}

    def test_a_run_without_a_score_does_not_keep_its_folder(self, model: molvae.Model, tmp_path: Path):
        def refuse(text: str) -> float:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(model, Objective.of(maximize="refuse"), scorers=[Guarded(of(refuse), workers=0)], out=tmp_path / "run")
        assert len(run(model, budget=16, out=tmp_path / "run").search.pool) == 16
        noted = json.loads((tmp_path / "run" / PLAN).read_text(encoding="utf-8"))["noted"]
        assert (noted["budget"], noted["recipe"]["batch"]) == (16, 16)

    def test_a_killed_batch_goes_on_after_a_second_kill(self, model: molvae.Model, tmp_path: Path):
        kept = Pending(tmp_path, 0)
        for number, text in enumerate(("CC", "CCC")):
            kept.keep(["x", "y"], text, (float(number), math.nan), "returned NaN")
        Pending(tmp_path, 1).keep(["z"], "CC", (2.0,), "")
        wanted = {("x", "y"): {"CC": (0.0, math.nan), "CCC": (1.0, math.nan)}, ("z",): {"CC": (2.0,)}}
        for _ in range(2):  # gathering is no loss
            seen = gather(tmp_path)
            for names, rows in wanted.items():
                for text, values in rows.items():
                    np.testing.assert_equal(seen[names][text][0], values)
            assert seen["x", "y"]["CC"][1] == "returned NaN"
            Pending(tmp_path, 0).clear()  # another batch is told meanwhile
        with (tmp_path / ".pending-0.jsonl").open("w") as file:
            file.write('{"names": ["z"], "text": "C')  # cut short by the kill
        assert set(gather(tmp_path)) == set(wanted)
        forget(tmp_path)
        assert gather(tmp_path) == {}
        assert list(tmp_path.iterdir()) == []

    def test_records_without_their_plan_are_left_alone(self, model: molvae.Model, tmp_path: Path):
        run(model, budget=16, out=tmp_path / "run")
        (tmp_path / "run" / PLAN).unlink()
        before = (tmp_path / "run" / NAME).read_bytes()
        for resume in (False, True):
            with pytest.raises(UsageError, match=r"not the config\.json"):
                run(model, budget=32, out=tmp_path / "run", resume=resume)
        assert (tmp_path / "run" / NAME).read_bytes() == before

    def test_seeds_that_were_scored_are_not_proposed_again(self, model: molvae.Model, tmp_path: Path):
        asked = {"objective": Objective.of(maximize="logp", minimize="mw", pareto=True), "seeds": SEEDS, "out": tmp_path / "run"}
        run(model, budget=8, sampler="nsga2", **asked)
        found = run(model, budget=16, sampler="nsga2", resume=True, **asked)
        assert len(found.search.pool) == 16
        told = [t for t in found.search.study.trials if t.state.is_finished() and GIVEN_TEXT in t.user_attrs]
        assert not told  # nothing of the seeds was asked again
        assert all(all(v > -1e3 for v in t.values) for t in found.search.study.trials if t.values)

    def test_another_plan_is_refused(self, model: molvae.Model, tmp_path: Path):
        run(model, budget=16, out=tmp_path / "run")
        with pytest.raises(UsageError, match="holds a run already"):
            run(model, budget=16, out=tmp_path / "run")
        with pytest.raises(UsageError, match=r"another plan.*objective"):
            run(model, Objective.of(minimize="logp"), budget=16, out=tmp_path / "run", resume=True)
        with pytest.raises(UsageError, match=r"another plan.*objective"):
            run(model, Objective.of(maximize="logp", scorer="x=builtins:len"), budget=16, out=tmp_path / "run", resume=True)
        with pytest.raises(UsageError, match="no run to resume"):
            run(model, budget=16, out=tmp_path / "none", resume=True)

    def test_a_damaged_journal_is_named_with_its_line(self, model: molvae.Model, tmp_path: Path):
        run(model, budget=16, out=tmp_path / "run")
        path = tmp_path / "run" / NAME
        lines = path.read_text(encoding="utf-8").splitlines()
        path.write_text("\n".join([lines[0], "not json", *lines[1:]]) + "\n", encoding="utf-8")
        with pytest.raises(DataError, match=r"scored\.jsonl:2"):
            run(model, budget=32, out=tmp_path / "run", resume=True)

    def test_a_storage_of_optuna_resumes_too(self, model: molvae.Model, tmp_path: Path):
        url = f"sqlite:///{tmp_path / 'study.db'}"
        first = run(model, budget=16, storage=url, study="s")
        second = run(model, budget=32, storage=url, study="s")
        assert [s.text for s in second.search.pool][:16] == [s.text for s in first.search.pool]
        assert len(optuna.load_study(study_name="s", storage=url).trials) == 32
