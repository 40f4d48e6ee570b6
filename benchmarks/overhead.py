"""What a search costs beside the model: Optuna's and our own bookkeeping, processor milliseconds a scored molecule.

A search with the default sampler and storage for QED, whose own time is left out. Every call into the network (decoding, encoding, tuning), the
surrogate (fit and prediction) and RDKit (reading, writing, scaffolds, fingerprints) is timed; the rest is Optuna and our own code.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import optuna
import torch

from benchmarks.support.record import Row, command_line, write_result
from benchmarks.support.terminal import common, show
from molvae.api import Model, load
from molvae.representation import Representation
from molvae.sample import Sampler
from molvae.search import Search, Settings
from molvae.search import sampler as default_sampler
from molvae.search.outcome import Evaluation
from molvae.search.surrogate import TanimotoGP
from molvae.search.tune import Tuner

NETWORK, SURROGATE, CHEMISTRY, SCORER, REST = "network", "surrogate", "chemistry", "scorer", "Optuna and our own"
PARTS = (NETWORK, SURROGATE, CHEMISTRY, SCORER)
MOST = 3.0  # milliseconds a candidate that the rest may take


class Stopwatch:
    """Processor seconds by part. A timed call within a timed call counts for the inner part alone."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.inner = [0.0]

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time noted under the part."""

        def run(*args: Any, **options: Any) -> Any:
            self.inner.append(0.0)
            begun = time.process_time()
            try:
                return function(*args, **options)
            finally:
                spent = time.process_time() - begun
                self.seconds[part] += spent - self.inner.pop()
                self.inner[-1] += spent

        return run

    @contextmanager
    def watching(self, places: Sequence[tuple[str, Any, str]]) -> Iterator[None]:
        """Time these methods, given as part, class, name."""
        patches = [mock.patch.object(owner, name, self.timed(part, getattr(owner, name))) for part, owner, name in places]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()


PLACES = (
    (NETWORK, Sampler, "draw"),
    (NETWORK, Sampler, "modes"),
    (NETWORK, Tuner, "step"),
    (NETWORK, Tuner, "remember"),
    (SURROGATE, TanimotoGP, "__init__"),
    (SURROGATE, TanimotoGP, "predict"),
    (CHEMISTRY, Representation, "record"),
    (CHEMISTRY, Representation, "able"),
)


def measure(model: Model, budget: int, seed: int) -> dict[str, float]:
    """Seconds of one search by part, and the molecules it scored."""
    watch = Stopwatch()
    domain = model.domain
    timed = {name: watch.timed(CHEMISTRY, getattr(domain, name)) for name in ("parse", "write", "group", "key")}
    features = None if domain.features is None else watch.timed(CHEMISTRY, domain.features)

    qed = domain.properties["qed"].compute

    def evaluate(texts: Sequence[str]) -> list[Evaluation]:
        return [Evaluation(qed(domain.parse(text))) for text in texts]

    for name, function in timed.items():
        object.__setattr__(domain, name, function)  # this process measures and ends
    with watch.watching(PLACES):
        search = Search(model.sampler, watch.timed(SCORER, evaluate), Settings(budget, seed), features=features)
        begun = time.process_time()
        done = search.run()
        total = time.process_time() - begun
    return {**watch.seconds, REST: total - sum(watch.seconds.values()), "total": total, "scored": float(len(done.pool))}


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="zinc250k", help="shipped model or checkpoint folder (default zinc250k)")
    parser.add_argument("--budget", type=int, default=3000, help="molecules scored (default 3000)")
    common(parser, out="overhead")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Measures, prints, writes the result."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    model = load(options.model)
    found = measure(model, options.budget, options.seed)
    scored = found.pop("scored")
    each = {part: 1000 * seconds / scored for part, seconds in found.items()}
    show(("part", "ms a molecule"), list(each.items()), 2)
    beside = ", ".join(f"{part} {each[part]:.1f}" for part in (NETWORK, SURROGATE, CHEMISTRY))
    width, batch = model.vae.latent.width, default_sampler.Recipe().batch
    row = Row(f"Optuna and our own code, ms a scored molecule, {width} dimensions", each[REST], f"at most {MOST:g} wanted; {beside}", 2)
    payload = {"ms": each, "scored": scored, "dimensions": width, "batch": batch}
    command = command_line("benchmarks.overhead", arguments)
    write_result(options.out, payload, command=command, seed=options.seed, rows=[row], threads=options.threads)


if __name__ == "__main__":
    main(sys.argv[1:])
