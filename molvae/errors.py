"""Errors of molvae. Each says what arrived, what was wanted and what to do, and carries its evidence as attributes."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path


class MolvaeError(Exception):
    """Base of every error that molvae raises on purpose; the CLI prints it without a traceback and exits with 1."""


class UsageError(MolvaeError):
    """The caller's arguments cannot be carried out; the CLI exits with 2."""


class InvalidRecord(MolvaeError):
    """A text that is no record of the domain.

    Attributes: ``text``, the text as it arrived; ``why``, the reason in words.
    """

    def __init__(self, text: str, why: str) -> None:
        shown = text if len(text) <= 80 else text[:77] + "..."
        super().__init__(f"{shown!r}: {why}")
        self.text = text
        self.why = why


class DataError(MolvaeError):
    """A file or table that cannot be read. Attributes: ``path``, ``line`` (1-based, None where the whole file is meant)."""

    def __init__(self, path: Path | str, why: str, line: int | None = None) -> None:
        where = f"{path}" if line is None else f"{path}:{line}"
        super().__init__(f"{where}: {why}")
        self.path = Path(path)
        self.line = line
        self.why = why


class ConfigError(UsageError):
    """A configuration that does not hold together (unknown key, wrong type, incompatible parts)."""


class CheckpointError(MolvaeError):
    """A checkpoint folder that is missing, corrupt, foreign or newer than this version. Attribute: ``path``."""

    def __init__(self, path: Path | str, why: str) -> None:
        super().__init__(f"checkpoint {path}: {why}")
        self.path = Path(path)
        self.why = why


class UnknownName(UsageError):
    """A name that is not among the known ones; the message ends with those that look like it. Attributes: ``name``, ``known``."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        near = get_close_matches(name, sorted(known))
        asked = f"; did you mean {' or '.join(near)}?" if near else ""
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(sorted(known)) or 'none'}{asked}")
        self.name = name
        self.known = sorted(known)


class MissingExtra(MolvaeError):
    """An optional package is not installed. The message carries the install command."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs the package {package!r}, which is not installed: pip install 'molvae[{extra}]'")
        self.package = package
        self.extra = extra


class Diverged(MolvaeError):
    """Training met a loss that is not finite. Attributes: ``step``, ``saved`` (folder with the batch for inspection)."""

    def __init__(self, step: int, saved: Path) -> None:
        super().__init__(
            f"the loss at step {step} is not finite; the batch and the weights were saved in {saved}. "
            "The same settings come to the same step again: look for odd labels in that batch, or go on from the last saved state with "
            "--resume and a lower --set train.learning_rate=..., or with --set train.precision=32-true where it was another"
        )
        self.step = step
        self.saved = saved
