"""An expensive scorer: docking with AutoDock Vina, a search of some 150 calls beside as many draws of the model's prior.

The receptor is one of DOCKSTRING's 58 (García-Ortegón et al., J. Chem. Inf. Model. 62, 3486 (2022)), read from its pinned wheel; the box has
DOCKSTRING's centre and ``--box`` Å a side, smaller than its 30. Ligands are prepared by the product (RDKit, meeko), without DOCKSTRING's
protonation by Open Babel and at a lower exhaustiveness: affinities do not compare with its tables. Asked is a low affinity under QED >= 0.5,
of the search and of the draws alike. A noisy search may owe its best scores to lucky poses, so that the ten best of each are docked anew
with another seed and a higher exhaustiveness; those values are reported beside the first. What was docked stays in the working folder: the same
command goes on after an interruption.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.support.record import RESULTS, ROOT, Row, command_line, write_result
from benchmarks.support.terminal import common, show
from molvae.api import Model, load
from molvae.domains.molecules.docking import Docking
from molvae.objectives import Objective
from molvae.scorers import Guarded, Measured
from molvae.search.journal import PLAN
from molvae.search.sampler import Recipe
from molvae.wheels import Wheel

DOCKSTRING = Wheel(
    "dockstring==0.3.4",
    "dockstring-0.3.4-py3-none-any.whl",
    "e0e61d4f6f5ff22b3cc2905ea01af5752fe0a14f93b4a148d81ffa1fac661cc5",
    ("dockstring/resources/targets/",),
)
AFFINITY, LEAST_QED, TOP, TIMEOUT = "affinity", 0.5, 10, 600.0


def settings(target: str, box: float, exhaustiveness: int, seed: int) -> Docking:
    """Docking into one of DOCKSTRING's targets. Raises SystemExit for an unknown one."""
    folder = DOCKSTRING.unpacked() / "dockstring" / "resources" / "targets"
    known = sorted(path.name.removesuffix("_conf.txt") for path in folder.glob("*_conf.txt"))
    if target not in known:
        raise SystemExit(f"--target {target}: unknown; known: {', '.join(known)}")
    lines = (folder / f"{target}_conf.txt").read_text(encoding="utf-8").splitlines()
    values = {key.strip(): float(value) for key, equals, value in (line.partition("=") for line in lines) if equals}
    center = (values["center_x"], values["center_y"], values["center_z"])
    receptor = folder / f"{target}_target.pdbqt"
    return Docking(receptor=receptor, center=center, size=(box, box, box), exhaustiveness=exhaustiveness, seed=seed)


def docked(model: Model, docking: Docking, texts: Sequence[str], kept: Path, chunk: int = 5) -> dict[str, float]:
    """Text -> affinity. kept: the file of what is known, brought up to date after each chunk."""
    seen = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    known = {text: (float("nan") if value is None else value,) for text, value in seen.items()}
    with Guarded(Measured(model.domain, {AFFINITY: docking}), timeout=TIMEOUT, seen=known) as guard:
        for start in range(0, len(texts), chunk):
            guard(texts[start : start + chunk])
            plain = {text: None if math.isnan(value) else value for text, (value,) in known.items()}
            kept.write_text(json.dumps(plain, indent=0), encoding="utf-8")
    return {text: known[text][0] for text in texts}


def described(model: Model, scored: Mapping[str, float], again: Docking, kept: Path) -> dict[str, Any]:
    """Calls, losses, the best and the mean of the ten best within the constraint, their size and QED, and their second docking."""
    domain = model.domain
    records = {text: domain.parse(text) for text in scored}
    qed = {text: domain.properties["qed"].compute(record) for text, record in records.items()}
    known = {text: value for text, value in scored.items() if not math.isnan(value)}
    top = sorted((text for text in known if qed[text] >= LEAST_QED), key=known.__getitem__)[:TOP]
    second = list(docked(model, again, top, kept).values())
    return {
        "calls": len(scored),
        "lost": len(scored) - len(known),
        "inside": sum(qed[text] >= LEAST_QED for text in known),
        "mean": mean(list(known.values())),
        "best": known[top[0]],
        "top10": mean([known[text] for text in top]),
        "best_again": min(second),
        "top10_again": mean(second),
        "top10_qed": mean([qed[text] for text in top]),
        "top10_heavy_atoms": mean([float(records[text].mol.GetNumHeavyAtoms()) for text in top]),
        "molecules": [{"smiles": t, AFFINITY: known[t], "again": a, "qed": qed[t]} for t, a in zip(top, second, strict=True)],
    }


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)


def searched(model: Model, docking: Docking, options: argparse.Namespace) -> dict[str, float]:
    """Text -> affinity of everything that the search scored."""
    objective = Objective.of(minimize=AFFINITY, constraint=f"qed>={LEAST_QED}")
    scorer = Measured(model.domain, {AFFINITY: docking})
    recipe = Recipe(batch=options.batch, start=options.budget // 5)

    def tell(now: Any) -> None:
        print(f"search: {now.calls} calls, best {now.best:.2f}, {now.seconds:.0f} s", file=sys.stderr, flush=True)

    place: dict[str, Any] = {"out": options.folder, "resume": (options.folder / PLAN).exists()}
    plan = {"budget": options.budget, "seed": options.seed, "recipe": recipe, **place}
    found = model.optimize(objective, scorers=[scorer], timeout=TIMEOUT, on_progress=tell, **plan)
    return {one.text: one.values.get(AFFINITY, float("nan")) for one in found.search.pool}


def drawn(model: Model, docking: Docking, options: argparse.Namespace) -> dict[str, float]:
    """Text -> affinity of as many distinct draws of the prior that pass the verdict."""
    texts = [c.text for c in model.generate(options.budget, seed=options.seed, predict=False).candidates]
    return docked(model, docking, texts, options.folder / "draws.json")


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.docking", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="zinc250k", help="shipped model or checkpoint folder (default zinc250k)")
    parser.add_argument("--target", default="F2", help="one of DOCKSTRING's receptors (default F2, thrombin)")
    parser.add_argument("--budget", type=int, default=150, help="calls of the search, and draws (default 150)")
    parser.add_argument("--batch", type=int, default=10, help="calls between two updates of the search (default 10)")
    parser.add_argument("--box", type=float, default=22.0, help="side of the box in Å (default 22)")
    parser.add_argument("--exhaustiveness", type=int, default=1, help="of the search and the draws (default 1)")
    parser.add_argument("--again", type=int, default=4, help="exhaustiveness of the second docking (default 4)")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "docking", help="working folder (default runs/docking)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result file (default benchmarks/results)")
    common(parser, out="docking")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Search, draw, dock the best again, write the result."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    options.folder /= f"{options.target}-seed{options.seed}-{options.budget}"
    model = load(options.model)
    docking = settings(options.target, options.box, options.exhaustiveness, options.seed + 1)
    again = settings(options.target, options.box, options.again, options.seed + 2)
    found: dict[str, dict[str, Any]] = {}
    for name, way in (("search", searched), ("prior draws", drawn)):
        started = time.monotonic()
        scored = way(model, docking, options)
        seconds = time.monotonic() - started
        kept = options.folder / f"{name.partition(' ')[0]}-again.json"
        found[name] = {"seconds": seconds, **described(model, scored, again, kept)}
    keys = ("best", "top10", "best_again", "top10_again", "top10_qed", "top10_heavy_atoms", "lost", "seconds")
    show(("of " + str(options.budget), *keys), [(name, *(one[key] for key in keys)) for name, one in found.items()], 2)
    calls, ours, theirs = options.budget, found["search"], found["prior draws"]
    words = {"best": "best", "top10": "mean of the ten best", "top10_again": f"the ten docked again, exhaustiveness {options.again}"}
    rows = [
        Row(f"Vina affinity, {options.target}, {calls} calls, {what}, kcal/mol", ours[key], f"{calls} prior draws {theirs[key]:.2f}", 2)
        for key, what in words.items()
    ]
    asked = {key: getattr(options, key) for key in ("target", "budget", "batch", "box", "exhaustiveness", "again")}
    payload = {"settings": {**asked, "least_qed": LEAST_QED, "model": model.name}, **found}
    command = command_line("benchmarks.docking", arguments)
    write_result(
        options.out, payload, command=command, seed=options.seed, rows=rows, threads=options.threads, folder=options.results.resolve()
    )


if __name__ == "__main__":
    main(sys.argv[1:])
