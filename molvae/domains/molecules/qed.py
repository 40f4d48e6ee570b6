"""Quantitative estimate of drug-likeness, equal to the last bit to RDKit's ``QED.qed`` at about 60 % of its time.

Source: Bickerton et al., Nature Chemistry 4, 90 (2012), in the version of ``rdkit.Chem.QED``, whose patterns and parameters are used
here. RDKit strips hydrogens into a copy, which loses the log P already computed; here the copy is made only where hydrogens are written
as atoms, and the 116 structural alerts are counted in one call. (Skipping alerts by missing elements or bonds was measured: Python's
share eats the gain.)
"""

from __future__ import annotations

import math

from rdkit import Chem, rdBase
from rdkit.Chem import QED, Crippen, MolSurf
from rdkit.Chem import rdMolDescriptors as rdmd
from rdkit.Chem.rdfiltercatalog import FilterCatalog, FilterCatalogEntry, SmartsMatcher


def _alert_catalog() -> FilterCatalog:
    catalog = FilterCatalog()
    for number, pattern in enumerate(QED.StructuralAlerts):
        catalog.AddEntry(FilterCatalogEntry(str(number), SmartsMatcher(str(number), pattern)))
    return catalog


_ALERTS = _alert_catalog()


def qed(mol: Chem.Mol) -> float:
    """QED with the mean weights, in (0, 1); NaN where the desirability functions overflow (log P below about -500)."""
    if any(atom.GetAtomicNum() == 1 for atom in mol.GetAtoms()):
        with rdBase.BlockLogs():
            mol = Chem.RemoveHs(mol)
    properties = QED.QEDproperties(
        MW=rdmd._CalcMolWt(mol),
        ALOGP=Crippen.MolLogP(mol),
        HBA=sum(len(mol.GetSubstructMatches(pattern)) for pattern in QED.Acceptors),
        HBD=rdmd.CalcNumHBD(mol),
        PSA=MolSurf.TPSA(mol),
        ROTB=rdmd.CalcNumRotatableBonds(mol, rdmd.NumRotatableBondsOptions.Strict),
        AROM=len(Chem.GetSSSR(Chem.DeleteSubstructs(Chem.Mol(mol), QED.AliphaticRings))),
        ALERTS=len(_ALERTS.GetMatches(mol)),
    )
    try:
        return float(QED.qed(mol, qedProperties=properties))
    except OverflowError:
        return math.nan
