"""The domain of crystals: CIF in, Wyckoff sequences and CIF out."""

from dataclasses import replace
from typing import Any

from molvae.domains.crystals.structure import Crystal, group, parse, read_text, write
from molvae.domains.crystals.wyckoff import VOLUME, leeway, starting, symbols, vocabulary
from molvae.protocols import Domain, SequenceView

__all__ = ["Crystal", "domain"]

NAME = "wyckoff"
SETTINGS: dict[str, Any] = {
    "representation.source": NAME,
    "representation.target": NAME,
    "encoder.views": ("sequence", "graph"),
    "encoder.alone": (0.3, 0.3),
    "encoder.sequence_kind": "transformer",
    "encoder.sequence_hidden": 96,
    "encoder.sequence_layers": 2,
    "encoder.sequence_slots": True,
    "encoder.features": 256,
    "encoder.graph_hidden": 64,
    "encoder.graph_layers": 3,
    "latent.width": 128,
    "latent.summary": 32,
    "heads.weight": 40.0,
    "decoder.kind": "transformer",
    "decoder.embed": 96,
    "decoder.hidden": 160,
    "decoder.layers": 3,
    "decoder.heads": 4,
    "decoder.slots": True,
    "decoder.dropout": 0.1,
    "practice.rows": 64,
    "practice.pool": 8_000,
    "practice.renewed": 125,
    "practice.alone": 0.75,
    "practice.level": 0.05,
    "train.prior_batch": 12,
    "train.code_batch": 16,
    "train.low_share": 0.3,
    "condition.properties": ("density", "volume_per_atom"),
}
"""Chosen for sets of thousands of crystals; see ``benchmarks/results``."""


def domain() -> Domain[Crystal]:
    """Crystals: the encoder reads Wyckoff sequences and periodic graphs, the decoder writes Wyckoff sequences."""
    # Imported here, because the checks' and properties' tables are not needed for parsing alone.
    from molvae.domains.crystals.asked import CONSTRAINTS
    from molvae.domains.crystals.checks import CHECKS
    from molvae.domains.crystals.comparisons import COMPARISONS
    from molvae.domains.crystals.duplicates import Twins
    from molvae.domains.crystals.files import READERS, step
    from molvae.domains.crystals.graph import GRAPH
    from molvae.domains.crystals.identity import QUERIES, features, key, matches, similarity
    from molvae.domains.crystals.materials_project import download
    from molvae.domains.crystals.properties import PROPERTIES
    from molvae.domains.crystals.stability.known import Library, words
    from molvae.domains.crystals.stability.service import STABILITY
    from molvae.domains.crystals.vary import vary

    plain = Domain(
        name="crystals",
        parse=parse,
        write=write,
        key=key,
        group=group,
        similarity=similarity,
        sequences={NAME: _view()},
        source=NAME,
        target=NAME,
        graph=GRAPH,
        checks=CHECKS,
        properties=PROPERTIES,
        steps=(),
        step=step,
        queries=QUERIES,
        readers=READERS,
        features=features,
        library=Library,
        matches=matches,
        words=words,
        comparisons=COMPARISONS,
        stability=STABILITY,
        column=NAME,
        vary=vary,
        constraints=CONSTRAINTS,
        databases={"mp": download},
        twins=Twins,
        settings=SETTINGS,
        split="group",
    )
    return _shown(plain)


def _view() -> SequenceView[Crystal]:
    from molvae.domains.crystals.asked import start

    # 320: thirty orbits without symmetry.
    return SequenceView(
        NAME,
        write=write,
        symbols=symbols,
        read=read_text,
        alphabet=tuple(vocabulary()),
        grammar=start,
        longest=320,
        leeway=leeway,
        begins=starting("@"),
        closes=starting(VOLUME),
    )


def _shown(plain: Domain[Crystal]) -> Domain[Crystal]:
    """With what files and pages show of a crystal."""
    from molvae.domains.crystals.diffraction import pattern_svg
    from molvae.domains.crystals.draw import draw_svg
    from molvae.domains.crystals.export import EXPORTERS
    from molvae.domains.crystals.facts import facts
    from molvae.domains.crystals.scene import scene

    figures = {"X-ray diffraction, simulated": pattern_svg}
    return replace(plain, exporters=EXPORTERS, draw=draw_svg, scene=scene, facts=facts, figures=figures)
