"""From a request to candidates: propose codes, decode, read back, check, measure, keep what is inside. Knows no domain but the one handed to it."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from molvae.errors import UnknownName, UsageError
from molvae.gates import Run
from molvae.model import VAE, to_device
from molvae.nn.decoders import Drawn
from molvae.nn.priors import Exemplars, Prior, StandardNormal
from molvae.rank import AMONG, DRAWN, LIKELY, log_likelihood, ranked
from molvae.records import Batch, Candidate, TokenBatch
from molvae.representation import Representation
from molvae.request import Funnel, Generation, Request
from molvae.validate import Validator

BATCH = 512


class Sampler:
    """Draws candidates from a model. One object serves many requests."""

    def __init__(
        self, model: VAE, representation: Representation[Any], validator: Validator[Any], exemplars: Exemplars | None = None
    ) -> None:
        self.model = model.eval()
        self.representation = representation
        self.validator = validator
        self.exemplars = exemplars

    def within(self, constraints: Mapping[str, str]) -> Sampler:
        """A sampler of the same model whose every draw fulfils the constraints (``Domain.constraints``) exactly. Raises UsageError."""
        if not constraints:
            return self
        model = copy.copy(self.model)  # the same weights under other rules
        model.rules = self.representation.rules(constraints)
        return Sampler(model, self.representation, self.validator, self.exemplars)

    # --- proposing -----------------------------------------------------------------------------------------------------------------

    def unset(self, count: int) -> Tensor:
        """Targets (count, P) of which none is set: NaN."""
        return torch.full((count, len(self.representation.labels.names)), torch.nan)

    def targets(self, request: Request, count: int, generator: torch.Generator) -> Tensor:
        """Standardised targets (count, P): asked values, of ranges without one draws inside of them, NaN for the rest.

        Draws are uniform between two finite ends; with an open end they are as often as the training data has such values, were they normal.
        """
        names = self.representation.labels.names
        out = self.unset(count)
        for r in request.ranges:
            if r.name in names and (math.isfinite(r.low) or math.isfinite(r.high)):
                at = names.index(r.name)
                share = torch.rand(count, generator=generator)
                if math.isfinite(r.low) and math.isfinite(r.high):
                    out[:, at] = r.low + (r.high - r.low) * share
                else:
                    mean, std = float(self.model.label_mean[at]), float(self.model.label_std[at])
                    out[:, at] = mean + std * _beyond((r.low - mean) / std, (r.high - mean) / std, share)
        for target in request.targets:
            if target.name in names:
                out[:, names.index(target.name)] = target.value
        return self.model.standardise(out.to(self.model.device)).cpu()

    def prior(self, request: Request) -> Prior:
        """The prior that a request names. Raises UsageError where this model has none such."""
        if request.prior == "normal":
            return StandardNormal(self.model.latent.width)
        if request.prior == "exemplars":
            if self.exemplars is None:
                raise UsageError("this model carries no exemplars; use --prior normal, or train it again to collect them")
            return self.exemplars
        raise UnknownName("prior", request.prior, ["normal", "exemplars"])

    @torch.no_grad()
    def propose(self, request: Request, count: int, generator: torch.Generator, seeds: Tensor | None) -> Drawn:
        """``count`` sequences drawn for the request. seeds (S, D): noiseless codes to start from instead of the prior."""
        targets = self.targets(request, count, generator)
        level = torch.full((count,), request.level)
        if seeds is not None:
            if not request.around:
                # Every radius up to the asked level is tried: near ones keep what the seed has, far ones are new.
                level = level * torch.rand(count, generator=generator).clamp(min=0.1)
            mode = seeds[torch.randint(seeds.shape[0], (count,), generator=generator)]
            z = noised(mode, level, generator)
        else:
            z = self.prior(request).sample(targets, level, generator)
        # Without a target the guided and the plain distribution are the same, and the plain one costs half.
        guidance = 0.0 if bool(torch.isnan(targets).all()) else request.guidance
        return self.draw(z, level, targets, request.temperature, guidance, generator)

    def draw(
        self,
        z: Tensor,
        level: Tensor,
        targets: Tensor,
        temperature: float,
        guidance: float,
        generator: torch.Generator | None,
        prefix: TokenBatch | None = None,
    ) -> Drawn:
        """Decode codes z (n, D) at levels (n,) towards standardised targets (n, P), all on the CPU; the model may be elsewhere."""
        device = self.model.device
        if device.type != "cpu" and generator is not None:
            # A generator belongs to one kind of device; this one follows from the caller's, so that a seed still fixes the draws.
            seed = int(torch.randint(2**62, (), generator=generator))
            generator = torch.Generator(device).manual_seed(seed)
        where = (z.to(device), level.to(device), targets.to(device))
        if prefix is not None:
            prefix = TokenBatch(prefix.tokens.to(device), prefix.lengths.to(device))
        return self.model.draw(*where, temperature=temperature, guidance=guidance, prefix=prefix, generator=generator)

    # --- generating ----------------------------------------------------------------------------------------------------------------

    def generate(self, request: Request, on_progress: Callable[[int, Funnel], None] | None = None) -> Generation:
        """Candidates that pass everything asked, or fewer and why. Raises UsageError for requests that make no sense."""
        self._check(request)
        run = Run(self.representation, self.validator, request, self.predicted)
        started = time.monotonic()
        generator = torch.Generator().manual_seed(request.seed)
        seeds = self.codes(request.seeds) if request.seeds else None
        limit = request.max_draws or max(20_000, 400 * request.n)
        wanted = max(request.n, AMONG) if request.rank == LIKELY else request.n
        while len(run.accepted) < wanted and run.funnel.drawn < limit and not run.hopeless:
            count = min(BATCH, limit - run.funnel.drawn)
            run.take(self.propose(request, count, generator, seeds))
            if on_progress is not None:
                on_progress(len(run.accepted), run.funnel)
        kept = run.accepted[:wanted]
        if request.rank == LIKELY:
            kept = ranked(self.model, self.representation, kept, self.targets(replace(request, ranges=()), 1, generator)[0])[: request.n]
        candidates = self.predicted(kept) if request.predict and not run.judged else kept
        short = None if len(candidates) == request.n else run.why(limit)
        acceptance = len(run.accepted) / max(1, run.funnel.drawn)
        return Generation(candidates, run.funnel, run.deviation(), acceptance, time.monotonic() - started, short, run.reasons)

    def _check(self, request: Request) -> None:
        domain = self.representation.domain
        _check_values(request)
        known = list(dict.fromkeys((*domain.properties, *self.representation.labels.names)))
        for name in [*(t.name for t in request.targets), *(r.name for r in request.ranges), *request.measure]:
            if name not in known:
                raise UnknownName("property", name, known)
        if request.rank not in (DRAWN, LIKELY):
            raise UsageError(f"rank is {request.rank!r}; wanted {DRAWN!r}, as they come, or {LIKELY!r}, the most plausible first")
        if request.n < 1:
            raise UsageError(f"n is {request.n}; wanted at least 1 candidate")
        if not 0.0 <= request.level <= 1.0:
            raise UsageError(f"level is {request.level}; wanted a noise level between 0 and 1")
        if not 0.0 <= request.temperature < math.inf:
            raise UsageError(f"temperature is {request.temperature}; wanted a finite number, 0 or more")
        if not 0.0 <= request.guidance < math.inf:
            raise UsageError(f"guidance is {request.guidance}; wanted a finite number, 0 or more (0 leaves the targets their plain weight)")
        if request.temperature == 0 and request.level >= 1.0 and request.n > 1 and not request.ranges:
            raise UsageError("at temperature 0 and level 1 every draw is the same; raise the temperature, or lower the level (--level 0.6)")
        if request.novel and self.validator.known is None:
            raise UsageError("novelty was asked for, but this model carries no list of its training records")
        if request.prior == "exemplars" and request.level >= 1.0:
            raise UsageError("at level 1 a code carries nothing of an exemplar; ask for a level below 1, such as --level 0.6")

    # --- codes ---------------------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def codes(self, texts: Iterable[str], views: Sequence[str] | None = None) -> Tensor:
        """Noiseless codes (n, D). Raises InvalidRecord for the first text that cannot be read or encoded, UsageError for a text alone."""
        if isinstance(texts, str):
            raise UsageError(f"the one text {texts!r} was given where several are wanted; write [{texts!r}]")
        records = [self.representation.domain.parse(t) for t in texts]
        parts: list[Tensor] = []
        for k in range(0, len(records), BATCH):
            parts.append(self.modes(self.representation.batch(records[k : k + BATCH], views)))
        return torch.cat(parts) if parts else torch.zeros(0, self.model.latent.width)

    @torch.no_grad()
    def modes(self, batch: Batch) -> Tensor:
        """Noiseless codes (n, D) of a batch, on the CPU."""
        code: Tensor = self.model.encode(to_device(batch, self.model.device), 0.0).mode
        return code.cpu()

    def predicted(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates with the heads' predictions and uncertainties, read from their own codes."""
        if self.model.head is None or not candidates:
            return list(candidates)
        names, domain = self.representation.labels.names, self.representation.domain
        out = [_with_prediction(c, names, None, None) for c in candidates]  # a record without a code keeps NaN predictions
        for start in range(0, len(candidates), BATCH):
            part = candidates[start : start + BATCH]
            batch, places = self.representation.able([domain.parse(c.text) for c in part])
            if batch is None:
                continue
            mean, std = self.predict(self.modes(batch))
            for row, place in enumerate(places):
                out[start + place] = _with_prediction(part[place], names, mean[row], std[row])
        return out

    @torch.no_grad()
    def predict(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (n, P) of each property, in its own unit, for codes (n, D)."""
        mean, std = self.model.predict(codes.to(self.model.device))
        return mean.cpu(), std.cpu()

    def log_likelihood(self, texts: Sequence[str]) -> list[float]:
        """The model's density of each record: log p in nats at noise level 1, without targets. Raises InvalidRecord."""
        return log_likelihood(self.model, [self.representation.writes(self.representation.domain.parse(text)) for text in texts])


def noised(mode: Tensor, level: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Codes (B, D) at their noise levels (B,): sqrt(1 - t^2) mode + t eps."""
    t = level[:, None]
    return torch.sqrt((1 - t * t).clamp(min=0)) * mode + t * torch.randn(mode.shape, generator=generator)


def slerp(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Spherical interpolation (steps, D) between two codes (D,), both ends included; linear in norm."""
    share = torch.linspace(0, 1, steps)[:, None]
    a, b = start / start.norm().clamp(min=1e-9), end / end.norm().clamp(min=1e-9)
    angle = torch.arccos((a @ b).clamp(-1 + 1e-6, 1 - 1e-6))
    direction = (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)
    arc: Tensor = direction * ((1 - share) * start.norm() + share * end.norm())
    return arc


def _with_prediction(candidate: Candidate, names: Sequence[str], mean: Tensor | None, std: Tensor | None) -> Candidate:
    nan = [math.nan] * len(names)
    return replace(
        candidate,
        predicted=dict(zip(names, nan if mean is None else mean.tolist(), strict=True)),
        predicted_std=dict(zip(names, nan if std is None else std.tolist(), strict=True)),
    )


def _beyond(low: float, high: float, share: Tensor) -> Tensor:
    """Quantiles at ``share`` (n,) of a standard normal cut off below ``low`` or above ``high``, one of which is infinite.

    Of bounds beyond 5 standard deviations hardly any data tells more than that they are far out, so draws stand at the bound itself.
    """
    if math.isfinite(high):
        return -_beyond(-high, math.inf, share)
    if low > 5.0:
        return torch.full_like(share, low)
    # The mirror image of the upper tail, in which small numbers keep their digits.
    below = torch.special.ndtr(torch.tensor(-low, dtype=torch.float64)) * (1 - share.double()).clamp(min=1e-6)
    found: Tensor = -torch.special.ndtri(below).to(share.dtype)
    return found


def _check_values(request: Request) -> None:
    """Raises UsageError for targets and ranges that nothing can meet."""
    for target in request.targets:
        if not _number(target.value):
            raise UsageError(f"the target of {target.name} is {target.value!r}; wanted a finite number")
        if not _number(target.tolerance) or target.tolerance < 0:
            raise UsageError(f"the tolerance of {target.name} is {target.tolerance!r}; wanted a finite number, 0 or more")
    for r in request.ranges:
        if not isinstance(r.low, Real) or not isinstance(r.high, Real) or not r.low <= r.high:
            raise UsageError(f"the range of {r.name} is {r.low!r} to {r.high!r}; wanted two numbers, the lower first")


def _number(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
