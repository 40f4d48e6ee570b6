"""Options of wishes that are fulfilled exactly while a record is written; which there are, the domain says (``Domain.constraints``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

_PANEL = "Exact constraints (crystals)"

Chemsys = Annotated[str | None, typer.Option(metavar="Li-P-S", help="Exactly these elements.", rich_help_panel=_PANEL)]
Composition = Annotated[
    str | None,
    typer.Option(
        metavar="LiFePO4", help="Exactly this formula: up to 20 atoms or 4 formula units, more with --atoms.", rich_help_panel=_PANEL
    ),
]
Elements = Annotated[str | None, typer.Option(metavar="Sr,Ti,O", help="No others than these elements.", rich_help_panel=_PANEL)]
Exclude = Annotated[str | None, typer.Option(metavar="Pb,Hg", help="None of these elements.", rich_help_panel=_PANEL)]
SpaceGroup = Annotated[
    str | None, typer.Option("--spacegroup", metavar="221|cubic", help="These space groups or crystal systems.", rich_help_panel=_PANEL)
]
Atoms = Annotated[str | None, typer.Option(metavar="5|LOW:HIGH", help="Atoms of the primitive cell.", rich_help_panel=_PANEL)]


NAMES = ("chemsys", "composition", "elements", "exclude", "spacegroup", "atoms")


def asked(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Those of a command's parameters that were given."""
    return {name: parameters[name] for name in NAMES if parameters.get(name) is not None}
