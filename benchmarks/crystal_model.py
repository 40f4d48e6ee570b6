"""A crystal model beside CDVAE and its successors: reconstruction, generation, optimisation, conditions, structure prediction.

All on rows that training never saw, grouped by reduced formula. A held-out crystal is taken as its Wyckoff text says it, whose round trip
``benchmarks/crystal_representation.py`` measures. Property optimisation follows CDVAE's protocol: 100 held-out starts, ten crystals for each,
the best of them judged by CDVAE's own property net; where CDVAE follows the gradient of its predictor, here Optuna searches by the model's own
head, from the start and draws of the prior, for ten different compositions that the model finds no less plausible than nine of ten training
crystals, so the net is never asked during the search. As many draws of the prior, without start and search, are measured beside it. Needs the
wheels of the property nets (fetched by pip or from $MOLVAE_WHEELS).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import molvae
from benchmarks.crystals.conditioning import conditioning
from benchmarks.crystals.fingerprints import fingerprints, scaler
from benchmarks.crystals.generation import coverage, distances
from benchmarks.crystals.matching import match_at, reconstruction
from benchmarks.crystals.optimisation import optimisation
from benchmarks.crystals.prediction import candidates, delivered, fulfilling
from benchmarks.crystals.property_net import PropertyNet
from benchmarks.crystals.published import beside
from benchmarks.crystals.settings import SETTINGS
from benchmarks.crystals.validity import validity
from benchmarks.support.journal import Journal, weights_hash
from benchmarks.support.record import ROOT, Row, command_line, write_result
from benchmarks.support.terminal import show
from molvae.api import Model
from molvae.dataset import Store
from molvae.domains.crystals import Crystal
from molvae.domains.crystals.structure import parse as crystal
from molvae.objectives import Objective
from molvae.sample import BATCH
from molvae.search.density import Density
from molvae.search.sampler import Recipe

Found = tuple[dict[str, Any], list[Row]]
KS = (1, 20)  # candidates of a composition
WISHES = ({"chemsys": "Sr-Ti-O"}, {"composition": "CaTiO3"}, {"spacegroup": "221"}, {"exclude": "O,F", "atoms": "4:10"})


def read(texts: Sequence[str | None]) -> list[Crystal | None]:
    """Crystals of texts, None where there is none."""
    return [None if text is None else crystal(text) for text in texts]


def reconstruct(model: Model, texts: Sequence[str], options: argparse.Namespace) -> Found:
    """Encode and decode, free-running: most likely tokens by each view and by all, and by all with the search that checks itself.

    The search (``molvae.invert``) knows the code alone: of so many draws it takes the one that encodes nearest to it.
    """
    true = [crystal(text) for text in texts]
    payload: dict[str, Any] = {"crystals": len(true), "search": options.search}
    rows: list[Row] = []
    by = tuple(options.search_views.split(",")) if options.search_views else None
    searched = f"checked search of {options.search} draws" + (f" by the {' and '.join(by)}" if by else "")
    ways = {"all views": (None, 0), searched: (by, options.search), "sequence alone": (("sequence",), 0), "graph alone": (("graph",), 0)}
    for name, (views, search) in ways.items():
        if search == 0 and name == searched:
            continue
        back = model.decode(model.encode(texts, views=views), views=views, search=search, seed=options.seed)
        found = reconstruction(read(back), true)
        payload[name] = {**asdict(found), "same_text": float(np.mean([a == b for a, b in zip(back, texts, strict=True)]))}
        what = f"reconstruction, match, {options.data}" + ("" if name == "all views" else f", {name}")
        whole = name in ("all views", searched)
        rows.append(Row(f"{what}, %", 100 * found.ungated.rate, beside("reconstruction", options.data, "match") if whole else "", 1))
        if whole:
            rows.append(Row(f"{what}, gated by validity, %", 100 * found.gated.rate, digits=1))
            rmse = what.replace("match", "RMSE")
            rows.append(Row(rmse, found.ungated.rmse, beside("reconstruction", options.data, "rmse"), 4))
    return payload, rows


def generate(model: Model, texts: Sequence[str], options: argparse.Namespace) -> Found:
    """Draws of the prior: validity by CDVAE's definitions, and distances to the held-out crystals.

    Of all draws, before any selection; and again of those that pass the product's own checks, which is what a user is given, with their share.
    """
    start = time.perf_counter()
    drawn = raw(model, options.samples, options.seed, options.temperature)
    seconds = time.perf_counter() - start
    crystals = [one for one in drawn if one is not None]
    passed = [one for one in crystals if model.validator.verdict(one).ok]
    true = [crystal(text) for text in texts]
    net = PropertyNet(options.data)
    reference = (true, net.predict(true))
    payload: dict[str, Any] = {"drawn": len(drawn), "ended": len(crystals), "passed": len(passed)}
    payload |= {"per_second": len(drawn) / seconds, "temperature": options.temperature}
    rows: list[Row] = []
    draws = _draws(options)
    for name, some, of in ((draws, crystals, len(drawn)), (f"{draws} that pass the checks", passed, len(passed))):
        payload[name], more = _population(model, name, some, of, reference, net, options.data)
        rows += more
    checks = ", ".join(check.name for check in model.validator.checks)
    rows.append(Row(f"share of {draws} that pass the checks, {options.data}, %", 100 * len(passed) / len(drawn), checks, 1))
    rows.append(Row(f"crystals drawn a second, {options.threads} thread(s), {options.data}", payload["per_second"], digits=0))
    return payload, rows


def _draws(options: argparse.Namespace) -> str:
    """What draws of the prior are called in rows."""
    return "draws" if options.temperature == 1 else f"draws at temperature {options.temperature:g}"


def raw(model: Model, count: int, seed: int, temperature: float) -> list[Crystal | None]:
    """So many draws of the prior, None for one that did not end."""
    generator = torch.Generator().manual_seed(seed)
    found: list[Crystal | None] = []
    while len(found) < count:
        found += fulfilling(model, {}, min(BATCH, count - len(found)), generator, generator, temperature)
    return found


def _population(
    model: Model,
    name: str,
    crystals: Sequence[Crystal],
    of: int,
    true: tuple[Sequence[Crystal], NDArray[np.float64]],
    net: PropertyNet,
    data: str,
) -> Found:
    """Validity of all ``of`` draws; distances, uniqueness and novelty of at most 1,000 valid ones.

    true: held-out crystals and their energies by the net.
    """
    found = validity(crystals)
    some = [c for c, valid in zip(crystals, found.both, strict=True) if valid][:1000]
    apart = distances(some, true[0], (net.predict(some), true[1]))
    keys = {model.domain.key(c) for c in some}
    payload = {
        "structure_valid": float(found.structure.sum()) / of,
        "composition_valid": float(found.composition.sum()) / of,
        "distances": asdict(apart),
        "compared": {"drawn": len(some), "held_out": len(true[0])},
        "unique": len(keys) / len(some),
        "novel_of_unique": sum(model.validator.novel(key) is not False for key in keys) / len(keys),
    }
    rows = [
        Row(f"{name}, {what.replace('_', ' ')}, {data}, %", 100 * payload[what], beside("generation", data, what), 2)
        for what in ("structure_valid", "composition_valid")
    ]
    for what in ("density", "energy", "elements"):
        published = beside("generation", data, f"d_{what}")
        rows.append(Row(f"{name}, d_{what}, {data}", getattr(apart, what), f"{len(true[0])} held-out crystals; {published}"))
    rows += [Row(f"{name}, {what}, {data}", payload[key]) for what, key in (("unique", "unique"), ("new", "novel_of_unique"))]
    return payload, rows


def cover(model: Model, texts: Sequence[str], options: argparse.Namespace) -> Found:
    """CDVAE's coverage between draws of the prior and the held-out crystals. Needs the extra ``crystalbench``."""
    drawn = read(model.sample(options.fingerprinted, temperature=options.temperature, seed=options.seed, unique=False))
    true = read(texts)
    found = coverage(fingerprints(drawn, scaler()), fingerprints(true, scaler()), SETTINGS[options.data])
    draws, of = _draws(options), f"{len(drawn)} draws, {len(true)} held-out crystals (published: 10,000 and a test split)"
    rows = [
        Row(f"{draws}, {name}, {options.data}, %", 100 * value, f"{of}; {beside('generation', options.data, name)}", 2)
        for name, value in (("COV-R", found.recall), ("COV-P", found.precision))
    ]
    return {"drawn": len(drawn), "temperature": options.temperature, "coverage": asdict(found)}, rows


def optimise(model: Model, texts: Sequence[str], options: argparse.Namespace) -> Found:
    """CDVAE's property optimisation, with Optuna in the loop, and beside it as many draws of the prior, screened without a search."""
    starts = texts[: options.starts]
    least = _common(model, options)
    endpoint = SETTINGS[options.data].label + options.endpoint
    payload: dict[str, Any] = {"starts": len(starts), "budget": options.budget, "endpoint": endpoint}
    payload |= {"beside_seeds": options.beside_seeds, "least_log_density": least}
    rows: list[Row] = []
    net = PropertyNet(options.data)
    recipes = {
        "": Recipe(beside_seeds=options.beside_seeds),
        ", draws of the prior alone": Recipe(start=options.budget, kinds=("prior",), tune_steps=0, screen=1),
    }
    for what, recipe in recipes.items():
        rates = optimisation(_proposed(model, starts, recipe, least, options), net)
        payload["rates" + what] = dict(rates)
        for name, rate in rates.items():
            note = f"the best ten of {options.budget} by the heads" if what else beside("optimisation", options.data, name)
            rows.append(Row(f"property optimisation, {name}, {options.data}{what}", rate, note))
    return payload, rows


def _proposed(model: Model, starts: Sequence[str], recipe: Recipe, least: float, options: argparse.Namespace) -> list[list[Crystal | None]]:
    """Ten crystals for each start, each of which is kept when it is done. Draws of the prior alone know nothing of the start."""
    endpoint, seeded = SETTINGS[options.data].label + options.endpoint, recipe.kinds != ("prior",)
    objective = Objective.of(minimize=endpoint, constraint=f"log_density>={least:.2f}")
    how = f"beside{recipe.beside_seeds}" if seeded else "prior"
    name = f"{model.name}-{weights_hash(model)}-{endpoint}-least{least:.2f}-budget{options.budget}-{how}-seed{options.seed}.jsonl"
    kept = Journal(options.folder / name, starts)
    for at in kept.left:
        seeds = (starts[at],) if seeded else ()
        # One crystal of each composition: the head errs alike on all of a composition, so ten of one are one guess.
        found = model.optimize(objective, budget=options.budget, keep=10, seeds=seeds, seed=options.seed + at, per_group=1, recipe=recipe)
        kept.add(at, [c.text for c in found.candidates[:10]])
    return [read([*best, *[None] * (10 - len(best))]) for best in kept.all()]


def _common(model: Model, options: argparse.Namespace) -> float:
    """The log-density that but a share ``options.rare`` of the training data falls short of: beyond it heads were never shown to be right."""
    store = Store.open(options.store)
    rows = store.rows("train")
    some = np.sort(np.random.default_rng(0).choice(rows, min(1000, len(rows)), replace=False))
    found = Density(model.sampler)(store.texts("text", some))
    return float(np.nanquantile(np.array(found)[:, 0], options.rare))


def constrain(model: Model, texts: Sequence[str], options: argparse.Namespace) -> Found:
    """Whether exact constraints are obeyed by draws before any selection."""
    obeyed, drawn = 0, 0
    for wishes in WISHES:
        of_codes, of_tokens = (torch.Generator().manual_seed(options.seed) for _ in range(2))
        crystals = [one for one in fulfilling(model, wishes, 250, of_codes, of_tokens) if one is not None]
        drawn += len(crystals)
        obeyed += sum(_obeys(one, wishes) for one in crystals)
    return {"drawn": drawn, "obeyed": obeyed}, [Row(f"constraints obeyed by draws, {options.data}", obeyed / drawn, f"{drawn} draws")]


def _obeys(one: Crystal, wishes: dict[str, str]) -> bool:
    found = {str(element) for element in one.composition}
    tests: dict[str, Callable[[str], bool]] = {
        "chemsys": lambda text: found == set(text.split("-")),
        "composition": lambda text: one.formula == text,
        "spacegroup": lambda text: one.group == int(text),
        "exclude": lambda text: not found & set(text.split(",")),
        "atoms": lambda text: int(text.split(":")[0]) <= one.composition.num_atoms <= int(text.split(":")[1]),
    }
    return all(tests[name](text) for name, text in wishes.items())


def condition(model: Model, texts: Sequence[str], options: argparse.Namespace) -> Found:
    """Asked beside what raw draws have, one target at a time; see ``benchmarks.crystals.conditioning``."""
    found = conditioning(model, options.data, options.conditioned, options.guidance, options.seed)
    rows = []
    for name, one in found.items():
        unit = "" if one["unit"] in ("", "1") else f", {one['unit']}"
        beside = f"{one['judge']}; {one['ignoring']:.3g} where the target is ignored; rank correlation {one['spearman']:.2f}"
        rows.append(Row(f"raw mean absolute deviation, {name}{unit}, {options.data}", one["deviation"], beside))
    return {"guidance": options.guidance, "labels": found}, rows


def predict(model: Model, texts: Sequence[str], options: argparse.Namespace) -> Found:
    """Structures of held-out compositions from the composition alone; see ``benchmarks.crystals.prediction``."""
    pick = np.random.default_rng(options.seed).permutation(len(texts))[: options.compositions]
    true = [crystal(texts[at]) for at in np.sort(pick)]
    payload: dict[str, Any] = {"compositions": len(true)}
    rows: list[Row] = []
    for name, find in (("draws", candidates), ("passed the checks, most plausible first", delivered)):
        found = match_at(find(model, true, max(KS), options.seed), true, KS)
        payload[name] = {str(k): asdict(one) for k, one in found.items()}
        for k, one in found.items():
            what = f"structure prediction, {options.data}, {name}, match@{k}"
            rows.append(Row(f"{what}, %", 100 * one.ungated.rate, f"{len(true)} compositions", 1))
            rows.append(Row(f"{what}, both valid, %", 100 * one.both.rate, beside("prediction", options.data, f"match@{k}"), 1))
            rows.append(Row(f"{what}, RMSE, both valid", one.both.rmse, beside("prediction", options.data, f"rmse@{k}"), 4))
    return payload, rows


PARTS: dict[str, Callable[[Model, Sequence[str], argparse.Namespace], Found]] = {
    "reconstruct": reconstruct,
    "generate": generate,
    "cover": cover,
    "constrain": constrain,
    "condition": condition,
    "optimise": optimise,
    "predict": predict,
}


def main(arguments: list[str]) -> None:
    """Measures each part and writes the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.crystal_model", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="perov5", help="shipped model or checkpoint folder (default perov5)")
    parser.add_argument("--data", default="perov_5", choices=tuple(SETTINGS), help="whose protocol (default perov_5)")
    parser.add_argument("--store", type=Path, required=True, help="the prepared data set that the model was trained on")
    usual = ",".join(name for name in PARTS if name != "cover")
    parser.add_argument("--parts", default=usual, help=f"of {', '.join(PARTS)} (default all but cover)")
    parser.add_argument("--samples", type=int, default=10_000, help="draws of the prior (default 10000)")
    parser.add_argument("--temperature", type=float, default=1.0, help="of those draws (default 1)")
    parser.add_argument("--search", type=int, default=256, help="draws of the checked search for each crystal, 0 for none (default 256)")
    parser.add_argument("--search-views", default="", help="views whose code is searched from, with commas (default all)")
    parser.add_argument("--conditioned", type=int, default=900, help="draws for each label, over nine targets (default 900)")
    parser.add_argument("--guidance", type=float, default=1.0, help="strength of the targets (default 1)")
    parser.add_argument("--starts", type=int, default=100, help="starts of the optimisation (default 100)")
    parser.add_argument("--budget", type=int, default=200, help="crystals that the head judges for each start (default 200)")
    words = "draws of the prior that each search begins with beside its start (default 64)"
    parser.add_argument("--beside-seeds", type=int, default=64, help=words)
    words = "suffix of the endpoint that is searched by: none for the head's mean (default _views)"
    parser.add_argument("--endpoint", default="_views", choices=("", "_views", "_ucb"), help=words)
    words = "share of the training data that may be less plausible than what it proposes (default .1)"
    parser.add_argument("--rare", type=float, default=0.1, help=words)
    words = "where the optimisation keeps what it has finished (default runs/optimise)"
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "optimise", help=words)
    parser.add_argument("--fingerprinted", type=int, default=2000, help="draws for the coverage (default 2000)")
    parser.add_argument("--held-out", type=int, default=0, help="held-out crystals to take, at random, 0 for all (default 0)")
    parser.add_argument("--compositions", type=int, default=200, help="to predict structures of (default 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", default="", help="name of the result (default crystal_MODEL)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    model = molvae.load(options.model)
    store = Store.open(options.store)
    held = np.sort(np.concatenate([store.rows("valid"), store.rows("test")]))
    if options.held_out and options.held_out < len(held):
        held = np.sort(np.random.default_rng(options.seed).choice(held, options.held_out, replace=False))
    texts = store.texts("text", held)
    payload: dict[str, Any] = {"model": model.name, "held_out": len(texts)}
    rows: list[Row] = []
    for name in options.parts.split(","):
        payload[name], more = PARTS[name](model, texts, options)
        rows += more
        show(("measure", "value"), [(row.measure, row.value) for row in more], digits=4)
    command = command_line("benchmarks.crystal_model", arguments)
    result = options.out or f"crystal_{model.name}"
    write_result(result, payload, command=command, seed=options.seed, rows=rows, threads=options.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
