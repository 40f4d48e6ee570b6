"""From a prepared data set and a configuration to a checkpoint: vocabularies, ledger, ``fit``, then what ships with the weights."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import molvae
from molvae import build, checkpoint
from molvae import config as settings
from molvae.config import Config
from molvae.dataset.batches import Columns
from molvae.dataset.store import Store
from molvae.diagnose import chunks, diagnose, head_errors, mean_nll, modes, reconstruction
from molvae.errors import CheckpointError, DataError, UsageError
from molvae.metrics import calibration_error
from molvae.model import VAE
from molvae.nn.ledger import fit_ledger
from molvae.practice import Practice
from molvae.representation import Representation, labels_in, labels_of
from molvae.steer import Steer
from molvae.train import Extra, Fit, Tick, fit
from molvae.trainstate import clear, has_state
from molvae.validate import KnownKeys

EXEMPLARS = 4_000
LEDGER_ROWS = 300_000
STARTED = "start.json"
DATA = "data.json"
OF_CODE = ("encoder.", "latent.", "head.", "decoder.context.", "decoder.slots.")
"""Beginnings of the names of weights that make or read the code; the model that a run starts with may lack them, or have them of another size."""
OF_LABELS = ("condition.", "head.", "decoder.budget.", "label_")
"""Beginnings of the names of weights that belong to the labels a model was trained with."""


@dataclass(frozen=True)
class Trained:
    """Where the checkpoint is, why training stopped ("finished", "patience", "interrupted") and its held-out figures."""

    path: Path
    stopped: str
    steps: int
    metrics: Mapping[str, Any]


def train(
    store: Store,
    config: Config,
    out: Path | str,
    *,
    resume: bool = False,
    name: str | None = None,
    start: Path | str | None = None,
    on_tick: Callable[[Tick], None] | None = None,
    on_note: Callable[[str], None] | None = None,
) -> Trained:
    """Train on ``store`` and write a checkpoint folder ``out``. With ``resume`` go on exactly where an earlier run in ``out`` stopped.

    start: a checkpoint folder whose vocabularies and weights are the starting point of a new run; parts that it lacks begin afresh, and so
        do conditioning and heads where its labels are not the configuration's, and what makes or reads the code where it has another size.
    on_note: told in words what a user should know, such as rows that are left out. A run that ended before its first saved state begins
    anew, with ``resume`` or without. Raises UsageError where ``out`` holds a run already and ``resume`` is not set, or the run is one on
    other data; CheckpointError where there is nothing to resume; DataError where no training row can be used.
    """
    out = Path(out)
    plan = out / "config.toml"
    # Fabric starts the further processes of data-parallel training as copies of this command; the first one has prepared everything.
    follower = int(os.environ.get("LOCAL_RANK", "0")) > 0
    if follower:
        config, resume = settings.load(plan), resume and has_state(out)
    else:
        resume = look_at(out, resume, start)
        same_data(store, out) if resume else clear(out)
    torch.manual_seed(config.train.seed)
    tell = on_note if on_note and not follower else lambda text: None
    representation, model, new_labels = _begin(store, config, out, resume or follower, start, tell)
    columns = representation.columns(store, model.label_mean, model.label_std)
    left_out(representation, columns, tell)
    if new_labels and not follower:
        _fit_ledger(model, columns, out)
    if not follower:  # also on resuming: a run may go on with other settings, and its folder and further processes must say and use them
        plan.write_text(settings.dump(config), encoding="utf-8")
    held = _held_out(columns, config.train.validate_rows)
    check = (lambda m: diagnose(m, columns, held, representation.labels.names)) if len(held) else None
    extra = _extra(config, representation, store)
    result = fit(model, columns, config.train, out, resume=resume, validate=check, on_tick=on_tick, extra=extra)
    if follower:
        return Trained(out, result.stopped, result.progress.step, {})
    metrics = finish(result, representation, columns, config, out, name or out.name)
    return Trained(out, result.stopped, result.progress.step, metrics)


def _extra(config: Config, representation: Representation[Any], store: Store) -> Extra | None:
    """The further losses that a configuration asks for, as one."""
    s, p = config.steer, config.practice
    parts: list[Extra] = [Steer(representation, s.rows, s.draws, s.weight, s.wanted, s.unasked)] if s.rows else []
    if p.rows:
        parts.append(Practice.on(representation, store, p, config.train.seed))

    def together(model: VAE, labels: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        found = [part(model, labels, step) for part in parts]
        return torch.stack([loss for loss, _ in found]).sum(), {name: value for _, more in found for name, value in more.items()}

    return together if len(parts) > 1 else parts[0] if parts else None


def look_at(out: Path, resume: bool, start: object = None) -> bool:
    """Whether there is a state in ``out`` to go on from; False where a run begins, also one that ended before its first saved state.

    Raises UsageError where ``out`` holds a run and it is not to go on, CheckpointError where there is none to go on with.
    """
    found, begun = (out / "config.toml").exists(), (out / "plan.json").exists()
    kept = has_state(out) or (out / "checkpoint").exists()
    if not resume and found and (kept or not begun):
        what = "a training run already; go on with --resume," if begun else "a config.toml of something else; move it,"
        raise UsageError(f"{out} holds {what} or choose another folder with --out")
    if resume and not (found and begun):
        raise CheckpointError(out, "there is no run to resume; start without --resume")
    if resume and not kept and start is None and (out / STARTED).exists():
        raise UsageError(f"{out} holds a run that ended before its first saved state and began with another model; say --start again")
    return resume and kept


def same_data(store: Store, out: Path) -> None:
    """Raises UsageError where the run in ``out`` was on another data set. Runs of versions that did not note theirs are let go on."""
    if not (out / DATA).exists():
        return
    before = json.loads((out / DATA).read_text(encoding="utf-8"))
    if before["fingerprint"] != store.fingerprint:
        raise UsageError(
            f"{out} holds a run on another data set ({before['path']}: {before['rows']} rows, labels {', '.join(before['properties'])}) than "
            f"{store.path} ({len(store)} rows, labels {', '.join(store.property_names)}), or on one prepared otherwise; give the same --data, "
            f"or train on from this model with --start {out} and another --out"
        )


def left_out(representation: Representation[Any], columns: Columns, tell: Callable[[str], None]) -> None:
    """Tell how many rows the vocabularies cannot write. Raises DataError where no training row is left."""
    store = columns.store
    every, train = store.rows("all"), store.rows("train")
    lost, lost_train = len(every) - len(columns.usable(every)), len(train) - len(columns.usable(train))
    example = representation.unwritten(store)
    if lost_train == len(train):
        why = f"the vocabularies of the model cannot write them, such as {example}" if len(train) else "its split holds none"
        raise DataError(store.path, f"none of its {len(train)} training rows can be used: {why}")
    if lost:
        tell(
            f"{lost:,} of {len(every):,} rows are left out ({lost_train:,} of training): the vocabularies cannot write them, such as {example}"
        )


def _begin(
    store: Store, config: Config, out: Path, resume: bool, start: Path | str | None, tell: Callable[[str], None]
) -> tuple[Representation[Any], VAE, bool]:
    """The representation, the model, and whether its labels are new to it."""
    out.mkdir(parents=True, exist_ok=True)
    place = out / "plan.json"
    if not resume:
        data = {"fingerprint": store.fingerprint, "path": str(store.path), "rows": len(store), "properties": store.property_names}
        (out / DATA).write_text(json.dumps(data), encoding="utf-8")
    if resume:
        values = json.loads(place.read_text(encoding="utf-8"))
        representation = Representation.from_dict(build.domain(values["domain"]), values, str(out))
    elif start is not None:
        return _start(store, config, out, start, tell)
    else:
        r = config.representation
        representation = Representation.fit(
            build.domain(config.domain),
            store,
            source=r.source,
            target=r.target,
            source_size=r.source_vocabulary,
            target_size=r.target_vocabulary,
            properties=config.condition.properties,
            views=config.encoder.views,
        )
        place.write_text(json.dumps(representation.to_dict()), encoding="utf-8")
    model = build.vae(config, representation)
    _set_scale(model, store, representation)
    return representation, model, not resume


def _start(
    store: Store, config: Config, out: Path, start: Path | str, tell: Callable[[str], None]
) -> tuple[Representation[Any], VAE, bool]:
    """What ``_begin`` gives, of a model that was trained before."""
    saved = checkpoint.load(start)
    if saved.config.latent.kind != config.latent.kind:
        raise CheckpointError(start, f"its latent is of the kind {saved.config.latent.kind!r}, not {config.latent.kind!r}")
    # The views are the new configuration's: an encoder can be added to a trained model.
    had = saved.config.encoder.views
    if had != config.encoder.views[: len(had)]:
        raise CheckpointError(start, f"it reads the views {', '.join(had)}; encoder.views must begin with these, more can follow")
    values = {**saved.representation, "views": list(config.encoder.views)}
    representation = Representation.from_dict(build.domain(config.domain), values, str(start))
    labels = labels_in(store, config.condition.properties)
    alike = representation.labels.names == labels.names
    if not alike:
        representation = replace(representation, labels=labels)
    model = build.vae(config, representation)
    for what, names in _take_weights(model, saved.weights, start, () if alike else OF_LABELS).items():
        more = f" and {len(names) - 6} more" if len(names) > 6 else ""
        tell(f"of {start} {what}: {', '.join(names[:6])}{more}")
    if not alike:
        _set_scale(model, store, representation)
    (out / "plan.json").write_text(json.dumps(representation.to_dict()), encoding="utf-8")
    (out / STARTED).write_text(json.dumps(_history(saved)), encoding="utf-8")
    return representation, model, not alike


def _set_scale(model: VAE, store: Store, representation: Representation[Any]) -> None:
    """Means and deviations of the labels in the training data."""
    scale = store.label_scale()
    index = [store.property_names.index(p) for p in representation.labels.names]
    model.label_mean.copy_(torch.from_numpy(np.nan_to_num(scale.mean[index])))
    model.label_std.copy_(torch.from_numpy(np.nan_to_num(scale.std[index], nan=1.0)))


def _history(saved: checkpoint.Checkpoint) -> list[dict[str, Any]]:
    """The runs that led to a checkpoint, the first one first, so that its card counts all training."""
    mine = {"name": saved.representation.get("name", ""), "steps": saved.metrics.get("steps"), "seconds": saved.metrics.get("seconds")}
    return [*saved.metrics.get("started_from", ()), mine]


def _take_weights(model: VAE, weights: Mapping[str, Tensor], start: Path | str, without: tuple[str, ...]) -> dict[str, list[str]]:
    """Load a model's weights but those whose names begin so; these stay fresh, as does what makes or reads the code where its size is new.

    Returns what a user should know: words -> names of weights. Raises CheckpointError where the other weights do not fit.
    """
    sizes = {k: v.shape for k, v in model.state_dict().items()}
    fits = {k: v for k, v in weights.items() if not k.startswith(without) and (sizes.get(k) == v.shape or not k.startswith(OF_CODE))}
    try:
        missing = model.load_state_dict(fits, strict=False)
    except RuntimeError as error:
        raise CheckpointError(start, f"its weights do not fit this configuration: {error}") from error
    if wrong := [k for k in (*missing.missing_keys, *missing.unexpected_keys) if not k.startswith((*OF_CODE, *without))]:
        raise CheckpointError(start, f"its weights do not fit this configuration: {', '.join(wrong[:3])}")
    left = sorted(k for k in weights.keys() - fits.keys() if not k.startswith(without))
    words = {"begun afresh, for its size is new": [k for k in left if k in sizes], "not taken up": [k for k in left if k not in sizes]}
    return {what: names for what, names in words.items() if names}


def _fit_ledger(model: VAE, columns: Columns, out: Path) -> None:
    budget = model.decoder.budget
    if budget is None:
        return
    rows = columns.usable(columns.store.rows("train"))
    if len(rows) > LEDGER_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, LEDGER_ROWS, replace=False))
    batch = columns.batch(rows, 0)
    if batch.target is None:
        raise ValueError("the ledger needs target sequences")
    scores = fit_ledger(budget.ledger, batch.target, batch.labels)
    (out / "ledger.json").write_text(json.dumps(checkpoint.finite({"r_squared": scores})), encoding="utf-8")


def _held_out(columns: Columns, count: int, split: str = "valid") -> NDArray[np.int64]:
    rows = columns.usable(columns.store.rows(split))
    return rows if len(rows) <= count else np.sort(np.random.default_rng(1).choice(rows, count, replace=False))


def finish(result: Fit, representation: Representation[Any], columns: Columns, config: Config, out: Path, name: str) -> dict[str, Any]:
    """Settle the heads of the averaged weights, measure them on held-out rows and write the checkpoint files into ``out``."""
    model = result.model.cpu()
    train_rows = columns.usable(columns.store.rows("train"))
    shuffled = np.random.default_rng(2).permutation(train_rows)
    pick = shuffled[:EXEMPLARS]
    settle(model, columns)
    metrics: dict[str, Any] = {"steps": result.progress.step, "seconds": result.progress.seconds, "records": len(train_rows)}
    if result.shipped != result.progress.step:
        metrics["shipped_step"] = result.shipped
    if (out / STARTED).exists():
        metrics["started_from"] = json.loads((out / STARTED).read_text(encoding="utf-8"))
    held = _held_out(columns, 4000)
    if len(held):
        metrics |= _measure(model, columns, held, representation.labels.names)
    codes = modes(model, chunks(columns, pick))
    labels = torch.from_numpy(labels_of(columns.store, representation.labels.names)[pick])
    # Novel means: not in the training split, also where a record has no string that this model writes.
    known = KnownKeys.from_keys(columns.store.keys(columns.store.rows("train")), bits=32)
    saved = checkpoint.Checkpoint(
        config,
        {"version": molvae.__version__, "name": name, "data": _origin(columns.store), **representation.to_dict()},
        model.state_dict(),
        metrics,
        card(name, representation, columns.store, config, metrics),
        eight_bit(codes, labels),
        {"known.npz": known.to_bytes()},
    )
    folder = checkpoint.save(saved, out / "checkpoint", half=True)
    return {**metrics, "checkpoint": str(folder)}


def eight_bit(codes: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Codes (M, D) as signed bytes with one scale for each dimension, labels (M, P) as they are."""
    scale = codes.abs().amax(0).clamp(min=1e-6) / 127
    return {"codes": torch.round(codes / scale).to(torch.int8), "scale": scale, "labels": labels}


def settle(model: VAE, columns: Columns) -> None:
    """Centre the heads and rescale their uncertainty on held-out rows.

    The code's own mean and variance stay those that were averaged over training with the weights: the decoder learnt to read codes of that scale,
    of all views and of some of them, and the spread of codes of all views is another one where views disagree.
    """
    held = _held_out(columns, 4000)
    if model.head is not None and len(held):
        model.head.spread.fill_(1.0)
        batches = chunks(columns, held)
        codes = modes(model, batches)
        mean, std, truth = head_errors(model, batches, codes)
        # Weights that were averaged over training leave the means a little off.
        off = torch.nan_to_num((truth - mean).nanmedian(0).values / model.label_std)
        with torch.no_grad():
            model.head.out.bias[: off.numel()] += off
        mean, std, truth = head_errors(model, batches, codes)
        # The factor that makes standardised errors of unit variance, robustly: their 68.3 % quantile is 1 for a Gaussian.
        ratio = ((mean - truth).abs() / std).nanquantile(0.6827, dim=0)
        model.head.spread.copy_(torch.nan_to_num(ratio, nan=1.0).clamp(0.05, 20.0))


def _measure(model: VAE, columns: Columns, rows: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    out: dict[str, Any] = diagnose(model, columns, rows, names)
    batches = chunks(columns, rows)
    codes = modes(model, batches)
    if model.latent.dial:
        out["nats_by_level"] = {f"{t:.1f}": mean_nll(model, batches, codes, t) for t in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)}
        out["reconstruction_by_level"] = {f"{t:.1f}": reconstruction(model, batches[:4], codes, t) for t in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)}
    if model.head is not None:
        mean, std, truth = head_errors(model, batches, codes)
        out["head_calibration_error"] = {
            n: calibration_error(_array(mean[:, k]), _array(std[:, k]), _array(truth[:, k])) for k, n in enumerate(names)
        }
    return out


def _array(values: Tensor) -> NDArray[np.float64]:
    return values.double().numpy()


def _origin(store: Store) -> dict[str, Any]:
    request = store.manifest.get("request", {})
    whole = {k: store.manifest[k] for k in ("domain", "rows", "sources", "fingerprint") if k in store.manifest}
    return whole | {k: request[k] for k in ("steps", "split", "fractions", "seed", "limit", "version") if k in request}


def _before(metrics: Mapping[str, Any]) -> str:
    runs = metrics.get("started_from", ())
    if not runs:
        return ""
    return (
        f", after {sum(r['steps'] for r in runs)} steps, {sum(r['seconds'] for r in runs) / 3600:.2f} hours of {len(runs)} earlier run(s)"
    )


def card(name: str, representation: Representation[Any], store: Store, config: Config, metrics: Mapping[str, Any]) -> str:
    """The model card in Markdown, from what is recorded; nothing in it is typed by hand."""
    held = {s: len(store.rows(s)) for s in ("valid", "test")}
    lines = [
        f"# {name}",
        "",
        f"Conditional VAE of {representation.domain.name}, written by molvae {molvae.__version__}. Seed {config.train.seed}, "
        f"{metrics['steps']} steps, {metrics['seconds'] / 3600:.2f} hours of training{_before(metrics)}.",
        "",
        f"- reads: {', '.join(representation.views)} ({representation.source.name}, {len(representation.source_bpe)} tokens)",
        f"- writes: {representation.target.name} ({len(representation.target_bpe)} tokens)",
        f"- conditions and heads: {', '.join(f'{n} [{u}]' if u not in ('', '1') else n for n, u in representation.labels.units.items())}",
        f"- latent: {config.latent.kind}, {config.latent.width} dimensions",
        f"- data: trained on {metrics['records']} records of {', '.join(store.manifest.get('sources', ()))} "
        f"(of {len(store.rows('train'))} in its training split); held out: {', '.join(f'{v} {k}' for k, v in held.items())}",
        "",
        "## Held-out figures",
        "",
        "```json",
        json.dumps(checkpoint.finite({k: v for k, v in metrics.items() if k != "records"}), indent=1),
        "```",
        "",
        "Intended for proposing candidates that are then checked; predicted properties carry the uncertainty stated with them and hold for records "
        "like the training data only.",
        "",
    ]
    return "\n".join(lines)
