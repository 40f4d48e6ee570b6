"""What a domain shows of one record beside its drawing: a scene for the 3D viewer, facts in words, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from markupsafe import Markup

from molvae.errors import InvalidRecord, UsageError
from molvae.report.templating import insert, vendored


@dataclass(frozen=True)
class Matter:
    """scene: JSON, empty where there is none. facts: name, value. figures: name, SVG, and why there is none."""

    scene: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    figures: tuple[tuple[str, Markup, str], ...] = ()


class Showing(Protocol):
    """The data of a page, as far as it says what its cards show beside a drawing; see ``ReportData``."""

    @property
    def scene(self) -> Callable[[str], str] | None: ...
    @property
    def told(self) -> Callable[[str], Mapping[str, str]] | None: ...
    @property
    def card_figures(self) -> Mapping[str, Callable[[str], str]]: ...
    @property
    def max_figures(self) -> int: ...


def rich(page: Showing) -> bool:
    """Whether the cards show more than a drawing and values."""
    return page.scene is not None or page.told is not None or bool(page.card_figures)


def matter_on(page: Showing, rank: int, text: str) -> Matter:
    """All that the card of this rank shows. A text that is no record gives nothing; its card says so in place of the drawing."""
    try:
        scene = "" if page.scene is None else page.scene(text)
        facts = () if page.told is None else tuple(page.told(text).items())
    except InvalidRecord:
        return Matter()
    figures = page.card_figures if rank <= page.max_figures else {}
    return Matter(scene, facts, tuple(_figure(name, draw, text) for name, draw in figures.items()))


def viewer() -> Markup:
    """The scripts of the 3D viewer: 3Dmol.js as it was published, and what connects it with the cards."""
    return vendored("3dmol", "3Dmol-min.js") + Markup("\n") + insert("viewer.js")


def _figure(name: str, draw: Callable[[str], str], text: str) -> tuple[str, Markup, str]:
    try:
        return name, Markup(draw(text)), ""
    except (InvalidRecord, UsageError) as error:
        return name, Markup(""), error.why if isinstance(error, InvalidRecord) else str(error)
