"""Result files and the table made of them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # the benchmarks are scripts beside the package, not installed with it
    sys.path.insert(0, str(ROOT))

from benchmarks import table  # noqa: E402
from benchmarks.aims import AIMS, Aim, unmet  # noqa: E402
from benchmarks.support.record import Row, command_line, git_state, machine, read_results, write_result  # noqa: E402


def write(folder: Path, name: str = "demo", **changes: object) -> Path:
    given: dict[str, object] = {"command": "python -m benchmarks.demo", "seed": 3, "wall_s": 12.0, "threads": 2, "folder": folder}
    return write_result(name, {"a": 1}, **{**given, **changes})  # type: ignore[arg-type]


def test_round_trip_keeps_values_and_evidence(tmp_path: Path) -> None:
    payload = {"FCD": np.float64(0.25), "counts": [np.int64(3), 4], "unknown": math.nan, "nested": {"inf": math.inf}, "flag": True}
    path = write_result("demo", payload, command="python -m benchmarks.demo", seed=3, wall_s=1.25, folder=tmp_path)
    record = read_results(tmp_path)["demo"]
    assert path == tmp_path / "demo.json"
    assert record["results"] == {"FCD": 0.25, "counts": [3, 4], "unknown": None, "nested": {"inf": None}, "flag": True}
    assert (record["command"], record["seed"], record["wall_s"]) == ("python -m benchmarks.demo", 3, 1.2)
    assert record["date"].endswith("Z")
    assert set(record["git"]) == {"commit", "dirty"}
    assert {"cpu", "cores", "threads", "memory_gib", "versions"} <= set(record["machine"])
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_strict_json(tmp_path: Path) -> None:
    text = write_result("demo", {"x": math.nan}, command="c", seed=None, folder=tmp_path).read_text(encoding="utf-8")
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_values_that_json_does_not_know_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="set"):
        write_result("demo", {"x": {1, 2}}, command="c", seed=None, folder=tmp_path)
    with pytest.raises(ValueError, match="file name"):
        write(tmp_path, "../demo")
    assert list(tmp_path.iterdir()) == []


def test_foreign_and_broken_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "foreign.json").write_text('{"name": "x"}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"foreign\.json.*command"):
        read_results(tmp_path)
    (tmp_path / "foreign.json").write_text('{\n"name"', encoding="utf-8")
    with pytest.raises(ValueError, match=r"foreign\.json:2"):
        read_results(tmp_path)


def test_commands_are_cut_to_what_holds_elsewhere() -> None:
    arguments = ["--model", str(ROOT / "runs" / "a"), "--wheel", "/elsewhere/deep/w.whl", "--file=/elsewhere/x y.smi", "--n", "5"]
    assert command_line("benchmarks.moses", arguments) == ("python -m benchmarks.moses --model runs/a --wheel w.whl '--file=x y.smi' --n 5")


def test_git_state_follows_a_repository(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init")
    assert git_state(tmp_path) == {"commit": None, "dirty": False}
    (tmp_path / "a").write_text("1", encoding="utf-8")
    git("add", ".")
    git("commit", "-m", "first")
    clean = git_state(tmp_path)
    assert clean["dirty"] is False
    assert len(str(clean["commit"])) == 40
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    (results / "x.json").write_text("{}", encoding="utf-8")
    assert git_state(tmp_path) == clean
    (tmp_path / "a").write_text("2", encoding="utf-8")
    assert git_state(tmp_path) == {**clean, "dirty": True}


def test_machine_states_the_threads_used() -> None:
    assert machine(7)["threads"] == 7


def test_table_shows_rows_and_their_origin(tmp_path: Path) -> None:
    rows = [Row("FCD/Test", 0.1234, "VAE 0.099"), Row("rate | molecules/s", 12345.6, digits=0), Row("unknown", None)]
    write(tmp_path, rows=rows)
    write(tmp_path, "silent")
    text = table.table(read_results(tmp_path))
    assert "|demo|FCD/Test|0.123|VAE 0.099|" in text
    assert r"|demo|rate \| molecules/s|12,346||" in text
    assert "|demo|unknown|unknown||" in text
    assert "`python -m benchmarks.demo`" in text
    assert "2 threads, seed 3, 12 s" in text
    assert "silent" not in text


def test_headlines_stand_in_sight_and_the_rest_is_folded() -> None:
    def record(name: str, *measures: str) -> dict[str, object]:
        return {**RECORD, "name": name, "rows": [{"measure": m, "value": 1.0, "published": "", "digits": 1} for m in measures]}

    found = {"moses": record("moses", "FCD/Test", "IntDiv"), "rate": record("rate", "FCD, dial")}
    text = table.table(found)
    sight, _, folded = text.partition("<details>")
    assert "FCD/Test" in sight
    assert "IntDiv" not in sight
    assert "dial" not in sight
    assert folded.index("IntDiv") < folded.index("Studies") < folded.index("dial") < folded.index("How each")


def test_every_headline_names_a_measure_of_the_committed_results() -> None:
    committed = read_results()
    for name, beginnings in table.HEADLINES.items():
        measures = [row["measure"] for row in committed[name]["rows"]] if name in committed else []
        assert [b for b in beginnings if measures and not any(m.startswith(b) for m in measures)] == [], name


RECORD = {
    "command": "python -m x",
    "git": {"commit": "a" * 40, "dirty": False},
    "machine": {"cpu": "cpu", "gpu": None, "threads": 1},
    "date": "2026-01-01T00:00:00Z",
    "wall_s": 1.0,
    "results": {},
}


def test_table_is_written_between_the_markers_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    readme, results = tmp_path / "README.md", tmp_path / "results"
    readme.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n", encoding="utf-8")
    write(results, rows=[Row("FCD/Test", 0.1, "VAE 0.099")])
    options = ["--readme", str(readme), "--results", str(results)]
    assert table.main([*options, "--check"]) == 1
    assert "old" in readme.read_text(encoding="utf-8")
    assert table.main(options) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "|0.100|" in text
    assert table.main([*options, "--check"]) == 0
    capsys.readouterr()


@pytest.mark.parametrize("text", ["no markers", f"{table.END}\n{table.BEGIN}", f"{table.BEGIN}{table.BEGIN}{table.END}"])
def test_a_readme_without_its_markers_is_refused(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text, encoding="utf-8")
    assert table.main(["--readme", str(readme), "--results", str(tmp_path)]) == 2
    assert "results:begin" in capsys.readouterr().err
    assert readme.read_text(encoding="utf-8") == text


def test_the_readme_is_what_the_results_say() -> None:
    assert table.main(["--check"]) == 0


def test_aims_that_are_not_met_are_listed() -> None:
    def results(value: float) -> dict[str, dict[str, object]]:
        return {"moses": {"rows": [{"measure": "FCD/Test", "value": value, "digits": 3, "published": ""}]}}

    assert unmet(results(0.07)) == []
    listed = unmet(results(0.0892))
    assert len(listed) == 6
    assert listed[4].startswith("|moses|FCD/Test|0.089|at most 0.073|drawing labels")
    assert unmet({"moses": {"rows": []}}) == []


@pytest.mark.parametrize("aim", AIMS, ids=lambda aim: f"{aim.result}, {aim.measure}")
def test_every_aim_names_a_measure_of_the_committed_results(aim: Aim) -> None:
    assert aim.measure in [row["measure"] for row in read_results()[aim.result]["rows"]]
