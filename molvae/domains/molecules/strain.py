"""Strain of the best of a few 3D structures, in kcal/mol a heavy atom; an optional, slow check.

The strain energy is the part of the MMFF94 energy that is zero in an unstrained molecule: bond stretching, angle bending, stretch-bend
and out-of-plane bending at the minimum (Halgren, J. Comput. Chem. 17, 490 (1996); steric energy split by terms: Burkert & Allinger,
Molecular Mechanics, ACS Monograph 177 (1982)). Torsions, van der Waals and electrostatic terms have no such zero and are left out of the
figure, not of the minimisation. MMFF94 has own reference angles for rings of three and four, so those rings as such do not count as
strained; bent multiple bonds, crushed cages and impossible bridges do. Conformers: ETKDGv3 (Riniker & Landrum, J. Chem. Inf. Model. 55,
2562 (2015); Wang et al., ibid. 60, 2044 (2020)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

CONFORMERS = 3
SECONDS = 10
MOST_STRAIN = 2.7
"""kcal/mol a heavy atom: the 99.9th percentile of 1,500 random MOSES training molecules (median .59, 99th percentile 1.39), from
``numpy.nanpercentile([strain(parse(smiles).mol).energy for smiles in sample], 99.9)``; all 1,500 embed."""

_SEED = 7
_STEPS = 500


@dataclass(frozen=True)
class Strain:
    """energy: kcal/mol a heavy atom, NaN where there is none; why: the reason then."""

    energy: float
    why: str = ""


def strain(mol: Chem.Mol) -> Strain:
    """Lowest strain energy among the conformers of ``mol`` that minimise. Deterministic; embedding gives up after ``SECONDS`` seconds."""
    with rdBase.BlockLogs():
        solid = Chem.AddHs(mol)
        parameters = rdForceFieldHelpers.MMFFGetMoleculeProperties(solid)
        if parameters is None:
            return Strain(math.nan, "MMFF94 has no parameters for one of its atoms")
        embedding = rdDistGeom.ETKDGv3()
        embedding.randomSeed = _SEED
        embedding.timeout = SECONDS
        embedding.numThreads = 1
        identifiers = list(rdDistGeom.EmbedMultipleConfs(solid, CONFORMERS, embedding))
        if not identifiers:
            return Strain(math.nan, f"no 3D structure: ETKDGv3 found none in {SECONDS} s or its trials")
        return _lowest(solid, parameters, identifiers)


def _lowest(solid: Chem.Mol, parameters: rdForceFieldHelpers.PyMMFFMolProperties, identifiers: list[int]) -> Strain:
    rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(solid, numThreads=1, maxIters=_STEPS)
    parameters.SetMMFFTorsionTerm(False)
    parameters.SetMMFFVdWTerm(False)
    parameters.SetMMFFEleTerm(False)
    energies = []
    for identifier in identifiers:
        field = rdForceFieldHelpers.MMFFGetMoleculeForceField(solid, parameters, confId=identifier)
        if field is not None and math.isfinite(energy := field.CalcEnergy()):
            energies.append(energy)
    if not energies:
        return Strain(math.nan, "MMFF94 gives no finite energy")
    return Strain(min(energies) / max(1, solid.GetNumHeavyAtoms()))
