"""One thread a process, quiet RDKit, a home folder of its own, and Hypothesis without deadlines on a shared machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, which reads it once

import pytest
import torch
from hypothesis import settings
from rdkit import RDLogger

from tests.fixtures_crystals import crystal_run
from tests.fixtures_model import model, tiny

__all__ = ["crystal_run", "model", "tiny"]

torch.set_num_threads(1)
RDLogger.DisableLog("rdApp.*")
settings.register_profile("molvae", deadline=None, derandomize=True)
settings.load_profile("molvae")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def molvae_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """MOLVAE_HOME for the whole test run, so that no test reads or writes the user's."""
    home = tmp_path_factory.mktemp("molvae_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOLVAE_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the full public data sets; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("MOLVAE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder}; set MOLVAE_SHARED_DATA to a folder that has them")
    return folder
