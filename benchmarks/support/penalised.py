"""Penalised logP: logP less the SA score and a penalty of large rings, as the works on constrained optimisation define it.

Three parts (Gomez-Bombarelli et al. 2018; Kusner et al. 1703.01925), each standardised by its mean and standard deviation over ZINC-250k:
Crippen's logP, Ertl's SA score, and the atoms beyond six of the longest cycle. Constants and cycle basis are those of GCPN's
``reward_penalized_log_p`` (You et al. 1806.02473), which VJTNN (Jin et al. 1812.01070) and the works after it took over. JT-VAE's own figures
(Jin et al. 1802.04364) are in the plain scale, logP less SA score, whose differences are not those of the standardised one.
"""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from molvae.domains.molecules.properties import synthetic_accessibility

LOGP = (2.4570953396190123, 1.434324401111988)
SA = (3.0525811293166134, 0.8335207024513095)
CYCLE = (0.0485696876403053, 0.2860212110245455)
LARGEST = 6  # atoms of a cycle that are free


@dataclass(frozen=True)
class Parts:
    """logP, SA score, and atoms beyond six of the longest cycle of the cycle basis."""

    logp: float
    sa: float
    cycle: int

    @property
    def score(self) -> float:
        """The standardised sum."""
        terms = ((self.logp, LOGP, 1.0), (self.sa, SA, -1.0), (float(self.cycle), CYCLE, -1.0))
        return sum(sign * (value - mean) / std for value, (mean, std), sign in terms)

    @property
    def plain(self) -> float:
        """logP less SA score, JT-VAE's scale."""
        return self.logp - self.sa


def parts(molecule: Chem.Mol) -> Parts:
    """The parts of a molecule. Networks' cycle bases depend on the order of the atoms: hand in what was read from canonical SMILES."""
    cycles = nx.cycle_basis(nx.Graph(Chem.GetAdjacencyMatrix(molecule)))
    longest = max((len(cycle) for cycle in cycles), default=0)
    return Parts(float(rdMolDescriptors.CalcCrippenDescriptors(molecule)[0]), synthetic_accessibility(molecule), max(0, longest - LARGEST))
