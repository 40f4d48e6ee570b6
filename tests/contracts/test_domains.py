"""What the core expects of every domain, for each there is."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from molvae import build
from molvae.errors import InvalidRecord, UnknownName, UsageError
from molvae.protocols import Domain
from molvae.tokens import SymbolBPE


@dataclass(frozen=True)
class Case:
    """Texts of a domain: canonical ones, others, broken ones, and for each kind of query a right and a wrong argument."""

    canonical: tuple[str, ...]
    others: tuple[str, ...]
    broken: tuple[str, ...]
    queries: dict[str, tuple[str, str]]


POSCAR = "CsCl\n1.0\n4.12 0 0\n0 4.12 0\n0 0 4.12\nCs Cl\n1 1\ndirect\n0.1 0.1 0.1\n0.6 0.6 0.6\n"
CASES = {
    "molecules": Case(
        ("CCO", "c1ccncc1", "C[C@H](N)C(=O)O"),
        ("OCC", "C1=CC=NC=C1"),
        ("", "C1CC", "nonsense"),
        {"contains": ("[OX2H]", "(("), "scaffold": ("c1ccncc1", "CC")},
    ),
    "crystals": Case(
        ("sg221@aTi@bSr@dO|19.30", "sg225@aCl@bNa|25.40", "sg186@bO:18.18@bZn:00.24|23.10/27.12"),
        (POSCAR,),
        ("", "sg221", "sg231@aSr|20.20", "nonsense", "data_x\n_cell_length_a 3"),
        {"elements": ("Sr,O", "Xx"), "chemsys": ("Sr-Ti-O", ""), "spacegroup": ("221,cubic", "300")},
    ),
}


@pytest.fixture(scope="module", params=sorted(CASES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def domain(name: str) -> Domain[Any]:
    return build.domain(name)


@pytest.fixture(scope="module")
def records(domain: Domain[Any], name: str) -> list[Any]:
    return [domain.parse(text) for text in CASES[name].canonical]


def test_every_domain_has_a_case() -> None:
    assert set(build.DOMAINS) == set(CASES)
    with pytest.raises(UnknownName, match="unknown domain"):
        build.domain("metals")


def test_texts_round_trip(domain: Domain[Any], name: str, records: list[Any]) -> None:
    assert domain.name == name
    assert [domain.write(record) for record in records] == list(CASES[name].canonical)
    for text in CASES[name].others:
        record = domain.parse(text)
        assert domain.parse(domain.write(record)) == record
        assert domain.key(domain.parse(domain.write(record))) == domain.key(record)


def test_broken_texts_say_why(domain: Domain[Any], name: str) -> None:
    for text in CASES[name].broken:
        with pytest.raises(InvalidRecord) as caught:
            domain.parse(text)
        assert caught.value.text == text
        assert caught.value.why


def test_views_split_and_read_back(domain: Domain[Any], records: list[Any]) -> None:
    assert {domain.source, domain.target} <= set(domain.sequences)
    for view in domain.sequences.values():
        for record in records:
            text = view.write(record)
            symbols = view.symbols(text)
            assert "".join(symbols) == text
            assert domain.key(view.read(text)) == domain.key(record)
            assert SymbolBPE.train([symbols, symbols], 1000).decode(SymbolBPE.train([symbols], 1000).encode(symbols)) == symbols


def test_keys_tell_records_apart_and_groups_are_texts(domain: Domain[Any], records: list[Any]) -> None:
    keys = [domain.key(record) for record in records]
    assert len(set(keys)) == len(keys)
    assert all(isinstance(domain.group(record), str) for record in records)


def test_twins_are_equal_texts_and_never_different_records(domain: Domain[Any], records: list[Any]) -> None:
    if domain.twins is not None:
        twins = domain.twins()
        for record in records:
            assert twins.find(record) is None
            twins.add(record)
        assert [twins.find(record) for record in records] == list(range(len(records)))
        assert domain.twins().find(records[0]) is None  # each memory is its own


def test_a_library_finds_the_record_itself_as_its_nearest(domain: Domain[Any], records: list[Any]) -> None:
    assert domain.library is not None
    nearest = domain.library(records)
    for record in records:
        found = nearest(record)
        assert found["nearest"] == domain.write(record)
        assert found["nearest_similarity"] == pytest.approx(max(domain.similarity(record, records))) == pytest.approx(1.0)
    assert domain.library([])(records[0]) == {}


def test_words_are_short_texts_of_the_same_columns(domain: Domain[Any], records: list[Any]) -> None:
    if domain.words is not None:
        told = [domain.words(record) for record in records]
        assert {tuple(one) for one in told} == {tuple(told[0])}
        assert all(0 < len(word) < 80 for one in told for word in one.values())


def test_graphs_fit_their_sizes(domain: Domain[Any], records: list[Any]) -> None:
    for record in records:
        graph = domain.graph.build(record)
        assert graph.nodes.shape[1] == len(domain.graph.node_sizes)
        assert graph.edge_features.shape[1] == len(domain.graph.edge_sizes)
        assert (graph.nodes < np.array(domain.graph.node_sizes)).all()
        assert (graph.edge_features < np.array(domain.graph.edge_sizes)).all()
        assert graph.edges.max(initial=0) < len(graph.nodes)
        assert (graph.nodes.dtype, graph.edges.dtype, graph.edge_features.dtype) == (np.uint8, np.uint16, np.uint8)


def test_properties_checks_and_features(domain: Domain[Any], records: list[Any]) -> None:
    for key, entry in domain.properties.items():
        assert entry.name == key
        assert entry.unit
        assert all(isinstance(entry.compute(record), float) for record in records)
    assert any(check.default for check in domain.checks)
    for check in domain.checks:
        if check.default:
            assert all(check.test(record) is None or isinstance(check.test(record), str) for record in records)
    if domain.features is not None:
        counts = domain.features(records)
        assert counts.shape[0] == len(records)
        assert (counts >= 0).all()


def test_similarity_is_one_for_the_same(domain: Domain[Any], records: list[Any]) -> None:
    for i, record in enumerate(records):
        found = domain.similarity(record, records)
        assert math.isclose(found[i], 1.0, abs_tol=1e-6)
        assert all(0 <= value <= 1 + 1e-6 for value in found)
    assert domain.similarity(records[0], []) == []


def test_queries_answer_or_refuse(domain: Domain[Any], name: str, records: list[Any]) -> None:
    assert set(domain.queries) == set(CASES[name].queries)
    for kind, (good, bad) in CASES[name].queries.items():
        answers = [domain.queries[kind](good)(record) for record in records]
        assert True in answers
        with pytest.raises(UsageError):
            domain.queries[kind](bad)


def test_records_travel_to_workers(domain: Domain[Any], records: list[Any]) -> None:
    parts = [*records, domain.parse, domain.write, domain.key, *domain.checks, *domain.properties.values()]
    for part in parts:
        pickle.loads(pickle.dumps(part))
    assert [pickle.loads(pickle.dumps(record)) for record in records] == records


@pytest.mark.parametrize("what", ["molvae", "molvae.domains.molecules", "molvae.build", "molvae.cli"])
def test_crystal_packages_are_imported_only_for_crystals(what: str) -> None:
    code = f"import sys, {what}; print([name for name in ('pymatgen', 'pyxtal', 'spglib') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.strip() == "[]"
