"""MOSES's own VAE, from its wheel: its model, its trainer's step, its default settings, run for a fixed time.

The step, the loader and the sampler are MOSES's own. Only the bookkeeping around them is here: a clock on the batches, and a KL schedule
fitted to the time at hand. Its published schedule raises the KL weight from 0 to .05 over 100 epochs; the same ramp is laid over the
training time, for a model stopped early on the published ramp would be an autoencoder whose prior draws are garbage.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.support.molsets import import_moses

RAMP = 20  # steps of the KL weight over the training time


class Clock:
    """Hands a loader's batches to MOSES's trainer until a time is over; takes the place of its tqdm bar.

    molecules and steps count what was trained on after ``warm_up_s``, at least one step; seconds is the time they took.
    """

    def __init__(self, batches: Iterable[Any], total_s: float, warm_up_s: float = 0.0) -> None:
        self.batches = batches
        self.total_s = total_s
        self.warm_up_s = warm_up_s
        self.molecules = self.steps = 0
        self.seconds = 0.0
        self.note = ""

    def __iter__(self) -> Iterator[Any]:
        begin = time.perf_counter()
        start: float | None = None if self.warm_up_s > 0 else begin
        for batch in self.batches:
            yield batch  # control comes back when the step is done
            now = time.perf_counter()
            if start is not None:
                self.molecules, self.steps, self.seconds = self.molecules + len(batch), self.steps + 1, now - start
                if self.seconds >= self.total_s:
                    return
            elif now - begin >= self.warm_up_s:
                start = now

    def set_postfix_str(self, note: str) -> None:
        """The trainer's report of its losses."""
        self.note = note


@dataclass(frozen=True)
class Peer:
    """MOSES's VAE and its trainer. config: its argparse defaults, 512 molecules a batch among them."""

    model: Any
    trainer: Any
    config: Any
    characters: str
    loader: Any


class _TorchOfItsDay:
    """torch as the wheel's sampler knew it: its mask of finished strings, a uint8, was inverted and indexed like today's bool."""

    def __getattr__(self, name: str) -> Any:
        return torch.bool if name == "uint8" else getattr(torch, name)


def _model_class() -> Any:
    from moses.vae import VAE

    sys.modules[VAE.__module__].torch = _TorchOfItsDay()  # type: ignore[attr-defined]
    return VAE


def build(smiles: list[str], seed: int, molsets: Path | None = None) -> Peer:
    """Model, trainer and loader with MOSES's default settings on the given training molecules."""
    import_moses(molsets)
    from moses.vae import VAETrainer, vae_parser

    torch.manual_seed(seed)
    config = vae_parser().parse_args([])
    trainer = VAETrainer(config)
    vocabulary = trainer.get_vocabulary(smiles)
    model = _model_class()(vocabulary, config)
    characters = "".join(sorted({character for text in smiles for character in text}))
    return Peer(model, trainer, config, characters, trainer.get_dataloader(model, smiles, shuffle=True))


def train(peer: Peer, rate_s: float, warm_up_s: float, train_s: float) -> dict[str, Any]:
    """Trains for ``rate_s`` after a warm-up and takes the rate, then on for ``train_s`` along the KL ramp. Times in seconds."""
    optimiser = torch.optim.Adam(peer.trainer.get_optim_params(peer.model), lr=peer.config.lr_start)
    batches = _epochs(peer.loader)
    clock = Clock(batches, rate_s, warm_up_s)
    peer.trainer._train_epoch(peer.model, 0, clock, 0.0, optimiser)
    measured = {"molecules": clock.molecules, "steps": clock.steps, "seconds": clock.seconds, "batch": peer.config.n_batch}
    begin, seen = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begin) < train_s:
        step = int(RAMP * elapsed / train_s)
        clock = Clock(batches, train_s * (step + 1) / RAMP - elapsed)
        peer.trainer._train_epoch(peer.model, step, clock, peer.config.kl_w_end * step / (RAMP - 1), optimiser)
        seen += clock.molecules
    return measured | {"further_s": time.perf_counter() - begin, "further_molecules": seen, "losses": clock.note}


def _epochs(loader: Iterable[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def save(peer: Peer, path: Path) -> None:
    """Weights and vocabulary, for ``load`` in a fresh process."""
    torch.save({"characters": peer.characters, "weights": peer.model.state_dict()}, path)


def sample(model: Any, batch: int, seconds: float, seed: int) -> dict[str, Any]:
    """Draws from the prior for ``seconds``, RDKit's check and canonical form included, for they tell what is valid and unique."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    torch.manual_seed(seed)
    model.sample(batch)  # warm-up
    found: set[str] = set()
    drawn = valid = 0
    begin = time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        molecules = [Chem.MolFromSmiles(text) for text in model.sample(batch) if text]
        canonical = [Chem.MolToSmiles(molecule) for molecule in molecules if molecule is not None]
        drawn, valid = drawn + batch, valid + len(canonical)
        found.update(canonical)
    return {"batch": batch, "drawn": drawn, "valid": valid, "valid_unique": len(found), "seconds": elapsed}


def load(path: Path, molsets: Path | None = None) -> Any:
    """The model of ``save``, ready to sample."""
    import_moses(molsets)
    from moses.utils import OneHotVocab
    from moses.vae import vae_parser

    stored = torch.load(path, weights_only=True)
    model = _model_class()(OneHotVocab(set(stored["characters"])), vae_parser().parse_args([]))
    model.load_state_dict(stored["weights"])
    return model.eval()
