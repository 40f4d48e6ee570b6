"""Which crystals of a data set are one, beside pymatgen's StructureMatcher on every pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pymatgen.analysis.structure_matcher import StructureMatcher

from molvae.dataset.prepare import prepare
from molvae.domains.crystals import domain
from molvae.domains.crystals.duplicates import Twins
from molvae.domains.crystals.identity import key
from molvae.domains.crystals.structure import of_structure, parse
from tests.domains.crystals.prototypes import PROTOTYPES, rutile

EXCHANGED = ("sg221@aTi@bSr@cO|19.30", "sg221@aSr@bTi@cO|19.30")


def twins(texts: Sequence[str]) -> list[int]:
    """For each text the place of the first that is the same crystal, its own where there is none."""
    memory, added, found = Twins(), [], []
    for place, text in enumerate(texts):
        same = memory.find(crystal := parse(text))
        if same is None:
            memory.add(crystal)
            added.append(place)
        found.append(place if same is None else added[same])
    return found


def _shaken(distance: float) -> str:
    return of_structure(rutile(0.305 + distance)).text


def test_one_crystal_with_another_key_is_a_twin() -> None:
    base = of_structure(rutile()).text
    texts = [base, *(_shaken(distance) for distance in (0.004, 0.008, 0.012)), *EXCHANGED]
    assert len({key(parse(text)) for text in texts}) > 3  # keys alone would keep some of them
    assert twins(texts) == [0, 0, 0, 0, 4, 5]


def test_the_same_as_matching_every_pair() -> None:
    texts = [of_structure(make()).text for make in PROTOTYPES.values()]
    texts += [_shaken(distance) for distance in (0.01, 0.04, 0.08)]
    found = twins(texts)
    matcher = StructureMatcher()
    crystals = [parse(text) for text in texts]
    for place, first in enumerate(found):
        same = [k for k in range(place) if found[k] == k and matcher.fit(crystals[place].structure(), crystals[k].structure())]
        assert (first == place) == (not same)
        assert first in [*same, place]


def test_preparation_drops_twins_and_keeps_exchanged_atoms(tmp_path: Path) -> None:
    base = of_structure(rutile()).text
    file = tmp_path / "some.csv"
    file.write_text("\n".join(["wyckoff", base, *EXCHANGED, _shaken(0.012), base]) + "\n", encoding="utf-8")
    store = prepare(domain, file, tmp_path / "store", column="wyckoff", workers=1)
    assert store.manifest["summary"]["duplicates"] == 2
    assert set(store.texts("text", store.rows("all"))) == {base, *(parse(text).text for text in EXCHANGED)}
    assert "duplicate of some.csv:2" in (tmp_path / "store" / "rejected.csv").read_text(encoding="utf-8")
