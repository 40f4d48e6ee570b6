"""Molecules as sequences: SELFIES (Krenn et al., Mach. Learn.: Sci. Technol. 2020, 1, 045024) and canonical SMILES."""

from __future__ import annotations

import selfies as _selfies

from molvae.domains.molecules.smiles import Molecule, key, parse, symbols, write
from molvae.errors import InvalidRecord
from molvae.protocols import SequenceView

# The library's defaults refuse what RDKit reads: iodine(III, V), phosphorus(VII); and they allow eight bonds to main-group atoms outside
# their table, so that many a SELFIES would decode to what RDKit refuses. These are RDKit's largest valences; other charges stay at eight.
_CONSTRAINTS: dict[str, int] = {
    **{"H": 1, "F": 1, "Cl": 1, "Br": 1, "I": 5},
    **{"B": 3, "B+1": 2, "B-1": 4, "C": 4, "C+1": 3, "C-1": 3, "Si": 6, "Ge": 4},
    **{"N": 3, "N+1": 4, "N-1": 2, "P": 7, "P+1": 4, "P-1": 6, "As": 7, "As+1": 4},
    **{"O": 2, "O+1": 3, "O-1": 1, "S": 6, "S+1": 5, "S-1": 5, "Se": 6, "Se+1": 5, "Te": 6},
    "?": 8,
}


def _constrain() -> None:
    """The library keeps its constraints in one global; other code in the process may have set its own since the last call."""
    if _selfies.get_semantic_constraints() != _CONSTRAINTS:
        _selfies.set_semantic_constraints(_CONSTRAINTS)


def write_selfies(molecule: Molecule) -> str:
    """SELFIES of the canonical SMILES. Raises InvalidRecord where SELFIES has no words for it (dative bonds, for example)."""
    _constrain()
    try:
        return str(_selfies.encoder(molecule.smiles))
    except _selfies.EncoderError as error:
        detail = " ".join(str(error).split())
        raise InvalidRecord(molecule.smiles, f"has no SELFIES: {detail}") from error


def selfies_symbols(text: str) -> list[str]:
    """Split a SELFIES into its bracketed symbols and dots. Raises InvalidRecord for anything else."""
    try:
        found = list(_selfies.split_selfies(text))
    except ValueError as error:
        raise InvalidRecord(text, f"not a SELFIES: {error}") from error
    if "".join(found) != text:
        raise InvalidRecord(text, "not a SELFIES: there is text outside of brackets")
    return found


def read_selfies(text: str) -> Molecule:
    """The molecule of a SELFIES. Raises InvalidRecord for unknown symbols and for what RDKit does not read."""
    _constrain()
    selfies_symbols(text)
    try:
        smiles = _selfies.decoder(text)
    except _selfies.DecoderError as error:
        detail = " ".join(str(error).split())
        raise InvalidRecord(text, f"not a SELFIES: {detail}") from error
    try:
        return parse(smiles)
    except InvalidRecord as error:
        raise InvalidRecord(text, f"decodes to {smiles!r}: {error.why}") from error


def round_trips(molecule: Molecule) -> bool:
    """Whether the molecule's SELFIES reads back as the same InChIKey. Several times the cost of writing, so not part of it."""
    try:
        return key(read_selfies(write_selfies(molecule))) == key(molecule)
    except InvalidRecord:
        return False


SELFIES: SequenceView[Molecule] = SequenceView("selfies", write=write_selfies, symbols=selfies_symbols, read=read_selfies)
SMILES: SequenceView[Molecule] = SequenceView("smiles", write=write, symbols=symbols, read=parse)
