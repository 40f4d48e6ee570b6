"""The domain of crystals: CIF in, Wyckoff sequences and CIF out."""

from molvae.domains.crystals.structure import WYCKOFF, Crystal, group, parse, write
from molvae.protocols import Domain

__all__ = ["Crystal", "domain"]


def domain() -> Domain[Crystal]:
    """Crystals: the encoder reads Wyckoff sequences and periodic graphs, the decoder writes Wyckoff sequences."""
    # Imported here, because the checks' and properties' tables are not needed for parsing alone.
    from molvae.domains.crystals.checks import CHECKS
    from molvae.domains.crystals.files import READERS, step, write_cif
    from molvae.domains.crystals.graph import GRAPH
    from molvae.domains.crystals.identity import QUERIES, features, key, similarity
    from molvae.domains.crystals.properties import PROPERTIES
    from molvae.domains.crystals.stability.service import STABILITY

    return Domain(
        name="crystals",
        parse=parse,
        write=write,
        key=key,
        group=group,
        similarity=similarity,
        sequences={WYCKOFF.name: WYCKOFF},
        source=WYCKOFF.name,
        target=WYCKOFF.name,
        graph=GRAPH,
        checks=CHECKS,
        properties=PROPERTIES,
        steps=(),
        step=step,
        queries=QUERIES,
        readers=READERS,
        exporters={".cif": write_cif},
        features=features,
        stability=STABILITY,
        column="wyckoff",
    )
