"""Identity, similarity and queries."""

from __future__ import annotations

import pytest
from pymatgen.core import Lattice, Structure

from molvae.domains.crystals.identity import QUERIES, features, key, settled, similarity, space_groups
from molvae.domains.crystals.structure import of_structure, parse, read_text
from molvae.errors import UsageError
from tests.domains.crystals.prototypes import PROTOTYPES, caesium_chloride, diamond, perovskite, quartz, rock_salt, rutile


def test_the_key_does_not_depend_on_the_setting() -> None:
    # Strontium titanate with the origin at strontium and at titanium, and written in a subgroup.
    texts = ("sg221@aTi@bSr@dO|19.30", "sg221@aSr@bTi@cO|19.30")
    a, b = (parse(text) for text in texts)
    assert key(a) == key(b)
    assert a != b
    assert key(a).startswith("SrTiO3-221-")


def test_the_key_of_too_low_a_group_is_that_of_the_crystal() -> None:
    low = read_text("sg123@aSr@cO@dTi@eO|19.30/24.24")
    assert low.group == 123
    description = settled(low)
    assert description is not None
    assert description.group == 221
    assert key(low) == key(of_structure(perovskite()))


@pytest.mark.parametrize("name", PROTOTYPES)
def test_small_noise_keeps_the_key(name: str) -> None:
    structure = PROTOTYPES[name]()
    shaken = structure.copy()
    shaken.perturb(0.002, seed=3)
    shaken.translate_sites(list(range(len(shaken))), [0.13, 0.21, 0.37])
    assert key(of_structure(shaken)) == key(of_structure(structure))


def test_different_crystals_have_different_keys() -> None:
    keys = {key(of_structure(make())) for make in PROTOTYPES.values()}
    assert len(keys) == len(PROTOTYPES)
    graphite = Structure.from_spacegroup("P6_3/mmc", Lattice.hexagonal(2.46, 6.7), ["C", "C"], [[0, 0, 0.25], [1 / 3, 2 / 3, 0.25]])
    assert key(of_structure(graphite)) != key(of_structure(diamond()))


def test_exchanged_atoms_of_a_perovskite_have_another_key() -> None:
    # All pairs are packed alike, and so are like pairs: only who sits where tells the two apart.
    ours, exchanged = (parse(f"sg221@a{a}@b{b}@cO|19.30") for a, b in (("Ti", "Sr"), ("Sr", "Ti")))
    assert key(ours).rsplit("-", 1)[0] == key(exchanged).rsplit("-", 1)[0]
    assert key(ours) != key(exchanged)


def test_packings_of_one_element_have_different_keys() -> None:
    # One group and one general position: carbon at two packings of the same cell.
    texts = [f"sg1@aC:00.00:00.00:00.00@aC:{at}:06.00:06.00|06.00/24.24/24.24^24.24^24.24^24.24" for at in ("08.00", "12.00")]
    first, second = (read_text(text) for text in texts)
    assert key(first) != key(second)


def test_atoms_on_one_spot_have_a_key_too() -> None:
    text = "sg1@aSr:24.24:24.24:24.24@aSr:24.24:24.24:24.24|20.20/24.24/24.24^24.24^24.24^24.24"
    assert key(read_text(text)).startswith("Sr-1-")


def test_similarity_orders_as_one_would() -> None:
    salt = of_structure(rock_salt())
    bromide = of_structure(Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.97), ["Na", "Br"], [[0, 0, 0], [0.5] * 3]))
    found = similarity(salt, [salt, bromide, of_structure(caesium_chloride()), of_structure(quartz())])
    assert found[0] == pytest.approx(1)
    assert found == sorted(found, reverse=True)
    assert min(found) >= 0
    assert features([salt]).shape == (1, 103 + 48)


def test_queries() -> None:
    crystal = of_structure(rutile())
    assert QUERIES["elements"]("Ti")(crystal)
    assert not QUERIES["elements"]("Ti,Sr")(crystal)
    assert QUERIES["chemsys"]("Ti-O")(crystal)
    assert not QUERIES["chemsys"]("Ti")(crystal)
    assert QUERIES["spacegroup"]("136,225")(crystal)
    assert QUERIES["spacegroup"]("tetragonal")(crystal)
    assert not QUERIES["spacegroup"]("cubic")(crystal)
    assert space_groups("triclinic, 227") == {1, 2, 227}
    for kind, text in (("elements", "Q"), ("chemsys", " "), ("spacegroup", "231"), ("spacegroup", "round"), ("spacegroup", "")):
        with pytest.raises(UsageError):
            QUERIES[kind](text)
