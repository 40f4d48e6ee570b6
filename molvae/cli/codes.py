"""``molvae encode``, ``decode``, ``reconstruct``, ``interpolate`` and ``neighbours``."""

from __future__ import annotations

import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molvae.cli import evidence, parse
from molvae.cli.deliver import Outputs, check_outputs, rows, write_or_show
from molvae.cli.familiar import returning, warn_of_strange
from molvae.cli.generate import ModelName
from molvae.cli.read import encodable, entries, is_file
from molvae.cli.shared import DEFAULT_MODEL, add_row, epilog, new_table, open_model, state_of
from molvae.errors import DataError, InvalidRecord, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from molvae.api import Model
    from molvae.records import Candidate
    from molvae.request import Generation

Inputs = Annotated[list[str], typer.Argument(metavar="FILE|-|TEXT...", help="Files, - for standard input, or the records themselves.")]
Column = Annotated[str | None, typer.Option(help="Column of a table with the records' text.", show_default="the first known name")]
Views = Annotated[
    list[str] | None, typer.Option("--view", help="Read this view alone: sequence, graph or written. Repeatable.", show_default="all")
]
Level = Annotated[float, typer.Option(min=0, max=1, help="Noise level of the code.")]
Temperature = Annotated[float, typer.Option(min=0, help="Of the decoder's draws; 0 takes the most likely tokens.")]
Seed = Annotated[int, typer.Option(help="Fixes every random number.")]
Search = Annotated[
    int, typer.Option(min=0, metavar="DRAWS", help="At most so many further draws a code: the one that encodes nearest to it is taken.")
]
CODES = (".npz", ".parquet")
MADE_BY = "molvae_model"  # in the metadata of Parquet files of codes


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=epilog(
            "molvae encode my.csv -o codes.npz",
            "molvae encode 'O=C(NCCN1CCOCC1)c1ccc(Cl)cc1' 'Cc1cc(NS(=O)(=O)c2ccc(N)cc2)no1' -o codes.parquet --view graph",
        )
    )(encode)
    app.command(epilog=epilog("molvae decode codes.npz", "molvae decode codes.npz --temperature 1 --seed 3 -o back.csv"))(decode)
    app.command(
        epilog=epilog(
            "molvae reconstruct my.smi",
            "molvae reconstruct my.smi --search 256",
            "molvae reconstruct 'Cc1cc(NS(=O)(=O)c2ccc(N)cc2)no1' --level 0.3",
        )
    )(reconstruct)
    app.command(epilog=epilog("molvae interpolate 'O=C(NCCN1CCOCC1)c1ccc(Cl)cc1' 'CC(C)NCC(O)COc1cccc2ccccc12' --steps 11"))(interpolate)
    app.command(
        epilog=epilog(
            "molvae neighbours 'O=C(NCCN1CCOCC1)c1ccc(Cl)cc1' -n 50 --radius 0.3 -o analogues.sdf",
            "molvae neighbours leads.smi -n 20 -o analogues.csv",
        )
    )(neighbours)


def encode(
    context: typer.Context,
    inputs: Inputs,
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the codes: .npz or .parquet.")],
    model: ModelName = DEFAULT_MODEL,
    column: Column = None,
    view: Views = None,
) -> None:
    """Records to noiseless codes: one row of numbers for each. Rows that cannot be encoded are reported and left out."""
    state = state_of(context)
    if out.suffix.lower() not in CODES:
        raise UsageError(f"--out {out}: codes are written as {' or '.join(CODES)}")
    loaded = open_model(state, model)
    kept = encodable(state, entries(state, inputs, loaded.domain, column), loaded, view or None)
    warn_of_strange(state, loaded, [entry.text for entry in kept])
    codes = loaded.encode([entry.text for entry in kept], views=view or None)
    texts = [loaded.domain.write(loaded.domain.parse(entry.text)) for entry in kept]
    _save(out, codes, texts, loaded)
    state.show(f"{codes.shape[0]} codes of {codes.shape[1]} numbers: {out}")
    state.result({"file": out, "rows": codes.shape[0], "width": codes.shape[1], "model": loaded.name, loaded.domain.column: texts})


def _save(path: Path, codes: NDArray[np.float32], texts: list[str], model: Model) -> None:
    import numpy as np

    from molvae.report.write import replacing

    with replacing(path) as part:
        if path.suffix.lower() == ".npz":
            np.savez_compressed(part, codes=codes, text=np.array(texts), model=np.array(model.name))
        else:
            import pandas as pd

            columns = {model.domain.column: texts} | {f"z{k}": codes[:, k] for k in range(codes.shape[1])}
            frame = pd.DataFrame(columns)
            frame.attrs[MADE_BY] = model.name
            frame.to_parquet(part, index=False)


def _read_codes(path: Path) -> tuple[NDArray[np.float32], str]:
    """Codes (n, D) from a file of ``encode`` and the name of the model they are of, "" where it is not noted. Raises DataError, UsageError."""
    import numpy as np

    if path.suffix.lower() not in CODES:
        raise UsageError(f"{path}: codes are read from {' or '.join(CODES)}, as 'molvae encode' writes them")
    if not path.is_file():
        raise DataError(path, "no such file")
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as file:
                codes = np.asarray(file["codes"], dtype=np.float32)
                made_by = str(file["model"]) if "model" in file else ""
        else:
            import pandas as pd

            frame = pd.read_parquet(path)
            made_by = str(frame.attrs.get(MADE_BY, ""))
            codes = frame[[name for name in frame.columns if name[:1] == "z" and name[1:].isdigit()]].to_numpy(np.float32)
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(path, f"no readable file of codes ({error}); make one with 'molvae encode'") from error
    if codes.ndim != 2 or not np.isfinite(codes).all():
        raise DataError(path, f"codes of shape {codes.shape}; wanted rows of finite numbers")
    return codes, made_by


def decode(
    context: typer.Context,
    codes: Annotated[Path, typer.Argument(help="A file of 'molvae encode': .npz or .parquet.")],
    model: ModelName = DEFAULT_MODEL,
    level: Level = 0.0,
    target: Annotated[list[str] | None, typer.Option(metavar="PROPERTY=VALUE", help="Tell the decoder a property. Repeatable.")] = None,
    temperature: Temperature = 0.0,
    search: Search = 0,
    view: Views = None,
    seed: Seed = 0,
    out: Outputs = None,
) -> None:
    """Codes to records, one for each row; empty where no valid record was spelt."""
    state = state_of(context)
    points, made_by = _read_codes(codes)
    told = {name: value if isinstance(value, float) else value[0] for name, value in parse.targets(target or ()).items()}
    loaded = open_model(state, model)
    if made_by not in ("", loaded.name):
        raise UsageError(f"{codes}: codes of the model {made_by!r}, which mean nothing to {loaded.name!r}; name theirs with --model")
    outputs = check_outputs(out, loaded.domain)
    texts = loaded.decode(points, level=level, targets=told, temperature=temperature, seed=seed, search=search, views=view or None)
    candidates = [_candidate(loaded, text) for text in texts]
    write_or_show(state, candidates, outputs, loaded.domain)
    valid = sum(text is not None for text in texts)
    state.show(f"{valid} of {len(texts)} codes spell a valid record", stderr=not sys.stdout.isatty())
    state.result({"valid": valid, "candidates": rows(candidates, loaded.domain)})


def _candidate(model: Model, text: str | None) -> Candidate:
    """A decoded text with its verdict; without one, a row that says so, so that rows keep their numbers."""
    from molvae.records import Candidate, Verdict

    if text is None:
        return Candidate("", "", Verdict(False, ("decode: no valid record was spelt",)))
    record = model.domain.parse(text)
    key = model.domain.key(record)
    return Candidate(text, key, model.validator.verdict(record), novel=model.validator.novel(key))


def reconstruct(
    context: typer.Context,
    inputs: Inputs,
    model: ModelName = DEFAULT_MODEL,
    column: Column = None,
    view: Views = None,
    level: Level = 0.0,
    temperature: Temperature = 0.0,
    search: Search = 0,
    seed: Seed = 0,
) -> None:
    """Records through their codes and back, free-running: which come back exactly, and the share."""
    state = state_of(context)
    loaded = open_model(state, model)
    kept = encodable(state, entries(state, inputs, loaded.domain, column), loaded, view or None)
    asked = [e.text for e in kept]
    warn_of_strange(state, loaded, asked)
    found = loaded.reconstruct(asked, level=level, temperature=temperature, views=view or None, seed=seed, search=search)
    table = new_table(None, loaded.domain.column, "came back as", "exact")
    first = len(found) if state.verbose else 50
    for one in found[:first]:
        add_row(table, one.asked, "" if one.exact else (one.text or "no valid record"), "yes" if one.exact else "no")
    exact = sum(one.exact for one in found)
    more = [f"and {len(found) - first} more; -v shows all"] if len(found) > first else []
    state.show(table, *more, f"{exact} of {len(found)} exact ({exact / len(found):.1%})")
    lines = [{loaded.domain.column: one.asked, "decoded": one.text, "exact": one.exact} for one in found]
    state.result({"exact": exact, "rows": len(found), "share": exact / len(found), "reconstructions": lines})


def interpolate(
    context: typer.Context,
    start: Annotated[str, typer.Argument(metavar="A", help="The first record.")],
    end: Annotated[str, typer.Argument(metavar="B", help="The second record.")],
    steps: Annotated[int, typer.Option(min=2, help="Points on the way, both ends included.")] = 11,
    model: ModelName = DEFAULT_MODEL,
    out: Outputs = None,
) -> None:
    """What lies between two records: most likely decodes along the arc between their codes.

    The column log_likelihood is log p in nats of each record at noise level 1 without targets: the model's plain density.
    """
    state = state_of(context)
    loaded = open_model(state, model)
    outputs = check_outputs(out, loaded.domain)
    _must_encode(loaded, start, end)
    warn_of_strange(state, loaded, [start, end])
    returning(state, loaded, [start, end])
    found = evidence.described(loaded.interpolate(start, end, steps), loaded.domain)
    write_or_show(state, found, outputs, loaded.domain, first=steps)
    state.result({"candidates": rows(found, loaded.domain)})


def neighbours(
    context: typer.Context,
    inputs: Inputs,
    n: Annotated[int, typer.Option("-n", help="How many, for each record.")] = 20,
    radius: Annotated[float, typer.Option(min=0, max=1, help="Noise level: 0 the record itself, 1 anything.")] = 0.4,
    temperature: Temperature = 1.0,
    seed: Seed = 0,
    max_draws: Annotated[int | None, typer.Option(min=1, help="Give up after so many draws.", show_default="100 n, at least 4000")] = None,
    model: ModelName = DEFAULT_MODEL,
    column: Column = None,
    known: evidence.Known = None,
    out: Outputs = None,
) -> None:
    """Analogues of each record that pass every check, most similar first: exactly n, or fewer and why (exit code 1).

    They are grouped by the record they come from, which the column seed names. The column log_likelihood is log p in nats of the string as it
    was drawn, given its code at that noise level.
    """
    state = state_of(context)
    loaded = open_model(state, model)
    outputs = check_outputs(out, loaded.domain, inputs)
    nearest = evidence.library(state, known, loaded.domain)
    kept = encodable(state, entries(state, inputs, loaded.domain, column), loaded)
    texts = list(dict.fromkeys(loaded.domain.write(loaded.domain.parse(entry.text)) for entry in kept))
    warn_of_strange(state, loaded, texts)
    back = returning(state, loaded, texts)
    found: dict[str, Generation] = {}
    with state.progress() as bars:
        for text in bars.track(texts, description="neighbours"):
            found[text] = loaded.neighbours(text, n, radius=radius, temperature=temperature, seed=seed, max_draws=max_draws)
    candidates = [replace(c, extra={"seed": text, **c.extra}) for text, one in found.items() for c in one.candidates]
    candidates = evidence.placed(state, evidence.described(candidates, loaded.domain), loaded.domain, nearest)
    write_or_show(state, candidates, outputs, loaded.domain, first=n * len(texts))
    short = {text: one.short for text, one in found.items() if one.short is not None}
    seeds = [
        {"seed": text, "returns": exact, "found": len(one.candidates), "acceptance": one.acceptance, "short": one.short}
        for (text, one), exact in zip(found.items(), back, strict=True)
    ]
    said = [why if len(texts) == 1 else f"{text}: {why}" for text, why in short.items()]
    drawn = sum(one.funnel.drawn for one in found.values())
    acceptance = sum(one.acceptance * one.funnel.drawn for one in found.values()) / max(1, drawn)
    listed = rows(candidates, loaded.domain)
    state.result({"candidates": listed, "seeds": seeds, "acceptance": acceptance, "short": "; ".join(said) or None})
    for why in said:
        state.warn(why)
    if said:
        raise typer.Exit(1)


def _must_encode(model: Model, *texts: str) -> None:
    """Refuse early, as arguments of the command, texts that the model cannot encode. Raises UsageError."""
    for text in texts:
        if text == "-" or is_file(text, model.domain):
            what = "standard input" if text == "-" else "a file"
            raise UsageError(f"{text!r} is {what}; two records are wanted, as texts ('molvae neighbours' takes files of them)")
        try:
            model.representation.encodable(model.domain.parse(text))
        except InvalidRecord as error:
            raise UsageError(f"{text!r} cannot be encoded: {error.why}") from error
