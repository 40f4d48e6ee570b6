"""A Python function as a scorer."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from molvae.errors import UnknownName, UsageError
from molvae.scorers.contract import Outcome, ReportingScorer, batch_values, raised, values_of


def load_function(spec: str) -> Callable[..., Any]:
    """The function that ``module:function`` or ``path/to/file.py:function`` names. Runs the module's code. Raises UsageError, UnknownName."""
    place, colon, name = spec.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(f"scorer {spec!r}: wanted module:function or path/to/file.py:function")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        hint = f"; a file is named as ./{place}.py:{name}" if error.name == place else ""
        raise UsageError(f"scorer {spec!r}: {error}{hint}") from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"scorer {spec!r}: loading {place} raised {type(error).__name__}: {error}") from error
    try:
        function = attrgetter(name)(module)
    except AttributeError:
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UnknownName(f"function of {place}", name, known) from None
    if not callable(function):
        raise UsageError(f"scorer {spec!r}: {name} is a {type(function).__name__}; a function is wanted")
    found: Callable[..., Any] = function
    return found


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise UsageError(f"scorer: there is no file {path}")
    name = f"molvae_scorer_{path.stem}"
    found = importlib.util.spec_from_file_location(name, path.resolve())
    if found is None or found.loader is None:
        raise UsageError(f"scorer: {path} is no Python file")
    # As when the file is run: it finds its neighbours. At the end of the path, so that they hide no installed package.
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class Function(ReportingScorer):
    """A Python function of one text, or with ``batch`` of a list of texts.

    source: the function, or ``module:function``, or ``path/to/file.py:function``. It returns a number; or for several ``names`` a tuple
    or a mapping name -> number; with ``batch`` a list of these, one for each text. names: by default the function's own name. None and
    NaN are unknown values. A function given by its name is loaded afresh in each worker process.

    Raises UsageError, UnknownName.
    """

    def __init__(self, source: str | Callable[..., Any], names: Sequence[str] | None = None, *, batch: bool = False) -> None:
        self._spec = source if isinstance(source, str) else None
        self._function: Callable[..., Any] = load_function(source) if isinstance(source, str) else source
        if not callable(self._function):
            raise UsageError(f"scorer {source!r}: a function, or the text module:function is wanted")
        if names is None:
            own = getattr(self._function, "__name__", type(self._function).__name__)
            if not own.isidentifier():
                raise UsageError(
                    f"scorer {source!r}: the function has no name of its own; say how to call its endpoint: names=['affinity']"
                )
            names = [own]
        super().__init__(names)
        self.together = batch

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_function" or self._spec is None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._spec is not None:
            self._function = load_function(self._spec)

    def attempt(self, texts: Sequence[str]) -> list[Outcome]:
        """For each text its values, or what the function raised or returned instead."""
        if not self.together:
            return [self._one(text) for text in texts]
        try:
            replies = self._function(list(texts))
        except (Exception, SystemExit) as error:
            return [raised(error, shared=len(texts) > 1)] * len(texts)
        return batch_values(replies, len(texts), self.names)

    def _one(self, text: str) -> Outcome:
        try:
            reply = self._function(text)
        except (Exception, SystemExit) as error:
            return raised(error)
        return values_of(reply, self.names)
