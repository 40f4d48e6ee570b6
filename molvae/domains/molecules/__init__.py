"""The domain of molecules: SMILES in, SMILES out, InChIKey as identity."""

from molvae.domains.molecules.graph import GRAPH
from molvae.domains.molecules.groups import GROUPS
from molvae.domains.molecules.selfies import SELFIES, SMILES
from molvae.domains.molecules.smiles import STEPS, Library, Molecule, features, key, parse, scaffold, similarity, write
from molvae.protocols import Domain

__all__ = ["Molecule", "domain"]


def domain() -> Domain[Molecule]:
    """Molecules: encoders read SELFIES and graphs, the decoder writes group strings unless told otherwise."""
    # Imported here, because their fragment tables are read on import and many uses need parsing alone.
    from molvae.domains.molecules.checks import CHECKS
    from molvae.domains.molecules.comparisons import COMPARISONS
    from molvae.domains.molecules.export import draw_svg, write_sdf
    from molvae.domains.molecules.files import read_sdf, step
    from molvae.domains.molecules.offers import SOURCES
    from molvae.domains.molecules.properties import PROPERTIES
    from molvae.domains.molecules.queries import QUERIES

    return Domain(
        name="molecules",
        parse=parse,
        write=write,
        key=key,
        group=scaffold,
        similarity=similarity,
        sequences={view.name: view for view in (SELFIES, SMILES, GROUPS)},
        source=SELFIES.name,
        target=GROUPS.name,
        graph=GRAPH,
        checks=CHECKS,
        properties=PROPERTIES,
        steps=STEPS,
        step=step,
        queries=QUERIES,
        readers={".sdf": read_sdf},
        exporters={".sdf": write_sdf},
        draw=draw_svg,
        features=features,
        library=Library,
        sources=SOURCES,
        comparisons=COMPARISONS,
        column="smiles",
    )
