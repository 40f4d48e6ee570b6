"""Substructures and scaffolds as conditions."""

from __future__ import annotations

import pickle

import pytest

from molvae.domains.molecules.queries import contains, scaffold
from molvae.domains.molecules.smiles import parse
from molvae.errors import UsageError


@pytest.mark.parametrize(
    ("asked", "molecule", "kept"),
    [
        ("c1ccncc1", "Cc1ccnc(OC)c1", True),
        ("c1ccncc1", "c1ccc(-c2ccncc2)cc1", True),
        ("c1ccncc1", "Oc1ccncc1", True),
        ("c1ccncc1", "O=c1cc[nH]cc1", False),  # pyridones
        ("c1ccncc1", "Cn1ccccc1=O", False),
        ("c1ccncc1", "c1ccc2ncccc2c1", False),  # quinoline
        ("c1ccncc1", "C[n+]1ccccc1", False),
        ("c1ccncc1", "C1CCNCC1", False),
        ("O=c1cc[nH]cc1", "Cc1c[nH]ccc1=O", True),
        ("O=c1cc[nH]cc1", "CCn1ccc(=O)cc1", True),
        ("c1ccc2ncccc2c1", "COc1ccc2ncccc2c1", True),
        ("c1ccc2ncccc2c1", "c1ccc2c(c1)ccc1cccnc12", False),
        ("C1CCNCC1", "CC(=O)N1CCC(C)(O)CC1", True),
        ("C1CCNCC1", "C[NH+]1CCCCC1", True),  # protonated
        ("C1CCNCC1", "O=C1CCCCN1", False),  # lactam
        ("C1CCNCC1", "C1CCC2(CC1)CCNCC2", False),  # spiro
        ("C1CCNCC1", "C1CC2CCC1N2", False),  # bridged
        ("C1CSCCN1", "CN1CCSCC1", True),
        ("C1CSCCN1", "CN1CCS(=O)(=O)CC1", False),
        ("c1c[nH]cn1", "Cc1cnc[nH]1", True),  # either tautomer of an imidazole
        ("c1c[nH]cn1", "Cc1c[nH]cn1", True),
        ("c1c[nH]cn1", "CCn1cnc(C)c1", True),
        ("c1ccc(CN2CCCC2)cc1", "O=C(O)c1ccc(CN2CCCC2C)cc1", True),
        ("c1ccc(CN2CCCC2)cc1", "O=C1CCCN1Cc1ccccc1", False),
        ("c1ccncc1", "c1ccc2ncccc2c1.c1ccncc1", True),  # another match is the right one
    ],
)
def test_a_scaffold_keeps_its_ring_systems(asked: str, molecule: str, kept: bool) -> None:
    test = scaffold(asked)
    assert test(parse(molecule)) is kept
    assert pickle.loads(pickle.dumps(test))(parse(molecule)) is kept


def test_a_substructure_may_be_anywhere() -> None:
    assert contains("c1ccncc1")(parse("c1ccc2ncccc2c1"))
    assert not contains("C#N")(parse("c1ccc2ncccc2c1"))


def test_a_scaffold_has_a_ring() -> None:
    with pytest.raises(UsageError, match=r"has no ring.*--contains"):
        scaffold("CC(=O)N")
    with pytest.raises(UsageError, match="no valid SMILES"):
        scaffold("C1CC")
