"""Stability as the core knows it: texts and a plan in, rows of a table out, as they come."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from molvae.domains.crystals.stability import potential, tables
from molvae.domains.crystals.stability.assessment import Assessment, Settings, assess, failed
from molvae.domains.crystals.stability.cluster import cluster
from molvae.domains.crystals.stability.hull import Product
from molvae.domains.crystals.stability.pool import Lost, here, local
from molvae.domains.crystals.stability.reference import Reference
from molvae.domains.crystals.structure import parse
from molvae.errors import InvalidRecord, UnknownName
from molvae.protocols import HullReport, Stability, StabilityPlan, StabilityRow

GRACE = 30.0
"""Seconds beyond a relaxation's own, which ends by itself between two steps, before its process is ended."""
DYNAMICS = ("elastic", "gamma")
VERDICTS = ("stable", "metastable", "unstable", "no verdict", "failed")
COLUMNS = (
    *("formula", "e_form", "e_hull", "coverage", "phases", "decomposition", "reference", "e_form_spread"),
    *("relaxed", "converged", "steps", "force", "volume_change", "rms", "spacegroup_before", "spacegroup"),
    *("least_stiffness", "lowest_mode", "model", "seconds"),
)


class Assessor:
    """text -> assessment; a class, so that it travels to worker processes."""

    def __init__(self, reference: Reference, settings: Settings) -> None:
        self.reference, self.settings = reference, settings

    def __call__(self, text: str) -> Assessment:
        import torch

        torch.set_num_threads(1)
        try:
            crystal = parse(text)
        except InvalidRecord as error:
            return failed(text, "", self.reference.name, error.why)
        return assess(crystal, self.reference, self.settings)

    def narrowed(self, text: str) -> Assessor:
        """With what this text needs of the reference alone."""
        return Assessor(self.reference.within(_symbols(text)), self.settings)


def run(texts: Sequence[str], plan: StabilityPlan) -> Iterator[tuple[int, StabilityRow]]:
    """See ``molvae.protocols.Stability``. What is wrong with the plan is raised before anything is computed."""
    if unknown := [name for name in plan.dynamics if name not in DYNAMICS]:
        raise UnknownName("test of dynamics", unknown[0], list(DYNAMICS))
    reference = Reference.open(plan.reference)
    potential.require()
    return _rows(texts, plan, Assessor(reference, settings_of(plan)))


def settings_of(plan: StabilityPlan) -> Settings:
    """The plan with the defaults filled in."""
    default = Settings()
    return Settings(
        relaxed=plan.relax,
        fmax=default.fmax if plan.force is None else plan.force,
        steps=default.steps if plan.steps is None else plan.steps,
        versions=potential.MODELS if plan.ensemble else potential.MODELS[:1],
        dynamics=plan.dynamics,
        threshold=default.threshold if plan.threshold is None else plan.threshold,
        seconds=plan.seconds,
    )


def _rows(texts: Sequence[str], plan: StabilityPlan, job: Assessor) -> Iterator[tuple[int, StabilityRow]]:
    hard = plan.seconds * (1 + len(plan.dynamics)) + GRACE
    if plan.cluster is not None:
        results = cluster(job.narrowed, texts, plan.cluster, hard)
    else:
        results = local(job, texts, plan.workers, hard) if plan.workers else here(job, texts)
    for at, found in results:
        yield at, row(failed(texts[at], _formula(texts[at]), job.reference.name, str(found)) if isinstance(found, Lost) else found)


def _symbols(text: str) -> frozenset[str]:
    try:
        return frozenset(element.symbol for element in parse(text).composition)
    except InvalidRecord:
        return frozenset()


def _formula(text: str) -> str:
    try:
        return parse(text).formula
    except InvalidRecord:
        return ""


def row(found: Assessment) -> StabilityRow:
    """An assessment as a row of ``COLUMNS``."""
    done = found.relaxed
    told = (
        *(
            found.formula,
            found.e_form,
            found.e_hull,
            found.coverage,
            found.phases,
            words(found.decomposition),
            found.reference,
            found.spread,
        ),
        *(("", "", math.nan, math.nan, math.nan, math.nan, math.nan, math.nan) if done is None else ()),
        *(() if done is None else (done.text, done.converged, done.steps, done.force, done.volume_change, done.rms)),
        *(() if done is None else (done.group_before or math.nan, done.group or math.nan)),
        *(found.least_stiffness, found.lowest_mode, " ".join(f"CHGNet-{version}" for version in found.versions)),
        math.nan if done is None else round(done.seconds, 2),
    )
    return StabilityRow(found.verdict, found.reason, dict(zip(COLUMNS, told, strict=True)))


def words(products: Sequence[Product]) -> str:
    """A decomposition in words: shares of the atoms, ``~`` before a composition where the hull passes below what is known."""
    return " + ".join(f"{p.share:.3g} {'~' if p.phase.kind == 'height' else ''}{p.phase.formula}" for p in products)


def build(files: Sequence[Path], systems: Sequence[str], name: str, out: Path) -> HullReport:
    """A reference from files and from the Materials Project (with the key in MP_API_KEY), written to ``out``. Raises as ``tables`` does."""
    read = [tables.read(path) for path in files]
    read += [tables.of_materials_project(system, os.environ.get("MP_API_KEY")) for system in systems]
    source = ", ".join([*(path.name for path in files), *(f"Materials Project {system}" for system in systems)])
    made = Reference.build(read, name, source)
    made.save(out)
    counts = {"compositions": len(made.phases), **Counter(phase.kind for phase in made.phases)}
    counts["chemical systems"] = len({frozenset(phase.fractions) for phase in made.phases})
    left_out = [one for known in read for one in known.left_out]
    return HullReport(name, sum(known.rows for known in read), counts, left_out, [remark for known in read for remark in known.remarks])


def competitors(text: str, reference: str) -> tuple[Mapping[str, float], list[tuple[Mapping[str, float], float]]]:
    """Composition of a crystal (symbol -> atoms) and the known compounds of its elements with their formation energies, eV an atom."""
    amounts = {element.symbol: float(count) for element, count in parse(text).composition.items()}
    return amounts, [(phase.fractions, phase.energy) for phase in _opened(reference).competing(amounts)]


@lru_cache(maxsize=2)
def _opened(reference: str) -> Reference:
    return Reference.open(reference)


STABILITY = Stability(run=run, build=build, competitors=competitors, columns=COLUMNS, verdicts=VERDICTS, dynamics=DYNAMICS)
