"""Comparisons of sets of molecules: closed forms, and MOSES's own code where its wheel is at hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest

from benchmarks.support import molsets
from molvae.domains.molecules import comparisons as c
from molvae.domains.molecules.smiles import Molecule, parse

Measure = Callable[[Sequence[Molecule], Sequence[Molecule]], float]
FOUND = molsets.WHEEL.found()
ONE = ["O=C(NCCN1CCOCC1)c1ccc(Cl)cc1", "Cc1cc(NS(=O)(=O)c2ccc(N)cc2)no1", "CC(C)NCC(O)COc1cccc2ccccc12", "CCO"]
OTHER = ["O=C(NCCN1CCOCC1)c1ccc(F)cc1", "c1ccc(-c2ccccc2)cc1", "Cc1cc(NS(=O)(=O)c2ccc(N)cc2)no1"]


def molecules(texts: list[str]) -> list[Molecule]:
    return [parse(text) for text in texts]


@pytest.mark.parametrize("measure", [c.nearest_neighbour_similarity, c.fragment_similarity, c.scaffold_similarity])
def test_equal_sets_are_alike_and_empty_ones_unknown(measure: Measure) -> None:
    assert measure(molecules(ONE), molecules(ONE)) == pytest.approx(1.0)
    assert math.isnan(measure([], molecules(ONE)))
    assert math.isnan(measure(molecules(ONE), []))


def test_scaffolds_with_one_ring_do_not_count() -> None:
    naphthalene, biphenyl = "Cc1cccc2ccccc12", "c1ccc(-c2ccccc2)cc1"
    assert math.isnan(c.scaffold_similarity(molecules(["Cc1ccccc1"]), molecules([naphthalene])))
    value = c.scaffold_similarity(molecules([naphthalene, biphenyl, biphenyl]), molecules([naphthalene, naphthalene, biphenyl, "CCO"]))
    assert value == pytest.approx(4 / 5)  # (1, 2) and (2, 1)


def test_fragments_are_counted() -> None:
    # Ethanol has no bond that BRICS cuts, so it is a fragment by itself.
    assert c.fragment_similarity(molecules(["CCO"]), molecules(["CCO", "CCC"])) == pytest.approx(1 / math.sqrt(2))
    assert c.fragment_similarity(molecules(["CCO"]), molecules(["CCC"])) == 0.0


def test_nearest_neighbours_are_of_the_drawn() -> None:
    drawn, reference = molecules(["CCO"]), molecules(["CCO", "c1ccccc1"])
    assert c.nearest_neighbour_similarity(drawn, reference) == 1.0
    assert c.nearest_neighbour_similarity(reference, drawn) == pytest.approx(0.5)


@pytest.mark.slow
@pytest.mark.skipif(FOUND is None, reason=f"{molsets.WHEEL.file} is neither in $MOLVAE_WHEELS nor in $MOLVAE_HOME/wheels")
def test_moses_computes_the_same() -> None:
    pytest.importorskip("fcd_torch")
    molsets.import_moses(FOUND)
    from moses.metrics.metrics import FragMetric, ScafMetric, SNNMetric

    for metric, ours in (
        (SNNMetric, "nearest_neighbour_similarity"),
        (FragMetric, "fragment_similarity"),
        (ScafMetric, "scaffold_similarity"),
    ):
        theirs = metric(n_jobs=1)(gen=[m.mol for m in molecules(ONE)], ref=[m.mol for m in molecules(OTHER)])
        assert getattr(c, ours)(molecules(ONE), molecules(OTHER)) == pytest.approx(theirs, abs=1e-6)
