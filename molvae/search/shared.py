"""One worker's part in a study that others work on too: what they scored, what they are at, and claims that no two of them hold.

A claim is a running trial that names its record and its worker. It is written first, and the study read afterwards; whoever then sees the
same record claimed or scored by another backs off. Of two workers that claim one record, the second to write reads after both wrote, so at
least one of them backs off and a double is impossible. Both may: then nobody scores the record for now, and it can be proposed again.

Every worker moves a counter in the study. One whose counter stood still for the grace period, by the reader's own clock, is dead: its
trials are failed, unscored, and their records are free. (Optuna's heartbeat is no help here: it belongs to ``Study.optimize``, knows
databases alone, and beats for each trial by itself.)
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna import create_study
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from molvae.errors import MolvaeError, UsageError
from molvae.search.agreement import differences, plain
from molvae.search.storage import FileStorage, open_storage
from molvae.search.trials import is_scored, key_of

GRACE = 120.0  # seconds; a scorer may keep Python's lock, and with it the counter, for a while
BEATS = 12  # in a grace period
ENDED = -1
_SIGN = "worker "


@dataclass(frozen=True)
class Member:
    """Who a worker is. run: of the command that started it; number: among that command's workers, from 0. grace: see the module."""

    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    number: int = 0
    grace: float = GRACE

    @property
    def token(self) -> str:
        """The worker's name in the study."""
        return f"{self.run}.{self.number}"


@dataclass(frozen=True)
class Settled:
    """held: key -> trial number of the claims to score; refused: of those to give up; scored: trials that others finished meanwhile."""

    held: dict[str, int]
    refused: dict[str, int]
    scored: list[FrozenTrial]


@dataclass(frozen=True)
class Shelf:
    """A study and the storage it lies in."""

    storage: BaseStorage
    study: Study

    @classmethod
    def of(cls, storage: BaseStorage, name: str | None, objectives: int) -> Shelf:
        """The study of that name in this storage, made where there is none."""
        directions = [StudyDirection.MAXIMIZE] * objectives
        return cls(storage, create_study(storage=storage, study_name=name, directions=directions, load_if_exists=name is not None))

    @classmethod
    def at(cls, place: str, name: str | None, objectives: int) -> Shelf:
        """The study of that name in that place, made where there is none. Raises UsageError, MissingExtra."""
        shelf = cls.of(storage := open_storage(place), name, objectives)
        if isinstance(storage, FileStorage):
            with storage.joining() as alone:
                # What is running while nobody is there was left by the dead, and need not wait for the grace period.
                for trial in shelf.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]) if alone else []:
                    fail(storage, shelf.study, trial.number)
        return shelf

    def agree(self, plan: Mapping[str, Any]) -> None:
        """Say in the study what decides about its scores; all who work on it must agree. Raises UsageError where they do not."""
        wanted = plain(plan)
        self.study.set_user_attr("plan", had := self.study.user_attrs.get("plan", wanted))
        if said := differences(had, wanted):
            raise UsageError(f"the study {self.study.study_name} has another plan ({said}); join with the same, or name a new one")

    def add(self, trials: Sequence[FrozenTrial]) -> None:
        """Enter scored trials whose records the study does not have."""
        there = {key_of(trial) for trial in self.study.get_trials(deepcopy=False) if is_scored(trial)}
        self.study.add_trials([trial for trial in trials if key_of(trial) not in there])


def fail(storage: BaseStorage, study: Study, number: int) -> None:
    """End a trial without a score."""
    study_id = storage.get_study_id_from_name(study.study_name)
    try:
        storage.set_trial_state_values(storage.get_trial_id_from_study_id_trial_number(study_id, number), TrialState.FAIL)
    except UpdateFinishedTrialError:
        return  # another worker was faster


def retire(study: Study, member: Member) -> None:
    """Say that this worker is gone, so that others need not wait for it to be missed."""
    study.set_user_attr(_SIGN + member.token, ENDED)


class Watch:
    """Reads what was scored since it last looked."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._done: set[int] = set()

    def look(self) -> list[FrozenTrial]:
        """Trials scored since, in the order of their numbers. One read: Optuna fetches new and unfinished trials alone."""
        return self._sift(self.study.get_trials(deepcopy=False))

    def _sift(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        new = [t for t in trials if t.state.is_finished() and t.number not in self._done]
        self._done.update(t.number for t in new)
        return [t for t in new if is_scored(t)]


class Shared(Watch):
    """A worker in a study. claims: what living others are at, trial number -> key."""

    def __init__(self, study: Study, storage: BaseStorage, member: Member) -> None:
        super().__init__(study)
        self.storage, self.member = storage, member
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self.claims: dict[int, str] = {}
        self._own: dict[str, int] = {}
        self._heard: dict[str, tuple[int, float]] = {}
        self._count = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._beaten = time.monotonic()
        self._beat()
        signs = [name.removeprefix(_SIGN) for name in study.user_attrs if name.startswith(_SIGN)]
        self.alone = all(sign.partition(".")[0] == member.run for sign in signs)

    def seed(self, seed: int) -> int:
        """The seed of this worker: the given one for the first of a new study, another for every other worker.

        Two commands with one seed would otherwise propose the same records in the same order.
        """
        if self.alone and not self.member.number:
            return seed
        entropy = [abs(seed), self.member.number, *([] if self.alone else [int(self.member.run, 16)])]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    # --- life ----------------------------------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """Keep saying that this worker lives, from a thread, until ``leave``."""
        self._beat()
        self._stop.clear()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Give up what is still claimed and say farewell."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        for number in self._own.values():
            fail(self.storage, self.study, number)
        self._own = {}
        retire(self.study, self.member)

    def _beat(self) -> None:
        self._count += 1
        self.storage.set_study_user_attr(self._study_id, _SIGN + self.member.token, self._count)
        self._beaten = time.monotonic()

    def _live(self) -> None:
        while not self._stop.wait(self.member.grace / BEATS):
            try:
                self._beat()
            except Exception:  # any database's; a beat or two may fail, and ``look`` raises when none arrives any more
                continue
        if hasattr(self.storage, "remove_session"):
            self.storage.remove_session()

    # --- claims --------------------------------------------------------------------------------------------------------------------

    def look(self) -> list[FrozenTrial]:
        """Trials scored since the last look; ``claims`` is made anew, and what the dead left behind is failed.

        Raises MolvaeError where this worker cannot say any more that it lives.
        """
        if self._thread is not None and time.monotonic() - self._beaten > self.member.grace:
            raise MolvaeError(f"the study's storage took nothing for {self.member.grace:g} seconds; see to it, then go on with --resume")
        trials = self.study.get_trials(deepcopy=False)
        signs = self.study.user_attrs
        self.claims, self._own = {}, {}
        for trial in trials:
            if trial.state != TrialState.RUNNING or trial.number in self._done:
                continue
            owner, key = str(trial.user_attrs.get("worker", "")), key_of(trial)
            if owner == self.member.token:
                if key is not None:
                    self._own[key] = trial.number
            elif not self._lives(owner or f"trial {trial.number}", int(signs.get(_SIGN + owner, 0))):
                fail(self.storage, self.study, trial.number)
            elif key is not None:
                self.claims[trial.number] = key
        return self._sift(trials)

    def settle(self, keys: Collection[str], scored: Collection[str], budget: int, *, numbered: bool = True) -> Settled:
        """Which of this worker's claims, already written for these keys, hold. scored: keys of what is known to be scored.

        A claim is refused where another has the record, and where those with lower numbers are enough for the budget: the highest number
        that holds has seen all lower ones, so all workers together never exceed it. numbered: whether claims were written when their trials
        got their numbers; where they were written later, all that can be seen count, and two workers may both back off.
        """
        new = self.look()
        done = {*scored, *(str(key_of(trial)) for trial in new)}
        theirs = set(self.claims.values())
        held: dict[str, int] = {}
        refused: dict[str, int] = {}
        for key, number in sorted(self._own.items(), key=lambda item: item[1]):
            if key not in keys:
                continue
            before = {other for at, other in self.claims.items() if at < number or not numbered} - done
            fits = len(done) + len(before) + len(held) < budget
            (held if fits and key not in done and key not in theirs else refused)[key] = number
        return Settled(held, refused, new)

    def others(self, scored: Collection[str]) -> int:
        """Records that others are at."""
        return len(set(self.claims.values()) - set(scored))

    def note(self, number: int, name: str, value: object) -> None:
        """Set a user attribute of a trial. Raises UpdateFinishedTrialError where others took this worker for dead."""
        self.storage.set_trial_user_attr(self.storage.get_trial_id_from_study_id_trial_number(self._study_id, number), name, value)

    def told(self, key: str) -> None:
        """A claim became a finished trial."""
        number = self._own.pop(key, None)
        if number is not None:
            self._done.add(number)

    def _lives(self, owner: str, count: int) -> bool:
        now = time.monotonic()
        before, since = self._heard.get(owner, (None, now))
        if count != before:
            since = now
        self._heard[owner] = (count, since)
        return count != ENDED and now - since <= self.member.grace
