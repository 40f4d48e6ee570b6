"""Templates and the files that a page holds."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from molvae.report.properties import number


def template(name: str) -> Template:
    """The template of that name, which escapes whatever it is not handed as Markup and knows the filter ``number``."""
    environment = Environment(
        loader=PackageLoader("molvae.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    return environment.get_template(name)


def insert(*names: str) -> Markup:
    """Files beside the templates, such as styles, one after the other, as they are."""
    return Markup("".join(_text("templates", name) for name in names))


def vendored(folder: str, name: str) -> Markup:
    """A file of another project, as it is. Raises ValueError where it would end the script that it stands in."""
    text = _text("vendor", folder, name)
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError(f"{folder}/{name} cannot stand in a page: it holds '</script' or '<!--'")
    return Markup(text)


def _text(*parts: str) -> str:
    return files("molvae.report").joinpath(*parts).read_text(encoding="utf-8")
