"""Watching a preparation: the peaks of a known series, a real run to its result file, and a command that fails."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks import preparation
from benchmarks.support import record


def test_memory_counts_the_children_too() -> None:
    alone = preparation.memory(psutil.Process(os.getpid()))["rss"]
    hold = "import sys; block = bytearray(b'x' * 300_000_000); print('held', flush=True); sys.stdin.read()"
    with psutil.Popen([sys.executable, "-c", hold], stdin=-1, stdout=-1) as child:
        assert child.stdout.readline().strip() == b"held"
        together = preparation.memory(psutil.Process(os.getpid()))["rss"]
        child.stdin.close()
    assert 300e6 <= together - alone < 500e6


def test_a_command_that_fails_leaves_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "EVERY", 0.05)
    with pytest.raises(SystemExit, match="exit code 3"):
        preparation.watch([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "x.jsonl")
    assert not (tmp_path / "x.jsonl").exists()


def test_peaks_are_the_largest_samples(tmp_path: Path) -> None:
    log, store = tmp_path / "x.jsonl", tmp_path / "store"
    store.mkdir()
    (store / "manifest.json").write_text('{"rows": 7}', encoding="utf-8")
    samples = [
        {"t": 0, "rss": 2**30, "pss": 2**29},
        {"t": 2, "rss": 3 * 2**30, "pss": 2**30},
        {"t": 4, "rss": 2**30, "pss": 2**30},
        {"t": 5.5},
    ]
    log.write_text("\n".join(map(json.dumps, samples)) + "\n", encoding="utf-8")
    found = preparation.summary(log, store)
    assert (found["peak_rss_gib"], found["peak_pss_gib"], found["seconds"], found["rows"]) == (3.0, 1.0, 5.5, 7)


def test_a_preparation_is_watched_and_collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record.write_result, "__kwdefaults__", record.write_result.__kwdefaults__ | {"folder": tmp_path / "results"})
    data = tmp_path / "few.smi"
    data.write_text("CCO\nc1ccccc1\nCCN\n" + "C" * 12 + "\n", encoding="utf-8")
    places = ["--stores", str(tmp_path / "stores"), "--folder", str(tmp_path / "work")]
    given = ["--data", str(data), "--name", "few", "--workers", "1", *places]
    preparation.main([*given, "--collect"])
    written = json.loads((tmp_path / "results" / "preparation.json").read_text(encoding="utf-8"))
    found = written["results"]["sets"]["few"]
    assert found["rows"] == 4
    assert 0.1 < found["peak_rss_gib"] < 4
    assert [row["measure"] for row in written["rows"]] == [
        "preparation, minutes, few",
        "preparation, peak memory of all processes, GiB, few",
    ]
    with pytest.raises(SystemExit, match="is there already"):
        preparation.main(given)
