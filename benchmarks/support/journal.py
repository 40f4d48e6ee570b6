"""What a long benchmark has finished, kept at once, so that a stopped one goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from molvae.api import Model


def weights_hash(model: Model) -> str:
    """For names of files: eight digits that change when a model is trained again, which its name does not."""
    return hashlib.sha256((model.path / "weights.safetensors").read_bytes()).hexdigest()[:8]


class Journal:
    """A file with a line of JSON for each of some texts that is done: its place, the text and what came of it.

    A last line that was cut when the benchmark was stopped is dropped. Raises ValueError where the file is of other texts.
    """

    def __init__(self, path: Path, texts: Sequence[str]) -> None:
        self.path, self.texts = path, texts
        self._done: dict[int, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        if lines and not lines[-1].endswith("\n"):
            path.write_text("".join(lines[:-1]), encoding="utf-8")
            lines.pop()
        for line in map(json.loads, lines):
            if line["at"] >= len(texts) or texts[line["at"]] != line["text"]:
                raise ValueError(f"{path} holds other records than are asked for; move it away")
            self._done[line["at"]] = line["found"]

    @property
    def left(self) -> list[int]:
        """Places of the texts that are still to do."""
        return [at for at in range(len(self.texts)) if at not in self._done]

    def add(self, at: int, found: Any) -> None:
        """Keep what came of one text; anything that JSON can say."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"at": at, "text": self.texts[at], "found": found}) + "\n")
        self._done[at] = found

    def all(self) -> list[Any]:
        """What came of each text, in order. Raises KeyError where one is left."""
        return [self._done[at] for at in range(len(self.texts))]
