"""The Python API: ``model = molvae.load("moses"); model.generate(100, targets={"logp": 2.5})``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molvae import build, catalog, checkpoint
from molvae.errors import CheckpointError, InvalidRecord, UnknownName, UsageError
from molvae.gates import other_than
from molvae.invert import Inverted, invert
from molvae.nn.priors import Exemplars
from molvae.objectives import Objective
from molvae.optimise import Optimised, optimise
from molvae.records import Candidate
from molvae.representation import Representation
from molvae.request import Funnel, Generation, Need, Range, Request, Target
from molvae.sample import BATCH, Sampler, noised, slerp
from molvae.scorers import Guarded, ReportingScorer, of
from molvae.search import Progress
from molvae.search.heads import split
from molvae.search.plan import Plan, Scoring
from molvae.search.team import Interruptible
from molvae.validate import KnownKeys, Validator

# Half-widths that count as inside where the user names none, in label standard deviations.
TOLERANCE = 0.3


@dataclass(frozen=True)
class Reconstruction:
    """One record through the code and back. ``exact``: the same canonical text came back; ``text`` None: no valid record did."""

    asked: str
    text: str | None
    exact: bool


def find(name: str | Path) -> Path:
    """The checkpoint folder that ``load`` reads. Raises UnknownName."""
    path = Path(name)
    if not path.exists() or name in catalog.list_models():
        return catalog.model_path(str(name))
    return path / "checkpoint" if (path / "checkpoint").is_dir() else path


def load(name: str | Path, *, checks: Sequence[str] | None = None, device: str = "cpu") -> Model:
    """A model by name (a shipped one), or by checkpoint or training folder; a folder called like a shipped model is meant by ``./name``.

    device: where the network computes, as torch names it. Raises CheckpointError, UnknownName.
    """
    path = find(name)
    return Model(path, checkpoint.load(path), checks, device)


def _sampler(path: Path, opened: tuple[Sequence[str] | None, str], constraints: Mapping[str, str]) -> Sampler:
    """The sampler of a model that another process has opened in this way."""
    checks, device = opened
    return Model(path, checkpoint.load(path), checks, device).sampler.within(constraints)


class Model:
    """A trained model with its domain. Codes are float32 arrays (n, D); properties are in their own units."""

    def __init__(self, path: Path, saved: checkpoint.Checkpoint, checks: Sequence[str] | None = None, device: str = "cpu") -> None:
        values = saved.representation
        if "domain" not in values:
            raise CheckpointError(path, "representation.json names no domain; get a fresh copy")
        self.path, self.config, self.card = path, saved.config, saved.card
        self._opened = (None if checks is None else tuple(checks), device)
        self.metrics = dict(saved.metrics)
        self.name, self.version = str(values.get("name", path.name)), str(values.get("version", "unknown"))
        try:
            self.domain = build.domain(str(values["domain"]))
        except UnknownName as error:
            raise CheckpointError(path, f"{error}; update molvae") from error
        self.representation: Representation[Any] = Representation.from_dict(self.domain, values, str(path))
        self.vae = build.vae(saved.config, self.representation)
        try:
            self.vae.load_state_dict(dict(saved.weights))
        except RuntimeError as error:
            raise CheckpointError(path, f"the weights do not fit the configuration beside them: {error}") from error
        self.vae.eval()
        known = KnownKeys.from_bytes(saved.files["known.npz"], path / "known.npz") if "known.npz" in saved.files else None
        self.validator: Validator[Any] = Validator(self.domain, checks, known)
        exemplars = self._exemplars(saved)
        self.sampler = Sampler(self.vae.to(device), self.representation, self.validator, exemplars)

    def _exemplars(self, saved: checkpoint.Checkpoint) -> Exemplars | None:
        if "codes" not in saved.exemplars:
            return None
        if "labels" not in saved.exemplars:
            raise CheckpointError(self.path, "exemplars.safetensors holds codes without labels; get a fresh copy")
        codes = saved.exemplars["codes"].float() * saved.exemplars.get("scale", torch.ones(()))
        return Exemplars(codes, self.vae.standardise(saved.exemplars["labels"].float()))

    # --- names and units -----------------------------------------------------------------------------------------------------------

    @property
    def properties(self) -> tuple[str, ...]:
        """Properties that can be asked for: the model is conditioned on them."""
        return self.representation.labels.names

    def unit(self, name: str) -> str:
        """Unit of a property or of a prediction of it (NAME_pred, NAME_lcb, NAME_ucb, NAME_views), "" where it has none."""
        if name not in self.domain.properties:
            name, _ = split(name, self.properties)
        if name in self.domain.properties:
            return self.domain.properties[name].unit
        return self.representation.labels.units.get(name, "")

    def tolerance(self, name: str) -> float:
        """The half-width that counts as inside where none is given: 0.3 standard deviations of the training data, to two digits."""
        known = [*self.domain.properties, *self.properties]
        if name not in known:
            raise UnknownName("property", name, list(dict.fromkeys(known)))
        if name not in self.properties:
            raise UsageError(f"{name} needs a tolerance, since this model was not trained on it: {name}=VALUE±TOLERANCE")
        return float(f"{TOLERANCE * float(self.vae.label_std[self.properties.index(name)]):.2g}")

    def need(self, kind: str, query: str) -> Need:
        """A condition on records by one of the domain's queries ("contains", "scaffold"). Raises UnknownName, UsageError for a bad query."""
        if kind not in self.domain.queries:
            raise UnknownName("query", kind, list(self.domain.queries))
        return Need(f"{kind} {query}", self.domain.queries[kind](query))

    # --- generation ----------------------------------------------------------------------------------------------------------------

    def generate(
        self,
        n: int,
        *,
        targets: Mapping[str, float | tuple[float, float]] | None = None,
        ranges: Mapping[str, tuple[float, float]] | None = None,
        needs: Sequence[Need] = (),
        seeds: Sequence[str] = (),
        temperature: float = 1.0,
        guidance: float = 1.0,
        level: float | None = None,
        prior: str = "normal",
        seed: int = 0,
        unique: bool = True,
        novel: bool = False,
        verify: bool = True,
        predict: bool = True,
        measure: Sequence[str] = (),
        max_draws: int | None = None,
        constraints: Mapping[str, str] | None = None,
        rank: str | None = None,
        on_progress: Callable[[int, Funnel], None] | None = None,
    ) -> Generation:
        """n candidates that pass the verdict and lie inside every target and range, or fewer and the reason (``short``). A label that the
        domain cannot compute is judged by the heads' predicted mean.

        targets: property -> value, or (value, tolerance). ranges: property -> (low, high), infinite where open. needs: conditions on the
        record (``model.need("contains", "c1ccccc1")``). guidance: extra weight of the targets (0: the plain conditional distribution); 1 by
        measurement. seeds: texts to start from instead of the prior. level: noise level, by default 1 for the normal prior, 0.6 for
        exemplars and seeds. verify=False keeps what is valid whatever it measures, for studies of the raw model. predict=False leaves out
        the heads' predictions, which take half of the time. measure: further properties to compute. constraints: wishes that every draw fulfils
        exactly, by the names of ``domain.constraints`` ({"composition": "LiFePO4"}). rank: "drawn", as they come, or "likely", the most
        plausible of at least 20 first (``molvae.rank``), which is how it is under constraints. Raises UsageError, UnknownName.
        """
        wanted = tuple(Target(k, *(v if isinstance(v, tuple) else (v, self.tolerance(k)))) for k, v in (targets or {}).items())
        bounds = tuple(Range(k, low, high) for k, (low, high) in (ranges or {}).items())
        if level is None:
            level = 0.6 if seeds or prior == "exemplars" else 1.0
        options: dict[str, Any] = {"temperature": temperature, "guidance": guidance, "level": level, "prior": prior, "seed": seed}
        options |= {"unique": unique, "novel": novel, "verify": verify, "predict": predict, "max_draws": max_draws}
        options["rank"] = rank or ("likely" if constraints else "drawn")
        starts = (seeds,) if isinstance(seeds, str) else tuple(seeds)
        request = Request(n, wanted, bounds, tuple(needs), tuple(measure), seeds=starts, **options)
        return self.sampler.within(constraints or {}).generate(request, on_progress)

    def sample(self, n: int, *, temperature: float = 1.0, level: float = 1.0, seed: int = 0, unique: bool = True) -> list[str]:
        """n texts straight from the prior, as fast as the model goes: what decodes to a valid record, without verdict or evidence.

        Fewer than n only where 100 n draws did not suffice (a level or temperature at which little is valid or new).
        """
        generator = torch.Generator().manual_seed(seed)
        found: dict[str, None] = {}
        out: list[str] = []
        for _ in range(0, 100 * n, BATCH):
            z = torch.randn(BATCH, self.vae.latent.width, generator=generator)
            drawn = self.sampler.draw(z, torch.full((BATCH,), level), self._targets(None, BATCH), temperature, 0.0, generator)
            texts = [self._text(tokens) for tokens, ended in zip(drawn.tokens, drawn.finished, strict=True) if ended]
            valid = [text for text in texts if text is not None]
            found.update(dict.fromkeys(valid))
            out += valid
            if len(found if unique else out) >= n:
                break
        return (list(found) if unique else out)[:n]

    def neighbours(
        self, text: str, n: int = 20, *, radius: float = 0.4, temperature: float = 1.0, seed: int = 0, max_draws: int | None = None
    ) -> Generation:
        """n distinct analogues of one record, decoded from its code at noise level ``radius`` (0 itself, 1 anything), most similar first."""
        record = self.domain.parse(text)
        away = Need("not the seed itself", other_than(self.domain, record))
        request = Request(
            n=n,
            needs=(away,),
            measure=self._computable(),
            temperature=temperature,
            level=radius,
            seeds=(text,),
            around=True,
            seed=seed,
            max_draws=max_draws or max(4000, 100 * n),
        )
        found = self.sampler.generate(request)
        likeness = self.domain.similarity(record, [self.domain.parse(c.text) for c in found.candidates]) if found.candidates else []
        ranked = [replace(c, extra={**c.extra, "similarity": s}) for c, s in zip(found.candidates, likeness, strict=True)]
        return replace(found, candidates=sorted(ranked, key=lambda c: -float(c.extra["similarity"])))

    def interpolate(self, start: str, end: str, steps: int = 11) -> list[Candidate]:
        """Most likely decodes along the arc between two records' codes, invalid ones left out; ``share`` says where on the way each lies."""
        if steps < 2:
            raise UsageError(f"{steps} steps; wanted at least 2, both ends included")
        ends = self.sampler.codes([start, end])
        path = slerp(ends[0], ends[1], steps)
        texts = self.decode(path.numpy(), temperature=0.0)
        from_, to = self.domain.parse(start), self.domain.parse(end)
        out: list[Candidate] = []
        for k, text in enumerate(texts):
            if text is None or (out and out[-1].text == text):
                continue
            candidate = self.describe(text)
            record = self.domain.parse(text)
            extra = {
                "share": k / (steps - 1),
                "similarity_to_start": self.domain.similarity(record, [from_])[0],
                "similarity_to_end": self.domain.similarity(record, [to])[0],
            }
            out.append(replace(candidate, extra=extra))
        return self.sampler.predicted(out)

    def optimize(
        self,
        objective: Objective,
        *,
        budget: int = 10_000,
        scorers: Sequence[ReportingScorer | Guarded | str | Callable[..., Any]] = (),
        trust: bool = False,
        scorer_workers: int = 1,
        scorer_batch: int = 16,
        timeout: float = 60.0,
        retries: int = 1,
        keep: int = 100,
        constraints: Mapping[str, str] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        on_search: Callable[[Interruptible], None] | None = None,
        **options: Any,
    ) -> Optimised:
        """Search for records that score well: at most ``budget`` distinct records are scored.

        objective: ``Objective.of(maximize="qed", constraint="tpsa<=90")``. It can name what the domain computes, what scorers provide
        (objects, texts such as "my_module:score" for ``molvae.scorers.of``, or Python functions; beside those that the objective names), and
        what the model predicts: "logp_pred", "logp_lcb" and "logp_ucb", one standard deviation below and above, "logp_views", the mean over
        its views by how sure each is, "log_density", how plausible the model finds a record (nats), and labels that the domain cannot compute
        by their bare name. Settings of scorers: see ``Scoring``; trust: unpickle the files of "sklearn:FILE", whose models get the domain's
        features. options: the fields of ``molvae.search.plan.Plan``, such as workers (search processes; a script that asks for several needs
        ``if __name__ == "__main__":``), sampler, seed, out, resume, seeds. Raises UsageError, UnknownName, InvalidRecord for a seed.
        """
        made = partial(of, trust=trust, domain=self.domain)
        known = tuple(s if isinstance(s, ReportingScorer | Guarded) else made(s) for s in (*objective.scorers, *scorers))
        wishes = dict(constraints or {})
        return optimise(
            self.sampler.within(wishes),
            Plan(objective, budget=budget, constraints=wishes, **options),
            scoring=Scoring(known, scorer_workers, timeout, retries, scorer_batch),
            model_name=self.name,
            reopen=partial(_sampler, self.path, self._opened, wishes),
            keep=keep,
            on_progress=on_progress,
            on_search=on_search,
        )

    # --- codes ---------------------------------------------------------------------------------------------------------------------

    def encode(self, texts: Sequence[str], *, views: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Noiseless codes (n, D). views: of sequence, graph and written. Raises InvalidRecord for the first text that has no code."""
        return np.asarray(self.sampler.codes(texts, views).numpy(), dtype=np.float32)

    def decode(
        self,
        codes: NDArray[np.float32],
        *,
        level: float = 0.0,
        targets: Mapping[str, float] | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        search: int = 0,
        views: Sequence[str] | None = None,
    ) -> list[str | None]:
        """One canonical text for each code (n, D), None where no valid record was spelt. Temperature 0 takes the most likely tokens.

        search: for noiseless codes, so many further draws for each, of which the one that encodes nearest to the code is taken; the search
        stops where a draw has the very code (``molvae.invert``). views: with search, the views that the codes were made from.
        """
        if search:
            if temperature:
                raise UsageError(f"temperature {temperature} with a search, which draws at its own temperatures; leave it at 0")
            return [found.text for found in self.invert(codes, draws=search, targets=targets, level=level, views=views, seed=seed)]
        z = self._points(codes)
        generator = torch.Generator().manual_seed(seed)
        out: list[str | None] = []
        for part in z.split(BATCH):
            levels = torch.full((part.shape[0],), level)
            drawn = self.sampler.draw(part, levels, self._targets(targets, part.shape[0]), temperature, 0.0, generator)
            out += [self._text(tokens) if ended else None for tokens, ended in zip(drawn.tokens, drawn.finished, strict=True)]
        return out

    def invert(
        self,
        codes: NDArray[np.float32],
        *,
        draws: int = 256,
        level: float = 0.0,
        targets: Mapping[str, float] | None = None,
        views: Sequence[str] | None = None,
        seed: int = 0,
    ) -> list[Inverted]:
        """The record that encodes to each code (n, D), or the nearest one found, with the gap between the two codes."""
        if level:
            raise UsageError(f"a search at level {level}; only a noiseless code (level 0) can be checked by encoding what was drawn")
        z = self._points(codes)
        return invert(self.sampler, z, draws=draws, views=views, targets=self._targets(targets, z.shape[0]), seed=seed)

    def reconstruct(
        self,
        texts: Sequence[str],
        *,
        level: float = 0.0,
        temperature: float = 0.0,
        views: Sequence[str] | None = None,
        seed: int = 0,
        search: int = 0,
    ) -> list[Reconstruction]:
        """Encode and decode, free-running. The noise level blurs the code on the way; ``search`` as in ``decode``."""
        mode = self.sampler.codes(texts, views)
        asked = [self.domain.write(self.domain.parse(t)) for t in texts]
        z = noised(mode, torch.full((len(asked),), level), torch.Generator().manual_seed(seed))
        back = self.decode(z.numpy(), level=level, temperature=temperature, seed=seed, search=search, views=views)
        return [Reconstruction(a, b, a == b) for a, b in zip(asked, back, strict=True)]

    def predict(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predicted mean and standard deviation (n, P) of ``properties``, read from the code alone."""
        mean, std = self.sampler.predict(self.sampler.codes(texts))
        return np.asarray(mean.numpy(), np.float32), np.asarray(std.numpy(), np.float32)

    def describe(self, text: str) -> Candidate:
        """One text with verdict, novelty, measured properties and likelihood. Raises InvalidRecord."""
        record = self.domain.parse(text)
        key = self.domain.key(record)
        measured = {p: self.domain.properties[p].compute(record) for p in self._computable()}
        try:
            likelihood = self.sampler.log_likelihood([text])[0]
        except InvalidRecord:
            likelihood = math.nan  # the vocabulary lacks one of its symbols
        return Candidate(
            text=self.domain.write(record),
            key=key,
            verdict=self.validator.verdict(record),
            measured=measured,
            novel=self.validator.novel(key),
            log_likelihood=likelihood,
        )

    def _computable(self) -> tuple[str, ...]:
        return tuple(p for p in self.properties if p in self.domain.properties)

    def _targets(self, targets: Mapping[str, float] | None, count: int) -> Tensor:
        out = self.sampler.unset(count)
        for name, value in (targets or {}).items():
            if name not in self.properties:
                raise UnknownName("property of this model", name, list(self.properties))
            out[:, self.properties.index(name)] = value
        return self.vae.standardise(out.to(self.vae.device)).cpu()

    def _points(self, codes: NDArray[np.float32]) -> Tensor:
        z = torch.from_numpy(np.array(codes, np.float32))
        if z.ndim != 2 or z.shape[1] != self.vae.latent.width:
            raise UsageError(f"codes of shape {tuple(z.shape)}; this model wants (n, {self.vae.latent.width})")
        return z

    def _text(self, tokens: Sequence[int]) -> str | None:
        try:
            return self.domain.write(self.representation.record(tokens))
        except InvalidRecord:
            return None
