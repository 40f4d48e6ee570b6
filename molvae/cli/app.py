"""The application: its commands, the global options, and what becomes of errors."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

import molvae
from molvae.cli import codes, data, generate, judge, models, optimize, sample, stability, train
from molvae.cli.shared import State, epilog
from molvae.errors import MolvaeError, UsageError

app = typer.Typer(
    name="molvae",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=epilog(
        "molvae generate -n 200 --target logp=2.5 --range mw=250:400 -o candidates.csv --report report.html",
        "molvae optimize --maximize qed --constraint 'tpsa<=90' --budget 2000 -o run",
        "molvae neighbours 'O=C(NCCN1CCOCC1)c1ccc(Cl)cc1' -n 20 --radius 0.4",
        "molvae validate candidates.csv --checks default,pains",
        "molvae train --data my.csv --properties logp,qed --out my-model",
    ),
)
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.add_typer(stability.hulls, name="hull")
for module in (train, generate, sample, optimize, codes, judge, stability):
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"molvae {molvae.__version__}")
        raise typer.Exit


@app.callback()
def _globals(
    context: typer.Context,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; -vv shows tracebacks.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No tables, remarks or progress bars.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The result as JSON on standard output, instead of tables.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads and processes to use.", show_default="all cores")] = None,
    device: Annotated[str | None, typer.Option(help="Where networks compute: cpu, cuda, mps or auto.", show_default="cpu")] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")] = False,
) -> None:
    """Molecules to a specification: generate, check, encode and search with conditional variational autoencoders."""
    state = context.ensure_object(State)
    state.verbose, state.quiet, state.json, state.threads, state.device = verbose, quiet, json, threads, device


_FLAGS = frozenset(("-v", "-vv", "-vvv", "--verbose", "-q", "--quiet", "--json", "--version"))
_VALUES = ("--threads", "--device")


def hoist(arguments: Sequence[str]) -> list[str]:
    """The arguments with the global options in front, so that they may stand anywhere before ``--``."""
    front: list[str] = []
    rest: list[str] = []
    waiting = list(arguments)
    while waiting:
        head = waiting.pop(0)
        if head == "--":
            return [*front, *rest, head, *waiting]
        if head in _FLAGS or head.startswith(tuple(f"{name}=" for name in _VALUES)):
            front.append(head)
        elif head in _VALUES and waiting:
            front += [head, waiting.pop(0)]
        else:
            rest.append(head)
    return [*front, *rest]


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code: 0, 1 for what could not be done, 2 for arguments that make no sense. Prints errors."""
    state = State()
    try:
        app(hoist(arguments), prog_name="molvae", obj=state)
    except SystemExit as stop:
        if stop.code == 130:  # Typer's answer to Ctrl-C
            return _fail(state, "interrupted", 1)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        return _fail(state, "interrupted", 1)
    except BrokenPipeError:
        _let_go_of_stdout()
        return 1
    except MolvaeError as error:
        return _fail(state, str(error), 2 if isinstance(error, UsageError) else 1)
    except Exception as error:
        said = f"unexpected {type(error).__name__}: {error}\nThis is a bug of molvae; please report it with what -vv prints"
        return _fail(state, said, 1)
    return 0


def _fail(state: State, message: str, code: int) -> int:
    if state.verbose >= 2:
        traceback.print_exc()
    state.err.print(Text(f"error: {message}", style="red"))
    return code


def _let_go_of_stdout() -> None:
    """Nobody reads on: send what is still buffered nowhere, so that the interpreter ends without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """The entry point."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go_of_stdout()
        code = 1
    raise SystemExit(code)
