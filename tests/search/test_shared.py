"""Workers on one study: claims, the dead, those who return late, and searches in threads that share a file or a database."""

from __future__ import annotations

import gc
import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
import torch
from optuna.trial import TrialState

import molvae
from molvae.errors import MolvaeError, UsageError
from molvae.objectives import Objective
from molvae.search import Search, Settings
from molvae.search.outcome import Evaluation
from molvae.search.sampler import Recipe
from molvae.search.shared import Member, Shared, Shelf, fail, retire
from molvae.search.storage import LogFile, open_storage
from molvae.search.trials import is_scored, open_trial

BATCH = 8
SMALL = Recipe(batch=BATCH, start=16, elite=20, screen=2, tune_steps=1)
PLACES = ["journal:{}/study.journal", "sqlite:///{}/study.db"]


@pytest.fixture(params=PLACES, ids=["journal", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return request.param.format(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return PLACES[0].format(tmp_path)


def worker(place: str, number: int = 0, grace: float = 60.0) -> Shared:
    shelf = Shelf.at(place, "s", 1)
    return Shared(shelf.study, shelf.storage, Member("run", number, grace))


def claim(shared: Shared, *keys: str) -> None:
    shared.study.add_trials([open_trial(key, key, shared.member.token, "prior", [0.5, 0.25]) for key in keys])


class TestClaims:
    def test_the_first_to_look_holds_what_no_other_has(self, place: str) -> None:
        one, two = worker(place, 0), worker(place, 1)
        claim(one, "a", "b")
        assert set(one.settle({"a", "b"}, set(), 99).held) == {"a", "b"}
        claim(two, "b", "c")
        settled = two.settle({"b", "c"}, set(), 99)
        assert (set(settled.held), set(settled.refused)) == ({"c"}, {"b"})
        assert set(two.claims.values()) == {"a", "b"}
        assert two.others(set()) == 2

    def test_of_two_that_wrote_before_either_read_none_holds(self, place: str) -> None:
        one, two = worker(place, 0), worker(place, 1)
        claim(one, "a")
        claim(two, "a")
        assert not one.settle({"a"}, set(), 99).held
        assert not two.settle({"a"}, set(), 99).held

    def test_a_scored_record_is_not_held_again(self, place: str) -> None:
        one, two = worker(place, 0), worker(place, 1)
        claim(one, "a", "b")
        held = one.settle({"a", "b"}, set(), 99).held
        one.study.tell(held["a"], 1.0)
        one.note(held["b"], "failed", True)
        one.study.tell(held["b"], state=TrialState.FAIL)
        claim(two, "a", "b", "c")
        settled = two.settle({"a", "b", "c"}, set(), 99)
        assert list(settled.held) == ["c"]
        assert [t.user_attrs["key"] for t in settled.scored] == ["a", "b"]
        assert two.look() == []

    def test_claims_that_were_written_later_than_numbered_count_whatever_their_number(self, place: str) -> None:
        one, two = worker(place, 0), worker(place, 1)
        claim(two, "c", "d", "e")
        claim(one, "a", "b")
        assert list(two.settle({"c", "d", "e"}, set(), 4, numbered=False).held) == ["c", "d"]
        assert list(one.settle({"a", "b"}, set(), 4, numbered=False).held) == ["a"]

    def test_claims_never_exceed_the_budget(self, place: str) -> None:
        one, two = worker(place, 0), worker(place, 1)
        claim(one, "a", "b")
        claim(two, "c", "d", "e")
        assert list(two.settle({"c", "d", "e"}, set(), 4).held) == ["c", "d"]
        assert list(one.settle({"a", "b"}, set(), 4).held) == ["a", "b"]


class TestTheDead:
    def test_their_claims_are_void_after_the_grace_period_and_block_nothing(self, place: str) -> None:
        dead, alive = worker(place, 0, grace=0.5), worker(place, 1, grace=0.5)
        claim(dead, "a")
        alive.enter()
        alive.look()
        assert set(alive.claims.values()) == {"a"}
        time.sleep(0.7)
        assert alive.look() == []
        assert alive.claims == {}
        (trial,) = alive.study.trials
        assert trial.state == TrialState.FAIL
        assert not is_scored(trial)
        claim(alive, "a")
        assert list(alive.settle({"a"}, set(), 99).held) == ["a"]
        alive.leave()

    def test_the_living_are_not_taken_for_dead(self, place: str) -> None:
        slow, other = worker(place, 0, grace=1.5), worker(place, 1, grace=1.5)
        slow.enter()
        claim(slow, "a")
        other.look()
        time.sleep(2.0)
        other.look()
        assert set(other.claims.values()) == {"a"}
        slow.leave()
        other.look()
        assert other.claims == {}

    def test_the_retired_are_not_waited_for(self, place: str) -> None:
        dead, alive = worker(place, 0), worker(place, 1)
        claim(dead, "a")
        retire(alive.study, dead.member)
        alive.look()
        assert alive.claims == {}

    def test_who_finds_a_file_without_workers_waits_for_none(self, file: str) -> None:
        dead = worker(file, 0)
        claim(dead, "a")
        assert worker(file, 1).study.trials[0].state == TrialState.RUNNING
        del dead
        gc.collect()
        assert worker(file, 1).study.trials[0].state == TrialState.FAIL

    def test_a_trial_of_nobody_blocks_for_the_grace_period_alone(self, file: str) -> None:
        alive = worker(file, grace=0.2)
        alive.study.ask({})
        alive.look()
        time.sleep(0.3)
        alive.look()
        assert alive.study.trials[0].state == TrialState.FAIL

    def test_who_cannot_say_that_it_lives_stops(self, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
        alone = worker(file, grace=0.2)
        alone.enter()

        def refuse() -> None:
            raise OSError("no space left on device")

        monkeypatch.setattr(alone, "_beat", refuse)
        time.sleep(0.4)
        with pytest.raises(MolvaeError, match="took nothing"):
            alone.look()


def test_only_the_first_worker_of_a_new_study_keeps_the_seed(file: str) -> None:
    first, second = worker(file, 0), worker(file, 1)
    shelf = Shelf.at(file, "s", 1)
    elsewhere = [Shared(shelf.study, shelf.storage, Member(f"{k:012x}")) for k in (1, 2)]
    seeds = [one.seed(7) for one in (first, second, *elsewhere)]
    assert seeds[0] == 7
    assert len(set(seeds)) == 4


def test_who_joins_must_agree(file: str) -> None:
    Shelf.at(file, "s", 1).agree({"objective": {"maximize": ["qed"]}})
    Shelf.at(file, "s", 1).agree({"objective": {"maximize": ["qed"]}})
    with pytest.raises(UsageError, match="another plan"):
        Shelf.at(file, "s", 1).agree({"objective": {"maximize": ["logp"]}})


class TestStorages:
    def test_a_line_cut_short_by_a_kill_is_dropped(self, tmp_path: Path) -> None:
        path = tmp_path / "log"
        log = LogFile(path)
        log.append_logs([{"a": 1}])
        for torn in ('{"a": 2', "x" * 200_000):
            with path.open("a", encoding="utf-8") as file:
                file.write(torn)
            assert next(iter(log.read_logs(0))) == {"a": 1}
            LogFile(path).append_logs([{"a": 3}])
        assert list(log.read_logs(0)) == [{"a": 1}, {"a": 3}, {"a": 3}]
        path.write_text("torn", encoding="utf-8")
        LogFile(path).append_logs([{"a": 4}])
        assert path.read_text(encoding="utf-8") == '{"a":4}\n'

    @pytest.mark.parametrize(
        "place", ["study.db", "sqlite:////nowhere/at/all/s.db", "journal:/nowhere/at/all/s", "postgresql+nothing://x/y"]
    )
    def test_places_that_cannot_be(self, place: str) -> None:
        with pytest.raises(UsageError, match="storage"):
            open_storage(place)


def score(seen: list[str], pause: float = 0.0):
    """A scorer that notes what it is asked, in all threads alike."""

    def evaluate(texts: Sequence[str]) -> list[Evaluation]:
        out = []
        for text in texts:
            seen.append(text)
            time.sleep(pause)
            out.append(Evaluation(math.nan if text.endswith("N") else float(len(text)), {"length": float(len(text))}))
        return out

    return evaluate


def searches(
    model: molvae.Model, place: str, budget: int, seen: list[str], count: int = 2, sampler: str = "auto", **options
) -> list[Search]:
    settings = Settings(budget, sampler=sampler, recipe=SMALL)
    return [
        Search(model.sampler, score(seen), settings, features=model.domain.features, storage=place, name="s", **options)
        for _ in range(count)
    ]


def together(found: list[Search]) -> None:
    def run(one: Search) -> None:
        torch.set_num_threads(1)
        one.run()

    threads = [threading.Thread(target=run, args=(one,)) for one in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class TestSearches:
    def scored(self, place: str) -> list[str]:
        return [t.user_attrs["text"] for t in Shelf.at(place, "s", 1).study.trials if is_scored(t)]

    def test_two_share_a_budget_and_no_record(self, model: molvae.Model, file: str) -> None:
        seen: list[str] = []
        found = searches(model, file, 96, seen)
        together(found)
        texts = self.scored(file)
        assert len(seen) == len(set(seen)) == 96
        assert sorted(texts) == sorted(seen)
        assert {len(one.pool) for one in found} == {96}
        assert {s.key: s.score for s in found[0].pool}.keys() == {s.key for s in found[1].pool}
        values = {s.text: s.values["length"] for one in found for s in one.pool}
        assert all(value == len(text) for text, value in values.items())

    def test_optunas_samplers_share_too(self, model: molvae.Model, file: str) -> None:
        seen: list[str] = []
        together(searches(model, file, 24, seen, sampler="random"))
        assert len(seen) == len(set(seen)) == len(self.scored(file)) == 24

    @pytest.mark.parametrize("sampler", ["auto", "random"])
    def test_seeds_of_two_commands_are_scored_once_and_not_lost(self, model: molvae.Model, file: str, sampler: str) -> None:
        seen: list[str] = []
        seeds = ["Cc1ccccc1", "CCCCCC", "Cc1ccc(CC)cc1"]
        found = searches(model, file, 24, seen, sampler=sampler)
        for one in found:
            one.plant(seeds)
        together(found)
        assert len(seen) == len(set(seen)) == 24
        assert {model.domain.write(model.domain.parse(text)) for text in seeds} <= set(seen)

    @pytest.mark.slow  # two commits to the disk for each trial
    def test_two_share_a_database(self, model: molvae.Model, tmp_path: Path) -> None:
        seen: list[str] = []
        place = PLACES[1].format(tmp_path)
        together(searches(model, place, 48, seen, count=3))
        assert len(seen) == len(set(seen)) == 48
        assert sorted(self.scored(place)) == sorted(seen)

    def test_who_was_taken_for_dead_loses_nothing(self, model: molvae.Model, file: str) -> None:
        seen: list[str] = []
        (one,) = searches(model, file, 16, seen, count=1)
        plain = one.evaluate

        def slept(texts: Sequence[str]) -> Sequence[Evaluation]:
            other = worker(file, 5)
            if len(seen) == 0:
                for number in [t.number for t in other.study.trials if t.state == TrialState.RUNNING]:
                    fail(other.storage, other.study, number)
            return plain(texts)

        one.evaluate = slept
        one.run()
        assert len(seen) == len(set(seen)) == 16
        assert sorted(self.scored(file)) == sorted(seen)

    def test_an_error_gives_claims_back(self, model: molvae.Model, file: str) -> None:
        (one,) = searches(model, file, 16, [], count=1)

        def broken(texts: Sequence[str]) -> Sequence[Evaluation]:
            raise RuntimeError("the scorer's host is gone")

        one.evaluate = broken
        with pytest.raises(RuntimeError, match="host"):
            one.run()
        trials = Shelf.at(file, "s", 1).study.trials
        assert {t.state for t in trials} == {TrialState.FAIL}
        assert self.scored(file) == []


def test_several_workers_need_a_place_to_share(model: molvae.Model) -> None:
    with pytest.raises(UsageError, match="place to share"):
        model.optimize(Objective.of(maximize="logp"), budget=8, workers=2)
    with pytest.raises(UsageError, match="workers=0"):
        model.optimize(Objective.of(maximize="logp"), budget=8, workers=0)
