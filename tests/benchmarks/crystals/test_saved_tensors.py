"""Tensors of checkpoints, read without running what the file says."""

from __future__ import annotations

import os
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.crystals.saved_tensors import Inert, read_saved
from molvae.errors import DataError


class Armed:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


class Settings:
    def __init__(self) -> None:
        self.means = torch.tensor(1.5)


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    saved = {
        "state_dict": OrderedDict(view=whole[:, 1:3], turned=whole.T, long=torch.tensor([3, 4]), double=torch.tensor(2.5).double()),
        "epoch": 7,
        "half": torch.ones(2).half(),
    }
    torch.save(saved, tmp_path / "saved.pt")
    found = read_saved(tmp_path / "saved.pt")
    assert found["epoch"] == 7
    assert torch.equal(found["half"], saved["half"])
    for name, value in saved["state_dict"].items():
        assert torch.equal(found["state_dict"][name], value)
        assert found["state_dict"][name].dtype == value.dtype


def test_objects_become_inert_and_keep_their_state(tmp_path: Path) -> None:
    torch.save({"scaler": Settings(), "counts": defaultdict(list, {"a": [1]})}, tmp_path / "saved.pt")
    found = read_saved(tmp_path / "saved.pt")
    assert isinstance(found["scaler"], Inert)
    assert isinstance(found["scaler"].state, dict)
    assert float(found["scaler"].state["means"]) == 1.5
    assert isinstance(found["counts"], Inert)


def test_nothing_of_the_file_is_run(tmp_path: Path) -> None:
    torch.save({"armed": Armed(tmp_path / "run")}, tmp_path / "saved.pt")
    assert isinstance(read_saved(tmp_path / "saved.pt")["armed"], Inert)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved.pt").write_bytes(content)
    with pytest.raises(DataError, match="file of torch"):
        read_saved(tmp_path / "saved.pt")
