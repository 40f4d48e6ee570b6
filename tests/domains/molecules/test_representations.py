"""Hard molecules through every representation: SMILES, SELFIES, graph. Oracles are InChIKeys and renumbered atoms."""

from __future__ import annotations

import functools
import gzip
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import selfies
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from benchmarks.support import molsets
from molvae.domains.molecules import graph
from molvae.domains.molecules.groups import GROUPS
from molvae.domains.molecules.selfies import SELFIES, SMILES, read_selfies, round_trips, write_selfies
from molvae.domains.molecules.smiles import Molecule, key, parse, write
from molvae.errors import InvalidRecord
from molvae.protocols import SequenceView
from molvae.records import GraphArrays

MOSES = molsets.WHEEL.found()
HARD = [
    "C",
    "[H][H]",
    "[2H]O[2H]",
    "[13CH4]",
    "[CH3]",
    "[O]",
    "O=O",
    "[O-][O]",
    "C[N]C",
    "CC1(C)CCCC(C)(C)N1[O]",
    "[Na+].[Cl-]",
    "CC(=O)[O-].[Na+]",
    "Cl.CN1CCC[C@H]1c1cccnc1",
    "C[N+](C)(C)CC(=O)[O-]",
    "[NH3+][C@@H](C)C(=O)[O-]",
    "C/C=C/C",
    "C/C=C\\C",
    "C/C=C/C=C\\C",
    "F/C(Cl)=C(/F)Cl",
    "C/N=N/C",
    "CC/C(C)=N\\O",
    "C(/C=C/c1ccccc1)=C\\C(=O)O",
    "C[C@H](O)[C@@H](N)C(=O)O",
    "N[C@@H](Cc1ccccc1)C(=O)O",
    "C[C@H]1CC[C@@H](C)CC1",
    "C[C@H]1CC[C@H](C)CC1",
    "O[C@H]1[C@H](O)[C@@H](O)[C@H](O)[C@H](O)[C@@H]1O",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "CC(C)=C=C(C)C",
    "C[S@](=O)c1ccccc1",
    "C[S@@](=O)CCN",
    "C[P@](=O)(O)c1ccccc1",
    "CS(=O)(=O)C",
    "CS(C)(=O)=O",
    "FS(F)(F)(F)(F)F",
    "F[P-](F)(F)(F)(F)F.CCCCn1cc[n+](C)c1",
    "FP(F)(F)(F)F",
    "OP(=O)(O)O",
    "O=S(=O)([O-])c1ccccc1.[K+]",
    "CC1=CC=CC=C1I(=O)=O",
    "CC(=O)OI(OC(C)=O)c1ccccc1",
    "O=I1(O)OC(=O)c2ccccc21",
    "[O-][Cl+3]([O-])([O-])O",
    "O=N(=O)c1ccccc1",
    "C[N+](=O)[O-]",
    "[N-]=[N+]=NCc1ccccc1",
    "C=[N+]=[N-]",
    "[C-]#[N+]C",
    "[C-]#[O+]",
    "c1cc[nH]c1",
    "c1ccc2[nH]ccc2c1",
    "Cn1cc[n+](C)c1",
    "c1cc[o+]cc1",
    "[cH+]1cccccc1",
    "c1cc[se]c1",
    "C[Se]C",
    "c1ccc[te]1",
    "C[Si](C)(C)O[Si](C)(C)C",
    "OB(O)c1ccccc1",
    "[B-](F)(F)(F)F",
    "F[B-](F)(F)c1ccccc1.[K+]",
    "C1CCCCCCCCCCCCCC1",
    "O=C1CCCCCCCCCCCCC/C=C/1",
    "C1COCCOCCOCCOCCOCCO1",
    "CC[C@H]1OC(=O)[C@H](C)[C@@H](O[C@H]2C[C@@](C)(OC)[C@@H](O)[C@H](C)O2)[C@H](C)[C@@H](O[C@@H]2O[C@H](C)C[C@@H]([C@H]2O)N(C)C)[C@](C)(O)C[C@@H](C)C(=O)[C@H](C)[C@@H](O)[C@]1(C)O",
    "CN1CC[C@]23c4c5ccc(O)c4O[C@H]2[C@@H](O)C=C[C@H]3[C@H]1C5",
    "C[C@@]12CC[C@@H]3c4ccc(O)cc4CC[C@H]3[C@@H]1CC[C@@H]2O",
    "C12C3C4C1C5C2C3C45",
    "C1C2CC3CC1CC(C2)C3",
    "c1ccc2c(c1)ccc1ccccc12",
    "c1cc2cccc3c2c4c1cccc4cc3",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "O=c1[nH]cnc2[nH]cnc12",
    "C[n+]1ccccc1[O-]",
    "[O-][n+]1ccccc1",
    "CC(=O)Nc1ccc(O)cc1",
    "C[As](=O)(O)O",
    "C[As](C)C",
    "C[Ge](C)(C)C",
    "O=[Se](O)c1ccccc1",
    "[18F]CCN1CCC(CC1)c1ccccc1",
    "[14CH3]C(=O)O",
    "C[C@@]([2H])(O)c1ccccc1",
    "F[Xe]F",
    "[He]",
    "C#Cc1ccc(C#N)cc1",
    "C1=CC=CN1",
    "O=C1C=CC(=O)C=C1",
    "S1SSSSSSS1",
    "N1=NC=NN=C1",
    "c1nnn[nH]1",
    "Cc1nnn[n-]1",
    "[NH4+].[OH-]",
    "[S-]c1ccccc1",
    "C[S+](C)C",
    "C[P+](c1ccccc1)(c1ccccc1)c1ccccc1.[Br-]",
    "CP(C)(C)=C",
    "C=P(C)(C)C",
    "OS(=O)(=O)C(F)(F)F",
    "[O-]S(=O)(=O)O",
    "C1%10CCCC1CCC%10",
    "CC(C)(C)OC(=O)N1CC[C@@H]2CCCC[C@@H]2C1",
    "C[C@H](Cl)/C=C/[C@@H](C)Cl",
    "C[C@H](Cl)/C=C\\[C@@H](C)Cl",
    "C[C@H](O)C(O)[C@@H](C)O",
    "C[C@H](O)[C@H](O)[C@@H](C)O",
    "C[C@H](O)[C@@H](O)[C@@H](C)O",
    "CC1CC/C=C/CCC1",
    "C1CCC/C=C\\CC1",
    "O=C1/C(=C/c2ccccc2)SC(=O)N1",
    "CC[N@+]1(C)CC[C@H](C)C1",
    "c1ccc(-c2ccccc2-c2ccccc2)cc1",
    "c1cc[cH-]c1.[Na+]",
]


@functools.cache
def zinc(shared_data: Path) -> list[str]:
    path = shared_data / "zinc250k.smi.gz"
    if not path.is_file():
        pytest.skip(f"no {path.name} in {shared_data}")
    with gzip.open(path, "rt") as lines:
        return [line.split()[0] for line in lines]


@functools.cache
def moses() -> list[str]:
    return molsets.split("test", MOSES)


def zinc_sample(shared_data: Path, count: int) -> list[str]:
    texts = zinc(shared_data)
    return texts[:: len(texts) // count][:count]


def fingerprint(arrays: GraphArrays) -> list[tuple[int, ...]]:
    """Weisfeiler-Lehman colours after four rounds, sorted: equal for equal graphs in any order of nodes."""
    colours = [hash(tuple(row)) for row in arrays.nodes.tolist()]
    for _ in range(4):
        around: list[list[tuple[tuple[int, ...], int]]] = [[] for _ in colours]
        for (one, other), features in zip(arrays.edges.tolist(), arrays.edge_features.tolist(), strict=True):
            around[one].append((tuple(features), colours[other]))
            around[other].append((tuple(features), colours[one]))
        colours = [hash((colour, tuple(sorted(near)))) for colour, near in zip(colours, around, strict=True)]
    return sorted((colour, *row) for colour, row in zip(colours, arrays.nodes.tolist(), strict=True))


@pytest.mark.parametrize("text", HARD)
def test_parse_is_idempotent_and_keeps_the_molecule(text: str) -> None:
    molecule = parse(text)
    assert parse(write(molecule)) == molecule
    assert key(molecule) == Chem.MolToInchiKey(Chem.MolFromSmiles(text))
    assert Chem.MolToSmiles(molecule.mol) == molecule.smiles


@pytest.mark.parametrize("text", HARD)
def test_parse_does_not_depend_on_how_the_smiles_was_written(text: str) -> None:
    mol = Chem.MolFromSmiles(text)
    variants = {Chem.MolToSmiles(mol, doRandom=True) for _ in range(5)}
    assert {key(parse(variant)) for variant in variants} == {key(parse(text))}


@pytest.mark.parametrize("view", [SELFIES, SMILES], ids=lambda view: view.name)
@pytest.mark.parametrize("text", HARD)
def test_sequences_round_trip(text: str, view: SequenceView[Molecule]) -> None:
    molecule = parse(text)
    written = view.write(molecule)
    assert "".join(view.symbols(written)) == written
    assert key(view.read(written)) == key(molecule)


@pytest.mark.parametrize("text", [text for text in HARD if "." not in Chem.CanonSmiles(text)])
def test_group_strings_round_trip(text: str) -> None:
    molecule = parse(text)
    written = GROUPS.write(molecule)
    assert "".join(GROUPS.symbols(written)) == written
    assert key(GROUPS.read(written)) == key(molecule)


@pytest.mark.parametrize("text", ["[Na+].[Cl-]", "c1cc[cH-]c1.[Na+]"])
def test_group_strings_carry_one_component(text: str) -> None:
    with pytest.raises(InvalidRecord, match="several components"):
        GROUPS.write(parse(text))


@pytest.mark.parametrize("text", HARD)
def test_graph_does_not_depend_on_the_order_of_atoms(text: str) -> None:
    molecule = parse(text)
    expected = graph.build(molecule)
    order = list(range(molecule.mol.GetNumAtoms()))
    for seed in range(4):
        random.Random(seed).shuffle(order)
        renumbered = Chem.RenumberAtoms(molecule.mol, order)
        assert fingerprint(graph.arrays(renumbered)) == fingerprint(expected)


@pytest.mark.parametrize("text", HARD)
def test_graph_values_stay_inside_their_sizes(text: str) -> None:
    molecule = parse(text)
    arrays = graph.build(molecule)
    assert arrays.nodes.shape == (molecule.mol.GetNumAtoms(), len(graph.GRAPH.node_sizes))
    assert arrays.edges.shape == (molecule.mol.GetNumBonds(), 2)
    assert arrays.edge_features.shape == (molecule.mol.GetNumBonds(), len(graph.GRAPH.edge_sizes))
    assert (arrays.nodes.dtype, arrays.edges.dtype, arrays.edge_features.dtype) == (np.uint8, np.uint16, np.uint8)
    assert (arrays.nodes < np.array(graph.GRAPH.node_sizes)).all()
    assert (arrays.edge_features < np.array(graph.GRAPH.edge_sizes)).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C[C@H](O)C(=O)O", "C[C@@H](O)C(=O)O"),
        ("C/C=C/C", "C/C=C\\C"),
        ("C[C@H]1CC[C@@H](C)CC1", "C[C@H]1CC[C@H](C)CC1"),
        ("CC", "[13CH3]C"),
        ("C[CH2]", "CC"),
        ("CC=O", "C=CO"),
        ("C1CCCCCCCCC1", "C1CCCCC1"),
    ],
)
def test_graph_tells_apart(one: str, other: str) -> None:
    assert fingerprint(graph.build(parse(one))) != fingerprint(graph.build(parse(other)))


def test_graph_leaves_the_shared_molecule_alone() -> None:
    molecule = parse("C[C@H](O)/C=C/C")
    before = [bond.HasProp("_CIPCode") for bond in molecule.mol.GetBonds()]
    graph.build(molecule)
    assert [bond.HasProp("_CIPCode") for bond in molecule.mol.GetBonds()] == before


def test_selfies_constraints_are_restored_after_others_changed_them() -> None:
    molecule = parse("O=I1(O)OC(=O)c2ccccc21")
    selfies.set_semantic_constraints("default")
    assert round_trips(molecule)
    text = write_selfies(molecule)
    selfies.set_semantic_constraints("octet_rule")
    assert read_selfies(text) == molecule


@pytest.mark.parametrize("text", ["C", "[C", "[C]x", "[Nonsense]", "", "[nop]"])
def test_not_a_selfies(text: str) -> None:
    with pytest.raises(InvalidRecord):
        read_selfies(text)


def test_no_selfies_for_dative_bonds() -> None:
    molecule = parse("N->B")
    with pytest.raises(InvalidRecord, match="has no SELFIES"):
        write_selfies(molecule)
    assert not round_trips(molecule)


def test_molecules_pickle() -> None:
    molecule = parse("C[C@H](O)C(=O)O")
    again = pickle.loads(pickle.dumps(molecule))
    assert again == molecule
    assert hash(again) == hash(molecule)
    assert Chem.MolToSmiles(again.mol) == molecule.smiles


def _keeps(text: str, order: random.Random) -> None:
    """A molecule written in any order of its atoms reads back from every string as itself, stereochemistry included."""
    mol = Chem.MolFromSmiles(text)
    molecule = parse(Chem.MolToSmiles(Chem.RenumberAtoms(mol, order.sample(range(mol.GetNumAtoms()), mol.GetNumAtoms())), canonical=False))
    assert molecule == parse(text)
    for view in (SELFIES, SMILES, GROUPS):
        assert key(view.read(view.write(molecule))) == key(molecule), view.name


@settings(max_examples=150)
@given(place=st.integers(0, 249_454), order=st.randoms(use_true_random=False))
def test_any_molecule_of_zinc_round_trips(shared_data: Path, place: int, order: random.Random) -> None:
    texts = zinc(shared_data)
    _keeps(texts[place % len(texts)], order)


@pytest.mark.skipif(MOSES is None, reason=f"{molsets.WHEEL.file} is neither in $MOLVAE_WHEELS nor in $MOLVAE_HOME/wheels")
@settings(max_examples=150)
@given(place=st.integers(0, 176_073), order=st.randoms(use_true_random=False))
def test_any_molecule_of_moses_round_trips(place: int, order: random.Random) -> None:
    texts = moses()
    _keeps(texts[place % len(texts)], order)


def test_zinc_round_trips(shared_data: Path) -> None:
    molecules = [parse(text) for text in zinc_sample(shared_data, 500)]
    assert all(parse(write(molecule)) == molecule for molecule in molecules)
    assert sum(map(round_trips, molecules)) >= 499
    assert all("".join(SMILES.symbols(m.smiles)) == m.smiles for m in molecules)
