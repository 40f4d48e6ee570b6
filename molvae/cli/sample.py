"""``molvae sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molvae.cli.deliver import check_place
from molvae.cli.generate import ModelName
from molvae.cli.shared import DEFAULT_MODEL, epilog, open_model, state_of
from molvae.errors import UsageError

SUFFIXES = (".smi", ".txt", ".csv", ".tsv", "")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=epilog("molvae sample -n 100000 -o prior.smi", "molvae sample -n 1000 --seed 7 | molvae validate -"))(sample)


def sample(
    context: typer.Context,
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 1000,
    model: ModelName = DEFAULT_MODEL,
    temperature: Annotated[float, typer.Option(min=0, help="Of the decoder's draws.")] = 1.0,
    level: Annotated[float, typer.Option(min=0, max=1, help="Noise level at which the codes are decoded.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Fixes every random number.")] = 0,
    unique: Annotated[bool, typer.Option("--unique/--no-unique", help="No two alike.")] = True,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Write them to this file: .smi, .txt, or .csv and .tsv with a heading.", show_default="standard output"
        ),
    ] = None,
) -> None:
    """Valid records straight from the prior, one a line, fast: without verdict, measures or evidence, which 'generate' gives."""
    from molvae.report.write import write_bytes

    if out is not None:
        check_place(out)
        if out.suffix.lower() not in SUFFIXES:
            known = ", ".join(suffix for suffix in SUFFIXES if suffix)
            raise UsageError(
                f"{out}: 'sample' writes lines; wanted {known} or no suffix. 'generate' and 'validate' write the other formats"
            )
    state = state_of(context)
    loaded = open_model(state, model)
    texts = loaded.sample(n, temperature=temperature, level=level, seed=seed, unique=unique)
    lines = "".join(f"{text}\n" for text in texts)
    if out is not None:
        header = f"{loaded.domain.column}\n" if out.suffix.lower() in (".csv", ".tsv") else ""
        write_bytes(out, (header + lines).encode())
        state.show(f"{len(texts):,} records: {out}")
    elif not state.json:
        typer.echo(lines, nl=False)
    state.result({"count": len(texts), loaded.domain.column: texts, "file": out})
    if len(texts) < n:
        state.warn(
            f"{len(texts)} of {n}: at this level and temperature too little is valid or new; bring the temperature nearer to 1, or ask for fewer"
        )
        raise typer.Exit(1)
