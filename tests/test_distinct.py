"""The memory of records: by key, by the domain's twins, and what it does not remember."""

from __future__ import annotations

from molvae import build
from molvae.distinct import Distinct
from molvae.domains.crystals.structure import of_structure, parse
from tests.domains.crystals.prototypes import rutile


def test_molecules_are_told_apart_by_key() -> None:
    domain = build.domain("molecules")
    memory, key = Distinct(domain), domain.key(domain.parse("OCC"))
    assert memory.find(key, "CCO") is None
    memory.add(key, "CCO")
    memory.add(domain.key(domain.parse("CCC")), "CCC")
    assert memory.find(key, "CCO") == 0
    assert memory.find(domain.key(domain.parse("CCC")), "CCC") == 1
    assert memory.find(domain.key(domain.parse("CCN")), "CCN") is None


def test_crystals_are_told_apart_by_key_and_twins() -> None:
    domain = build.domain("crystals")
    base, shaken, other = (of_structure(rutile(free)).text for free in (0.305, 0.317, 0.2))
    keys = {text: domain.key(parse(text)) for text in (base, shaken, other)}
    assert len(set(keys.values())) == 3
    memory = Distinct(domain)
    memory.add(keys[other], other)
    memory.add(keys[base], base)
    assert memory.find(keys[shaken], shaken) == 1
    assert memory.find(keys[shaken], "nothing to compare") == 1  # known by its key from now on
    assert memory.find(keys[other], other) == 0
