"""Reconstruction, match@k, validity and success rates on known cases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from benchmarks.crystals import optimisation
from benchmarks.crystals.matching import match_at, reconstruction, rms_distances, summary
from benchmarks.crystals.optimisation import success_rates
from benchmarks.crystals.settings import SETTINGS
from benchmarks.crystals.validity import composition_valid, structure_valid, validity
from molvae.domains.crystals.checks import CHECKS
from molvae.domains.crystals.structure import of_structure
from molvae.errors import UnknownName
from tests.domains.crystals.prototypes import PROTOTYPES, caesium_chloride, perovskite, rock_salt

BY_NAME = {check.name: check for check in CHECKS}


def odd() -> Structure:
    """CsF3, which no known oxidation states balance."""
    return Structure.from_spacegroup("Pm-3m", Lattice.cubic(3.5), ["Cs", "F"], [[0, 0, 0], [0.5, 0.5, 0]])


def shifted(size: float) -> Structure:
    """Caesium chloride with the chlorine moved along an edge by a share of it."""
    return Structure(Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5 + size, 0.5, 0.5]])


# --- validity ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [*PROTOTYPES.values(), odd])
def test_validity_is_that_of_the_domains_checks(make: Any) -> None:
    crystal = of_structure(make())
    for item in (crystal, crystal.structure(primitive=True)):
        assert structure_valid(item) == (BY_NAME["cdvae_structure"].test(crystal) is None)
        assert composition_valid(item) == (BY_NAME["cdvae_composition"].test(crystal) is None)


def test_what_is_not_valid() -> None:
    close = Structure(Lattice.cubic(5), ["Na", "Cl"], [[0, 0, 0], [0.09, 0, 0]])
    flat = Structure(Lattice.orthorhombic(1, 1, 0.05), ["Na"], [[0, 0, 0]])
    alone = Structure(Lattice.cubic(0.49), ["Na"], [[0, 0, 0]])  # 0.49 Å to its own image, which CDVAE lets pass; 0.12 Å^3
    found = validity([rock_salt(), close, flat, alone, odd(), None])
    assert found.structure.tolist() == [True, False, False, True, True, False]
    assert found.composition.tolist() == [True, True, True, True, False, False]
    assert found.both.tolist() == [True, False, False, True, False, False]


# --- reconstruction ---------------------------------------------------------------------------------------------------------------------


def test_a_crystal_matches_itself_in_any_cell() -> None:
    true = [of_structure(make()) for make in (rock_salt, perovskite)]
    other = [rock_salt(), perovskite() * (2, 1, 1)]
    found = reconstruction(other, true)
    assert found.ungated == found.gated == found.both
    assert found.ungated.rate == 1.0
    assert found.ungated.rmse == pytest.approx(0.0, abs=1e-3)


def test_distance_is_in_units_of_the_cube_root_of_the_volume_per_atom() -> None:
    # One of two atoms moved by d: about the best origin each is d / 2 off.
    edge, share = 4.12, 0.04
    wanted = (edge * share / 2) / (edge**3 / 2) ** (1 / 3)
    assert rms_distances([shifted(share)], [caesium_chloride()])[0] == pytest.approx(wanted, rel=1e-3)


def test_what_is_counted() -> None:
    true = [caesium_chloride(), caesium_chloride(), odd(), rock_salt()]
    found = reconstruction([shifted(0.04), None, odd(), perovskite()], true)
    assert (found.ungated.rate, found.gated.rate, found.both.rate) == (0.5, 0.25, 0.25)
    assert found.ungated.count == 4
    assert found.gated.rmse == pytest.approx(2 * found.ungated.rmse, rel=1e-3)  # CsF3 is off by nothing


def test_nothing_matched_is_no_number() -> None:
    found = summary(np.array([math.nan]))
    assert found.rate == 0.0
    assert math.isnan(found.rmse)
    assert math.isnan(summary(np.array([])).rate)


def test_as_many_predictions_as_crystals() -> None:
    with pytest.raises(ValueError, match="1 predictions for 2"):
        rms_distances([None], [rock_salt(), rock_salt()])


# --- match@k ----------------------------------------------------------------------------------------------------------------------------


def test_best_of_k() -> None:
    true = [caesium_chloride(), rock_salt()]
    candidates = [[None, shifted(0.08), shifted(0.04)], [perovskite(), perovskite(), perovskite()]]
    found = match_at(candidates, true, ks=(1, 2, 3))
    assert [found[k].ungated.rate for k in (1, 2, 3)] == [0.0, 0.5, 0.5]
    assert found[3].ungated.rmse == pytest.approx(found[2].ungated.rmse / 2, rel=1e-3)
    assert found[3].gated == found[3].ungated


def test_one_candidate_is_a_reconstruction() -> None:
    true = [caesium_chloride(), odd()]
    predicted = [shifted(0.03), odd()]
    assert match_at([[one] for one in predicted], true, ks=(1,))[1] == reconstruction(predicted, true)


def test_too_few_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 2"):
        match_at([[None]], [rock_salt()], ks=(1, 2))


# --- success rates ----------------------------------------------------------------------------------------------------------------------


def test_success_is_the_best_valid_try_under_the_percentile() -> None:
    five, ten, fifteen = SETTINGS["perov_5"].percentiles
    energies = [[2.0, five], [math.nan, (five + ten) / 2], [fifteen - 1e-6, 9.0], [math.nan, math.nan]]
    assert success_rates(energies, "perov_5") == {"SR5": 0.25, "SR10": 0.5, "SR15": 0.75}


def test_percentiles_rise() -> None:
    for one in SETTINGS.values():
        assert list(one.percentiles) == sorted(one.percentiles)


def test_success_rates_refuse_what_has_no_tries() -> None:
    with pytest.raises(ValueError, match="starts, tries"):
        success_rates([1.0, 2.0], "perov_5")
    with pytest.raises(UnknownName, match="mp_20"):
        success_rates([[1.0]], "mp20")


class Flat:
    """A net that predicts the same for every crystal."""

    data = "perov_5"

    def predict(self, items: list[Structure]) -> np.ndarray:
        return np.full(len(items), 0.0)


def test_invalid_crystals_do_not_count() -> None:
    found = optimisation.optimisation([[perovskite(), None], [odd(), None]], Flat())  # type: ignore[arg-type]
    assert found == {"SR5": 0.5, "SR10": 0.5, "SR15": 0.5}
    with pytest.raises(ValueError, match="equally many"):
        optimisation.optimisation([[None], [None, None]], Flat())  # type: ignore[arg-type]
