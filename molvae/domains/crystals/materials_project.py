"""The Materials Project, asked with the user's own key (extra ``mp``; the key is in MP_API_KEY).

Jain et al., APL Mater. 1, 011002 (2013). Its data are licensed CC BY 4.0.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

from molvae.domains.crystals.wyckoff import NUMBER
from molvae.errors import DataError, MissingExtra, UsageError

T = TypeVar("T")
LABELS = {"formation_energy_per_atom": "formation_energy_per_atom", "energy_above_hull": "e_above_hull", "band_gap": "band_gap"}
"""Names there, and in the tables of ``molvae data``; eV an atom, eV an atom, eV."""


def ask(system: str, key: str | None, question: Callable[[Any, list[str]], T]) -> T:
    """The answer to a question: client, symbols of a chemical system such as ``Li-P-S`` -> anything.

    Raises UsageError without a key and for what is no system, MissingExtra without mp-api, DataError where the service does not answer.
    """
    symbols = [symbol.strip() for symbol in system.split("-") if symbol.strip()]
    if not symbols or (unknown := [symbol for symbol in symbols if symbol not in NUMBER]):
        raise UsageError(f"{system!r}: {unknown[0] if symbols else 'nothing'} is no element; wanted a system such as Li-P-S")
    if not key:
        raise UsageError("the Materials Project wants a key: set MP_API_KEY to the one on your dashboard there")
    try:
        from mp_api.client import MPRester
    except ImportError as error:
        raise MissingExtra("mp-api", "mp") from error
    try:
        with MPRester(key) as client:
            return question(client, symbols)
    except Exception as error:  # requests', and mp-api's own
        raise DataError(f"Materials Project, {system}", f"no answer ({type(error).__name__}: {str(error)[:200]})") from error


def subsystems(symbols: Sequence[str]) -> list[str]:
    """A system and all systems of some of its elements, as the service names them."""
    return ["-".join(sorted(some)) for size in range(1, len(symbols) + 1) for some in combinations(symbols, size)]


def download(system: str, path: Path) -> int:
    """Every crystal of a system and its subsystems with its labels, as a table with a ``cif`` column; how many. Raises as ``ask`` does."""

    def search(client: Any, symbols: list[str]) -> list[Any]:
        return list(client.materials.summary.search(chemsys=subsystems(symbols), fields=["material_id", "structure", *LABELS]))

    rows = 0
    found = ask(system, os.environ.get("MP_API_KEY"), search)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with gzip.open(part, "wt", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["material_id", "cif", *LABELS.values()])
        for one in found:
            values = [getattr(one, name) for name in LABELS]
            writer.writerow([str(one.material_id), one.structure.to(fmt="cif"), *("" if v is None else v for v in values)])
            rows += 1
    part.replace(path)
    return rows
