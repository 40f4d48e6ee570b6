"""What a domain shows of one record beside its drawing: a scene for the 3D viewer, facts in words, figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from molvae.errors import InvalidRecord, UsageError
from molvae.report.templating import insert, vendored


@dataclass(frozen=True)
class Matter:
    """scene: JSON, empty where there is none. facts: name, value. figures: name, SVG, and why there is none."""

    scene: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    figures: tuple[tuple[str, Markup, str], ...] = ()


def matter_of(
    text: str,
    scene: Callable[[str], str] | None,
    facts: Callable[[str], Mapping[str, str]] | None,
    figures: Mapping[str, Callable[[str], str]],
) -> Matter:
    """All that can be shown of a text. A text that is no record gives nothing; its card says so in place of the drawing."""
    try:
        shown = "" if scene is None else scene(text)
        told = () if facts is None else tuple(facts(text).items())
    except InvalidRecord:
        return Matter()
    return Matter(shown, told, tuple(_figure(name, draw, text) for name, draw in figures.items()))


def viewer() -> Markup:
    """The scripts of the 3D viewer: 3Dmol.js as it was published, and what connects it with the cards."""
    return vendored("3dmol", "3Dmol-min.js") + Markup("\n") + insert("viewer.js")


def _figure(name: str, draw: Callable[[str], str], text: str) -> tuple[str, Markup, str]:
    try:
        return name, Markup(draw(text)), ""
    except (InvalidRecord, UsageError) as error:
        return name, Markup(""), error.why if isinstance(error, InvalidRecord) else str(error)
