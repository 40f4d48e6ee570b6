"""``molvae generate``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from molvae.cli import evidence, parse
from molvae.cli.deliver import PAGE, Outputs, check_outputs, is_folder, rows, show_candidates, write_all
from molvae.cli.read import encodable, entries
from molvae.cli.shared import DEFAULT_MODEL, State, add_row, complete_model, epilog, new_table, number, open_model, state_of
from molvae.cli.wishes import Atoms, Chemsys, Composition, Elements, Exclude, SpaceGroup, asked
from molvae.errors import UsageError

if TYPE_CHECKING:
    from molvae.api import Model
    from molvae.records import Candidate
    from molvae.report import PropertyRequest
    from molvae.request import Generation

ModelName = Annotated[
    str, typer.Option("--model", "-m", help="A shipped model's name, or a checkpoint or training folder.", autocompletion=complete_model)
]
_TARGET = (
    "Near a value: logp=2.5, qed=0.9±0.05 (also +- or :). Without a tolerance 0.3 standard deviations of the training data. Repeatable."
)
_VERIFY = (
    "Keep only what is inside every target and range: by measurement, or by the model's prediction for labels that nobody can compute."
)
_GUIDANCE = "Extra weight of the targets; 0 is the plain model. With targets, log_likelihood is the score under the guided distribution."
_OPTIONS = ("temperature", "guidance", "level", "prior", "seed", "unique", "novel", "verify", "max_draws", "rank")
_RANK = "drawn: as they come; likely: the most plausible first, of at least 20, with the column log_density."
SCAFFOLD = "Its ring systems are kept as they are: no ring fused on, no new C=O in them; substituents are free."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=epilog(
            "molvae generate -n 1000 --target logp=2.5 --target qed=0.9±0.05 --novel -o out.csv -o out.sdf --report out.html",
            "molvae generate -n 50 --contains '[NX3;H2]' --range mw=250:350 --range tpsa=:90 -o amines.csv",
            "molvae generate -n 50 --seeds leads.smi --level 0.4 --target sa=2.5",
            "molvae generate -n 200 --target tpsa=60 --prior exemplars --level 0.6 | head",
            "molvae generate --model mp20 -n 50 --target band_gap=1.5±0.3 --chemsys Li-P-S -o cells.cif -o cells.csv --report cells.html",
            "molvae generate --model mp20 -n 20 --composition LiFePO4 --spacegroup orthorhombic -o out.cif",
        )
    )(generate)


@dataclass(frozen=True)
class Ask:
    """The request as it was typed, parsed."""

    n: int
    model: str
    targets: dict[str, float | tuple[float, float]]
    ranges: dict[str, tuple[float, float]]
    needs: list[tuple[str, str]]
    options: dict[str, Any]
    seeds: str | None
    outputs: Sequence[Path] | None
    report: Path | None
    stability: evidence.Wanted = field(default_factory=evidence.Wanted)
    known: str | None = None

    def wishes(self) -> list[str]:
        """Conditions other than properties, in words."""
        words = [f"{kind} {query}" for kind, query in self.needs]
        words += [f"{name} {text}" for name, text in self.options["constraints"].items()]
        words += [f"starting from {self.seeds}"] if self.seeds else []
        return words + [name for name in ("unique", "novel") if self.options[name]]


def generate(
    context: typer.Context,
    n: Annotated[int, typer.Option("-n", help="How many candidates.")] = 100,
    model: ModelName = DEFAULT_MODEL,
    target: Annotated[list[str] | None, typer.Option(metavar="PROPERTY=VALUE", help=_TARGET)] = None,
    range_: Annotated[
        list[str] | None, typer.Option("--range", metavar="PROPERTY=LOW:HIGH", help="Between two values; one may be left out. Repeatable.")
    ] = None,
    scaffold: Annotated[str | None, typer.Option(metavar="SMILES", help=f"With this scaffold. {SCAFFOLD}")] = None,
    contains: Annotated[list[str] | None, typer.Option(metavar="SMARTS", help="With this substructure. Repeatable.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="FILE", help="Start from these records instead of the prior.")] = None,
    temperature: Annotated[float, typer.Option(min=0, help="Of the decoder's draws.")] = 1.0,
    guidance: Annotated[float, typer.Option(help=_GUIDANCE)] = 1.0,
    level: Annotated[float | None, typer.Option(help="Noise level, 0 to 1.", show_default="1, with exemplars or seeds 0.6")] = None,
    prior: Annotated[str, typer.Option(help="normal, or exemplars: codes of training records near the targets.")] = "normal",
    seed: Annotated[int, typer.Option(help="Fixes every random number; equal seeds give equal files.")] = 0,
    unique: Annotated[bool, typer.Option("--unique/--no-unique", help="No two alike.")] = True,
    novel: Annotated[bool, typer.Option("--novel", help="None of the training data.")] = False,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help=_VERIFY)] = True,
    measure: Annotated[str | None, typer.Option(help="Further properties to compute, comma-separated.")] = None,
    max_draws: Annotated[int | None, typer.Option(min=1, help="Give up after so many draws.", show_default="400 n, at least 20000")] = None,
    rank: Annotated[str | None, typer.Option(help=_RANK, show_default="likely under exact constraints, else drawn")] = None,
    chemsys: Chemsys = None,
    composition: Composition = None,
    elements: Elements = None,
    exclude: Exclude = None,
    spacegroup: SpaceGroup = None,
    atoms: Atoms = None,
    known: evidence.Known = None,
    relax: evidence.Relax = False,
    reference: evidence.Reference = None,
    out: Outputs = None,
    report: Annotated[Path | None, typer.Option(help="Also an HTML page with drawings and figures.")] = None,
) -> None:
    """Propose candidates that pass every check and lie inside every target and range: exactly n, or fewer and why (exit code 1).

    The column log_likelihood is log p in nats of the string as it was drawn, at temperature 1, given its code, noise level and targets.
    """
    needs = [("scaffold", scaffold)] if scaffold is not None else []
    needs += [("contains", query) for query in contains or ()]
    options: dict[str, Any] = {name: context.params[name] for name in _OPTIONS}
    options |= {"measure": parse.names(measure), "constraints": asked(context.params)}
    aims, spans = parse.targets(target or ()), parse.ranges(range_ or ())
    state = state_of(context)
    wanted = evidence.Wanted(reference, relax, state.threads or 1)
    carry_out(state, Ask(n, model, aims, spans, needs, options, seeds, out, report, wanted, known))


def carry_out(state: State, ask: Ask) -> None:
    """Draw, deliver, and exit with 1 where there are fewer than asked."""
    if ask.report is not None and ask.report.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report {ask.report}: an HTML page is written; name it with .html")
    model = open_model(state, ask.model)
    outputs = check_outputs(ask.outputs, model.domain)
    folders = [path for path in ask.outputs or () if is_folder(path)]
    ask = replace(ask, outputs=outputs, report=ask.report or (folders[0] / PAGE if folders else None))
    evidence.check(model.domain, ask.stability)
    nearest = evidence.library(state, ask.known, model.domain)
    needs = [model.need(kind, query) for kind, query in ask.needs]
    seeds = encodable(state, entries(state, [ask.seeds], model.domain), model) if ask.seeds else []
    texts = tuple(entry.text for entry in seeds)
    with state.progress() as bars:
        task = bars.add_task("generating", total=ask.n)

        def tick(accepted: int, funnel: Any) -> None:
            bars.update(task, completed=min(accepted, ask.n), description=f"{funnel.drawn} drawn, {funnel.valid} valid")

        found = model.generate(ask.n, targets=ask.targets, ranges=ask.ranges, needs=needs, seeds=texts, on_progress=tick, **ask.options)
    chosen = evidence.placed(state, evidence.described(found.candidates, model.domain), model.domain, nearest)
    found = replace(found, candidates=evidence.assessed(state, chosen, model.domain, ask.stability))
    requests = requests_of(model, ask)
    write_all(state, found.candidates, outputs, model.domain)
    if ask.report is not None:
        write_report(state, model, ask, found, requests)
    if not outputs:
        show_candidates(state, found.candidates, model.domain)
    foretold = predicted_only(model, ask)
    state.show(*summary(found, requests, ask, foretold), stderr=not outputs and not sys.stdout.isatty())
    state.result(as_json(model, ask, found))
    if found.short is not None:
        state.warn(found.short)
        raise typer.Exit(1)


def requests_of(model: Model, ask: Ask) -> list[PropertyRequest]:
    """What was asked of each property, for tables and the page."""
    from molvae.report import PropertyRequest

    requests = []
    for name in dict.fromkeys((*ask.targets, *ask.ranges, *ask.options["measure"])):
        wanted = ask.targets.get(name)
        value, tolerance = (float("nan"), float("nan")) if wanted is None else (wanted, 0.0) if isinstance(wanted, float) else wanted
        if isinstance(wanted, float):
            tolerance = model.tolerance(name)
        low, high = ask.ranges.get(name, (float("-inf"), float("inf")))
        unit = model.unit(name)
        requests.append(PropertyRequest(name, "" if unit == "1" else unit, target=value, tolerance=tolerance, low=low, high=high))
    return requests


def predicted_only(model: Model, ask: Ask) -> list[str]:
    """The asked properties that cannot be computed, and so are judged by the model's prediction."""
    return [name for name in dict.fromkeys((*ask.targets, *ask.ranges)) if name not in model.domain.properties]


def summary(found: Generation, requests: Sequence[PropertyRequest], ask: Ask, foretold: Sequence[str] = ()) -> list[Table | str]:
    """Targets as asked, missed before any selection, and met; the funnel; acceptance and speed. foretold: judged by prediction alone."""
    from molvae.report import statistics

    parts: list[Table | str] = []
    if requests:
        columns = ("asked", "raw MAE, before selection", "mean delivered", "MAE delivered", "inside")
        table = new_table(None, "property", *columns, right=columns)
        for request in requests:
            guess = request.name in foretold
            row = statistics(_guessed(found.candidates, request.name) if guess else found.candidates, request)
            inside = f"{row.inside}/{row.judged}" if row.judged else "–"
            raw = number(found.raw_deviation.get(request.name, float("nan")))
            cells = (number(row.mean), number(row.deviation), inside)
            add_row(table, request.axis, row.wish or "–", raw, *(f"~{cell}" if guess and cell != "–" else cell for cell in cells))
        parts.append(table)
    if foretold:
        parts.append(f"~ {', '.join(foretold)}: not computable, so these are the model's predictions, and nothing was measured")
    steps = [f"{name.replace('_', ' ')} {count:,}" for name, count in funnel(found, ask).items() if count is not None]
    parts.append("funnel: " + " → ".join(steps))
    speed = len(found.candidates) / max(found.seconds, 1e-9)
    parts.append(f"{len(found.candidates)} candidates; accepted {found.acceptance:.1%} of draws; {number(speed)} candidates/s")
    return parts


def _guessed(candidates: Sequence[Candidate], name: str) -> list[Candidate]:
    """The candidates with the prediction of one property in the place of its measurement."""
    return [replace(c, measured={name: c.predicted[name]} if name in c.predicted else {}) for c in candidates]


def funnel(found: Generation, ask: Ask) -> dict[str, int | None]:
    """Counts after each gate, None for gates that were not asked for."""
    counts: dict[str, int | None] = asdict(found.funnel)
    gates = {
        "unique": ask.options["unique"],
        "novel": ask.options["novel"],
        "inside": ask.options["verify"] and (ask.targets or ask.ranges),
    }
    return {name: count if gates.get(name, True) else None for name, count in counts.items()}


def write_report(state: State, model: Model, ask: Ask, found: Generation, requests: Sequence[PropertyRequest]) -> None:
    """The HTML page."""
    from molvae.report import Funnel, ReportData, write_page

    if ask.report is None:
        return
    draw = model.domain.draw or (lambda text: "")
    shown = {name: str(value) for name, value in ask.options.items() if name in ("temperature", "guidance", "prior")}
    data = ReportData(
        title=f"{len(found.candidates)} candidates",
        candidates=found.candidates,
        draw=draw,
        properties=requests,
        constraints=[*ask.wishes(), *(f"{name} judged by the model's prediction" for name in predicted_only(model, ask))],
        funnel=Funnel(**funnel(found, ask)),
        model_name=model.name,
        model_version=model.version,
        seed=ask.options["seed"],
        date=date.today().isoformat(),
        settings=shown | {"acceptance": f"{found.acceptance:.1%} of draws"},
        text_label=model.domain.column,
        table_name=ask.outputs[0].name if ask.outputs else "",
        scene=model.domain.scene,
        told=model.domain.facts,
        card_figures={**evidence.hull_figure(model.domain, ask.stability, found.candidates), **model.domain.figures},
    )
    write_page(ask.report, data)
    state.show(f"written: {ask.report}")


def as_json(model: Model, ask: Ask, found: Generation) -> dict[str, Any]:
    """The result for other programs."""
    return {
        "model": model.name,
        "asked": {"n": ask.n, "targets": ask.targets, "ranges": ask.ranges, "needs": ask.wishes(), "seed": ask.options["seed"]},
        "candidates": rows(found.candidates, model.domain),
        "funnel": funnel(found, ask),
        "reasons": found.reasons,
        "raw_deviation": found.raw_deviation,
        "acceptance": found.acceptance,
        "seconds": found.seconds,
        "short": found.short,
        "files": list(ask.outputs or ()),
    }
