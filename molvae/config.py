"""Settings of a model and its training: pydantic models, read from and written to TOML. Unknown keys are refused."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from tomlkit.items import Item

from molvae.errors import ConfigError


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RepresentationConfig(_Section):
    """Strings: what the sequence encoder reads and what the decoder writes."""

    source: str = Field("selfies", description="string read by the sequence encoder")
    target: str = Field(
        "groups", description="the decoder's string: 'groups' (ring systems as symbols), 'smiles', 'selfies' (always decodes)"
    )
    source_vocabulary: int = Field(1024, ge=16, le=60000, description="largest number of BPE tokens of the source")
    target_vocabulary: int = Field(1024, ge=16, le=60000, description="largest number of BPE tokens of the target")


class EncoderConfig(_Section):
    """Encoders of the views and their fusion."""

    views: tuple[Literal["sequence", "graph", "written"], ...] = Field(
        ("sequence", "graph", "written"), description="views read: the source string, the graph, the string that the decoder writes"
    )
    alone: tuple[float, ...] = Field((0.1, 0.1, 0.3), description="probabilities that a record keeps the first, second, third view alone")
    view_dropout: float = Field(0.05, ge=0, le=1 / 3, description="probability, for each view, that a record loses it in training")
    features: int = Field(384, ge=8, description="width of each view's feature vector")
    sequence_embed: int = Field(128, ge=4, description="token embedding width")
    sequence_kind: Literal["gru", "transformer"] = Field("gru", description="reader of strings: 'gru' (both directions) or 'transformer'")
    sequence_hidden: int = Field(256, ge=4, description="width: of each direction of a GRU, or of a transformer")
    sequence_layers: int = Field(3, ge=1, description="layers of a transformer; a GRU has one")
    sequence_heads: int = Field(4, ge=1, description="attention heads of a transformer; they must divide the width")
    sequence_slots: bool = Field(False, description="read what stands in each place of each part; transformer, of strings made of parts")
    graph_hidden: int = Field(128, ge=4, description="node feature width of the graph network")
    graph_layers: int = Field(4, ge=1, description="message-passing layers")

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.sequence_kind == "transformer" and self.sequence_hidden % self.sequence_heads:
            raise ValueError(f"sequence_hidden is {self.sequence_hidden} and sequence_heads {self.sequence_heads}: these must divide it")
        return self


class LatentConfig(_Section):
    """The code."""

    kind: Literal["dial", "gaussian"] = Field("dial", description="'dial' (noise level as a setting) or 'gaussian' (plain VAE)")
    width: int = Field(64, ge=2, description="dimensions of the code")
    summary: int = Field(
        0,
        ge=0,
        description="the first of them, all that heads read, into which a string with slots is read by its pooling; 0: no such division",
    )
    whitening: float = Field(0.02, ge=0, description="dial: weight of squared off-diagonal covariances")


class RegulariserConfig(_Section):
    """The rate of the gaussian latent. The noise dial needs none."""

    kind: Literal["none", "kl"] = Field("none", description="'none' for the dial, 'kl' for the gaussian latent")
    beta: float = Field(1.0, gt=0, description="weight of the KL, nats a record")
    schedule: Literal["constant", "linear", "cyclic"] = Field("linear", description="course of beta")
    warmup: float = Field(0.1, ge=0, le=1, description="share of training over which a linear schedule rises")
    cycles: int = Field(4, ge=1, description="ramps of a cyclic schedule")
    free_bits: float = Field(0.0, ge=0, description="nats a dimension below which the KL is not pressed")


class DecoderConfig(_Section):
    """The autoregressive decoder."""

    kind: Literal["gru", "transformer"] = Field("gru", description="'gru' or 'transformer'")
    embed: int = Field(256, ge=4, description="token embedding width")
    hidden: int = Field(512, ge=4, description="width")
    layers: int = Field(1, ge=1, description="layers")
    heads: int = Field(4, ge=1, description="attention heads of a transformer; the width must be an even multiple of them")
    slots: bool = Field(False, description="write what the code says for each place of each part; transformer, of strings made of parts")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the states")

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.kind == "transformer" and self.hidden % (2 * self.heads):
            raise ValueError(f"hidden is {self.hidden} and heads {self.heads}: the width must be an even multiple of the heads")
        return self


class ConditionConfig(_Section):
    """Targets that a user can ask for."""

    properties: tuple[str, ...] = Field(
        ("logp", "qed", "tpsa", "sa", "mw"), description="labels that condition the decoder and that the head predicts"
    )
    width: int = Field(128, ge=8, description="width of the condition embedding")
    budget: bool = Field(True, description="tell the decoder at every step how much of each target is still to come")
    budget_rank: int = Field(16, ge=1, description="rank of the pair term of the budget's ledger")
    shown: float = Field(0.6, ge=0, le=1, description="share of prior rows with targets shown")
    shown_coded: float = Field(0.15, ge=0, le=1, description="share of coded rows with targets shown")


class HeadConfig(_Section):
    """Property heads on the code."""

    hidden: int = Field(192, ge=8, description="width")
    layers: int = Field(2, ge=1, description="residual blocks")
    weight: float = Field(
        1.0, ge=0, description="weight of the heads' loss, half of it from the code of all views and half from those of each view alone"
    )


class SteerConfig(_Section):
    """Policy-gradient refinement of draws beside ordinary training, towards properties that can be computed."""

    rows: int = Field(0, ge=0, description="targets a step; 0 switches steering off")
    draws: int = Field(4, ge=2, description="sequences drawn for each target")
    weight: float = Field(1.0, gt=0, description="weight of the steering loss")
    wanted: dict[str, float] = Field(
        {}, description="values of computed properties towards which draws that are asked for nothing are steered"
    )
    unasked: float = Field(0.5, ge=0, le=1, description="share of the targets, where something is wanted, that ask for nothing")


class PracticeConfig(_Section):
    """Encoding and decoding of made-up relatives of the training records, for small data sets; of domains that can make them."""

    rows: int = Field(0, ge=0, description="relatives a step; 0 switches practice off")
    pool: int = Field(20000, ge=2, description="relatives made at a time")
    renewed: int = Field(0, ge=0, description="steps after which the pool is made anew, of other relatives; 0: never")
    alone: float = Field(0.0, ge=0, le=1, description="share of practice steps that read the source string and no other view")
    level: float = Field(0.25, gt=0, le=1, description="the highest noise level at which they are decoded")
    weight: float = Field(1.0, gt=0, description="weight of the practice loss")


class TrainConfig(_Section):
    """The training loop."""

    seed: int = Field(0, ge=0, description="fixes every random number of training")
    steps: int = Field(20000, ge=1, description="optimiser steps")
    minutes: float = Field(
        0.0, ge=0, description="if set, the length of training in minutes of training time instead of steps (not exactly reproducible)"
    )
    prior_batch: int = Field(80, ge=0, description="records a step decoded from pure noise (level 1), for which no encoder runs")
    code_batch: int = Field(144, ge=0, description="records a step encoded at a random level")
    low_share: float = Field(0.5, ge=0, le=1, description="share of coded records at a level below low_level")
    low_level: float = Field(0.25, ge=0, le=1, description="see low_share")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate of AdamW")
    final_rate: float = Field(1e-5, ge=0, description="learning rate at the end")
    warmup_steps: int = Field(200, ge=0, description="steps over which the learning rate rises")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="'constant' keeps the peak until the last cooldown share")
    cooldown: float = Field(0.2, ge=0, le=1, description="share of training at the end over which a constant schedule falls to final_rate")
    weight_decay: float = Field(0.01, ge=0, description="decoupled weight decay on matrices")
    clip: float = Field(
        10.0,
        ge=0,
        description="gradients whose norm is beyond so many times its running mean are cut to that; 0: none. Not far above 1 "
        "it favours short records, whose gradients are small",
    )
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights that are shipped; 0 ships the last weights")
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        "auto", description="'auto' takes bf16-mixed where the processor computes in bfloat16"
    )
    accelerator: str = Field("cpu", description="Lightning Fabric accelerator: cpu, cuda, mps, auto")
    devices: int = Field(1, ge=1, description="processes of data-parallel training")
    threads: int = Field(0, ge=0, description="CPU threads; 0 leaves torch's choice")
    checkpoint_minutes: float = Field(5.0, gt=0, description="minutes between checkpoints")
    log_steps: int = Field(100, ge=1, description="steps between log rows")
    validate_steps: int = Field(2000, ge=1, description="steps between validations")
    validate_rows: int = Field(1000, ge=1, description="held-out records a validation uses")
    patience: int = Field(
        0,
        ge=0,
        description="validations without a better held-out loss before training stops and ships the best one's weights; 0: to the end, the last",
    )
    tensorboard: bool = Field(False, description="also log to TensorBoard (extra 'tensorboard')")


class Config(_Section):
    """Everything that ``molvae train`` needs beside the data."""

    domain: str = Field("molecules", description="kind of matter")
    representation: RepresentationConfig = RepresentationConfig()
    encoder: EncoderConfig = EncoderConfig()
    latent: LatentConfig = LatentConfig()
    regulariser: RegulariserConfig = RegulariserConfig()
    decoder: DecoderConfig = DecoderConfig()
    condition: ConditionConfig = ConditionConfig()
    heads: HeadConfig = HeadConfig()
    steer: SteerConfig = SteerConfig()
    practice: PracticeConfig = PracticeConfig()
    train: TrainConfig = TrainConfig()


def from_dict(values: dict[str, Any], where: str = "configuration") -> Config:
    """Raises ConfigError naming each offending key, what arrived and what was wanted."""
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']} (got {e.get('input')!r})" for e in error.errors()]
        raise ConfigError(f"{where} does not fit:\n" + "\n".join(lines) + "\n'molvae config' prints every setting") from None
    check(config)
    return config


def check(config: Config) -> None:
    """Compatibility of parts, checked at the door. Raises ConfigError."""
    dial = config.latent.kind == "dial"
    if config.regulariser.kind == "kl" and dial:
        raise ConfigError(
            "regulariser.kind = 'kl' needs moments, and the noise dial has none; use latent.kind = 'gaussian' or regulariser.kind = 'none'"
        )
    if config.regulariser.kind == "none" and not dial:
        raise ConfigError("latent.kind = 'gaussian' needs regulariser.kind = 'kl': without it nothing ties the codes to the prior")
    if not config.encoder.views:
        raise ConfigError("encoder.views is empty; wanted some of 'sequence', 'graph', 'written'")
    seen = len(config.encoder.views)
    if len(config.encoder.alone) < seen or sum(config.encoder.alone[:seen]) + seen * config.encoder.view_dropout > 1.0:
        raise ConfigError(
            f"encoder.alone = {list(config.encoder.alone)} and encoder.view_dropout = {config.encoder.view_dropout} do not fit {seen} views; "
            "wanted a probability for each view, adding up to 1 at most with view_dropout for each"
        )
    if config.encoder.sequence_slots and config.encoder.sequence_kind != "transformer":
        raise ConfigError(
            f"encoder.sequence_slots is set, and a {config.encoder.sequence_kind} has none; set encoder.sequence_kind = 'transformer'"
        )
    if config.decoder.slots and config.decoder.kind != "transformer":
        raise ConfigError(f"decoder.slots is set, and a {config.decoder.kind} has none; set decoder.kind = 'transformer'")
    if config.encoder.sequence_slots != bool(config.latent.summary) or config.latent.summary >= config.latent.width:
        raise ConfigError(
            f"latent.summary is {config.latent.summary} of {config.latent.width} dimensions, encoder.sequence_slots {config.encoder.sequence_slots}; "
            "wanted some dimensions, not all, with slots, and 0 without"
        )
    if config.practice.rows and config.practice.alone and "sequence" not in config.encoder.views:
        raise ConfigError("practice.alone wants steps that read the source string alone, and encoder.views has no 'sequence'; set it to 0")
    if config.train.prior_batch + config.train.code_batch == 0:
        raise ConfigError("train.prior_batch and train.code_batch are both 0; one of them must be positive")
    if (config.steer.rows or config.practice.rows) and config.train.devices > 1:
        raise ConfigError("steer.rows > 0 and practice.rows > 0 run in one process; set train.devices = 1")
    if not dial and config.train.prior_batch:
        raise ConfigError(
            "train.prior_batch > 0 trains the decoder on pure noise, which only the noise dial means; set it to 0 for latent.kind = 'gaussian'"
        )


def load(path: Path | str) -> Config:
    """Read a TOML file. Raises ConfigError."""
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is no readable TOML file: {error}") from error
    return from_dict(values, str(path))


def dump(config: Config, *, documented: bool = True) -> str:
    """The configuration as TOML, each setting with its description where ``documented``."""
    document = tomlkit.document()
    for name, field in Config.model_fields.items():
        value = getattr(config, name)
        if not isinstance(value, _Section):
            document.add(name, _item(value, field.description if documented else None))
            continue
        table = tomlkit.table()
        if documented and value.__doc__:
            table.add(tomlkit.comment(value.__doc__.strip()))
        for key, inner in type(value).model_fields.items():
            plain = getattr(value, key)
            table.add(key, _item(list(plain) if isinstance(plain, tuple) else plain, inner.description if documented else None))
        document.add(name, table)
    return tomlkit.dumps(document)


def _item(value: object, comment: str | None) -> Item:
    item: Item = tomlkit.item(value)
    if isinstance(value, dict):  # in one line: what follows a table belongs to it
        item = tomlkit.inline_table()
        item.update(value)
    if comment:
        item.comment(comment)
    return item


def override(config: Config, settings: dict[str, Any]) -> Config:
    """A copy with dotted settings changed: ``{"train.seed": 3}``. Raises ConfigError."""
    values = config.model_dump()
    for dotted, value in settings.items():
        *sections, key = dotted.split(".")
        place = values
        for section in sections:
            if not isinstance(place.get(section), dict):
                raise ConfigError(f"there is no setting {dotted!r}; 'molvae config' prints every setting")
            place = place[section]
        place[key] = value
    return from_dict(values)
