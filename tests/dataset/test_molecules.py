"""Preparation and SDF files with the real domain of molecules."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import pytest
from rdkit import Chem

from molvae.dataset import iter_rows, prepare
from molvae.domains.molecules import domain
from molvae.domains.molecules.files import step
from molvae.errors import DataError, InvalidRecord, UsageError
from molvae.tokens import SymbolBPE

READERS = domain().readers
SMILES = ["CCO", "OCC", "c1ccccc1O", "CC(=O)[O-].[Na+]", "C1CC", "C[C@H](N)C(=O)O", "CC(=O)Nc1ccc(O)cc1", "[Fe]C"]


def sdf(path: Path, *, broken: bool = False) -> Path:
    with Chem.SDWriter(str(path)) as writer:
        for i, smiles in enumerate(["CCO", "c1ccccc1", "C[C@H](N)C(=O)O"]):
            mol = Chem.MolFromSmiles(smiles)
            mol.SetProp("_Name", f"m{i}")
            mol.SetProp("activity", str(i + 0.5))
            mol.SetProp("remark", "n/a" if i else "two\nlines")
            writer.write(mol)
    if broken:
        parts = path.read_text().split("$$$$\n")
        parts[1] = parts[1].replace("V2000", "V9999")
        path.write_text("$$$$\n".join(parts))
    return path


def test_sdf_rows(tmp_path: Path) -> None:
    path = sdf(tmp_path / "a.sdf")
    rows = list(iter_rows(path, record_readers=READERS))
    assert [row.text for row in rows] == ["CCO", "c1ccccc1", "C[C@H](N)C(=O)O"]
    assert [row.name for row in rows] == ["m0", "m1", "m2"]
    assert [row.labels["activity"] for row in rows] == [0.5, 1.5, 2.5]
    assert math.isnan(rows[1].labels["remark"])
    lines = path.read_text().splitlines()
    assert [lines[row.line - 1] for row in rows] == ["m0", "m1", "m2"]
    packed = tmp_path / "a.sdf.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert [row.text for row in iter_rows(packed, record_readers=READERS)] == [row.text for row in rows]
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(DataError, match="truncated"):
        list(iter_rows(packed, record_readers=READERS))


def test_a_bad_sdf_record_is_one_bad_row(tmp_path: Path) -> None:
    rows = list(iter_rows(sdf(tmp_path / "a.sdf", broken=True), record_readers=READERS))
    assert [row.error is None for row in rows] == [True, False, True]
    assert rows[1].name == "m1"
    (tmp_path / "b.sdf").write_text("\n\n")
    with pytest.raises(DataError, match="no SDF record"):
        list(iter_rows(tmp_path / "b.sdf", record_readers=READERS))


def test_smiles_become_graphs_strings_properties_and_tokens(tmp_path: Path) -> None:
    source = tmp_path / "a.smi"
    source.write_text("\n".join(SMILES))
    store = prepare(domain, source, tmp_path / "out", properties=["logp", "tpsa"], workers=2)
    rows = store.rows("all")
    made = domain()
    molecules = [made.parse(text) for text in store.texts("text", rows)]
    assert store.keys(rows) == [made.key(molecule) for molecule in molecules]
    assert store.manifest["summary"]["duplicates"] == 1
    assert store.manifest["summary"]["rejected"] == {"not parsed": 2}
    assert store.manifest["summary"]["changed"]["largest_fragment"] == 1
    assert store.manifest["views"]["smiles"] == "text"
    for i, molecule in enumerate(molecules):
        assert store.labels[i].tolist() == pytest.approx([made.properties[p].compute(molecule) for p in ("logp", "tpsa")], abs=1e-4)
        assert len(store.nodes.row(i)) == molecule.mol.GetNumAtoms()
    view = made.sequences["selfies"]
    strings = store.texts("selfies", rows)
    assert strings == [view.write(molecule) for molecule in molecules]
    bpe = SymbolBPE.train([view.symbols(string) for string in strings], 64)
    tokens = store.tokens("selfies", bpe, view.symbols)
    assert ["".join(bpe.decode(tokens.row(i).tolist())) for i in range(len(store))] == strings


def test_an_sdf_file_is_prepared_with_its_fields_as_labels(tmp_path: Path) -> None:
    store = prepare(domain, sdf(tmp_path / "a.sdf", broken=True), tmp_path / "out", workers=1)
    assert store.property_names == ("activity",)
    assert store.labels[:, 0].tolist() == [0.5, 2.5]
    assert store.manifest["summary"]["rejected"] == {"unusable row": 1}


def test_filters_from_text() -> None:
    made = domain()
    with pytest.raises(InvalidRecord):
        step("elements=C,N").apply(made.parse("CCO"))
    with pytest.raises(InvalidRecord):
        step("heavy_atoms=4:50").apply(made.parse("CCO"))
    assert step("heavy_atoms=3:50").apply(made.parse("CCO")).smiles == "CCO"
    for wrong in ("heavy_atoms=few", "colour=red", "elements="):
        with pytest.raises(UsageError):
            step(wrong)
