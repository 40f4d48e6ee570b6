from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rdkit import Chem

from molvae.domains.molecules.export import draw_svg, write_sdf
from molvae.errors import InvalidRecord, UsageError
from molvae.records import Candidate, Verdict
from molvae.report import to_frame, write

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def candidates() -> list[Candidate]:
    return [
        Candidate(
            "C[C@H](N)C(=O)O",
            "QNAYBMKLOCPYGJ-REOHCLBHSA-N",
            Verdict(True),
            {"logp": -0.58169999},
            {"logp": 1.0},
            {"logp": 0.5},
            {"logp": 0.1},
            True,
            -7.25,
            {"note": "two\n\nlines"},
        ),
        Candidate("C/C=C/C[NH+](C)C", "", Verdict(False, ("charge: +1", "odd"))),
        Candidate("C1CC", "", Verdict(False, ("parse: ring 1 is open",))),
    ]


def test_rdkit_reads_the_sdf_back(candidates: list[Candidate], tmp_path: Path) -> None:
    write(candidates, tmp_path / "out.sdf", text_column="smiles", exporters={".sdf": write_sdf})
    molecules = list(Chem.SDMolSupplier(str(tmp_path / "out.sdf")))
    assert len(molecules) == 3
    assert [Chem.MolToSmiles(m) for m in molecules] == [Chem.CanonSmiles(c.text) for c in candidates[:2]] + [""]
    assert molecules[0].GetProp("_Name") == "QNAYBMKLOCPYGJ-REOHCLBHSA-N"
    assert not molecules[0].GetConformer().Is3D()
    assert len({tuple(p) for p in molecules[0].GetConformer().GetPositions()}) == molecules[0].GetNumAtoms()
    assert molecules[0].GetDoubleProp("logp") == pytest.approx(-0.5817, rel=1e-5)
    assert molecules[0].GetProp("note") == "two lines"
    assert molecules[2].GetProp("smiles") == "C1CC"


def test_sdf_properties_are_the_known_columns_of_the_table(candidates: list[Candidate], tmp_path: Path) -> None:
    write_sdf(candidates, tmp_path / "out.sdf")
    frame = to_frame(candidates, text_column="smiles")
    for molecule, row in zip(Chem.SDMolSupplier(str(tmp_path / "out.sdf")), frame.to_dict("records"), strict=True):
        known = [n for n, v in row.items() if not (v is None or v == "" or (isinstance(v, float) and math.isnan(v)) or str(v) == "<NA>")]
        assert list(molecule.GetPropNames()) == known


def test_sdf_bytes_are_the_same_every_time(candidates: list[Candidate], tmp_path: Path) -> None:
    write_sdf(candidates, tmp_path / "a.sdf")
    write_sdf(candidates, tmp_path / "b.sdf")
    assert (tmp_path / "a.sdf").read_bytes() == (tmp_path / "b.sdf").read_bytes()


@pytest.mark.parametrize("smiles", ["CCO", "c1ccccc1[N+](=O)[O-]", "F/C=C/Cl", "[Na+].[Cl-]", "C[C@H](N)C(=O)O", "C"])
def test_drawings_are_svg_that_html_can_hold(smiles: str) -> None:
    svg = draw_svg(smiles)
    root = ET.fromstring(svg)
    assert svg.startswith("<svg ")
    assert all(node.tag.startswith(SVG) for node in root.iter())
    assert "xmlns:" not in svg
    assert "rdkit" not in svg
    assert "id=" not in svg
    assert root.attrib["aria-label"] == smiles
    assert root.find(f".//{SVG}path") is not None
    assert "#FFFFFF" not in svg.upper()
    assert svg == draw_svg(smiles)


def test_carbons_take_the_colour_of_the_text() -> None:
    assert "currentColor" in draw_svg("CCC")


def test_highlight() -> None:
    assert draw_svg("CCO", highlight="[OX2H]") != draw_svg("CCO")
    assert draw_svg("CCO", highlight="[Xe]") == draw_svg("CCO")
    with pytest.raises(UsageError, match="SMARTS"):
        draw_svg("CCO", highlight="[")


def test_no_molecule_no_drawing() -> None:
    with pytest.raises(InvalidRecord):
        draw_svg("C1CC")
