"""Energies of the elements, against which formation energies count.

The Materials Project's elemental references of 7 February 2023 (PBE or PBE+U in VASP with its MP2020 scheme; entry ids such as mp-723285 for
oxygen), as Matbench Discovery publishes them (Riebesell et al., Nat. Mach. Intell. 7, 836 (2025), MIT licence; 89 ComputedEntries). Jain et al.,
APL Mater. 1, 011002 (2013); the scheme: Wang et al., Sci. Rep. 11, 15496 (2021).

No correction is to be added to CHGNet's energies: it learned the corrected energies of MPtrj, so that oxides, halides and sulphides have theirs
in the prediction, and the correction of each elemental entry is 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

ELEMENTAL: Mapping[str, float] = {
    **{"H": -3.39273, "He": -0.00906, "Li": -1.90892, "Be": -3.73941, "B": -6.67939, "C": -9.22867, "N": -8.33649, "O": -4.94669},
    **{"F": -1.91148, "Ne": -0.02594, "Na": -1.32253, "Mg": -1.60028, "Al": -3.74558, "Si": -5.42532, "P": -5.41330, "S": -4.13645},
    **{"Cl": -1.84854, "Ar": -0.06881, "K": -1.11040, "Ca": -2.00560, "Sc": -6.33247, "Ti": -7.89549, "V": -9.08391, "Cr": -9.65305},
    **{"Mn": -9.16202, "Fe": -8.47002, "Co": -7.10832, "Ni": -5.78014, "Cu": -4.09921, "Zn": -1.25974, "Ga": -3.02810, "Ge": -4.62303},
    **{"As": -4.65912, "Se": -3.49591, "Br": -1.55303, "Kr": -0.05671, "Rb": -0.98053, "Sr": -1.68949, "Y": -6.46647, "Zr": -8.54770},
    **{"Nb": -10.10131, "Mo": -10.84565, "Tc": -10.36064, "Ru": -9.27440, "Rh": -7.36431, "Pd": -5.17988, "Ag": -2.83256, "Cd": -0.92289},
    **{"In": -2.75168, "Sn": -4.00957, "Sb": -4.12900, "Te": -3.14331, "I": -1.47337, "Xe": -0.03617, "Cs": -0.89540, "Ba": -1.91897},
    **{"La": -4.93601, "Ce": -5.93309, "Pr": -4.78091, "Nd": -4.76815, "Pm": -4.75054, "Sm": -4.71859, "Eu": -10.25700, "Gd": -14.07612},
    **{"Tb": -4.63437, "Dy": -4.60679, "Ho": -4.58241, "Er": -4.56772, "Tm": -4.47584, "Yb": -1.53961, "Lu": -4.52095, "Hf": -9.95719},
    **{"Ta": -11.85778, "W": -12.95813, "Re": -12.44453, "Os": -11.22737, "Ir": -8.83843, "Pt": -6.07113, "Au": -3.27388, "Hg": -0.30368},
    **{"Tl": -2.36264, "Pb": -3.71265, "Bi": -3.84049, "Ac": -4.12118, "Th": -7.41386, "Pa": -9.51466, "U": -11.29141, "Np": -12.94778},
    "Pu": -14.26784,
}
"""Symbol -> eV an atom."""


def formation_energy(energy: float, fractions: Mapping[str, float]) -> float:
    """eV an atom against the elements, of an energy in eV an atom. fractions: symbol -> atomic fraction. NaN for an element without reference."""
    if missing(fractions):
        return math.nan
    return energy - sum(share * ELEMENTAL[symbol] for symbol, share in fractions.items())


def missing(fractions: Mapping[str, float]) -> tuple[str, ...]:
    """The elements without a reference energy (polonium, astatine, radon, francium, radium, and those beyond plutonium)."""
    return tuple(sorted(symbol for symbol in fractions if symbol not in ELEMENTAL))
