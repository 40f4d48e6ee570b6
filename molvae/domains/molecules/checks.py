"""Checks of molecules. The default ones make the verdict "could be a bottled compound"; the others are matters of taste or take time.

Pass rates of the default verdict, against which the rules were tuned: every one of 3,000 random MOSES training molecules, 99.83 % of
50,000 random ZINC-250k molecules (reactive_groups 99.86 %, charge 99.97 %, every other check 100 %).
"""

from __future__ import annotations

import math
from functools import lru_cache

from rdkit import Chem, rdBase
from rdkit.Chem.rdfiltercatalog import FilterCatalog, FilterCatalogParams

from molvae.domains.molecules.alerts import reactive_groups
from molvae.domains.molecules.properties import synthetic_accessibility
from molvae.domains.molecules.rings import impossible_rings
from molvae.domains.molecules.smiles import Molecule
from molvae.domains.molecules.strain import MOST_STRAIN, strain
from molvae.errors import InvalidRecord
from molvae.protocols import Check

ELEMENTS = frozenset(("H", "B", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Se", "Br", "I"))
MOST_CHARGE = 2
HARDEST_SYNTHESIS = 6.0
LARGEST_RING = 8


def _valence(molecule: Molecule) -> str | None:
    try:
        mol = molecule.mol
    except InvalidRecord as error:
        return error.why
    with rdBase.BlockLogs():
        problems = Chem.DetectChemistryProblems(mol)
    return "; ".join(problem.Message() for problem in problems) or None


def _one_component(molecule: Molecule) -> str | None:
    parts = molecule.smiles.count(".") + 1
    return None if parts == 1 else f"{parts} components; one connected molecule is wanted"


def _elements(molecule: Molecule) -> str | None:
    foreign = sorted({atom.GetSymbol() for atom in molecule.mol.GetAtoms()} - ELEMENTS)
    return f"{', '.join(foreign)} outside the organic set" if foreign else None


def _charge(molecule: Molecule) -> str | None:
    net = Chem.GetFormalCharge(molecule.mol)
    return f"net charge {net:+d}; at most {MOST_CHARGE} either way is wanted" if abs(net) > MOST_CHARGE else None


def _radicals(molecule: Molecule) -> str | None:
    unpaired = sum(atom.GetNumRadicalElectrons() for atom in molecule.mol.GetAtoms())
    return f"{unpaired} unpaired electrons" if unpaired else None


def _reactive_groups(molecule: Molecule) -> str | None:
    return ", ".join(reactive_groups(molecule.mol)) or None


def _impossible_rings(molecule: Molecule) -> str | None:
    return ", ".join(impossible_rings(molecule.mol)) or None


@lru_cache(maxsize=3)
def _catalog(name: str) -> FilterCatalog:
    return FilterCatalog(FilterCatalogParams(getattr(FilterCatalogParams.FilterCatalogs, name)))


def _alerts_of(catalog: str, molecule: Molecule) -> str | None:
    matches = _catalog(catalog).GetMatches(molecule.mol)
    return ", ".join(dict.fromkeys(str(match.GetDescription()) for match in matches)) or None


def _pains(molecule: Molecule) -> str | None:
    return _alerts_of("PAINS", molecule)


def _brenk(molecule: Molecule) -> str | None:
    return _alerts_of("BRENK", molecule)


def _nih(molecule: Molecule) -> str | None:
    return _alerts_of("NIH", molecule)


def _synthesis(molecule: Molecule) -> str | None:
    score = synthetic_accessibility(molecule.mol)
    return None if score <= HARDEST_SYNTHESIS else f"SA score {score:.2f}; at most {HARDEST_SYNTHESIS:g} is wanted"


def _macrocycle(molecule: Molecule) -> str | None:
    largest = max((len(ring) for ring in molecule.mol.GetRingInfo().AtomRings()), default=0)
    return f"ring of {largest} atoms; at most {LARGEST_RING} are wanted" if largest > LARGEST_RING else None


def _strain(molecule: Molecule) -> str | None:
    found = strain(molecule.mol)
    if math.isnan(found.energy):
        return found.why
    if found.energy <= MOST_STRAIN:
        return None
    return f"strain {found.energy:.2f} kcal/mol a heavy atom; at most {MOST_STRAIN:g} is wanted"


CHECKS: tuple[Check[Molecule], ...] = (
    Check("valence", "RDKit sanitisation: valences, kekulisation, aromaticity", _valence),
    Check("one_component", "a molecule, not a salt or mixture", _one_component),
    Check("elements", "H B C N O F Si P S Cl Se Br I", _elements),
    Check("charge", f"net charge within -{MOST_CHARGE} to +{MOST_CHARGE}", _charge),
    Check("radicals", "closed shell", _radicals),
    Check("reactive_groups", "SMARTS with their literature in molvae.domains.molecules.alerts.RULES", _reactive_groups),
    Check("impossible_rings", "graph rules with their literature in molvae.domains.molecules.rings", _impossible_rings),
    Check("pains", "Baell & Holloway, J. Med. Chem. 53, 2719 (2010), RDKit's catalog", _pains, default=False),
    Check("brenk", "Brenk et al., ChemMedChem 3, 435 (2008), RDKit's catalog", _brenk, default=False),
    Check(
        "nih",
        "Jadhav et al., J. Med. Chem. 53, 37 (2010); Doveston et al., Org. Biomol. Chem. 13, 859 (2015), RDKit's catalog",
        _nih,
        default=False,
    ),
    Check("synthesis", f"SA score of Ertl & Schuffenhauer (2009) at most {HARDEST_SYNTHESIS:g}", _synthesis, default=False),
    Check("macrocycle", f"no ring over {LARGEST_RING} atoms, as in the MOSES and ZINC drug-like sets", _macrocycle, default=False),
    Check(
        "strain",
        "3D structure exists and its MMFF94 strain is that of ordinary compounds, see molvae.domains.molecules.strain",
        _strain,
        default=False,
    ),
)
