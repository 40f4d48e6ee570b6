"""What is known, from the user's files: tables of formation energies and energies above the hull, pymatgen's ComputedEntries, mp-api.

Energies must be on the Materials Project's scale (PBE or PBE+U with the MP2020 corrections), which CHGNet learned. A file of entries
that brings its own elements is compared with the references, and a deviation becomes a remark.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import warnings
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from molvae.domains.crystals.materials_project import ask
from molvae.domains.crystals.stability.elements import ELEMENTAL, formation_energy, missing
from molvae.domains.crystals.stability.hull import Phase
from molvae.domains.crystals.wyckoff import NUMBER
from molvae.errors import DataError, InvalidRecord, UsageError

FORMULAS = ("formula", "pretty_formula", "formula_pretty", "reduced_formula", "composition", "formula_sum")
FORMATION = ("formation_energy_per_atom", "e_form", "formation_energy", "e_form_per_atom")
ABOVE = ("e_above_hull", "energy_above_hull", "e_hull")
TEXTS = ("cif", "structure", "wyckoff", "text", "poscar")
NAMES = ("material_id", "entry_id", "id", "name")
ON_HULL = 1e-4
"""eV an atom; below it a phase is on the hull itself, and the height is no pseudo-phase."""
EXTREME = 15.0
"""eV an atom; formation energies beyond are no such, but total energies or another unit."""
OFF_SCALE = 0.05
"""eV an atom between an element's entry and its reference, from which on a remark is made."""
_SUM = re.compile(r"_chemical_formula_sum\s+(?:'([^']+)'|\"([^\"]+)\"|(\S+))")


@dataclass
class Known:
    """What has been read: phases in the order they came, rows that were left out as (where, why), and remarks."""

    phases: list[Phase] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    rows: int = 0


def fractions_of(formula: str) -> dict[str, float]:
    """Symbol -> atomic fraction. Raises InvalidRecord for what is no formula of whole elements."""
    from pymatgen.core.composition import Composition

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pymatgen announces electronegativities that it does not know
            composition = Composition(formula.strip())
        counts: dict[str, float] = {}
        for element, amount in composition.items():  # several species of an element, such as Fe2+ and Fe3+, are one
            counts[element.symbol] = counts.get(element.symbol, 0.0) + float(amount)
    except Exception as error:  # pymatgen raises ValueError, KeyError, AttributeError for dummy species, and its own
        raise InvalidRecord(formula, f"no formula: {str(error)[:100]}") from error
    total = sum(counts.values())
    if not math.isfinite(total) or total <= 0:
        raise InvalidRecord(formula, "a formula without atoms")
    return {symbol: counts[symbol] / total for symbol in sorted(counts)}


def reduced(fractions: Mapping[str, float]) -> str:
    """The reduced formula of atomic fractions, such as SrTiO3."""
    from pymatgen.core.composition import Composition

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(Composition({symbol: round(share, 8) for symbol, share in fractions.items()}).get_integer_formula_and_factor(1000)[0])


def read(path: Path) -> Known:
    """The phases of one file. Rows that say nothing are left out with the reason. Raises DataError where the file itself is of no use."""
    if not path.is_file():
        raise DataError(path, "there is no such file; wanted a table with formation energies, or ComputedEntries as JSON")
    if ".json" in [suffix.lower() for suffix in path.suffixes[-2:]]:
        return _json(path)
    try:
        return _rows(_table(path), path)
    except (OSError, EOFError, zlib.error, ValueError, UnicodeError) as error:
        raise DataError(path, f"no table that can be read: {str(error)[:200]}") from error


def _table(path: Path) -> list[dict[str, Any]]:
    import pandas as pd

    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] in (".parquet", ".pq"):
        frame = pd.read_parquet(path)
    else:
        # An element is called "NaN" by nobody, but sodium nitride's formula is not far from it: text stays text.
        frame = pd.read_csv(path, sep="\t" if ".tsv" in suffixes else ",", keep_default_na=False, dtype=str)
    return [{str(key).strip(): value for key, value in row.items()} for row in frame.to_dict("records")]


def _json(path: Path) -> Known:
    try:
        raw = path.read_bytes()
        content = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(path, f"no JSON: {str(error)[:200]}") from error
    items = list(content.values()) if isinstance(content, dict) and "energy" not in content else content
    items = [items] if isinstance(items, dict) else items
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items) or not items:
        raise DataError(path, "wanted a list of ComputedEntries, or of records with a formula and formation_energy_per_atom")
    if all("energy" in item and "composition" in item for item in items):
        return of_entries(items, str(path))
    return _rows(items, path)


def _column(rows: list[dict[str, Any]], names: Iterable[str]) -> str | None:
    there = {key.lower(): key for row in rows for key in row}
    return next((there[name] for name in names if name in there), None)


def _rows(rows: list[dict[str, Any]], path: Path) -> Known:
    known = Known(rows=len(rows))
    formation, above, formula, text = (_column(rows, names) for names in (FORMATION, ABOVE, FORMULAS, TEXTS))
    if formation is None or (formula is None and text is None):
        raise DataError(
            path,
            f"columns {', '.join(list(rows[0])[:12]) if rows else 'none'}; wanted {FORMATION[0]} (eV an atom), best with {ABOVE[0]}, and the "
            f"composition as {FORMULAS[0]} or {TEXTS[0]}",
        )
    identity = _column(rows, NAMES)
    for number, row in enumerate(rows, start=1):
        try:
            fractions = _fractions(row, formula, text)
            name = str(row.get(identity) or "") if identity else ""
            known.phases.append(_phase(fractions, _number(row.get(formation)), _number(row.get(above)) if above else None, name))
        except InvalidRecord as error:
            known.left_out.append((f"{path}, row {number}", error.why))
    if above is None:
        known.remarks.append(f"{path}: no {ABOVE[0]}, so each row counts as a phase of its own energy and not with the hull's height there")
    return known


def _fractions(row: Mapping[str, Any], formula: str | None, text: str | None) -> dict[str, float]:
    if formula is not None and str(row.get(formula) or "").strip():
        return fractions_of(str(row[formula]))
    content = row.get(text) or "" if text is not None else ""
    content = json.dumps(content) if isinstance(content, dict) else str(content)
    if named := _SUM.search(content):
        return fractions_of(next(part for part in named.groups() if part))
    from molvae.domains.crystals.structure import parse

    return fractions_of(parse(content).formula)


def _number(cell: Any) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return math.nan


def _phase(fractions: Mapping[str, float], formation: float, above: float | None, name: str) -> Phase:
    """The hull's height at a composition; its own energy where nothing is said of the hull. Raises InvalidRecord."""
    formula = reduced(fractions)
    if absent := missing(fractions):
        raise InvalidRecord(formula, f"no reference energy of {', '.join(absent)}")
    if not math.isfinite(formation) or abs(formation) > EXTREME:
        raise InvalidRecord(formula, f"a formation energy of {formation:g}; wanted one in eV an atom")
    if above is None or math.isnan(above):
        return Phase(formula, fractions, formation, "phase", name)
    if not -EXTREME < above < EXTREME:
        raise InvalidRecord(formula, f"{above:g} above the hull; wanted eV an atom")
    return Phase(formula, fractions, formation - above, "stable" if above <= ON_HULL else "height", name)


def of_entries(items: Iterable[Mapping[str, Any]], where: str) -> Known:
    """Phases of ComputedEntries as JSON: energy (eV a cell, uncorrected), correction, composition. Their elements serve to compare scales."""
    known = Known()
    off: dict[str, float] = {}
    for number, item in enumerate(items, start=1):
        known.rows += 1
        try:
            composition = {str(symbol): float(amount) for symbol, amount in dict(item["composition"]).items()}
            atoms = sum(composition.values())
            total = float(item["energy"]) + float(item.get("correction") or 0.0)
        except (TypeError, ValueError, KeyError) as error:
            known.left_out.append((f"{where}, entry {number}", f"no ComputedEntry: {error}"))
            continue
        try:
            fractions = fractions_of(" ".join(f"{symbol}{amount:g}" for symbol, amount in composition.items()))
            formation = formation_energy(total / atoms, fractions)
            if len(fractions) == 1 and not math.isnan(formation):
                symbol = next(iter(fractions))
                off[symbol] = min(off.get(symbol, math.inf), formation)
            known.phases.append(_phase(fractions, formation, None, str(item.get("entry_id") or "")))
        except InvalidRecord as error:
            known.left_out.append((f"{where}, entry {number}", error.why))
    wrong = {symbol: value for symbol, value in off.items() if abs(value) > OFF_SCALE}
    if wrong:
        told = ", ".join(f"{symbol} {value:+.2f}" for symbol, value in sorted(wrong.items()))
        known.remarks.append(
            f"{where}: elements off the Materials Project's references (eV an atom): {told}; its energies are on another scale"
        )
    return known


def of_materials_project(system: str, key: str | None) -> Known:
    """Every entry of a chemical system (``Li-P-S``) and its subsystems from the Materials Project, with the user's own key.

    Raises UsageError for an element without a reference energy, and as ``materials_project.ask`` does.
    """
    unknown = [symbol for symbol in system.split("-") if symbol.strip() in NUMBER and symbol.strip() not in ELEMENTAL]
    if unknown:
        raise UsageError(f"{system!r}: {unknown[0]} has no reference energy")
    entries = ask(system, key, lambda client, symbols: [entry.as_dict() for entry in client.get_entries_in_chemsys(symbols)])
    return of_entries(entries, f"Materials Project, {system}")
