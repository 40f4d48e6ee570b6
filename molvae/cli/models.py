"""``molvae models``: list and describe."""

from __future__ import annotations

from typing import Annotated

import typer

from molvae.cli.shared import add_row, complete_model, epilog, new_table, number, state_of

app = typer.Typer(help="Models: list, describe.", no_args_is_help=True)


@app.command("list", epilog=epilog("molvae models list"))
def list_(context: typer.Context) -> None:
    """Name the models that came with this installation."""
    from molvae import catalog, checkpoint

    state = state_of(context)
    found = {name: checkpoint.load(catalog.model_path(name)) for name in catalog.list_models()}
    table = new_table(None, "name", "kind", "properties", "latent", "records", right=("latent", "records"))
    lines = []
    for name, saved in found.items():
        labels, records = saved.representation.get("labels", []), saved.metrics.get("records")
        lines.append({"name": name, "domain": saved.config.domain, "properties": labels, "latent": saved.config.latent.width})
        shown = "–" if records is None else f"{records:,}"
        add_row(table, name, saved.config.domain, ", ".join(labels), str(saved.config.latent.width), shown)
    if found:
        state.show(table)
    else:
        state.show("no model came with this installation; train one with 'molvae train', and name its folder with --model")
    state.result(lines)


@app.command(epilog=epilog("molvae models describe moses", "molvae models describe my-model"))
def describe(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A model's name, or a checkpoint or training folder.", autocompletion=complete_model)],
) -> None:
    """Show a model's card and what was measured on held-out records when it was trained."""
    from molvae import checkpoint
    from molvae.api import find
    from molvae.cli.train import flat

    state = state_of(context)
    path = find(name)
    saved = checkpoint.load(path)
    table = new_table("measured in training", "figure", "value", right=("value",))
    for label, value in flat(saved.metrics).items():
        add_row(table, label, number(value))
    state.show(saved.card.split("## Held-out figures")[0].strip(), table, f"folder: {path}")
    facts = {"name": saved.representation.get("name"), "version": saved.representation.get("version"), "path": path}
    state.result({**facts, "card": saved.card, "metrics": saved.metrics, "config": saved.config.model_dump()})
