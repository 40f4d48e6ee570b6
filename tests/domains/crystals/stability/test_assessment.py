"""Relaxation and verdicts: known crystals by CHGNet, and what must not happen with potentials that go wrong."""

from __future__ import annotations

import math
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from molvae.domains.crystals.stability import Hull, Phase, Reference, Relaxed, Settings, assess, assessment, dynamics, potential, relax
from molvae.domains.crystals.stability.assessment import judge
from molvae.domains.crystals.stability.service import COLUMNS, STABILITY, row, run
from molvae.domains.crystals.structure import of_structure, parse
from molvae.errors import DataError, MissingExtra, UnknownName, UsageError
from molvae.protocols import StabilityPlan
from tests.domains.crystals.prototypes import diamond, perovskite, rock_salt

pytest.importorskip("chgnet", reason="needs CHGNet: pip install 'molvae[stability]'")
from ase.calculators.calculator import Calculator, all_changes

NACL = Reference("salt", "a test", (Phase("NaCl", {"Na": 0.5, "Cl": 0.5}, -2.06, "stable"),))
DONE = Relaxed(None, "", -1.0, -1.0, 0.01, 3, True, 0.0, 0.0, 225, 225, 0.1)


class Made(Calculator):  # type: ignore[misc]
    """A potential of these numbers: energy of the cell, and the same force on every atom's x."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, energy: float, force: float, stress: float = 0.0) -> None:
        super().__init__()
        self.made = (energy, force, stress)

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        energy, force, stress = self.made
        forces = np.zeros((len(atoms), 3))
        forces[:, 0] = force
        self.results = {"energy": energy, "forces": forces, "stress": np.full(6, stress)}


def test_rock_salt_relaxes_to_where_it_was() -> None:
    found = relax(of_structure(rock_salt()), fmax=0.02)
    assert found.converged
    assert found.reason == ""
    assert found.structure is not None
    assert (found.group_before, found.group) == (225, 225)
    assert abs(found.volume_change) < 0.05
    assert found.rms < 0.01
    assert found.force <= 0.02
    assert found.energy <= found.energy_before
    assert parse(found.text).formula == "NaCl"
    assert pickle.loads(pickle.dumps(found)).text == found.text


def test_a_limit_of_steps_or_time_is_told() -> None:
    stretched = rock_salt()
    stretched.scale_lattice(stretched.volume * 1.3)
    few = relax(of_structure(stretched), steps=2)
    assert (few.converged, few.steps) == (False, 2)
    assert few.reason.startswith("not converged after 2 steps")
    late = relax(of_structure(stretched), seconds=0.0)
    assert late.reason.startswith("out of time after")
    assert not late.converged


@pytest.mark.parametrize(
    ("calculator", "why"),
    [
        (Made(math.nan, 0.0), "no finite numbers at step 0"),
        (Made(-6.0, math.inf), "no finite numbers at step 0"),
        (Made(-6.0, 1e5), "diverged"),
        (Made(-1e9, 0.0), "diverged"),
        (Made(-6.0, 0.0, 0.6), "collapsed"),
        (Made(-6.0, 0.0, -0.6), "came apart"),
    ],
)
def test_what_diverges_is_stopped_and_has_no_result(calculator: Made, why: str) -> None:
    found = relax(of_structure(rock_salt()), steps=300, calculator=calculator)
    assert why in found.reason
    assert found.structure is None
    assert math.isnan(found.energy)
    assert not found.converged
    assert found.steps < 300


def test_lonely_atoms_have_no_energy() -> None:
    far = rock_salt()
    far.scale_lattice(3000)
    found = relax(of_structure(far))
    assert found.structure is None
    assert "isolated" in found.reason.lower()


def test_an_assessment_carries_its_evidence() -> None:
    found = assess(of_structure(rock_salt()), NACL, Settings(relaxed=True, versions=potential.MODELS))
    assert found.e_form == pytest.approx(-2.1, abs=0.1)
    assert found.e_hull == pytest.approx(found.e_form + 2.06)
    assert (found.coverage, found.phases, found.reference) == ("good", 1, "salt")
    assert [(p.phase.formula, p.share) for p in found.decomposition] == [("NaCl", pytest.approx(1.0))]
    assert 0 < found.spread < 0.2
    assert found.verdict == ("stable" if found.e_hull <= 0 else "metastable")
    told = row(found)
    assert tuple(told.values) == COLUMNS
    assert told.values["decomposition"] == "1 NaCl"


def test_against_the_elements_there_is_a_formation_energy_and_no_verdict() -> None:
    found = assess(of_structure(perovskite()), Reference.elements(), Settings())
    assert found.e_form == pytest.approx(-3.55, abs=0.1)
    assert math.isnan(found.e_hull)
    assert (found.verdict, found.coverage) == ("no verdict", "elements")
    assert "no competing compound" in found.reason


def hull(coverage: Any, energy: float = -1.0, phases: int = 3) -> Hull:
    return Hull(energy, coverage, phases, False, None)


@pytest.mark.parametrize(
    ("e_hull", "coverage", "relaxed", "converged", "verdict"),
    [
        (-0.02, "good", True, True, "stable"),
        (0.05, "good", True, True, "metastable"),
        (0.2, "good", True, True, "unstable"),
        (0.2, "sparse", True, True, "unstable"),
        (0.05, "sparse", True, True, "no verdict"),
        (-0.5, "sparse", True, True, "no verdict"),
        (-0.5, "elements", True, True, "no verdict"),
        (math.nan, "none", True, True, "no verdict"),
        (0.2, "good", True, False, "no verdict"),
        (-0.02, "good", True, False, "no verdict"),
        (0.2, "good", False, False, "no verdict"),
        (-0.02, "good", False, False, "stable"),
    ],
)
def test_verdicts_are_given_where_the_evidence_allows(e_hull: float, coverage: str, relaxed: bool, converged: bool, verdict: str) -> None:
    found, why = judge(e_hull, hull(coverage), {"Na": 0.5, "Po": 0.5}, Settings(relaxed=relaxed), replace(DONE, converged=converged))
    assert found == verdict
    assert bool(why) == (verdict == "no verdict")


@pytest.mark.slow
def test_a_soft_mode_takes_a_good_verdict_back() -> None:
    found = assess(of_structure(diamond()), Reference.elements(), Settings(dynamics=("elastic", "gamma")))
    assert found.least_stiffness > 100
    assert found.lowest_mode > 20
    titanate = Reference("t", "", (Phase("SrTiO3", {"Sr": 0.2, "Ti": 0.2, "O": 0.6}, -3.5, "stable"),))
    soft = assess(of_structure(perovskite()), titanate, Settings(relaxed=True, dynamics=("gamma",)))
    assert soft.lowest_mode < -0.5
    assert soft.verdict == "unstable"
    assert "imaginary mode" in soft.reason


def test_what_is_soft_away_from_the_minimum_or_unknown_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    good = Reference("salt", "", (*NACL.phases, Phase("Na", {"Na": 1.0}, 0.0, "stable"), Phase("Cl", {"Cl": 1.0}, 0.0, "stable")))
    monkeypatch.setattr(assessment.potential, "calculator", lambda version: Made(-8 * 3.4, 0.0))
    monkeypatch.setattr(assessment, "judge", lambda *given: ("stable", ""))
    for found, relaxed, verdict, why in (
        (-0.5, False, "no verdict", "not positive definite"),
        (-0.5, True, "unstable", "not positive definite"),
        (math.nan, True, "no verdict", "no stiffness"),
        (ValueError("torn"), True, "no verdict", "torn"),
        (12.0, True, "stable", ""),
    ):

        def elastic(*given: Any, found: float | Exception = found) -> Any:
            if isinstance(found, Exception):
                raise found
            return dynamics.Elastic(np.eye(6), found, found > 0)

        monkeypatch.setattr(assessment.dynamics, "elastic", elastic)
        said = assess(of_structure(rock_salt()), good, Settings(relaxed=relaxed, dynamics=("elastic",)))
        assert (said.verdict, why in said.reason) == (verdict, True), said.reason


def test_plans_that_make_no_sense_are_refused_before_any_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="elastic, gamma"):
        run(["x"], StabilityPlan("elements", dynamics=("phonons",)))
    with pytest.raises(UsageError, match="no reference"):
        run(["x"], StabilityPlan("nowhere"))
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match="no reference of molvae"):
        run(["x"], StabilityPlan(str(tmp_path / "x.json")))
    monkeypatch.setitem(sys.modules, "chgnet", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"molvae\[stability\]"):
        run(["x"], StabilityPlan("elements"))


def test_a_batch_goes_on_past_what_fails() -> None:
    texts = ["nonsense", of_structure(rock_salt()).text]
    found = dict(STABILITY.run(texts, StabilityPlan("elements", workers=0)))
    assert found[0].verdict == "failed"
    assert "no readable" in found[0].reason
    assert found[1].values["formula"] == "NaCl"


@pytest.mark.slow
def test_formation_energies_are_those_of_the_materials_project(shared_data: Path) -> None:
    rows = pd.read_csv(shared_data / "mp_20_biternary_val.csv.gz").sample(60, random_state=11)
    errors = []
    for text, expected in zip(rows["cif"], rows["formation_energy_per_atom"], strict=True):
        found = assess(parse(text), Reference.elements(), Settings())
        errors.append(abs(found.e_form - expected))
    assert np.mean(errors) < 0.05
    assert np.median(errors) < 0.03


@pytest.mark.slow
def test_a_cluster_of_two_workers_gives_the_same_and_survives_what_fails() -> None:
    distributed = pytest.importorskip("distributed", reason="needs Dask: pip install 'molvae[cluster]'")
    texts = [of_structure(rock_salt()).text, "nonsense", of_structure(diamond()).text]
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        found = dict(run(texts, StabilityPlan("elements", cluster=cluster.scheduler_address)))
    here = dict(run(texts, StabilityPlan("elements", workers=0)))
    for at in range(3):
        assert found[at].verdict == here[at].verdict
        assert found[at].values["e_form"] == pytest.approx(here[at].values["e_form"], nan_ok=True, abs=1e-4)
