"""CHGNet as a calculator for ASE, and how its versions disagree.

Deng et al., Nat. Mach. Intell. 5, 1031 (2023). The weights come with the package: 0.3.0 (the default) and 0.2.0 learned the energies of MPtrj
with the MP2020 corrections, and come to .02 and .05 eV an atom of the Materials Project's formation energies on MP-20. Its third set, fine-tuned
to r2SCAN, is of no use here: its energies are on another scale, several eV an atom away, for which there are no elemental references.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from molvae.domains.crystals.stability.elements import formation_energy
from molvae.errors import MissingExtra, UsageError

EXTRA = "stability"
MODELS = ("0.3.0", "0.2.0")
"""Versions whose energies share the Materials Project's references, the default first."""


def require() -> None:
    """Raises MissingExtra where CHGNet or ASE is absent."""
    import importlib.util

    for package in ("chgnet", "ase"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(package, EXTRA)


@lru_cache(maxsize=len(MODELS))
def model(version: str = MODELS[0]) -> Any:
    """The network of a version, on the CPU. Raises UsageError for an unknown one, MissingExtra."""
    if version not in MODELS:
        raise UsageError(f"no CHGNet {version!r}; there are {' and '.join(MODELS)}")
    require()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from chgnet.model.model import CHGNet

        return CHGNet.load(model_name=version, use_device="cpu", verbose=False)


def calculator(version: str = MODELS[0]) -> Any:
    """A fresh ASE calculator: energy (eV), forces (eV/Å), stress (eV/Å^3). An atom without neighbours within 6 Å is an error, as it has no energy.

    Raises as ``model``.
    """
    network = model(version)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from chgnet.model.dynamics import CHGNetCalculator

        return CHGNetCalculator(network, use_device="cpu", on_isolated_atoms="error")


def energies(structure: Any, versions: tuple[str, ...] = MODELS) -> Mapping[str, float]:
    """Formation energy in eV an atom of a pymatgen Structure by each version: their spread is a hint of the error, no bound of it."""
    fractions = {element.symbol: float(x) for element, x in structure.composition.fractional_composition.items()}
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for version in versions:
            predicted = model(version).predict_structure(structure, task="e")
            found[version] = formation_energy(float(predicted["e"]), fractions)
    return found
