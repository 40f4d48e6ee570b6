"""``molvae optimize``."""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molvae.cli import evidence
from molvae.cli.deliver import candidate_table, rows
from molvae.cli.generate import SCAFFOLD, ModelName
from molvae.cli.read import Complaints, entries
from molvae.cli.search_report import write_records
from molvae.cli.shared import DEFAULT_MODEL, State, add_row, epilog, new_table, number, open_model, state_of
from molvae.cli.wishes import Atoms, Chemsys, Composition, Elements, Exclude, SpaceGroup, asked
from molvae.errors import InvalidRecord, UsageError

if TYPE_CHECKING:
    from molvae.api import Model
    from molvae.objectives import Objective
    from molvae.optimise import Optimised
    from molvae.search import Progress
    from molvae.search.team import Interruptible

FILES = ("candidates.csv", "all.csv")
_OPTIONS = ("sampler", "seed", "verify", "novel", "resume", "workers", "storage", "out")
_MAXIMIZE = (
    "Make large. Repeatable. NAME, here and below: a computed property, an endpoint of --scorer, or what the model predicts: PROPERTY_pred, or "
    "PROPERTY_lcb and PROPERTY_ucb, one standard deviation below and above it, PROPERTY_views, its mean over the model's views by how sure each is; "
    "a label that nobody can compute goes by its own name; log_density, how plausible the model finds a record."
)
_SCORER = (
    "An endpoint of your own: module:function, file.py:function (both with :batch for lists), program:COMMAND, http://ADDRESS, "
    "sklearn:FILE, similar:SMILES; or one that molvae brings along: pmo:TASK, guacamol:TASK, docking:FILE.toml (--list-scorers). NAME= before "
    "it names it. Repeatable."
)

_SEEDS = "Records to score first and to search around: a file, - for standard input, or the record itself. Repeatable."
_BESIDE = "With --seeds, also begin with so many draws of the prior, in whole batches, and go on from the best of all; 0 stays nearer to the seeds."
_STORAGE = (
    "Keep the Optuna study there: postgresql+psycopg://USER@HOST/DATABASE, sqlite:///FILE or journal:FILE. The same command elsewhere, with "
    "another folder and the same --study, joins it: no record is scored twice."
)


def _list_scorers(context: typer.Context, asked: bool) -> None:
    if not asked or context.resilient_parsing:
        return
    from molvae import build

    state = state_of(context)
    found = [(kind, source) for name in build.DOMAINS for kind, source in build.domain(name).sources.items()]
    table = new_table(None, "scorer", "gives", "names")
    for kind, source in found:
        add_row(table, f"{kind}:{source.argument}", source.description, ", ".join(source.names))
    state.show(table)
    state.result([{"scorer": k, "argument": s.argument, "gives": s.description, "names": s.names} for k, s in found])
    raise typer.Exit


ListScorers = Annotated[
    bool, typer.Option("--list-scorers", callback=_list_scorers, is_eager=True, help="Show the scorers that molvae brings along, and stop.")
]

PerScaffold = Annotated[int, typer.Option(min=0, help="Most candidates with one scaffold, of crystals with one formula; 0 for no limit.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=epilog(
            "molvae optimize --maximize qed --constraint 'tpsa<=90' --budget 5000 -o run",
            "molvae optimize --target logp=2.5±0.3 --minimize sa=1:5 --maximize qed=0.3:0.95*2 --contains c1ccncc1 -o run",
            "molvae optimize --scorer activity=my_model.py:predict:batch --maximize activity --scorer-workers 4 -o run",
            "molvae optimize --model runs/mine --maximize my_assay_lcb --constraint 'sa<=3.5' -o run",
            "molvae optimize --scorer near='similar:O=C(NCCN1CCOCC1)c1ccc(Cl)cc1' --maximize near=0.3:0.7 --minimize sa=1:5 -o run",
            "molvae optimize --model zinc250k --scorer pmo:perindopril_mpo --maximize perindopril_mpo --budget 10000 -o run",
            "molvae optimize --scorer docking:kit.toml --minimize kit --constraint 'qed>=0.5' --scorer-workers 4 --budget 500 -o run",
            "molvae optimize --maximize qed --workers 4 --storage postgresql+psycopg://me@host/db --study qed -o here",
            "molvae optimize --maximize qed --minimize logp --pareto --budget 3000 -o front",
            "molvae optimize --maximize qed --seeds hits.smi --per-scaffold 3 -o run",
            "molvae optimize --maximize qed -o run --resume",
            "molvae optimize --model mp20 --minimize formation_energy_per_atom --composition LiFePO4 --budget 500 -o cells",
        )
    )(optimize)


def optimize(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the run; it keeps everything that is scored.")],
    model: ModelName = DEFAULT_MODEL,
    maximize: Annotated[list[str] | None, typer.Option(metavar="NAME[=LOW:HIGH][*WEIGHT]", help=_MAXIMIZE)] = None,
    minimize: Annotated[list[str] | None, typer.Option(metavar="NAME[=LOW:HIGH][*WEIGHT]", help="Make small. Repeatable.")] = None,
    target: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE[±TOL][*WEIGHT]", help="Bring near. Repeatable.")] = None,
    range_: Annotated[list[str] | None, typer.Option("--range", metavar="NAME=LOW:HIGH[*WEIGHT]", help="Bring inside. Repeatable.")] = None,
    constraint: Annotated[list[str] | None, typer.Option(metavar="NAME<=VALUE", help="Must hold, as 'tpsa<=90'. Repeatable.")] = None,
    contains: Annotated[list[str] | None, typer.Option(metavar="SMARTS", help="Must have this substructure. Repeatable.")] = None,
    scaffold: Annotated[str | None, typer.Option(metavar="SMILES", help=f"Must have this scaffold. {SCAFFOLD}")] = None,
    similar: Annotated[list[str] | None, typer.Option(metavar="SMILES:LOW[:HIGH]", help="Must be so similar. Repeatable.")] = None,
    chemsys: Chemsys = None,
    composition: Composition = None,
    elements: Elements = None,
    exclude: Exclude = None,
    spacegroup: SpaceGroup = None,
    atoms: Atoms = None,
    objective: Annotated[Path | None, typer.Option(metavar="FILE", help="The objective as TOML instead.")] = None,
    scorer: Annotated[list[str] | None, typer.Option(metavar="SPEC", help=_SCORER)] = None,
    list_scorers: ListScorers = False,
    trust: Annotated[bool, typer.Option("--trust", help="Unpickle the sklearn: files, which runs what is in them.")] = False,
    pareto: Annotated[bool, typer.Option("--pareto", help="Each term an objective of its own: the front instead of one score.")] = False,
    budget: Annotated[int, typer.Option(min=1, help="Distinct records to score.")] = 1000,
    sampler: Annotated[str, typer.Option(help="auto or local (ours), or Optuna's cmaes, tpe, gp, nsga2, random.")] = "auto",
    seeds: Annotated[list[str] | None, typer.Option(metavar="FILE|TEXT", help=_SEEDS)] = None,
    beside_seeds: Annotated[int, typer.Option(min=0, help=_BESIDE)] = 0,
    per_scaffold: PerScaffold = 0,
    batch: Annotated[int, typer.Option(min=1, help="Records asked for at a time.")] = 64,
    novel: Annotated[bool, typer.Option("--novel", help="None of the training data.")] = False,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Score only what passes the verdict.")] = True,
    workers: Annotated[int, typer.Option(min=1, help="Search processes, side by side on one study.")] = 1,
    scorer_workers: Annotated[int, typer.Option(min=1, help="Processes of each scorer, in each search process.")] = 1,
    scorer_batch: Annotated[int, typer.Option(min=1, help="Records in one call of scorers that take several.")] = 16,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds for each record of a scorer's call.")] = 60.0,
    retries: Annotated[int, typer.Option(min=0, help="Further tries of an evaluation that crashed, hung or raised.")] = 1,
    minutes: Annotated[float, typer.Option(min=0, help="Stop after so long; 0 for no limit.")] = 0.0,
    storage: Annotated[str | None, typer.Option(metavar="URL", help=_STORAGE)] = None,
    study: Annotated[str | None, typer.Option(help="The study's name.", show_default="the folder's")] = None,
    keep: Annotated[int, typer.Option("-n", min=1, help="Candidates to deliver.")] = 100,
    report: Annotated[bool, typer.Option("--report/--no-report", help="An HTML page of the run in its folder.")] = True,
    known: evidence.Known = None,
    relax: evidence.Relax = False,
    reference: evidence.Reference = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run in the folder stopped; nothing is scored twice.")] = False,
    seed: Annotated[int, typer.Option(help="Fixes every random number.")] = 0,
) -> None:
    """Search for the records that score best: every one valid, checked and scored once. Ctrl-C stops after the batch and keeps all."""
    carry_out(state_of(context), context.params)


def carry_out(state: State, given: Mapping[str, Any]) -> None:
    """Search, and deliver with the evidence that was asked for. given: the command's options."""
    wanted, options = _objective(given), _options(given)
    model = open_model(state, given["model"])
    asked_for = evidence.Wanted(given["reference"], given["relax"], state.threads or 1)
    evidence.check(model.domain, asked_for)
    nearest = evidence.library(state, given["known"], model.domain)
    further = {name: given[name] for name in ("budget", "keep", "trust", "scorer_workers", "scorer_batch", "timeout", "retries")}
    found = _run(state, model, wanted, seeds=_seeds(state, given["seeds"], model), **further, **options)
    chosen = evidence.placed(state, evidence.described(found.candidates, model.domain), model.domain, nearest)
    found = replace(found, candidates=evidence.assessed(state, chosen, model.domain, asked_for, rank=False))
    figures = evidence.hull_figure(model.domain, asked_for, found.candidates)
    _deliver(state, model, found, given["out"], page=given["report"], figures=figures, options={"budget": given["budget"], **options})


def _seeds(state: State, given: Sequence[str] | None, model: Model) -> tuple[str, ...]:
    """Texts of the records to begin with; what is no record is reported and left out."""
    complaints, texts = Complaints(state), []
    for entry in entries(state, given, model.domain) if given else ():
        try:
            texts.append(model.domain.write(model.domain.parse(entry.text)))
        except InvalidRecord as error:
            complaints.add(entry.where, error.why)
    complaints.close()
    return tuple(texts)


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the plan, as the command line has them."""
    from molvae.search.sampler import Recipe

    if given["beside_seeds"] and not given["seeds"]:
        raise UsageError(
            f"--beside-seeds {given['beside_seeds']} without --seeds; a search without seeds begins with draws of the prior anyway"
        )
    found: dict[str, Any] = {name: given[name] for name in _OPTIONS}
    found |= {
        "recipe": Recipe(batch=given["batch"], beside_seeds=given["beside_seeds"]),
        "per_group": given["per_scaffold"],
        "seconds": 60 * given["minutes"],
    }
    return found | {"study": given["study"] or (given["out"].name if given["storage"] else None), "constraints": asked(given)}


def _objective(given: Mapping[str, Any]) -> Objective:
    """From a file, which scorers and ``pareto`` may be added to, or from the terms of the command line. Raises UsageError for terms from both."""
    from molvae.objectives import Objective

    names = {"maximize": "maximize", "minimize": "minimize", "target": "target", "range": "range_", "constraint": "constraint"}
    terms: dict[str, Any] = {term: given[name] or () for term, name in names.items()}
    terms |= {name: given[name] or () for name in ("contains", "scaffold", "similar")}
    scorers = tuple(given["scorer"] or ())
    if given["objective"] is None:
        return Objective.of(**terms, scorer=scorers, pareto=given["pareto"])
    if any(terms.values()):
        raise UsageError("--objective FILE together with terms on the command line; give one or the other")
    read = Objective.from_toml(given["objective"])
    return replace(read, scorers=(*read.scorers, *scorers), pareto=read.pareto or given["pareto"])


def _run(state: State, model: Model, objective: Objective, *, budget: int, **options: Any) -> Optimised:
    with state.progress() as bars:
        task = bars.add_task("searching", total=budget)
        running: list[Interruptible] = []

        def tick(now: Progress) -> None:
            words = [] if math.isnan(now.best) else [f"best {number(now.best)}, top 10 {number(now.top10)}"]
            if drawn := now.counts["drawn"]:  # Optuna's samplers draw nothing
                words += [f"{now.counts['valid'] / drawn:.0%} of draws valid", f"{now.counts['new'] / drawn:.0%} new"]
            bars.update(task, completed=now.calls, description=", ".join(words) or "searching")

        def stop(number_: int, frame: object) -> None:
            if not running:
                raise KeyboardInterrupt
            for search in running:
                search.interrupted = True

        before = {which: signal.signal(which, stop) for which in (signal.SIGINT, signal.SIGTERM)}
        try:
            return model.optimize(objective, budget=budget, on_progress=tick, on_search=running.append, **options)
        finally:
            for which, handler in before.items():
                signal.signal(which, handler)


def _deliver(state: State, model: Model, found: Optimised, out: Path, **report: Any) -> None:
    """Files, tables and the JSON result."""
    from molvae.report.write import write

    search = found.search
    write(found.candidates, out / FILES[0], text_column=model.domain.column, key_column="key", exporters=model.domain.exporters)
    _write_all(model, found, out / FILES[1])
    files = [*FILES, *write_records(model, found, out, files=FILES, **report)]
    if found.candidates:
        state.show(candidate_table(found.candidates, model.domain, 10))
    table = new_table(None, "search", "", right=("",))
    add_row(table, "scored", f"{len(search.pool):,}")
    if found.front:
        add_row(table, "on the Pareto front", str(found.front))
    elif found.candidates:
        add_row(table, "best", number(search.best(1)[0].score))
        add_row(table, "mean of the ten best", number(search.pool.top_mean(10)))
    for name in ("drawn", "valid", "new", "refused") if search.counts["drawn"] else ():
        add_row(table, name, f"{search.counts[name]:,.0f}")
    for reason, count in found.failures.items():
        add_row(table, f"lost: {reason}", str(count))
    add_row(table, "seconds, of them in scorers", f"{search.seconds:.0f}, {search.scorer_seconds:.0f}")
    state.show(table, f"written: {out}/{{{','.join(files)}}}")
    state.result(
        {
            "candidates": rows(found.candidates, model.domain),
            "objective": found.objective.to_dict(),
            "scored": len(search.pool),
            "front": found.front,
            "failures": found.failures,
            "counts": search.counts,
            "seconds": search.seconds,
            "stopped": search.stopped,
            "folder": out,
        }
    )
    for warning in found.warnings:
        state.warn(warning)
    if search.stopped != "budget":
        state.warn(f"stopped before the budget was spent: {search.stopped}; go on with --resume")
    if not found.candidates:
        state.warn("nothing that was scored meets every constraint with a known score; loosen a constraint, or raise --budget")
        raise typer.Exit(1)


def _write_all(model: Model, found: Optimised, path: Path) -> None:
    """Everything that was scored, in the order of the calls: what each term gave, by how much a constraint is violated, why there is no score."""
    import pandas as pd

    from molvae.report.write import replacing

    objective, lines = found.objective, []
    for one in found.search.pool:
        line: dict[str, Any] = {model.domain.column: one.text, "call": one.call, "score": one.score, "feasible": one.feasible}
        line |= {f"objective {name}": v for name, v in objective.components(one.values).items()}
        line |= {f"violation {label}": v for label, v in zip(objective.labels, one.violations, strict=False)}
        lines.append({**line, **one.values, "origin": one.origin, "failed": one.failed})
    with replacing(path) as part:
        pd.DataFrame(lines).to_csv(part, index=False)
