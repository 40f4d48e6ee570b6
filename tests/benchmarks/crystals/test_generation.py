"""Coverage, distances and fingerprints: small sets worked out by hand, and matminer where it is installed."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Structure

from benchmarks.crystals import fingerprints as module
from benchmarks.crystals.fingerprints import MAGPIE, SITE, WHEEL, Fingerprints, Scaler, fingerprint, fingerprints, read_scaler, scaler
from benchmarks.crystals.generation import coverage, distances, generation
from benchmarks.crystals.settings import SETTINGS
from molvae.domains.crystals.structure import of_structure
from molvae.errors import DataError, MissingExtra
from tests.domains.crystals.prototypes import caesium_chloride, perovskite, quartz, rock_salt, spinel, triclinic

PLAIN = Scaler(np.zeros(MAGPIE), np.ones(MAGPIE))


def prints(*pairs: tuple[float, float]) -> Fingerprints:
    """Fingerprints that lie on a line, by their place on it: in structure and in composition."""
    found = Fingerprints(np.zeros((len(pairs), SITE)), np.zeros((len(pairs), MAGPIE)))
    found.structure[:, 0], found.composition[:, 0] = np.array(pairs).T
    return found


# --- coverage ---------------------------------------------------------------------------------------------------------------------------


def test_a_set_covers_itself() -> None:
    some = prints((0, 0), (1, 20), (2, 40))
    found = coverage(some, some, SETTINGS["perov_5"])
    assert (found.recall, found.precision, found.structure_recall, found.composition_precision) == (1.0, 1.0, 0.0, 0.0)


def test_both_cutoffs_count_in_both_directions() -> None:
    true = prints((0, 0), (1, 0), (2, 0), (3, 100))
    generated = prints((0.2, 4), (0.3, 0), (50, 0), (50, 0), (1.1, 5))
    found = coverage(generated, true, SETTINGS["perov_5"])
    # Of the true, the first and second have something within 0.2 and within 4; of the generated, only the first is at most 0.2 and 4 away.
    assert found.recall == 0.5
    assert found.precision == pytest.approx(1 / 5)
    assert found.structure_recall == pytest.approx((0.2 + 0.1 + 0.9 + 1.9) / 4)
    assert coverage(generated, true, SETTINGS["mp_20"]).precision == pytest.approx(3 / 5)


def test_crystals_without_fingerprints_count_as_generated() -> None:
    generated = prints((0, 0), (np.nan, np.nan))
    found = coverage(generated, prints((0, 0)), SETTINGS["perov_5"])
    assert (found.recall, found.precision) == (1.0, 0.5)
    nothing = coverage(prints((np.nan, np.nan)), prints((0, 0)), SETTINGS["perov_5"])
    assert (nothing.recall, nothing.precision) == (0.0, 0.0)
    with pytest.raises(ValueError, match="at least one each"):
        coverage(prints((0, 0)), prints((np.nan, np.nan)), SETTINGS["perov_5"])


# --- distances --------------------------------------------------------------------------------------------------------------------------


def test_distances_of_two_single_crystals_are_differences() -> None:
    energies = np.array([1.0, np.nan]), np.array([3.5])
    found = distances([rock_salt()], [of_structure(perovskite())], energies)
    # A Wyckoff text holds the volume to 0.27 %.
    assert found.density == pytest.approx(perovskite().density - rock_salt().density, abs=0.0027 * perovskite().density)
    assert found.elements == 1.0
    assert found.energy == 2.5
    assert distances([rock_salt()], [rock_salt()], None).energy is None


class Heavy:
    """A net that predicts a crystal's density."""

    def predict(self, items: list[Any]) -> np.ndarray:
        return np.array([item.density for item in items], float)


def test_everything_together() -> None:
    generated: list[Structure | None] = [rock_salt(), caesium_chloride(), perovskite(), None]
    some = prints((0, 0), (0.1, 1), (9, 99), (np.nan, np.nan))
    true: list[Any] = [rock_salt(), caesium_chloride()]
    found = generation(generated, true, (some, prints((0, 0), (0, 0))), "perov_5", net=Heavy(), seed=1, samples=3)  # type: ignore[arg-type]
    assert (found.structure_valid, found.composition_valid, found.valid) == (0.75, 0.75, 0.75)
    assert (found.coverage.recall, found.coverage.precision) == (1.0, 0.5)
    assert found.distances.energy == pytest.approx(found.distances.density)
    assert found.distances.elements == pytest.approx(1 / 3)
    assert found.structure_diversity == pytest.approx((0.1 + 9 + 8.9) / 3)
    assert found.unpredicted == 0
    with pytest.raises(ValueError, match="3 valid crystals of 4"):
        generation(generated, true, (some, prints((0, 0))), "perov_5", net=None, seed=1, samples=4)


# --- fingerprints -----------------------------------------------------------------------------------------------------------------------


def test_unknown_features_are_the_mean() -> None:
    scale = Scaler(np.full(MAGPIE, 2.0), np.full(MAGPIE, 4.0))
    assert scale(np.array([[10.0, *[np.nan] * (MAGPIE - 1)]]))[0, :2].tolist() == [2.0, 0.0]


def test_scaling_is_read_without_running_the_file(tmp_path: Path) -> None:
    path = tmp_path / "metrics.py"
    path.write_text(f"raise SystemExit\n_CompScalerMeans = {[1.5] * MAGPIE}\n_CompScalerStds = {[2.0] * MAGPIE}\n", encoding="utf-8")
    found = read_scaler(path)
    assert (found.means[0], found.deviations[-1]) == (1.5, 2.0)
    path.write_text("_CompScalerMeans = [1.0]\n", encoding="utf-8")
    with pytest.raises(DataError, match="132 numbers"):
        read_scaler(path)


def test_missing_matminer_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("matminer"):
            raise ImportError(name)
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    module._featurisers.cache_clear()
    with pytest.raises(MissingExtra, match=r"molvae\[crystalbench\]"):
        fingerprints([rock_salt()], PLAIN)


def test_fingerprints_of_known_crystals() -> None:
    pytest.importorskip("matminer", reason="pip install 'molvae[crystalbench]'")
    first, second, missing = fingerprint(rock_salt()), fingerprint(of_structure(rock_salt())), fingerprint(None)
    assert first[0] == pytest.approx(second[0], abs=1e-3)  # whatever the cell
    assert first[0].shape == (SITE,)
    assert first[1][:4].tolist() == [11.0, 17.0, 6.0, 14.0]  # least, largest, range and mean of the atomic numbers
    assert np.isnan(missing[0]).all()
    found = fingerprints([rock_salt(), caesium_chloride(), None], PLAIN)
    assert found.known.tolist() == [True, True, False]
    assert np.linalg.norm(found.structure[0] - found.structure[1]) > 0.4  # six neighbours or eight


@pytest.mark.parametrize("make", [perovskite, spinel, quartz, triclinic])
def test_one_site_of_each_orbit_is_enough(make: Any) -> None:
    pytest.importorskip("matminer", reason="pip install 'molvae[crystalbench]'")
    crystal = of_structure(make())
    assert fingerprint(crystal)[0] == pytest.approx(fingerprint(crystal.structure(primitive=True))[0], abs=1e-6)


@pytest.mark.slow
def test_published_scaling_makes_real_compositions_unremarkable() -> None:
    pytest.importorskip("matminer", reason="pip install 'molvae[crystalbench]'")
    if WHEEL.found() is None:
        pytest.skip(f"{WHEEL.file} is absent; put it into $MOLVAE_WHEELS")
    found = fingerprints([rock_salt(), perovskite()], scaler())
    assert np.abs(found.composition).mean() < 2.0
