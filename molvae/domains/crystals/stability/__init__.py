"""Stability of crystals by CHGNet: relaxation, formation energy, energy above a named hull, and what these are worth.

``relax``, ``assess`` and ``Reference`` are the API; results are frozen dataclasses with their evidence. Needs the extra ``stability``.
"""

from molvae.domains.crystals.stability.assessment import Assessment, Settings, assess
from molvae.domains.crystals.stability.hull import Phase, Product
from molvae.domains.crystals.stability.known import Library, Nearest, prototype
from molvae.domains.crystals.stability.reference import Hull, Reference
from molvae.domains.crystals.stability.relaxation import Relaxed, relax

__all__ = [
    "Assessment",
    "Hull",
    "Library",
    "Nearest",
    "Phase",
    "Product",
    "Reference",
    "Relaxed",
    "Settings",
    "assess",
    "prototype",
    "relax",
]
