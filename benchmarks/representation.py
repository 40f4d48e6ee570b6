"""Which string should a molecule decoder write? One GRU language model per string language, equal in parameters and training time.

Languages: SMILES, SELFIES, and trees of whole ring systems (``groups``, after Group SELFIES), each under byte-pair encoding. SMILES is
drawn from thrice: plain, with syntax and valence masks, and with masks that also ask for a Kekule form. All are bijections of the
canonical molecule, so held-out nats a molecule compare them; invalid draws are rejected before the Fréchet ChemNet distance.

``--prepare`` converts the strings once; ``--variant NAME`` trains and measures one (run several side by side, one thread each);
``--collect`` writes the result file and prints the table.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rdkit import RDLogger

from benchmarks.support import molsets, moses_metrics
from benchmarks.support.language_model import CLOCKS, LanguageModel, Rows, draw, held_out_nats, train
from benchmarks.support.record import ROOT, Row, command_line, write_result
from molvae.domains.molecules.grammar import SmilesGrammar
from molvae.domains.molecules.groups import common_groups, group_view
from molvae.domains.molecules.selfies import SELFIES, SMILES
from molvae.domains.molecules.smiles import Molecule, parse
from molvae.errors import InvalidRecord
from molvae.protocols import SequenceView
from molvae.tokens import END, SymbolBPE

VARIANTS = ("smiles", "selfies", "groups")
FOLDER = ROOT / "runs" / "representation"
WHOLE_GROUPS = 300
MODES: dict[str, tuple[str, ...]] = {
    "smiles": ("rejection", "masks", "masks and Kekule test"),
    "selfies": ("rejection",),
    "groups": ("rejection",),
}


@dataclass(frozen=True)
class Language:
    """One variant, ready to train on. coverage: share of the molecules that have such a string."""

    view: SequenceView[Molecule]
    vocabulary: SymbolBPE
    train: Rows
    held_out: Rows
    coverage: float


def texts_path(folder: Path, part: str, variant: str) -> Path:
    return folder / f"{part}.{variant}.txt"


def write_lines(path: Path, lines: list[str]) -> None:
    """Under the final name only when complete, because variants run side by side."""
    scratch = path.with_suffix(f".part{random.getrandbits(32):08x}")
    scratch.write_text("\n".join(lines) + "\n", encoding="utf-8")
    scratch.replace(path)


def read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def canonical(smiles: str) -> str:
    try:
        return parse(smiles).smiles
    except InvalidRecord:
        return ""


def convert(variant: str, smiles: str) -> str:
    """The variant's string of a canonical SMILES, empty where there is none."""
    view = group_view(()) if variant == "groups" else SELFIES
    try:
        return view.write(Molecule(smiles))
    except InvalidRecord:
        return ""


def mapped(function: Callable[[str], str], rows: list[str], jobs: int) -> list[str]:
    if jobs == 1:
        return [function(row) for row in rows]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        return pool.map(function, rows, chunksize=1000)


def prepare(options: argparse.Namespace, variants: tuple[str, ...]) -> None:
    """Canonical SMILES of the training subset and the held-out molecules, and their other strings; files already there are kept."""
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": options.molecules, "held_out": options.held_out}
    if not all(texts_path(folder, part, "smiles").exists() for part in (*parts, "test")):
        rng = random.Random(options.seed)
        chosen = rng.sample(molsets.split("train", options.molsets), sum(parts.values()))
        test = rng.sample(molsets.split("test", options.molsets), options.held_out)
        for part, rows in (("held_out", chosen[: options.held_out]), ("train", chosen[options.held_out :]), ("test", test)):
            write_lines(texts_path(folder, part, "smiles"), [row for row in mapped(canonical, rows, options.jobs) if row])
    for variant in variants:
        for part in parts:
            path = texts_path(folder, part, variant)
            if not path.exists():
                write_lines(path, mapped(functools.partial(convert, variant), read_lines(texts_path(folder, part, "smiles")), options.jobs))
                print(f"wrote {path}", file=sys.stderr)


def encoded(view: SequenceView[Molecule], vocabulary: SymbolBPE, texts: list[str]) -> Rows:
    rows: list[list[int]] = []
    for start in range(0, len(texts), 20_000):
        found = vocabulary.encode_many([view.symbols(text) for text in texts[start : start + 20_000]])
        rows += [row for row in found if row is not None]
    return Rows.of(rows)


def language(folder: Path, variant: str, size: int) -> Language:
    """Strings, vocabulary and token ids of one variant."""
    texts = {part: read_lines(texts_path(folder, part, variant)) for part in ("train", "held_out")}
    total = sum(map(len, texts.values()))
    texts = {part: [text for text in rows if text] for part, rows in texts.items()}
    view = {"smiles": SMILES, "selfies": SELFIES}.get(variant) or group_view(common_groups(texts["train"], WHOLE_GROUPS))

    def symbols() -> Iterator[list[str]]:
        return (view.symbols(text) for text in texts["train"])

    vocabulary = SymbolBPE.train(symbols(), size)
    rows = {part: encoded(view, vocabulary, found) for part, found in texts.items()}
    return Language(view, vocabulary, rows["train"], rows["held_out"], sum(map(len, rows.values())) / total)


def grammar_of(mode: str, vocabulary: SymbolBPE) -> SmilesGrammar | None:
    if mode == "rejection":
        return None
    tokens = [() if number <= END else vocabulary.token_symbols(number) for number in range(len(vocabulary))]
    return SmilesGrammar(tokens, end=END, kekulise=mode == "masks and Kekule test")


def measure(model: LanguageModel, found: Language, mode: str, options: argparse.Namespace, reference: Any) -> dict[str, Any]:
    """Draws until ``--draws`` valid molecules are there: valid share, distinct valid molecules a second, FCD of the valid ones."""
    grammar = grammar_of(mode, found.vocabulary)
    generator = torch.Generator().manual_seed(options.seed)
    longest = 2 * int(found.train.lengths.max())
    valid: list[str] = []
    drawn = 0
    start, start_cpu = time.perf_counter(), time.process_time()
    while len(valid) < options.draws and drawn < 50 * options.draws:
        batch = draw(model, 512, known=len(found.vocabulary), longest=longest, generator=generator, grammar=grammar)
        drawn += len(batch)
        for ids in batch:
            if ids:
                try:
                    valid.append(found.view.read("".join(found.vocabulary.decode(ids))).smiles)
                except InvalidRecord:
                    continue
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    enough = len(valid) >= options.draws
    return {
        "mode": mode,
        "valid_share": len(valid) / drawn,
        "distinct_share_of_valid": len(set(valid)) / max(len(valid), 1),
        "distinct_valid_per_s": len(set(valid)) / seconds,
        "distinct_valid_per_cpu_s": len(set(valid)) / cpu_seconds,
        "drawn": drawn,
        "fcd": moses_metrics.fcd(valid[: options.draws], reference, threads=1) if enough else float("nan"),
        "examples": valid[:5],
    }


def run(variant: str, options: argparse.Namespace) -> None:
    """Trains one variant and measures all its modes; the findings go to the working folder for ``--collect``."""
    torch.manual_seed(options.seed)
    found = language(options.folder, variant, options.vocabulary)
    model = LanguageModel(options.vocabulary)
    lengths = found.held_out.lengths
    print(f"{variant}: {len(found.vocabulary)} ids, {lengths.mean():.2f} tokens a molecule, coverage {found.coverage:.4f}", flush=True)
    done = train(model, found.train, seconds=60 * options.minutes, clock=options.clock, batch=options.batch, seed=options.seed)
    torch.save(model.state_dict(), options.folder / f"model-{variant}.pt")
    result: dict[str, Any] = {
        "variant": variant,
        "minutes": options.minutes,
        "parameters": sum(p.numel() for p in model.parameters()),
        "ids_in_use": len(found.vocabulary),
        "tokens_per_molecule": float(lengths.mean()),
        "coverage": found.coverage,
        "training_molecules": len(found.train),
        "held_out_molecules": len(found.held_out),
        "held_out_nats": held_out_nats(model, found.held_out),
        "training": asdict(done),
        "cpu_threads": torch.get_num_threads(),
    }
    print(json.dumps(result, indent=1), flush=True)
    reference = moses_metrics.statistics(read_lines(texts_path(options.folder, "test", "smiles")), threads=1)
    result["modes"] = []
    for mode in MODES[variant]:
        result["modes"].append(measure(model, found, mode, options, reference))
        print(json.dumps(result["modes"][-1], indent=1), flush=True)
    (options.folder / f"result-{variant}.json").write_text(json.dumps(result, indent=1), encoding="utf-8")


def collect(options: argparse.Namespace, arguments: list[str]) -> None:
    """One result file of all variants measured so far, with the floor: FCD of the held-out molecules against the same test sample."""
    paths = [options.folder / f"result-{variant}.json" for variant in VARIANTS]
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    if not results:
        raise SystemExit(f"{options.folder}: no result-*.json; run --prepare and --variant {VARIANTS[0]} first")
    if len({(result["minutes"], result["training"]["clock"], result["parameters"]) for result in results}) != 1:
        raise SystemExit(
            "the variants were trained for different times or sizes; run them again with equal --minutes, --clock and --vocabulary"
        )
    reference = moses_metrics.statistics(read_lines(texts_path(options.folder, "test", "smiles")), threads=1)
    floor = moses_metrics.fcd(read_lines(texts_path(options.folder, "held_out", "smiles")), reference, threads=1)
    rows = [Row("FCD of data (floor)", floor, digits=2)]
    print(f"{'string':9s} {'draws':22s} {'tokens':>6s} {'nats':>6s} {'valid':>6s} {'FCD':>6s} {'distinct valid/s':>17s}")
    print(f"(FCD floor {floor:.2f})")
    for result in results:
        rows.append(Row(f"held-out nats a molecule, {result['variant']}", result["held_out_nats"], digits=2))
        for mode in result["modes"]:
            name = f"{result['variant']}, {mode['mode']}"
            rows.append(Row(f"valid before rejection, {name}", mode["valid_share"]))
            rows.append(Row(f"FCD, {name}", mode["fcd"], digits=2))
            rows.append(Row(f"distinct valid molecules a CPU second, {name}", mode["distinct_valid_per_cpu_s"], digits=0))
            print(
                f"{result['variant']:9s} {mode['mode']:22s} {result['tokens_per_molecule']:6.2f} {result['held_out_nats']:6.2f} "
                f"{mode['valid_share']:6.3f} {mode['fcd']:6.2f} {mode['distinct_valid_per_cpu_s']:17.0f}"
            )
    payload = {"fcd_floor": floor, "variants": results}
    write_result("representation", payload, command=command_line("benchmarks.representation", arguments), seed=options.seed, rows=rows)


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.representation", description=__doc__.partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--prepare", action="store_true", help="convert the strings of all variants and stop")
    what.add_argument("--variant", choices=VARIANTS, help="train and measure one string language")
    what.add_argument("--collect", action="store_true", help="write the result file and print the table")
    parser.add_argument("--minutes", type=float, default=20.0, help="training time by --clock (default 20)")
    parser.add_argument("--clock", choices=tuple(CLOCKS), default="cpu", help="processor or wall-clock time (default cpu: fair under load)")
    parser.add_argument("--molecules", type=int, default=400_000, help="size of the training subset (default 400000)")
    parser.add_argument("--held-out", type=int, default=10_000, help="held-out and test molecules each (default 10000)")
    parser.add_argument("--draws", type=int, default=10_000, help="valid draws for the FCD (default 10000)")
    parser.add_argument("--vocabulary", type=int, default=1_200, help="token ids, the same for every variant (default 1200)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes of --prepare")
    parser.add_argument("--molsets", type=Path, help=f"local copy of {molsets.WHEEL.file} (else pip fetches it)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="working folder (default runs/representation)")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Carries out one of the three parts."""
    options = parse_options(arguments)
    RDLogger.DisableLog("rdApp.*")
    torch.set_num_threads(1)
    if options.prepare:
        prepare(options, VARIANTS)
    elif options.variant:
        prepare(options, (options.variant,))
        run(options.variant, options)
    else:
        collect(options, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
