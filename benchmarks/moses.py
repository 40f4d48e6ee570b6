"""MOSES: 30,000 unconditional samples scored by MOSES's own metric code (Polykovskiy et al. 2020), beside the published models.

``python -m benchmarks.moses --model moses`` draws from a model; ``--samples FILE`` scores a file of SMILES, one a line (invalid ones
included, for they count); ``--floor`` scores random training molecules, the best that the metrics can tell from the data.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.support import molsets, moses_metrics
from benchmarks.support.record import Row, command_line, write_result

PUBLISHED = {  # MOSES's table: means of three runs of 30,000 samples: (VAE, CharRNN, training set where it is defined)
    "valid": (0.977, 0.975, 1.0),
    "unique@10000": (0.998, 0.999, 1.0),
    "FCD/Test": (0.099, 0.073, 0.008),
    "FCD/TestSF": (0.567, 0.520, 0.476),
    "SNN/Test": (0.626, 0.602, 0.642),
    "SNN/TestSF": (0.578, 0.565, 0.586),
    "Frag/Test": (0.999, 1.0, 1.0),
    "Frag/TestSF": (0.998, 0.998, 0.999),
    "Scaf/Test": (0.939, 0.924, 0.991),
    "Scaf/TestSF": (0.059, 0.110, 0.0),
    "IntDiv": (0.856, 0.856, 0.857),
    "Filters": (0.997, 0.994, 1.0),
    "Novelty": (0.695, 0.842, math.nan),
}


UNIQUE_OF = 10_000


@functools.cache
def _loaded(model: str) -> Any:
    import molvae

    return molvae.load(model)


@dataclass(frozen=True)
class Drawn:
    """Samples as SMILES, and of how many decoder strings: valid ones RDKit read, passed ones also met the product's checks.

    raw_unique: distinct share of 10,000 valid draws with nothing rejected but the invalid.
    """

    smiles: list[str]
    drawn: int
    valid: int
    passed: int
    raw_unique: float


def draw(model: str, n: int, seed: int) -> Drawn:
    """n unconditional samples at temperature 1 as the product delivers them.

    It rejects invalid strings, what its checks refuse and what it has delivered already, and draws again, so the list is valid and unique
    throughout; what the decoder itself does, valid / drawn and the uniqueness of valid draws, stands beside it.
    """
    loaded = _loaded(model)
    made = loaded.generate(n, seed=seed, temperature=1.0, predict=False)
    smiles = [candidate.text for candidate in made.candidates]
    plain = loaded.sample(min(n, UNIQUE_OF), seed=seed, unique=False)
    return Drawn(smiles, made.funnel.drawn, made.funnel.valid, made.funnel.passed, len(set(plain)) / len(plain))


def samples(options: argparse.Namespace, train: list[str]) -> tuple[list[str], dict[str, Any]]:
    """The SMILES to score and what is known of their origin."""
    if options.floor:
        return random.Random(options.seed).sample(train, options.n), {"source": "random molecules of the training split"}
    if options.samples is not None:
        text = options.samples.read_text(encoding="utf-8")
        lines = [line.split()[0] if line.strip() else "" for line in text.splitlines()]
        return lines[: options.n], {"source": f"file {options.samples.name}"}
    start = time.perf_counter()
    made = draw(options.model, options.n, options.seed)
    seconds = time.perf_counter() - start
    origin = {
        "source": f"model {Path(options.model).name}",
        "raw_valid_share": made.valid / made.drawn,
        "raw_unique@10000": made.raw_unique,
        "passed_share_of_valid": made.passed / max(1, made.valid),
        "sampling_s": seconds,
        "samples_per_s": len(made.smiles) / seconds,
    }
    return made.smiles, origin


def rows(values: dict[str, float], raw: tuple[float, float] | None, floor: bool) -> list[Row]:
    """Each metric with the published models' figures; of the floor, the two distances that have one. raw: valid, unique before rejection."""
    if floor:
        return [Row(f"{name} of random training molecules", values[name], "the least to hope for") for name in ("FCD/Test", "FCD/TestSF")]
    lines = []
    if raw is not None:
        lines.append(Row("valid before rejection", raw[0], "VAE 0.977, CharRNN 0.975"))
        lines.append(Row("unique@10000 before rejection", raw[1], "VAE 0.998, CharRNN 0.999", digits=4))
    for name, (vae, char_rnn, training) in PUBLISHED.items():
        known = "" if math.isnan(training) else f", training set {training:g}"
        lines.append(Row(name, values[name], f"VAE {vae:g}, CharRNN {char_rnn:g}{known}"))
    return lines


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.moses", description=__doc__.partition("\n")[0])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model", default="moses", help="name of a shipped model or folder of a checkpoint (default moses)")
    source.add_argument("--samples", type=Path, help="score this file of SMILES, one a line, instead of drawing")
    source.add_argument("--floor", action="store_true", help="score random training molecules")
    parser.add_argument("--n", type=int, default=30000, help="number of samples (default 30000, the protocol's)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--molsets", type=Path, help=f"local copy of {molsets.WHEEL.file} (else pip fetches it)")
    parser.add_argument("--save", type=Path, help="also write the samples here, one SMILES a line")
    parser.add_argument("--out", help="name of the result (default moses, or moses_floor)")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Draws, scores, writes the result file and prints the metrics."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    train = molsets.split("train", options.molsets)
    smiles, origin = samples(options, train)
    if len(smiles) < options.n:
        print(f"note: {len(smiles)} samples instead of {options.n}; FCD is higher for fewer samples", file=sys.stderr)
    if options.save is not None:
        options.save.write_text("\n".join(smiles) + "\n", encoding="utf-8")
    start = time.perf_counter()
    values = moses_metrics.metrics(smiles, train=train, threads=options.threads, molsets=options.molsets)
    payload = {"n": len(smiles), **origin, "metrics": values, "metrics_s": time.perf_counter() - start}
    print(json.dumps(values, indent=1))
    name = options.out or ("moses_floor" if options.floor else "moses")
    raw = (origin["raw_valid_share"], origin["raw_unique@10000"]) if "raw_valid_share" in origin else None
    shown = rows(values, raw, options.floor)
    command = command_line("benchmarks.moses", arguments)
    write_result(name, payload, command=command, seed=options.seed, rows=shown, threads=options.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
