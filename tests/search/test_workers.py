"""Search processes that are killed, joined and resumed: in a run's folder, on SQLite, and on a real PostgreSQL server."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from molvae.search.journal import NAME
from molvae.search.shared import Shelf
from molvae.search.trials import is_scored
from tests.fixtures_model import Tiny

ROOT = Path(__file__).parents[2]
BATCH, BUDGET = 8, 120
GRACE = 3.0
SCORER = """
import os, time
owner = os.getppid()  # the search process whose scorer this is

def length(text):
    time.sleep({pause})
    with open({log!r}, "a") as file:
        file.write(f"{{owner}} {{text}}\\n")
    return float(len(text))
"""
DRIVER = """
import sys, molvae
from pathlib import Path
from molvae.objectives import Objective
from molvae.search.sampler import Recipe
if __name__ == "__main__":
    model, storage, out, budget, scorer, resume = sys.argv[1:]
    options = {{"storage": storage, "study": "s", "out": Path(out), "resume": resume == "resume", "grace": {grace}}}
    options |= {{"budget": int(budget), "scorers": [scorer], "recipe": Recipe(batch={batch}, start=32)}}
    found = molvae.load(model).optimize(Objective.of(maximize="length"), **options)
    print(len(found.search.pool), found.search.stopped)
"""


class Bench:
    """A folder with a scorer that logs what it is asked, and commands that use it."""

    def __init__(self, folder: Path, tiny: Tiny) -> None:
        self.folder, self.tiny, self.log = folder, tiny, folder / "calls.log"
        self.scorer = folder / "scorer.py"
        self.scorer.write_text(SCORER.format(pause=0.03, log=str(self.log)), encoding="utf-8")
        self.driver = folder / "driver.py"
        self.driver.write_text(DRIVER.format(grace=GRACE, batch=BATCH), encoding="utf-8")
        self.log.touch()

    def cli(self, out: str, *options: object, budget: int = BUDGET) -> subprocess.Popen[str]:
        wanted = ["--maximize", "length", "--scorer", f"{self.scorer}:length", "--batch", BATCH, "--budget", budget, "--no-report"]
        command = [
            sys.executable,
            ROOT / "cli.py",
            "optimize",
            "--model",
            self.tiny.run,
            *wanted,
            "-o",
            self.folder / out,
            "--json",
            *options,
        ]
        return self.start(*command)

    def api(self, out: str, storage: str, resume: bool = False, budget: int = BUDGET) -> subprocess.Popen[str]:
        """The Python API in a script, with a short grace period."""
        going = "resume" if resume else "new"
        return self.start(sys.executable, self.driver, self.tiny.run, storage, self.folder / out, budget, f"{self.scorer}:length", going)

    def start(self, *command: object) -> subprocess.Popen[str]:
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        words = [str(word) for word in command]
        return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def calls(self) -> list[tuple[int, str]]:
        """(search process, text) of every call of the scorer so far."""
        return [(int(line.split()[0]), line.split()[1]) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def until(self, reached: Callable[[], bool], seconds: float = 90.0) -> None:
        end = time.monotonic() + seconds
        while not reached():
            assert time.monotonic() < end, self.log.read_text(encoding="utf-8")[-500:]
            time.sleep(0.02)

    def check(self, place: str, name: str, budget: int, killed: set[int] = frozenset(), at: int = BATCH) -> None:
        """Every record scored once, all of them in the study; only those that a killed process was at may have been scored again.

        at: how many those are: its batch for others that go on without it, the one call under way once its own folder is resumed.
        """
        study = Shelf.at(place, name, 1).study
        kept = [t.user_attrs["text"] for t in study.trials if is_scored(t)]
        calls = self.calls()
        assert len(kept) == len(set(kept)) == budget
        twice = [text for text, count in Counter(text for _, text in calls).items() if count > 1]
        assert len(twice) <= at * len(killed)
        for text in twice:
            assert killed & {who for who, what in calls if what == text}, text
        unkept = {text for who, text in calls if who not in killed} - set(kept)
        assert not unkept, "scored and lost"
        assert len({text for _, text in calls} - set(kept)) <= at * len(killed)

    def lines(self, out: str) -> list[str]:
        return [json.loads(line)["text"] for line in (self.folder / out / NAME).read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def bench(tmp_path: Path, tiny: Tiny) -> Bench:
    return Bench(tmp_path, tiny)


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    return out


@pytest.mark.slow
class TestOneCommand:
    def test_two_workers_spend_one_budget(self, bench: Bench) -> None:
        said = json.loads(finish(bench.cli("run", "--workers", 2)))
        assert (said["scored"], said["stopped"]) == (BUDGET, "budget")
        bench.check(f"journal:{bench.folder}/run/study.journal", "molvae", BUDGET)
        assert len({who for who, _ in bench.calls()}) == 2
        assert sorted(bench.lines("run")) == sorted(text for _, text in bench.calls())
        assert said["candidates"][0]["score"] == max(len(text) for _, text in bench.calls())
        # Going on with one worker is the same run.
        more = json.loads(finish(bench.cli("run", "--resume", budget=BUDGET + 16)))
        assert more["scored"] == BUDGET + 16
        bench.check(f"journal:{bench.folder}/run/study.journal", "molvae", BUDGET + 16)

    def test_a_killed_worker_loses_its_batch_and_no_more(self, bench: Bench) -> None:
        running = bench.cli("run", "--workers", 2)
        bench.until(lambda: len({who for who, _ in bench.calls()}) == 2 and len(bench.calls()) > 30)
        victim = bench.calls()[-1][0]
        os.kill(victim, signal.SIGKILL)
        out, err = running.communicate(timeout=110)
        assert running.returncode == 0, err
        assert "SIGKILL" in err
        assert json.loads(out)["scored"] == BUDGET
        bench.check(f"journal:{bench.folder}/run/study.journal", "molvae", BUDGET, {victim})

    def test_all_killed_then_resumed(self, bench: Bench) -> None:
        running = bench.cli("run", "--workers", 2)
        bench.until(lambda: len(bench.calls()) > 40)
        killed = {who for who, _ in bench.calls()}
        for process in (running.pid, *killed):
            os.kill(process, signal.SIGKILL)
        running.communicate(timeout=30)
        time.sleep(0.5)
        killed |= {who for who, _ in bench.calls()}
        said = json.loads(finish(bench.cli("run", "--workers", 2, "--resume", budget=200)))
        assert said["scored"] == 200
        bench.check(f"journal:{bench.folder}/run/study.journal", "molvae", 200, killed, at=1)
        assert sorted(bench.lines("run")) == sorted(set(bench.lines("run")))
        assert len(bench.lines("run")) == 200

    def test_one_process_killed_in_the_middle_of_a_batch_then_resumed(self, bench: Bench) -> None:
        running = bench.cli("run", "--sampler", "random")
        bench.until(lambda: len(bench.calls()) >= BATCH + BATCH // 2)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate(timeout=30)
        before = len(bench.calls())
        assert before % BATCH  # in the middle
        said = json.loads(finish(bench.cli("run", "--sampler", "random", "--resume")))
        assert said["scored"] == BUDGET
        texts = [text for _, text in bench.calls()]
        assert len(texts) <= BUDGET + 1  # the call under way when it was killed
        assert set(texts) == set(bench.lines("run"))

    def test_a_signal_stops_all_after_their_batch(self, bench: Bench) -> None:
        running = bench.cli("run", "--workers", 2, budget=2000)
        bench.until(lambda: len(bench.calls()) > 40)
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=60)
        said = json.loads(out)
        assert said["stopped"] == "interrupted", err
        assert said["scored"] == len(bench.calls()) < 2000
        bench.check(f"journal:{bench.folder}/run/study.journal", "molvae", said["scored"])

    def test_a_scorer_that_none_can_load_is_one_error(self, bench: Bench) -> None:
        bench.scorer.write_text(
            "import multiprocessing\n"
            "if multiprocessing.parent_process() is not None:\n    raise OSError('no licence here')\n"
            "def length(text):\n    return 1.0\n",
            encoding="utf-8",
        )
        running = bench.cli("run", "--workers", 2)
        _, err = running.communicate(timeout=60)
        assert running.returncode == 2
        assert "no licence here" in err
        assert "Traceback" not in err


def one_of_two_is_killed(bench: Bench, place: str) -> None:
    """Two commands on one study, as from two machines; one dies, the other goes on; the dead one's folder is resumed for more."""
    first, second = bench.api("one", place), bench.api("two", place)
    bench.until(lambda: {first.pid, second.pid} <= {who for who, _ in bench.calls()} and len(bench.calls()) > 30)
    first.kill()
    first.communicate(timeout=30)
    assert finish(second).split() == [str(BUDGET), "budget"]
    bench.check(place, "s", BUDGET, {first.pid})
    assert sorted(bench.lines("two")) == sorted(t.user_attrs["text"] for t in Shelf.at(place, "s", 1).study.trials if is_scored(t))
    assert finish(bench.api("one", place, resume=True, budget=BUDGET + 24)).split() == [str(BUDGET + 24), "budget"]
    bench.check(place, "s", BUDGET + 24, {first.pid})
    assert len(bench.lines("one")) == len(set(bench.lines("one"))) == BUDGET + 24


@pytest.mark.slow
def test_two_commands_on_sqlite(bench: Bench) -> None:
    one_of_two_is_killed(bench, f"sqlite:///{bench.folder / 'study.db'}")


@pytest.mark.slow
def test_two_commands_on_a_journal(bench: Bench) -> None:
    one_of_two_is_killed(bench, f"journal:{bench.folder / 'study.log'}")


def program(name: str) -> str | None:
    """A program of PostgreSQL, which Debian keeps out of the path."""
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    places = sorted(versions, key=lambda place: (len(place.parent.name), place.parent.name), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ.get("PATH", "")]))


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of an empty database on a server of its own, reached by a Unix socket."""
    initdb, server = program("initdb"), program("pg_ctl")
    if initdb is None or server is None:
        pytest.skip("no PostgreSQL server here (initdb, pg_ctl); on Debian: apt-get install postgresql")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("no driver for PostgreSQL: pip install 'molvae[postgresql]'")
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # the path of a Unix socket has 107 bytes at most
    user: dict[str, object] = {}
    if os.geteuid() == 0:  # as which PostgreSQL refuses to run
        owner = next((name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()}), None)
        if owner is None:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")
        user = {"user": owner}
        shutil.chown(folder, owner)

    def run(*words: object) -> None:
        subprocess.run([str(w) for w in words], check=True, capture_output=True, timeout=60, cwd=folder, **user)  # type: ignore[call-overload]

    data = folder / "data"
    try:
        run(initdb, "-D", data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C")
        run(server, "-D", data, "-w", "-l", folder / "log", "-o", f"-c listen_addresses='' -k {folder}", "start")
        try:
            yield f"postgresql+psycopg://tester@/postgres?host={folder}"
        finally:
            run(server, "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_two_commands_on_postgresql(bench: Bench, postgres: str) -> None:
    one_of_two_is_killed(bench, postgres)


@pytest.mark.slow
def test_two_workers_on_postgresql(bench: Bench, postgres: str) -> None:
    said = json.loads(finish(bench.cli("run", "--workers", 2, "--storage", postgres, "--study", "team")))
    assert (said["scored"], said["stopped"]) == (BUDGET, "budget")
    bench.check(postgres, "team", BUDGET)
    assert sorted(bench.lines("run")) == sorted(text for _, text in bench.calls())
