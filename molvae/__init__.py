"""molvae: candidates to a specification from conditional variational autoencoders. Public names load on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "load": "molvae.api",
    "Model": "molvae.api",
    "Reconstruction": "molvae.api",
    "train": "molvae.training",
    "prepare": "molvae.dataset",
    "Store": "molvae.dataset",
    "Config": "molvae.config",
    "validate_texts": "molvae.validate",
    "Candidate": "molvae.records",
    "Verdict": "molvae.records",
    "Generation": "molvae.request",
    "MolvaeError": "molvae.errors",
}

__all__ = ["__version__", *_HOME]

if TYPE_CHECKING:
    from molvae.api import Model, Reconstruction, load
    from molvae.config import Config
    from molvae.dataset import Store, prepare  # type: ignore[no-redef]
    from molvae.errors import MolvaeError
    from molvae.records import Candidate, Verdict
    from molvae.request import Generation
    from molvae.training import train
    from molvae.validate import validate_texts


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'molvae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
