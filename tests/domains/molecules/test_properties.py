"""Molecular properties against RDKit's own functions and published values."""

import gzip
import math
import os
import pickle
from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import QED, Crippen, Descriptors

from molvae.domains.molecules.properties import PROPERTIES
from molvae.domains.molecules.smiles import parse

SMILES = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "Cc1ccc(cc1Nc1nccc(n1)-c1cccnc1)NC(=O)c1ccc(cc1)CN1CCN(C)CC1",
    "CC1(C)SC2C(NC(=O)Cc3ccccc3)C(=O)N2C1C(=O)O",
    "O=[N+]([O-])c1ccc(cc1)N=Nc1ccccc1",
    "[2H]C([2H])([2H])OC",
    "CC(=O)[O-].[Na+]",
    "N=C(CCSCc1csc(N=C(N)N)n1)NS(N)(=O)=O",
    "C#CC(=O)OCC#N",
    "[NH4+]",
    "C[Si](C)(C)Cl",
)


@pytest.mark.parametrize("smiles", SMILES)
def test_qed_is_rdkits_to_the_last_bit(smiles):
    molecule = parse(smiles)
    assert PROPERTIES["qed"].compute(molecule) == QED.qed(Chem.MolFromSmiles(molecule.smiles))


def test_qed_on_500_molecules():
    folder = Path(os.environ.get("MOLVAE_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not (path := folder / "zinc250k.smi.gz").is_file():
        pytest.skip(f"no {path}; set MOLVAE_SHARED_DATA to the folder with zinc250k.smi.gz")
    with gzip.open(path, "rt") as lines:
        molecules = [parse(line.split()[0]) for line, _ in zip(lines, range(500), strict=False)]
    for molecule in molecules:
        assert PROPERTIES["qed"].compute(molecule) == QED.qed(Chem.MolFromSmiles(molecule.smiles))


@pytest.mark.parametrize("smiles", SMILES)
def test_against_rdkit_descriptors(smiles):
    molecule = parse(smiles)
    mol = Chem.MolFromSmiles(molecule.smiles)
    oracles = {
        "logp": Crippen.MolLogP(mol),
        "tpsa": Descriptors.TPSA(mol),
        "mw": Descriptors.MolWt(mol),
        "hbd": Descriptors.NumHDonors(mol),
        "hba": Descriptors.NumHAcceptors(mol),
        "rotatable_bonds": Descriptors.NumRotatableBonds(mol),
        "rings": Descriptors.RingCount(mol),
        "aromatic_rings": Descriptors.NumAromaticRings(mol),
        "heavy_atoms": mol.GetNumHeavyAtoms(),
    }
    assert {name: PROPERTIES[name].compute(molecule) for name in oracles} == oracles


def test_known_values():
    benzene, caffeine = parse("c1ccccc1"), parse("Cn1cnc2c1c(=O)n(C)c(=O)n2C")
    assert PROPERTIES["mw"].compute(benzene) == pytest.approx(78.11, abs=0.01)
    assert PROPERTIES["fsp3"].compute(benzene) == 0.0
    assert PROPERTIES["fsp3"].compute(caffeine) == 3 / 8
    assert PROPERTIES["tpsa"].compute(caffeine) == pytest.approx(61.82, abs=0.01)
    assert PROPERTIES["sa"].compute(benzene) == 1.0  # the scale's easy end
    morphine = parse("CN1CCC23C4Oc5c(O)ccc(CC1C2C=CC4O)c35")
    assert PROPERTIES["np"].compute(morphine) > 1 > PROPERTIES["np"].compute(parse("CS(=O)(=O)Nc1ccc(F)cc1"))


def test_undefined_is_nan_and_everything_else_is_a_finite_float():
    for smiles in ("O", "[H][H]", "[Na+].[Cl-]", "C" * 300, *SMILES):
        values = {name: entry.compute(parse(smiles)) for name, entry in PROPERTIES.items()}
        assert all(isinstance(value, float) for value in values.values())
        assert {name for name, value in values.items() if math.isnan(value)} == (
            set() if "C" in smiles.upper().replace("CL", "") else {"fsp3"}
        )


def test_contrib_models_load_quietly(capfd):
    for name in ("sa", "np"):
        PROPERTIES[name].compute(parse("CCO"))
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_properties_travel_to_worker_processes():
    again = pickle.loads(pickle.dumps(PROPERTIES))
    molecule = parse(SMILES[3])
    assert {name: entry.compute(molecule) for name, entry in again.items()} == {
        name: entry.compute(molecule) for name, entry in PROPERTIES.items()
    }
    assert all(name == entry.name and entry.unit and entry.description for name, entry in PROPERTIES.items())
