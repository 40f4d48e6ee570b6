"""Molecules for other programs and for the eye: SDF files and drawings."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from rdkit import Chem, rdBase
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

from molvae.errors import InvalidRecord, UsageError
from molvae.records import Candidate

# Mid tones that hold on a light and on a dark ground; carbon takes the colour of the surrounding text.
_ATOM_COLOURS = {
    5: "#c77d5a",
    7: "#3f76d6",
    8: "#db4437",
    9: "#2f9e5b",
    15: "#d9822b",
    16: "#b08a00",
    17: "#2f9e5b",
    35: "#b0562f",
    53: "#8e57b5",
}
_HIGHLIGHT = (1.0, 0.82, 0.35, 0.55)


def write_sdf(candidates: Sequence[Candidate], path: Path, *, text_column: str = "smiles") -> None:
    """Write one SDF record a candidate, in order, with 2D coordinates; title: the key; every known column of the candidate as a property.

    Numbers have 6 significant digits. A candidate whose text is no molecule stays as a record without atoms, so that records and table
    rows keep the same numbers.
    """
    with Chem.SDWriter(str(path)) as writer:
        for candidate in candidates:
            molecule = _parse(candidate.text) or Chem.Mol()
            rdDepictor.Compute2DCoords(molecule)
            molecule.SetProp("_Name", _line(candidate.key))
            for name, value in candidate.row(text_column):
                if isinstance(value, str):
                    molecule.SetProp(name, _line(value))
                elif isinstance(value, bool):
                    molecule.SetProp(name, str(value))
                elif value is not None and not math.isnan(value):
                    molecule.SetProp(name, f"{value:.6g}")
            writer.write(molecule)


def draw_svg(smiles: str, highlight: str | None = None, size: tuple[int, int] = (320, 240)) -> str:
    """A drawing as an ``<svg>`` element to put into HTML: no XML header, no prefixes, no ids, clear ground, scales with its box.

    Bonds and carbons have the colour of the surrounding text (``currentColor``), so the drawing fits light and dark pages.
    highlight: SMARTS; all atoms and bonds of its matches are marked. size: width and height of the view box, pixels.
    Raises InvalidRecord where ``smiles`` is no molecule, UsageError where ``highlight`` is no SMARTS.
    """
    molecule = _parse(smiles)
    if molecule is None:
        raise InvalidRecord(smiles, "no molecule that RDKit can read")
    atoms, bonds = _matches(molecule, highlight)
    rdDepictor.Compute2DCoords(molecule)
    rdDepictor.StraightenDepiction(molecule)
    drawing = rdMolDraw2D.MolDraw2DSVG(*size)
    options = drawing.drawOptions()
    options.clearBackground = False
    options.bondLineWidth = 1.6
    options.scaleBondWidth = False
    options.fixedBondLength = 28  # an upper limit: small molecules are not blown up
    options.minFontSize = 11
    options.maxFontSize = 15
    options.padding = 0.04
    options.additionalAtomLabelPadding = 0.06
    options.includeMetadata = False
    options.setHighlightColour(_HIGHLIGHT)
    options.updateAtomPalette({number: _rgb(colour) for number, colour in _ATOM_COLOURS.items()} | {6: (0.0, 0.0, 0.0)})
    rdMolDraw2D.PrepareAndDrawMolecule(drawing, molecule, highlightAtoms=atoms, highlightBonds=bonds)
    drawing.FinishDrawing()
    return _clean(drawing.GetDrawingText(), smiles, size)


def _parse(smiles: str) -> Chem.Mol | None:
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(smiles)


def _matches(molecule: Chem.Mol, smarts: str | None) -> tuple[list[int], list[int]]:
    if smarts is None:
        return [], []
    with rdBase.BlockLogs():
        pattern = Chem.MolFromSmarts(smarts)
    if pattern is None:
        raise UsageError(f"{smarts!r} is no SMARTS pattern that RDKit can read; check the pattern to highlight")
    atoms, bonds = set(), set()
    for match in molecule.GetSubstructMatches(pattern):
        atoms.update(match)
        for bond in pattern.GetBonds():
            bonds.add(molecule.GetBondBetweenAtoms(match[bond.GetBeginAtomIdx()], match[bond.GetEndAtomIdx()]).GetIdx())
    return sorted(atoms), sorted(bonds)


def _clean(svg: str, smiles: str, size: tuple[int, int]) -> str:
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r"(</?)\w+:", r"\1", body)
    body = re.sub(r" class='[^']*'", "", body)
    body = body.replace("#000000", "currentColor")
    label = smiles.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{label}">'
    return head + body.strip()


def _rgb(colour: str) -> tuple[float, float, float]:
    return (int(colour[1:3], 16) / 255, int(colour[3:5], 16) / 255, int(colour[5:7], 16) / 255)


def _line(text: str) -> str:
    """SDF ends a value at a blank line, and a title at its line's end."""
    return " ".join(text.split())
