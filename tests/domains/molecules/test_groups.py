"""Group strings: round trips, symbols, and words for what cannot be written or read."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molvae.domains.molecules.groups import common_groups, group_view, read_groups, write_groups
from molvae.domains.molecules.smiles import parse
from molvae.errors import InvalidRecord

MOLECULES = [
    "C",
    "CC#N",
    "C#CC(=O)OC(C)(C)C",
    "CC(C)(C)C(=O)C(Oc1ccc(Cl)cc1)n1ccnc1",
    "CCCS(=O)c1ccc2[nH]c(=NC(=O)OC)[nH]c2c1",
    "CS(=O)(=O)N1CC2(C1)OCCO2",
    "O=c1[nH]c(=O)c2ncn(C3CC3)c2n1C",
    "O=[N+]([O-])c1ccc(C=Cc2cc[n+](C)cc2)s1",
    "C=C=C1CCC1=C1CC1",
    "CC1(C)CC(=O)c2cc(C3(F)CCS(=O)(=O)CC3)ccc2C1",
    "C[N+]1(C)CCOCC1",
    "C1C2CC3CC1CC(C2)C3",
    "[2H]C([O-])c1ccccc1",
    "CS1(=O)=NCCC1",
    "c1ccc(-n2c(-c3ccncc3)nnc2N2CCOCC2)cc1",
]


@pytest.mark.parametrize("smiles", MOLECULES)
def test_round_trip(smiles: str) -> None:
    molecule = parse(smiles)
    text = write_groups(molecule)
    assert read_groups(text) == molecule
    for known in ((), common_groups([text], 10)):
        assert "".join(group_view(known).symbols(text)) == text


def test_layout() -> None:
    text = write_groups(parse("Cc1ccc(C(=O)N2CCOCC2)cc1"))
    assert text == "C{c1ccccc1}<0><3>C(=O){C1COCCN1}<5>"
    assert group_view(["c1ccccc1"]).symbols("{c1ccccc1}<0>") == ["{c1ccccc1}", "<0>"]
    assert group_view([]).symbols("C{C1CC1}<0>") == ["C", "{", "C", "1", "C", "C", "1", "}", "<0>"]
    assert common_groups(["{C1CC1}(<0>C)<1>{c1ccccc1}<0>", "C{c1ccccc1}<0>"], 1) == ["c1ccccc1"]


def test_equivalent_atoms_share_one_spelling() -> None:
    texts = {write_groups(parse(smiles)) for smiles in ("Fc1ccccc1Cl", "c1ccc(F)c(Cl)c1", "Clc1c(F)cccc1")}
    assert len(texts) == 1


STEREO = [
    "C[C@H](F)Cl",
    "F/C=C/F",
    "F/C=C\\Cl",
    "C/C(F)=C(/C)Cl",
    "C[C@H]1CC[C@@H](O)CC1",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "O=C1C=C[C@@H](C)/C1=C/C",
    "Cc1ccc([C@H](C)[C@@H](C)Cl)cc1",
    "C=C1C[C@]2(C)C(=CC1=O)CC[C@H]1[C@H]2CC[C@]2(C)[C@H]1CC[C@]2(C)O",
    "COC(=O)[C@H](C)N[C@@H](C)C(F)Cl",
    "C[S@](=O)c1ccccc1",
    "NC(=O)N/N=C1\\CCn2cccc21",
]


@pytest.mark.parametrize("smiles", STEREO)
def test_stereo_round_trip(smiles: str) -> None:
    molecule = parse(smiles)
    text = write_groups(molecule)
    assert "|" in text
    assert read_groups(text) == molecule
    assert "@" not in text.partition("|")[0]


def test_every_mark_of_every_stereoisomer_is_distinct() -> None:
    isomers = {parse(f"C[C@{a}H](O)[C@{b}H](F)/C={c}C") for a in ("", "@") for b in ("", "@") for c in ("C/", "C\\")}
    assert len({write_groups(m) for m in isomers}) == len(isomers) == 8


@pytest.mark.parametrize("text", ["CC(F)Cl|^^", "CC(=N)CC|/", "CC(F)Cl|/", "FC=CF|^", "CC(F)Cl|C", "CCC|^"])
def test_marks_that_do_not_fit(text: str) -> None:
    with pytest.raises(InvalidRecord):
        read_groups(text)


def test_several_components_cannot_be_written() -> None:
    with pytest.raises(InvalidRecord, match="several components"):
        write_groups(parse("CC.O"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "C(",
        "C)",
        "C=",
        "{c1ccccc1}C",
        "C{c1ccccc1}",
        "C{c1ccccc1}<9>",
        "<0>",
        "C{c1cccc1}<0>",
        "?",
        "C{}",
        "(C)C",
        "FC(F)(F)(F)F",
        "C1CC1",
    ],
)
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(InvalidRecord):
        read_groups(text)


PARTS = ["C", "N", "=", "(", ")", "{c1ccccc1}", "{c1cn[nH]c1}", "{C1CC=CC1}", "<0>", "<3>", "[N+]", "#", "O"]


@settings(max_examples=400)
@given(st.lists(st.sampled_from(PARTS), max_size=12), st.lists(st.sampled_from("^_/\\?"), max_size=4))
def test_any_symbols_read_or_are_refused(found: list[str], marks: list[str]) -> None:
    try:
        molecule = read_groups("".join(found) + ("|" + "".join(marks) if marks else ""))
    except InvalidRecord:
        return
    assert parse(molecule.smiles) == molecule


def test_nearly_all_molecules_without_stereo_round_trip() -> None:
    default = Path(__file__).resolve().parents[4] / "shared" / "data"
    file = Path(os.environ.get("MOLVAE_SHARED_DATA", default)) / "zinc250k.smi.gz"
    if not file.exists():
        pytest.skip(f"{file} is absent; set MOLVAE_SHARED_DATA to the folder with zinc250k.smi.gz")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [line.split()[0] for line in random.Random(4).sample(list(lines), 3000)]
    flat = [row for row in rows if not any(mark in row for mark in "@/\\.")]
    written = 0
    for row in flat:
        try:
            write_groups(parse(row))
        except InvalidRecord:
            continue
        written += 1
    assert written >= 0.99 * len(flat) > 500
