"""The noise dial against the plain Gaussian VAE at two weights of the KL: same data, decoder and training time.

``--variant NAME`` trains and measures one of dial, vae-beta-1, vae-beta-0.1; ``--collect`` writes the result file and prints the tables;
neither of the two: all variants, one after the other, then the tables. Trained models are kept and not trained again.

Measured on held-out molecules: exact free-running reconstruction (most likely tokens, no noise); nats; Fréchet ChemNet distance of valid
draws of N(0, I), of the dial decoded at several levels, of a plain VAE also from its aggregate posterior; analogues of held-out molecules
at relative noise t. A plain VAE's code is blurred as centre + sqrt(1 - t^2) (mean - centre) + t spread eps, centre and spread being those
of its aggregate posterior; under the dial these are 0 and 1, so t is the same signal-to-noise ratio on both sides. Draws at temperature 1.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.support import moses_metrics
from benchmarks.support.codes import Posterior, bound, cloud, columns_of, decode, draw_valid, posterior
from benchmarks.support.record import ROOT, Row, command_line, write_result
from benchmarks.support.terminal import common, show
from benchmarks.support.training import keep, kept, train_variant, training_facts
from molvae.api import Model, load
from molvae.dataset import Store

PLAIN = {"latent.kind": "gaussian", "regulariser.kind": "kl", "train.prior_batch": 0, "train.code_batch": 224}
VARIANTS: dict[str, dict[str, Any]] = {
    "dial": {},
    "vae-beta-1": {**PLAIN, "regulariser.beta": 1.0},
    "vae-beta-0.1": {**PLAIN, "regulariser.beta": 0.1},
}
LEVELS = (1.0, 0.9, 0.8, 0.7, 0.5)
RADII = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
BOUND_LEVELS = (1.0, 0.9, 0.7, 0.5, 0.3)
MOST = 10  # draws for each valid one wanted, before FCD is given up


def held_out_rows(store: Store, usable: NDArray[np.int64], options: argparse.Namespace) -> dict[str, NDArray[np.int64]]:
    """Disjoint held-out rows: the FCD's reference, the floor's sample and the molecules to reconstruct. Raises SystemExit for too few."""
    held = np.random.default_rng(options.seed).permutation(usable[store.split[usable] != 0])
    sizes = {"reference": options.reference, "floor": options.draws, "test": options.reconstruct}
    if len(held) < sum(sizes.values()):
        raise SystemExit(f"{store.path}: {len(held)} held-out molecules, wanted {sizes}; lower --reference, --draws or --reconstruct")
    bounds = np.cumsum(list(sizes.values()))
    return dict(zip(sizes, np.split(held[: bounds[-1]], bounds[:-1]), strict=True))


def reference(store: Store, rows: NDArray[np.int64], options: argparse.Namespace) -> moses_metrics.Statistics:
    """ChemNet statistics of these molecules, kept in the working folder."""
    path = options.folder / f"reference-{len(rows)}-{options.seed}.npz"
    if not path.exists():
        found = moses_metrics.statistics(store.texts("text", rows), threads=options.threads)
        scratch = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(scratch, mu=found["mu"], sigma=found["sigma"])
        scratch.replace(path)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def fcd_of(model: Model, propose: Any, against: moses_metrics.Statistics, options: argparse.Namespace) -> dict[str, Any]:
    """Valid share of the draws and FCD of ``--draws`` valid ones; no FCD where too few are valid, since sizes must be equal."""
    records, share = draw_valid(propose, options.draws, MOST * options.draws)
    texts = [model.domain.write(record) for record in records]
    enough = len(texts) == options.draws
    distance = moses_metrics.fcd(texts, against, threads=options.threads) if enough else float("nan")
    return {"valid": share, "fcd": distance, "distinct": len(set(texts)) / max(1, len(texts)), "examples": texts[:5]}


def draws(model: Model, known: Posterior, against: moses_metrics.Statistics, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Unconditional draws of each kind by name."""
    generator = torch.Generator().manual_seed(options.seed)
    width = model.vae.latent.width

    def normal(level: float) -> Any:
        return lambda n: decode(model, torch.randn(n, width, generator=generator), level, generator=generator)

    def aggregate(n: int) -> list[Any]:
        chosen = torch.randint(len(known.mean), (n,), generator=generator)
        codes = Posterior(known.mean[chosen], known.std[chosen]).draw(generator)
        return decode(model, codes, 0.0, generator=generator)

    if model.vae.latent.dial:
        kinds = {f"N(0, I) at level {t:g}": normal(t) for t in LEVELS}
    else:
        kinds = {"N(0, I)": normal(0.0), "aggregate posterior": aggregate}
    return {name: fcd_of(model, propose, against, options) for name, propose in kinds.items()}


def analogues(model: Model, known: Posterior, seeds: Posterior, texts: list[str], options: argparse.Namespace) -> list[dict[str, float]]:
    """At each relative noise: valid share, mean Tanimoto similarity of the valid ones to their seeds, share of them that are the seed."""
    generator = torch.Generator().manual_seed(options.seed)
    own = cloud(model, known)
    records = [model.domain.parse(text) for text in texts]
    out = []
    for t in RADII:
        codes = own.blurred(seeds.mean.repeat_interleave(options.each, 0), t, generator)
        found = decode(model, codes, t, generator=generator)
        near: list[float] = []
        same = valid = 0
        for k, record in enumerate(records):
            mine = [r for r in found[k * options.each : (k + 1) * options.each] if r is not None]
            valid += len(mine)
            same += sum(model.domain.write(r) == texts[k] for r in mine)
            near += model.domain.similarity(record, mine) if mine else []
        share = float("nan") if not valid else same / valid
        out.append({"t": t, "valid": valid / len(found), "tanimoto": float(np.mean(near)) if near else float("nan"), "same": share})
    return out


def nats(model: Model, store: Store, rows: NDArray[np.int64], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Held-out nats by level under the dial, under "posterior" for a plain VAE."""
    generator = torch.Generator().manual_seed(options.seed)
    columns = columns_of(model, store)
    if not model.vae.latent.dial:
        return {"posterior": bound(model, columns, rows, None, generator)}
    return {f"{t:g}": bound(model, columns, rows, t, generator) for t in BOUND_LEVELS}


def measure(model: Model, store: Store, options: argparse.Namespace) -> dict[str, Any]:
    """Everything about one trained variant."""
    columns = columns_of(model, store)
    rows = held_out_rows(store, columns.usable(store.rows("all")), options)
    train = columns.usable(store.rows("train"))
    known = posterior(model, columns, np.random.default_rng(options.seed).permutation(train)[: options.reference])
    texts = store.texts("text", rows["test"])
    chosen = rows["test"][: options.seeds]
    against = reference(store, rows["reference"], options)
    back = model.reconstruct(texts)
    return {
        "reconstruction": sum(one.exact for one in back) / len(back),
        "active_units": int((known.mean.var(0) > 0.01).sum()),
        "nats": nats(model, store, rows["test"], options),
        "draws": draws(model, known, against, options),
        "analogues": analogues(model, known, posterior(model, columns, chosen), texts[: options.seeds], options),
        "floor": moses_metrics.fcd(store.texts("text", rows["floor"]), against, threads=options.threads),
    }


def run(name: str, options: argparse.Namespace) -> None:
    """Train and measure one variant."""
    overrides = {**VARIANTS[name], "train.seed": options.seed}
    if options.hidden:
        overrides["decoder.hidden"] = options.hidden
    checkpoint = train_variant(options.store, overrides, options.minutes, options.folder / name, options.threads, name)
    found = measure(load(checkpoint), Store.open(options.store), options)
    keep(options.folder, name, {"training": training_facts(checkpoint), "sizes": sizes(options), **found})


def sizes(options: argparse.Namespace) -> dict[str, float]:
    """What must agree between the variants of one table."""
    names = ("minutes", "draws", "reference", "reconstruct", "seeds", "each", "seed", "threads")
    return {name: getattr(options, name) for name in names}


def tables(found: dict[str, dict[str, Any]]) -> None:
    """Print one table of the variants, one of the draws and one of the analogues."""
    head = ("variant", "steps", "records/s", "CPU s", "active", "reconstruction", "nats (bound)")
    show(head, [(*_training(name, one), one["active_units"], one["reconstruction"], best(one)[0]) for name, one in found.items()])
    print(f"\nFCD of data against data at these sizes (floor): {next(iter(found.values()))['floor']:.3f}")
    lines = [(name, kind, d["valid"], d["fcd"], d["distinct"]) for name, one in found.items() for kind, d in one["draws"].items()]
    show(("variant", "draws", "valid", "FCD", "distinct"), lines)
    print("\nanalogues of held-out molecules: mean Tanimoto to the seed / valid share / share identical to the seed")
    cells = [(name, *(f"{a['tanimoto']:.2f}/{a['valid']:.2f}/{a['same']:.2f}" for a in one["analogues"])) for name, one in found.items()]
    show(("variant", *(f"t={t:g}" for t in RADII)), cells)


def _training(name: str, one: dict[str, Any]) -> tuple[str, int, float, float]:
    facts = one["training"]
    return name, facts["steps"], round(facts["records_per_s"]), round(facts["cpu_s"])


def best(one: dict[str, Any]) -> tuple[float, str]:
    """The tightest bound on held-out nats, and the level at which it was found."""
    return min((value["bound"], level) for level, value in one["nats"].items())


def rows(found: dict[str, dict[str, Any]]) -> list[Row]:
    """The README's lines: each measure once for each variant, with the data's floor beside FCD."""
    floor = next(iter(found.values()))["floor"]
    lines = [Row(f"exact reconstruction, {name}", one["reconstruction"]) for name, one in found.items()]
    lines += [Row(f"held-out nats a molecule (bound), {name}", best(one)[0], digits=1) for name, one in found.items()]
    for name, one in found.items():
        for kind, d in one["draws"].items():
            lines.append(Row(f"FCD, {name}, {kind}", d["fcd"], f"floor {floor:.2f}; {d['valid']:.1%} of draws valid", digits=2))
    for name, one in found.items():
        at = next(a for a in one["analogues"] if a["t"] == 0.4)
        lines.append(Row(f"Tanimoto to the seed at t = 0.4, {name}", at["tanimoto"], f"{at['valid']:.1%} of draws valid", digits=2))
    return lines


def collect(options: argparse.Namespace, arguments: list[str]) -> None:
    """One result file of all variants measured so far."""
    found = kept(options.folder, VARIANTS)
    if len({str(one["sizes"]) for one in found.values()}) != 1:
        raise SystemExit("the variants were trained or measured with different settings; run them again with the same options")
    tables(found)
    command = command_line("benchmarks.rate", arguments)
    threads = int(next(iter(found.values()))["sizes"]["threads"])
    write_result(options.out, {"variants": found}, command=command, seed=options.seed, rows=rows(found), threads=threads)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rate", description=(__doc__ or "").partition("\n")[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--variant", choices=tuple(VARIANTS), help="train and measure this one alone")
    what.add_argument("--collect", action="store_true", help="write the result file from what is measured")
    parser.add_argument("--store", type=Path, help="prepared data set with held-out rows")
    parser.add_argument("--minutes", type=float, default=30.0, help="training time of each variant, wall clock (default 30)")
    parser.add_argument("--draws", type=int, default=5000, help="valid draws for the FCD, and size of the floor's sample (default 5000)")
    parser.add_argument("--reference", type=int, default=10_000, help="held-out molecules the FCD compares with (default 10000)")
    parser.add_argument("--reconstruct", type=int, default=2000, help="held-out molecules to reconstruct (default 2000)")
    parser.add_argument("--seeds", type=int, default=500, help="of these, seeds of analogues (default 500)")
    parser.add_argument("--each", type=int, default=4, help="draws for each seed and radius (default 4)")
    parser.add_argument("--hidden", type=int, default=0, help="another decoder.hidden, for tests of this script")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "rate", help="working folder (default runs/rate)")
    common(parser, out="rate")
    options = parser.parse_args(arguments)
    if options.store is None and not options.collect:
        parser.error("--store DIR is wanted: a data set of `molvae data prepare`")
    return options


def main(arguments: list[str]) -> None:
    """Carries out one part, or all."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.collect:
        collect(options, arguments)
        return
    for name in [options.variant] if options.variant else VARIANTS:
        run(name, options)
    if options.variant is None:
        collect(options, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
