"""Problems with several objectives, and the methods that search their Pareto fronts at equal unique calls. Axes: n calls, M objectives."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.support import selfies_ga
from benchmarks.support.hypervolume import curve
from molvae.api import Model
from molvae.dataset import Store
from molvae.domains.molecules import Molecule
from molvae.domains.molecules.oracles import Pmo
from molvae.domains.molecules.properties import synthetic_accessibility
from molvae.domains.molecules.qed import qed
from molvae.domains.molecules.smiles import similarity
from molvae.errors import InvalidRecord
from molvae.metrics import pareto_front
from molvae.search import Search, Settings
from molvae.search.outcome import Evaluation
from molvae.search.sampler import Recipe

Points = NDArray[np.float64]
METHODS = ("molvae", "nsga2", "ga", "ga-verdict")
CELECOXIB = "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1"
EVERY = 100  # calls between two points of a curve


Measure = Callable[[Molecule], float]


def drug_likeness(molecule: Molecule) -> float:
    """QED, 0 to 1."""
    return float(qed(molecule.mol))


def ease(molecule: Molecule) -> float:
    """(10 - SA score) / 9, 0 to 1, as in RationaleRL (Jin et al. 2002.03244) and MARS (Xie et al. 2103.10432)."""
    return (10.0 - synthetic_accessibility(molecule.mol)) / 9.0


def likeness(reference: str, molecule: Molecule) -> float:
    """Tanimoto similarity of Morgan fingerprints (radius 2, 2048 bits)."""
    return float(similarity(molecule, [Molecule(reference)])[0])


@dataclass(frozen=True)
class Problem:
    """objectives: name -> a function of molecules, in 0..1, to be made large. The reference point is 0 in each."""

    objectives: Mapping[str, Measure]

    @property
    def reference(self) -> tuple[float, ...]:
        """The worst values that there can be."""
        return (0.0,) * len(self.objectives)

    def score(self, texts: Sequence[str]) -> Points:
        """SMILES -> objectives (n, M); 0 where one is undefined."""
        rows = [[measure(Molecule(text)) for measure in self.objectives.values()] for text in texts]
        return np.nan_to_num(np.array(rows).reshape(len(texts), len(self.objectives)))


# The activities are those of RationaleRL and MARS (random forests on GSK3b and JNK3); their standard is the second problem and ease.
PROBLEMS: Mapping[str, Problem] = {
    "gsk3b_jnk3": Problem({"gsk3b": Pmo("gsk3b"), "jnk3": Pmo("jnk3")}),
    "gsk3b_jnk3_qed": Problem({"gsk3b": Pmo("gsk3b"), "jnk3": Pmo("jnk3"), "qed": drug_likeness}),
    "qed_sa_celecoxib": Problem({"qed": drug_likeness, "ease": ease, "similarity to celecoxib": partial(likeness, CELECOXIB)}),
}


@dataclass(frozen=True)
class Effort:
    """budget: unique calls; recipe: of the product's search; ga: of the genetic algorithm, which starts from ``recipe.start`` molecules."""

    budget: int = 3000
    recipe: Recipe = field(default_factory=Recipe)
    ga: selfies_ga.Settings = field(default_factory=selfies_ga.Settings)


@dataclass(frozen=True)
class Searched:
    """Texts and objectives (n, M) in the order of the calls."""

    texts: list[str]
    values: Points
    counts: Mapping[str, float]


def search(model: Model, problem: Problem, method: str, effort: Effort, seed: int, known: Path) -> Searched:
    """One run of one of METHODS. known: the store with the training molecules, for the genetic algorithm."""
    if method in ("ga", "ga-verdict"):
        store = Store.open(known)
        rows = np.random.default_rng(seed).permutation(store.rows("train"))[: min(effort.recipe.start, effort.budget)]
        accept = partial(passes, model) if method == "ga-verdict" else None
        members = selfies_ga.SelfiesGA(problem.score, effort.ga, effort.budget, seed, accept).run(store.texts("text", rows))
        return Searched([m.smiles for m in members], np.array([m.objectives for m in members]), {})

    def evaluate(texts: Sequence[str]) -> list[Evaluation]:
        return [Evaluation(float(row.mean()), objectives=tuple(row.tolist())) for row in problem.score(texts)]

    sampler = {"molvae": "auto", "nsga2": "nsga2"}[method]
    settings = Settings(effort.budget, seed, sampler, objectives=len(problem.objectives), recipe=effort.recipe)
    verdict = model.validator.verdict
    done = Search(model.sampler, evaluate, settings, accept=lambda record: verdict(record).ok, features=model.domain.features).run()
    scored = list(done.pool)
    return Searched([s.text for s in scored], np.array([s.objectives for s in scored]), done.counts)


def passes(model: Model, smiles: str) -> bool:
    """Whether the molecule passes the product's verdict."""
    try:
        return model.validator.verdict(model.domain.parse(smiles)).ok
    except InvalidRecord:
        return False


def figures(model: Model, problem: Problem, method: str, effort: Effort, seed: int, known: Path) -> dict[str, Any]:
    """One run: hypervolume by calls, of all and of what passes the verdict, and its front."""
    started = time.process_time()
    found = search(model, problem, method, effort, seed, known)
    seconds = time.process_time() - started
    ok = np.array([passes(model, text) for text in found.texts])
    volumes = curve(found.values, problem.reference, EVERY)
    checked = curve(np.where(ok[:, None], found.values, 0.0), problem.reference, EVERY)
    kept = np.flatnonzero(pareto_front(found.values)).tolist()
    return {
        "method": method,
        "seed": seed,
        "calls": len(found.texts),
        "hypervolume": volumes[-1],
        "hypervolume_verdict": checked[-1],
        "curve": volumes,
        "curve_verdict": checked,
        "every": EVERY,
        "passing": float(ok.mean()),
        "front": [{"smiles": found.texts[k], "objectives": found.values[k].tolist(), "passes": bool(ok[k])} for k in kept],
        "counts": dict(found.counts),
        "cpu_seconds": seconds,
    }
