"""Speed of crystals: rates by hand, and every part run for a moment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import crystal_speed
from benchmarks.support import record


def test_rates_by_hand() -> None:
    assert crystal_speed.rate("draw", {"count": 300, "seconds": 2.0}) == 150.0
    assert crystal_speed.rate("relax-2", {"count": 10, "seconds": 30.0}) == 20.0


@pytest.mark.slow
def test_every_part_is_measured(crystal_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("chgnet", reason="the extra stability is not installed")
    monkeypatch.setattr(record.write_result, "__kwdefaults__", record.write_result.__kwdefaults__ | {"folder": tmp_path})
    short = ["--seconds", "4", "--warm-up", "1", "--crystals", "2", "--threads", "1"]
    crystal_speed.main(["--store", str(crystal_run.parent / "store"), "--model", str(crystal_run), *short])
    found = json.loads((tmp_path / "crystal_speed.json").read_text(encoding="utf-8"))
    parts = found["results"]["parts"]
    assert set(parts) == set(crystal_speed.PARTS)
    assert all(one["seconds"] > 0 and one["peak_gib"] > 0.1 for one in parts.values())
    assert parts["draw"]["count"] > 0
    assert parts["relax-1"]["count"] + parts["relax-1"]["failed"] == parts["relax-2"]["count"] + parts["relax-2"]["failed"] == 2
