"""What every command shares: the global options, where output goes, progress, and how a model is opened. Imports nothing heavy by itself."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from molvae.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

    from molvae.api import Model

ANYWHERE = "-v, -q, --json, --threads N and --device NAME may stand before or behind the command."
WIDTH = 160  # of tables that go to a file or pipe
DEFAULT_MODEL = "moses"


@dataclass
class State:
    """The global options of one run."""

    verbose: int = 0
    quiet: bool = False
    json: bool = False
    threads: int | None = None
    device: str | None = None

    @property
    def out(self) -> Console:
        """Standard output; made anew, so that it follows redirections."""
        piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
        return Console(highlight=False, soft_wrap=False, width=WIDTH if piped else None)

    @property
    def err(self) -> Console:
        """Standard error."""
        return Console(stderr=True, highlight=False, soft_wrap=True)

    def show(self, *parts: Table | Text | str, stderr: bool = False) -> None:
        """Tables and closing words of a command; nobody's with --json or -q."""
        if self.json or self.quiet:
            return
        console = self.err if stderr else self.out
        for part in parts:
            # Words are not folded: a path cut in two cannot be copied.
            console.print(Text(part) if isinstance(part, str) else part, soft_wrap=isinstance(part, str))

    def note(self, text: str) -> None:
        """A remark on standard error, unless -q."""
        if not self.quiet:
            self.err.print(Text(text, style="dim"), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Something that was left out or will surprise: on standard error, always."""
        self.err.print(Text(text, style="yellow"), soft_wrap=True)

    def result(self, value: Any) -> None:
        """The machine-readable result on standard output, with --json alone. Unknown and infinite numbers become null."""
        if self.json:
            sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, allow_nan=False) + "\n")

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Progress bars on standard error, where that is a terminal."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = self.err
        with Progress(*columns, console=console, transient=True, disable=self.quiet or not console.is_terminal) as bars:
            yield bars


def plain(value: Any) -> Any:
    """Values of results as JSON has them."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Sequence | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return plain(value.item()) if hasattr(value, "item") else str(value)


def stages(bars: Progress) -> Callable[[str, int, int | None], None]:
    """A ``progress(stage, done, total)`` callback with one bar for each stage."""
    tasks: dict[str, Any] = {}

    def tell(stage: str, done: int, total: int | None) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(escape(stage), total=total)
        bars.update(tasks[stage], completed=done, total=total)

    return tell


def state_of(context: typer.Context) -> State:
    """The global options of this run."""
    state: State = context.ensure_object(State)
    return state


def epilog(*examples: str) -> str:
    """Examples below a command's help, one a line, and where global options may stand."""
    lines = ["Examples:", *(escape(f"  {example}") for example in examples), ANYWHERE]
    return "\n\n".join(lines)


def number(value: float) -> str:
    """A value for tables: a dash where unknown."""
    from molvae.report.properties import number as shown

    return shown(value)


def new_table(title: str | None, *columns: str, right: Sequence[str] = ()) -> Table:
    """A table whose long cells are folded, not cut."""
    table = Table(title=None if title is None else Text(title), title_justify="left", header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def add_row(table: Table, *cells: str | Text) -> None:
    """A row of plain text: brackets in it are no markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def device(state: State) -> str:
    """The torch device to compute on. Raises UsageError where this machine has none such."""
    import torch

    wanted = state.device or "cpu"
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith(("cuda", "gpu")) and not torch.cuda.is_available():
        raise UsageError(f"--device {wanted}: torch finds no CUDA device here; leave it out, or use cpu or auto")
    try:
        return str(torch.device("cuda" if wanted == "gpu" else wanted))
    except RuntimeError:
        raise UsageError(f"--device {wanted}: unknown; wanted cpu, cuda, mps or auto") from None


def use_threads(state: State) -> None:
    """Tell torch how many threads to take."""
    if state.threads is not None:
        import torch

        torch.set_num_threads(state.threads)


def open_model(state: State, name: str, checks: Sequence[str] | None = None) -> Model:
    """Load the model that a command names."""
    from molvae.api import load

    use_threads(state)
    return load(name, checks=checks, device=device(state))


def complete_model(incomplete: str) -> list[str]:
    """Names of shipped models for shell completion."""
    from molvae.catalog import list_models

    return [name for name in list_models() if name.startswith(incomplete)]


def complete_dataset(incomplete: str) -> list[str]:
    """Names of data sets for shell completion."""
    from molvae.catalog import list_datasets

    return [name for name in list_datasets() if name.startswith(incomplete)]
