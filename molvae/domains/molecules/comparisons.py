"""How alike two sets of molecules are, by the measures of MOSES (Polykovskiy et al., Front. Pharmacol. 11, 565644 (2020))."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from rdkit import Chem, DataStructs, rdBase
from rdkit.Chem import rdFingerprintGenerator
from rdkit.Chem.BRICS import BreakBRICSBonds
from rdkit.Chem.Scaffolds import MurckoScaffold

from molvae.domains.counts import cosine
from molvae.domains.molecules.smiles import Molecule
from molvae.errors import MissingExtra
from molvae.protocols import Comparison

RINGS = 2  # least rings of a scaffold that counts
_MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)


def nearest_neighbour_similarity(drawn: Sequence[Molecule], reference: Sequence[Molecule]) -> float:
    """SNN: mean over the drawn of the largest Tanimoto similarity to any reference; Morgan fingerprints, radius 2, 1024 bits."""
    if not drawn or not reference:
        return math.nan
    known = [_MORGAN.GetFingerprint(molecule.mol) for molecule in reference]
    return float(np.mean([max(DataStructs.BulkTanimotoSimilarity(_MORGAN.GetFingerprint(one.mol), known)) for one in drawn]))


def fragment_similarity(drawn: Sequence[Molecule], reference: Sequence[Molecule]) -> float:
    """Frag: cosine of the counts of BRICS fragments (Degen et al., ChemMedChem 3, 1503 (2008))."""
    return cosine(_counts(_fragments(drawn)), _counts(_fragments(reference)))


def scaffold_similarity(drawn: Sequence[Molecule], reference: Sequence[Molecule]) -> float:
    """Scaf: cosine of the counts of Murcko scaffolds with at least two rings."""
    return cosine(_counts(_scaffolds(drawn)), _counts(_scaffolds(reference)))


def frechet_chemnet_distance(drawn: Sequence[Molecule], reference: Sequence[Molecule]) -> float:
    """FCD (Preuer et al., J. Chem. Inf. Model. 58, 1736 (2018)), 0 for equal distributions; higher for fewer molecules, so compare equal numbers.

    Raises MissingExtra without the package fcd_torch.
    """
    try:
        from fcd_torch import FCD
    except ImportError as error:
        raise MissingExtra("fcd_torch", "evaluate") from error
    if len(drawn) < 2 or len(reference) < 2:
        return math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(FCD(n_jobs=1)(gen=[m.smiles for m in drawn], ref=[m.smiles for m in reference]))


def _fragments(molecules: Iterable[Molecule]) -> Iterable[str]:
    for molecule in molecules:
        yield from Chem.MolToSmiles(BreakBRICSBonds(molecule.mol)).split(".")


def _scaffolds(molecules: Iterable[Molecule]) -> Iterable[str]:
    for molecule in molecules:
        scaffold = MurckoScaffold.GetScaffoldForMol(molecule.mol)
        if scaffold.GetRingInfo().NumRings() >= RINGS:
            yield Chem.MolToSmiles(scaffold)


def _counts(texts: Iterable[str]) -> Mapping[str, int]:
    with rdBase.BlockLogs():
        return Counter(texts)


COMPARISONS: tuple[Comparison[Molecule], ...] = (
    Comparison("Fréchet ChemNet distance", "0 is best; falls with the number of molecules", frechet_chemnet_distance),
    Comparison("similarity to the nearest (SNN)", "mean over the drawn, Morgan fingerprints", nearest_neighbour_similarity),
    Comparison("BRICS fragments (Frag)", "cosine of counts, 1 is best", fragment_similarity),
    Comparison("Murcko scaffolds (Scaf)", "cosine of counts, 1 is best", scaffold_similarity),
)
