"""Checks of crystals. The default ones make the verdict "could be a material"; CDVAE's own are a profile to compare figures with.

Pass rates of the default verdict on published data, against which the limits were set (``benchmarks/crystal_representation.py``): Perov-5
99.1 %, Carbon-24 100 %, MP-20 (binary, ternary) 99.5 %, MPTS-52 99.1 %. Nearly all that fails there fails the charges.
"""

from __future__ import annotations

import warnings

import numpy as np

from molvae.domains.crystals.charges import SOFT, balanced, smact_valid
from molvae.domains.crystals.neighbours import neighbours
from molvae.domains.crystals.properties import density, volume_per_atom
from molvae.domains.crystals.radii import covalent_radii
from molvae.domains.crystals.structure import Crystal
from molvae.domains.crystals.wyckoff import ELEMENTS
from molvae.protocols import Check

LEAST_SHARE = 0.6
"""Least distance between two atoms as a share of the sum of their covalent radii."""
DENSITIES = (0.05, 25.0)
"""g/cm^3; solid hydrogen has 0.09, osmium 22.6."""
VOLUMES = (2.0, 200.0)
"""Å^3 an atom; hydrogen under pressure 2, diamond 5.7, caesium 117."""
INSTABILITY = 0.55
"""Root mean square of what bond valence sums miss, as a share of that of the valences. Of 215 salts of MP-20 a tenth has no valences that fit,
and 99 % of the others are below; with cells 20 % longer nine in ten are not, and with cells 15 % shorter none."""
CDVAE_DISTANCE, CDVAE_VOLUME = 0.5, 0.1
_BOND = 4.0  # Å, beyond which a bond has no valence to speak of


def _distances(crystal: Crystal) -> str | None:
    cell = crystal.primitive
    radii = covalent_radii()[cell.numbers]
    pairs = neighbours(cell, 2 * LEAST_SHARE * float(radii.max()))
    if not len(pairs.distance):
        return None
    shares = pairs.distance / (radii[pairs.first] + radii[pairs.second])
    at = int(shares.argmin())
    if shares[at] >= LEAST_SHARE:
        return None
    one, other = (ELEMENTS[cell.numbers[i] - 1] for i in (pairs.first[at], pairs.second[at]))
    return (
        f"{one} and {other} {pairs.distance[at]:.2f} Å apart, {shares[at]:.2f} of their covalent radii; at least {LEAST_SHARE:g} is wanted"
    )


def _density(crystal: Crystal) -> str | None:
    found = density(crystal)
    low, high = DENSITIES
    return None if low <= found <= high else f"{found:.3g} g/cm^3; {low:g} to {high:g} is wanted"


def _volume(crystal: Crystal) -> str | None:
    found = volume_per_atom(crystal)
    low, high = VOLUMES
    return None if low <= found <= high else f"{found:.3g} Å^3 an atom; {low:g} to {high:g} is wanted"


def _charges(crystal: Crystal) -> str | None:
    return None if balanced(crystal.counts) else f"no known oxidation states of {crystal.formula} add up to zero"


def _bond_valences(crystal: Crystal) -> str | None:
    """The global instability index (Salinas-Sanchez et al., J. Solid State Chem. 100, 201 (1992)) as a share of the valences.

    Valences and bond parameters are pymatgen's.
    """
    from pymatgen.analysis.bond_valence import BV_PARAMS, BVAnalyzer, calculate_bv_sum

    symbols = crystal.counts.keys()
    if len(symbols) == 1 or SOFT.issuperset(symbols) or not {element.symbol for element in BV_PARAMS}.issuperset(symbols):
        return None
    structure = crystal.structure(primitive=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            valences = BVAnalyzer().get_valences(structure)
        except ValueError:
            return "no valences of its atoms fit the bond lengths"
        sums = [calculate_bv_sum(site, structure.get_neighbors(site, _BOND)) for site in structure]
    missed = float(np.linalg.norm(np.array(sums) - np.array(valences)) / np.linalg.norm(valences))
    return f"bond valences miss the atoms' by {missed:.2f} of them; {INSTABILITY:g} at most is wanted" if missed > INSTABILITY else None


def _cdvae_structure(crystal: Crystal) -> str | None:
    """CDVAE's ``structure_validity``: pymatgen's distance matrix without its diagonal, so images of the same atom do not count."""
    structure = crystal.structure(primitive=True)
    if structure.volume < CDVAE_VOLUME:
        return f"a cell of {structure.volume:.2g} Å^3; at least {CDVAE_VOLUME} is wanted"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        distances = structure.distance_matrix
    least = float((distances + np.diag(np.full(len(structure), CDVAE_DISTANCE + 10))).min())
    return f"two atoms {least:.2f} Å apart; at least {CDVAE_DISTANCE} is wanted" if least < CDVAE_DISTANCE else None


def _cdvae_composition(crystal: Crystal) -> str | None:
    return None if smact_valid(crystal.counts) else f"{crystal.formula} fails SMACT's test of charges and electronegativities"


def _symmetry(crystal: Crystal) -> str | None:
    from molvae.domains.crystals.identity import settled

    found = settled(crystal)
    if found is None:
        return "spglib finds no consistent symmetry"
    return None if found.group == crystal.group else f"written in space group {crystal.group}, its atoms have space group {found.group}"


CHECKS: tuple[Check[Crystal], ...] = (
    Check(
        "distances",
        f"no two atoms closer than {LEAST_SHARE:g} of their covalent radii (Cordero et al., Dalton Trans. 2008, 2832)",
        _distances,
    ),
    Check("density", f"{DENSITIES[0]:g} to {DENSITIES[1]:g} g/cm^3, the range of solid elements with a margin", _density),
    Check("volume", f"{VOLUMES[0]:g} to {VOLUMES[1]:g} Å^3 an atom, the range of solid elements with a margin", _volume),
    Check("charges", "oxidation states of pymatgen and SMACT add up to zero; elements and intermetallics pass", _charges),
    Check(
        "bond_valence",
        f"bond valence sums (Brese & O'Keeffe, Acta Cryst. 1991, B47, 192) within {INSTABILITY:.0%} of valences; what has none passes",
        _bond_valences,
        default=False,
    ),
    Check("symmetry", "the atoms have no more symmetry than the space group written, by spglib at 0.1 Å", _symmetry, default=False),
    Check("cdvae_structure", "CDVAE (Xie et al., ICLR 2022): distances over 0.5 Å, volume over 0.1 Å^3", _cdvae_structure, default=False),
    Check(
        "cdvae_composition",
        "CDVAE (Xie et al., ICLR 2022): SMACT 2.2.1's charge neutrality and electronegativity; elements and alloys pass",
        _cdvae_composition,
        default=False,
    ),
)
