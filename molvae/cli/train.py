"""``molvae train`` and ``molvae config``."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molvae.cli import parse
from molvae.cli.data import Wish, carry_out, tell_summary
from molvae.cli.read import matter
from molvae.cli.shared import State, add_row, device, epilog, new_table, number, state_of, use_threads
from molvae.errors import UsageError

if TYPE_CHECKING:
    from molvae.config import Config
    from molvae.dataset import Store
    from molvae.train import Tick


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=epilog(
            "molvae train --data moses --out my-moses --minutes 60",
            "molvae train --data my.csv --properties logp,pIC50 --set train.steps=5000 --set latent.width=32",
            "molvae train --data my.csv --out my-model --resume",
        )
    )(train)
    app.command(epilog=epilog("molvae config", "molvae config --out model.toml"))(config)


Matter = Annotated[
    str | None,
    typer.Option(help="Kind of matter; a data set's card, or a prepared one, knows its own.", show_default="as DATA says, else molecules"),
]


def train(
    context: typer.Context,
    data: Annotated[str, typer.Option(metavar="NAME|FILE|DIR", help="A data set's name, a file, or a prepared data set's folder.")],
    config: Annotated[
        Path | None, typer.Option(help="Settings as TOML; 'molvae config' prints all.", show_default="the run's own, or START's")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="SECTION.SETTING=VALUE", help="One setting; repeat it.")] = None,
    properties: Annotated[str | None, typer.Option(help="Labels to condition on, comma-separated.")] = None,
    domain: Matter = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the run.", show_default="NAME-model")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="Train so long instead of a number of steps.")] = None,
    start: Annotated[str | None, typer.Option(metavar="MODEL", help="Begin with this model's weights and vocabularies.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on exactly where a run in --out stopped; from its beginning where no state was saved yet.")
    ] = False,
) -> None:
    """Train a model and write its checkpoint. Ctrl-C saves, writes the checkpoint and says how to go on."""
    state = state_of(context)
    from molvae import training
    from molvae.api import find

    if not state.verbose:
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

    folder = out or Path(f"{Path(data.rstrip('/')).name.split('.')[0]}-model")
    if "LOCAL_RANK" not in os.environ:  # else this is a further process of data-parallel training, and the first one has looked
        going = training.look_at(folder, resume, start)
        if resume and not going:
            state.note(f"{folder}: the run ended before its first saved state; it begins anew")
    first = None if start is None else find(start)
    file = config or (folder / "config.toml" if resume else None) or (None if first is None else first / "config.toml")
    chosen = settle(state, file, settings or [], properties, minutes, kind_of(data) or matter(domain, [data]))
    given = properties is not None or file is not None or any(s.startswith("condition.properties") for s in settings or [])
    chosen, store = prepared(state, data, chosen, folder, given)
    with state.progress() as bars:
        tick = ticker(state, bars)
        done = training.train(store, chosen, folder, resume=resume, name=folder.name, start=first, on_tick=tick, on_note=state.warn)
    if "checkpoint" not in done.metrics:
        return  # a further process of data-parallel training; the first one reports
    metrics = {k: v for k, v in done.metrics.items() if k != "checkpoint"}
    table = new_table(f"{done.stopped} after {done.steps} steps", "held out", "value", right=("value",))
    for name, value in flat(metrics).items():
        add_row(table, name, number(value))
    state.show(table, f"checkpoint: {done.metrics['checkpoint']}")
    state.result({"stopped": done.stopped, "steps": done.steps, **done.metrics, "data": store.manifest["summary"]})
    if done.stopped == "interrupted":
        state.warn(f"interrupted at step {done.steps}; go on with: {again(data, folder)}")
        raise typer.Exit(1)


def kind_of(data: str) -> str | None:
    """The domain of a data set that knows its own: a prepared one, or one with a card."""
    from molvae import catalog
    from molvae.dataset import Store
    from molvae.dataset.store import MANIFEST

    if (Path(data) / MANIFEST).exists():
        return Store.open(data).domain
    return catalog.describe(data).domain if data in catalog.list_datasets() else None


def settle(
    state: State, file: Path | None, settings: list[str], properties: str | None, minutes: float | None, domain: str = "molecules"
) -> Config:
    """The configuration: a file, else the domain's defaults, with what the command line says on top. Raises UsageError where they differ."""
    from molvae import build
    from molvae import config as toml

    base = build.usual(domain) if file is None else toml.load(file)
    if base.domain != domain:
        raise UsageError(
            f"settings for {base.domain}, but the data are {domain}; give settings and data of one kind, or --domain {base.domain}"
        )
    changes: dict[str, Any] = {}
    if properties is not None:
        changes["condition.properties"] = list(parse.names(properties))
    if minutes is not None:
        changes["train.minutes"] = minutes
    if state.threads is not None:
        use_threads(state)
        changes["train.threads"] = state.threads
    if state.device is not None:
        changes["train.accelerator"] = device(state).split(":")[0]
    return toml.override(base, {**changes, **parse.settings(settings)})


def prepared(state: State, data: str, config: Config, folder: Path, properties_given: bool) -> tuple[Config, Store]:
    """The prepared data set: opened where ``data`` is one, else made beside the run. Its own labels condition where none were asked."""
    from molvae import build
    from molvae.config import override
    from molvae.dataset import Store
    from molvae.dataset.store import MANIFEST

    if (Path(data) / MANIFEST).exists():
        store = Store.open(data)
        if not properties_given and set(config.condition.properties) - set(store.property_names):
            config = override(config, {"condition.properties": list(store.property_names)})
        return config, store
    known = build.domain(config.domain).properties
    computed = tuple(p for p in config.condition.properties if p in known)
    labels = ",".join(p for p in config.condition.properties if p not in known) or "none"
    wish = Wish([data], computed, labels=labels, seed=config.train.seed, domain=config.domain)
    place = folder.with_name(folder.name + ".data")
    state.note(f"preparing {data} in {place}")
    store = carry_out(state, wish, place)
    if "LOCAL_RANK" not in os.environ:
        tell_summary(state, store)
    return config, store


def ticker(state: State, bars: Any) -> Callable[[Tick], None]:
    """A callback that shows how training goes: on a bar, or with -v as lines where there is no terminal."""
    task = bars.add_task("training", total=1000)

    def tell(tick: Tick) -> None:
        parts = " ".join(f"{name} {value:.3g}" for name, value in tick.parts.items() if name not in ("grad_norm", "total"))
        line = f"step {tick.step}  {parts}  {tick.rate:.0f} records/s"
        bars.update(task, completed=min(1000, int(1000 * tick.share)), description=line)
        if state.verbose and not sys.stderr.isatty():
            state.note(line)

    return tell


def flat(values: Any, prefix: str = "") -> dict[str, float]:
    """Nested numbers as one level: ``nats_by_level 0.5``."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name} ")
        elif isinstance(value, int | float):
            found[f"{prefix}{name}"] = float(value)
    return found


def again(data: str, folder: Path) -> str:
    """The command that goes on with an interrupted run; its settings are in the folder."""
    return shlex.join(["molvae", "train", "--data", data, "--out", str(folder), "--resume"])


def config(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.", show_default="standard output")] = None,
    domain: Annotated[str, typer.Option(help="Kind of matter, whose usual settings are printed.")] = "molecules",
) -> None:
    """Print every setting of a model and its training as TOML, with what it means."""
    from molvae import build
    from molvae import config as toml
    from molvae.report.write import write_bytes

    state = state_of(context)
    usual = build.usual(domain)
    if state.json:
        state.result(usual.model_dump())
    text = toml.dump(usual)
    if out is not None:
        write_bytes(out, text.encode())
        state.show(f"written: {out}")
    elif not state.json:
        sys.stdout.write(text)
