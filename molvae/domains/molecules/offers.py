"""Endpoints of molecules beside their properties: the tasks of PMO and GuacaMol, and docking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from molvae.domains.molecules import docking, oracles
from molvae.domains.molecules.smiles import Molecule
from molvae.protocols import Source

Measure = Callable[[Molecule], float]


def _pmo(argument: str) -> tuple[str, Measure]:
    task, _, definition = argument.partition(":")
    return task, _ready(oracles.Pmo(task, definition or oracles.DEFINITIONS[0]))


def _guacamol(argument: str) -> tuple[str, Measure]:
    return argument, _ready(oracles.GuacaMol(argument))


def _docking(argument: str) -> tuple[str, Measure]:
    return Path(argument).stem, docking.Docking.from_toml(argument)


def _ready(task: Measure) -> Measure:
    """The task after one call, so that what is missing is missed here and not in a worker process."""
    task(Molecule("CCO"))
    return task


SOURCES: Mapping[str, Source[Molecule]] = {
    "pmo": Source(
        _pmo,
        "TASK",
        "tasks of PMO, 0 to 1, higher is better; TASK:original for the first definition of the four with a molecular formula",
        oracles.PMO_TASKS,
    ),
    "guacamol": Source(_guacamol, "TASK", "goal-directed tasks of GuacaMol v2, 0 to 1, higher is better", tuple(oracles.GUACAMOL_TASKS)),
    "docking": Source(_docking, "FILE.toml", "affinity by AutoDock Vina in kcal/mol, lower is better; the file names receptor and box"),
}
