"""Which crystals of a data set are one, beside pymatgen's StructureMatcher on every pair."""

from __future__ import annotations

from pathlib import Path

from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from molvae.dataset.prepare import prepare
from molvae.domains.crystals import domain
from molvae.domains.crystals.duplicates import twins
from molvae.domains.crystals.identity import key
from molvae.domains.crystals.structure import of_structure, parse
from tests.domains.crystals.prototypes import PROTOTYPES, rutile

EXCHANGED = ("sg221@aTi@bSr@cO|19.30", "sg221@aSr@bTi@cO|19.30")


def _shaken(structure: Structure, distance: float, seed: int) -> str:
    """Only the free coordinate of rutile moves, so that the group stays."""
    moved = Structure.from_spacegroup(
        "P4_2/mnm", structure.lattice, ["Ti", "O"], [[0, 0, 0], [0.305 + distance * (seed + 1), 0.305 + distance * (seed + 1), 0]]
    )
    return of_structure(moved).text


def test_one_crystal_with_another_key_is_a_twin() -> None:
    base = of_structure(rutile()).text
    texts = [base, *(_shaken(rutile(), 0.004, seed) for seed in range(3)), *EXCHANGED]
    assert len({key(parse(text)) for text in texts}) > 3  # keys alone would keep some of them
    assert twins(texts, lambda done: None) == [0, 0, 0, 0, 4, 5]


def test_the_same_as_matching_every_pair() -> None:
    texts = [of_structure(make()).text for make in PROTOTYPES.values()]
    texts += [_shaken(rutile(), distance, 0) for distance in (0.01, 0.04, 0.08)]
    found = twins(texts, lambda done: None)
    matcher = StructureMatcher()
    crystals = [parse(text) for text in texts]
    for place, first in enumerate(found):
        same = [k for k in range(place) if found[k] == k and matcher.fit(crystals[place].structure(), crystals[k].structure())]
        assert (first == place) == (not same)
        assert first in [*same, place]


def test_preparation_drops_twins_and_keeps_exchanged_atoms(tmp_path: Path) -> None:
    base = of_structure(rutile()).text
    file = tmp_path / "some.csv"
    file.write_text("\n".join(["wyckoff", base, *EXCHANGED, _shaken(rutile(), 0.004, 2), base]) + "\n", encoding="utf-8")
    store = prepare(domain, file, tmp_path / "store", column="wyckoff", workers=1)
    assert store.manifest["summary"]["duplicates"] == 2
    assert set(store.texts("text", store.rows("all"))) == {base, *(parse(text).text for text in EXCHANGED)}
    assert "duplicate of some.csv:2" in (tmp_path / "store" / "rejected.csv").read_text(encoding="utf-8")
