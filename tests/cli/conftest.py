"""The command in this process: quick, with the exit codes and error messages of the real one."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from molvae.cli import run
from tests.fixtures_model import Tiny


@dataclass(frozen=True)
class Done:
    """Exit code and output of one run."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as strict JSON."""

        def refuse(name: str) -> None:
            raise AssertionError(f"{name} is no JSON")

        return json.loads(self.out, parse_constant=refuse)


Cli = Callable[..., Done]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run ``molvae`` with these arguments."""

    def call(*arguments: str | Path | int | float, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Done(code, captured.out, captured.err)

    return call


@pytest.fixture
def with_model(cli: Cli, tiny: Tiny) -> Cli:
    """Run a command with the tiny model."""

    def call(command: str, *arguments: str | Path | int | float, stdin: bytes = b"") -> Done:
        return cli(command, "--model", tiny.run, *arguments, stdin=stdin)

    return call
