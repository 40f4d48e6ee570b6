"""``molvae data``: list, describe, fetch and prepare data sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from molvae.cli import parse
from molvae.cli.read import matter
from molvae.cli.shared import State, add_row, complete_dataset, epilog, new_table, stages, state_of
from molvae.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from molvae.dataset import Store

app = typer.Typer(help="Data sets: list, describe, fetch, prepare.", no_args_is_help=True)
STEPS = (
    "Cleaning steps in order, or none: largest_fragment (of a salt or mixture, which is dropped without it), neutralise (charges, by adding and "
    "removing protons), elements=C,N,O (drop what has others), heavy_atoms=3:50 (drop what has fewer or more). Parsing, canonicalisation and "
    "the removal of duplicates cannot be switched off."
)
Name = Annotated[str, typer.Argument(help="A data set's name; see 'molvae data list'.", autocompletion=complete_dataset)]


@app.command("list", epilog=epilog("molvae data list", "molvae data list --json"))
def list_(context: typer.Context) -> None:
    """Name the data sets that molvae knows how to fetch."""
    from molvae import catalog

    state = state_of(context)
    cards = [catalog.describe(name) for name in catalog.list_datasets()]
    table = new_table(None, "name", "rows", "kind", "labels", "licence", "what", right=("rows",))
    for card in cards:
        add_row(table, card.name, f"{card.rows:,}", card.domain, ", ".join(card.labels) or "–", card.licence, card.what)
    state.show(table)
    state.result([{"name": c.name, "rows": c.rows, "domain": c.domain, "labels": c.labels, "licence": c.licence} for c in cards])


@app.command(epilog=epilog("molvae data describe qm9"))
def describe(context: typer.Context, name: Name) -> None:
    """Show a data set's card: what it is, units, licence, citation, where it comes from."""
    from molvae import catalog

    state = state_of(context)
    card = catalog.describe(name)
    table = new_table(card.name, "", "")
    facts = {
        "what": card.what,
        "rows": f"{card.rows:,}",
        "labels": ", ".join(f"{label} [{card.units[label]}]" if label in card.units else label for label in card.labels) or "none",
        "licence": card.licence,
        "citation": card.citation,
        "homepage": card.homepage,
        "from": card.origin,
        "SHA-256": card.sha256,
        "files": "; ".join(f"{file.name}: {file.rows:,} rows" + (f" ({file.split})" if file.split else "") for file in card.files),
    }
    for label, value in facts.items():
        add_row(table, label, value)
    state.show(table)
    state.result(card.model_dump())


@app.command(
    epilog=epilog(
        "molvae data fetch qm9",
        "molvae data fetch moses --from molsets-0.3.1-py3-none-any.whl",
        "molvae data fetch qm9 --to qm9",
        "MP_API_KEY=... molvae data fetch mp:Li-P-S --to mine",
    )
)
def fetch(
    context: typer.Context,
    name: Name,
    source: Annotated[Path | None, typer.Option("--from", help="A local copy of the wheel or file, in place of the network.")] = None,
    to: Annotated[Path | None, typer.Option(help="The folder to put it in.", show_default="molvae's cache folder")] = None,
) -> None:
    """Get a data set's files and check them against the card's SHA-256.

    mp:SYSTEM asks the Materials Project (extra mp) for all crystals of these elements, with the key in MP_API_KEY; the table goes to the
    current folder, or to --to.
    """
    from molvae import catalog

    state = state_of(context)
    if ":" in name:
        if source is not None:
            raise UsageError(f"--from {source}: {name} is asked of a public database; leave it out")
        ask_database(state, name, to)
        return
    with state.progress() as bars:
        folder = catalog.fetch(name, source=source, to=to, progress=stages(bars))
    state.show(f"{name} is in {folder}")
    state.result({"name": name, "folder": folder, "files": [f.path for f in catalog.source_files(name, folder)]})


def ask_database(state: State, name: str, to: Path | None) -> None:
    """A table of what a public database has. name: ``DATABASE:WHAT``. Raises UnknownName, UsageError, and what the domain's function raises."""
    from molvae import build

    kind, _, what = name.partition(":")
    known = {base: ask for domain in build.DOMAINS for base, ask in build.domain(domain).databases.items()}
    if kind not in known:
        raise UnknownName("public database", kind, list(known))
    path = (to or Path()) / f"{kind}-{what}.csv.gz"
    rows = known[kind](what, path)
    state.show(f"{rows:,} records are in {path}")
    state.result({"name": name, "rows": rows, "files": [path]})


@dataclass
class Wish:
    """What is to be prepared: names or files, and how."""

    sources: list[str]
    properties: tuple[str, ...] | None = None
    column: str | None = None
    labels: str = "auto"
    steps: str | None = None
    split: str | None = None
    fractions: tuple[float, float, float] = (0.9, 0.05, 0.05)
    limit: int | None = None
    workers: int | None = None
    seed: int = 0
    domain: str = "molecules"
    units: dict[str, str] = field(default_factory=dict)


def carry_out(state: State, wish: Wish, out: Path) -> Store:
    """Fetch what has a card, then prepare everything as one data set in ``out``, with progress bars."""
    from molvae import build, catalog
    from molvae.dataset import prepare
    from molvae.dataset.read import files_in

    with state.progress() as bars:
        tell = stages(bars)
        paths: Sequence[Path] = [Path(source) for source in wish.sources]
        if len(wish.sources) == 1 and wish.sources[0] in catalog.list_datasets():
            card = catalog.describe(wish.sources[0])
            folder = catalog.fetch(card.name, progress=tell)
            paths = [file.path for file in catalog.source_files(card.name, folder)]
            wish.column, wish.split, wish.domain = wish.column or card.text_column, wish.split or card.split, card.domain
            wish.units = card.units
        domain = build.domain(wish.domain)
        paths = [file for path in paths for file in files_in(path, domain.readers, state.warn)]
        defaults = tuple(p for p in build.usual(wish.domain).condition.properties if p in domain.properties)
        return prepare(
            build.maker(wish.domain),
            paths,
            out,
            properties=defaults if wish.properties is None else wish.properties,
            column=wish.column,
            label_columns=_labels(wish.labels),
            units=wish.units,
            step_names=_steps(wish.steps, [step.name for step in domain.steps]),
            split=wish.split or domain.split,
            fractions=wish.fractions,
            seed=wish.seed,
            limit=wish.limit,
            workers=wish.workers or state.threads,
            progress=tell,
            note=state.warn,
        )


def _steps(text: str | None, known: Sequence[str]) -> tuple[str, ...] | None:
    return None if text is None else () if text.strip() == "none" else parse.steps(text, known)


def _labels(text: str) -> str | tuple[str, ...]:
    return text if text == "auto" else () if text == "none" else parse.names(text)


@app.command(
    epilog=epilog(
        "molvae data prepare moses -o data/moses --properties logp,qed,tpsa,sa,mw",
        "molvae data prepare my.csv -o data/my --labels pIC50 --split group",
        "molvae data prepare a.smi b.sdf.gz -o data/ab --steps largest_fragment,neutralise,elements=C,N,O,F,S,Cl,heavy_atoms=3:50",
    )
)
def prepare(
    context: typer.Context,
    sources: Annotated[list[str], typer.Argument(metavar="NAME|FILE...", help="A data set's name, or files of records.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the prepared data set.")],
    properties: Annotated[
        str | None, typer.Option(help="Properties to compute, comma-separated.", show_default="logp,qed,tpsa,sa,mw")
    ] = None,
    column: Annotated[str | None, typer.Option(help="Column with the records' text.", show_default="the first known name")] = None,
    labels: Annotated[str, typer.Option(help="Columns to keep as labels: auto (all numbers), none, or names.")] = "auto",
    steps: Annotated[str | None, typer.Option(help=STEPS, show_default="largest_fragment,neutralise")] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="random, group or scaffold (scaffolds, of crystals formulas, stay together), file (by file name), or a column of train, valid and "
            "test.",
            show_default="random, of crystals group",
        ),
    ] = None,
    fractions: Annotated[str, typer.Option(help="Shares of train, valid and test rows.")] = "0.9,0.05,0.05",
    limit: Annotated[int | None, typer.Option(help="Read so many rows and no more.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="all cores")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the random split.")] = 0,
    domain: Annotated[
        str | None, typer.Option(help="Kind of matter; a data set's card knows its own.", show_default="as the files say, else molecules")
    ] = None,
) -> None:
    """Read, clean, deduplicate, split and store records for training. After an interruption the same command goes on."""
    state = state_of(context)
    if not any(source.strip() for source in sources):
        raise UsageError("no source; give a data set's name or files")
    asked = None if properties is None else parse.names(properties)
    wish = Wish(sources, asked, column, labels, steps, split, parse.fractions(fractions), limit, workers, seed, matter(domain, sources))
    store = carry_out(state, wish, out)
    tell_summary(state, store)
    summary = dict(store.manifest["summary"])
    counts = {"rejected_by_reason": summary.pop("rejected"), **summary}
    state.result({"folder": store.path, "rejected": store.path / "rejected.csv", "properties": store.property_names, **counts})


def tell_summary(state: State, store: Store) -> None:
    """What a preparation read, changed, left out and kept; with -v the first rows left out, too."""
    state.show(summary_table(store), f"prepared in {store.path}; what was left out, and why: {store.path / 'rejected.csv'}")
    for line in store.manifest["summary"]["first"] if state.verbose else ():
        state.note(line)


def summary_table(store: Store) -> Table:
    """Counts of a preparation: read, changed, rejected, kept, by split."""
    summary: dict[str, Any] = store.manifest["summary"]
    table = new_table(None, "rows", "count", right=("count",))
    lines = [("read", summary["read"])]
    lines += [(f"changed by {step}", count) for step, count in summary["changed"].items()]
    lines += [(f"rejected: {reason}", count) for reason, count in summary["rejected"].items()]
    lines += [("duplicates", summary["duplicates"]), ("kept", summary["kept"])]
    lines += [(f"  {split}", count) for split, count in summary["splits"].items()]
    lines += [(f"cells of {name} that are no numbers", count) for name, count in summary["unreadable_labels"].items()]
    for label, count in lines:
        add_row(table, label, f"{count:,}")
    return table
