"""The ``molvae`` command. Commands parse, call and print; what they do is in the rest of the package, imported when a command runs."""

from molvae.cli.app import app, main, run

__all__ = ["app", "main", "run"]
