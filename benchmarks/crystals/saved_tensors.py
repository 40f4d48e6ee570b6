"""Tensors of a PyTorch file, read without running anything that the file says.

``torch.load(weights_only=True)`` refuses the checkpoints of PyTorch Lightning, for they hold its callbacks and OmegaConf's settings beside
the weights. Here the classes that a file names are never imported: tensors are built from the archive's bytes, everything else becomes an
inert stand-in.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molvae.errors import DataError

_TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}


class Inert:
    """In place of an object of a class that is not read. state: what the file would have given it."""

    def __init__(self, *_: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        """Entries of a stand-in for a mapping are not kept."""

    def append(self, item: object) -> None:
        """Items of a stand-in for a list are not kept."""


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
    return torch.as_strided(storage, size, stride, offset).clone()


class _Reader(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}/data.pkl")), encoding="utf-8")
        self._archive, self._root = archive, root
        self._read: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        known = {("torch._utils", "_rebuild_tensor_v2"): _tensor, ("collections", "OrderedDict"): OrderedDict}
        return known.get((module, name), Inert)

    def persistent_load(self, pid: Any) -> Tensor:
        _, kind, key, _, _ = pid
        if key not in self._read:
            content = bytearray(self._archive.read(f"{self._root}/data/{key}"))
            self._read[key] = torch.frombuffer(content, dtype=kind) if content else torch.empty(0, dtype=kind)
        return self._read[key]


def read_saved(path: Path) -> Any:
    """What a file of ``torch.save`` holds: tensors on the CPU, containers and plain values; ``Inert`` for the rest. Raises DataError."""
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise DataError(path, f"{len(pickles)} pickles in the archive; wanted a file of torch.save")
            return _Reader(archive, pickles[0].removesuffix("/data.pkl")).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, KeyError, ValueError, TypeError, EOFError) as error:
        raise DataError(path, f"no readable file of torch.save ({error})") from error
