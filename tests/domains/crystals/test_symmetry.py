"""Wyckoff tables against spglib's operations, for all 230 groups, and the normalisers against the International Tables."""

from __future__ import annotations

import numpy as np
import pytest
import spglib

from molvae.domains.crystals.normaliser import axis_changes, origin_shifts
from molvae.domains.crystals.symmetry import GROUPS, LETTERS, groups_of, operation_set, space_group, system_of

GENERIC = np.array([0.1371, 0.2917, 0.4173])


@pytest.mark.parametrize("number", range(1, GROUPS + 1))
def test_the_setting_is_spglibs(number: int) -> None:
    group = space_group(number)
    assert spglib.get_spacegroup_type(group.hall).number == number
    found = spglib.get_symmetry_from_database(group.hall)
    assert operation_set(np.asarray(found["rotations"]), np.asarray(found["translations"])) == operation_set(
        group.rotations, group.translations
    )
    assert abs(np.linalg.det(group.basis)) * len(group.centrings) == pytest.approx(1)
    assert [letter.name for letter in group.letters] == list(LETTERS[: len(group.letters)])


@pytest.mark.parametrize("number", range(1, GROUPS + 1))
def test_letters_are_orbits_and_read_back(number: int) -> None:
    group = space_group(number)
    for letter in group.letters:
        u = GENERIC[: letter.free]
        positions = letter.positions(u)
        found, fits = letter.coordinates(positions)
        assert fits[0]
        assert np.allclose(found[0], u)
        images = (group.rotations @ positions[0] + group.translations) % 1.0
        distinct = np.unique(np.round(images, 6) % 1.0, axis=0)
        assert len(distinct) == letter.multiplicity == len(letter.primitive) * len(group.centrings)
        off = positions[:, None] - images
        assert (np.abs(off - np.round(off)).max(-1).min(1) < 1e-9).all()


@pytest.mark.parametrize(
    ("number", "changes", "all_together"),
    [(16, 6, 48), (47, 6, 48), (62, 1, 8), (123, 1, 4), (166, 1, 2), (216, 2, 8), (221, 1, 2), (230, 1, 1)],
)
def test_normalisers_have_the_index_of_the_tables(number: int, changes: int, all_together: int) -> None:
    # International Tables A (2016), table 3.5.2.3: index of the group in its Euclidean normaliser of the highest metric, proper part.
    found = axis_changes(number)
    assert len(found) == changes
    assert sum(len(origin_shifts(number, at)[0]) for at in range(len(found))) == all_together


@pytest.mark.parametrize("number", [3, 5, 10, 25, 43, 75, 99, 146, 156, 160, 186, 195, 227])
def test_changes_of_axes_keep_the_operations(number: int) -> None:
    group = space_group(number)
    wanted = operation_set(group.rotations, group.translations)
    for at, change in enumerate(axis_changes(number)):
        back = np.rint(np.linalg.inv(change)).astype(int)
        shifts, letters = origin_shifts(number, at)
        for shift, image in zip(shifts, letters, strict=True):
            turned = change @ group.rotations @ back
            moved = group.translations @ change.T + shift - turned @ shift
            assert operation_set(turned, moved) == wanted
            assert sorted(image.tolist()) == list(range(len(group.letters)))


def test_systems_and_refusals() -> None:
    assert [system_of(n) for n in (2, 15, 74, 142, 167, 194, 230)] == [
        *("triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic")
    ]
    assert groups_of("cubic") == tuple(range(195, 231))
    with pytest.raises(ValueError, match="space group 231"):
        space_group(231)
    with pytest.raises(KeyError):
        space_group(221).letter("z")
