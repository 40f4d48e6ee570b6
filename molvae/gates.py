"""The gates between a draw and a candidate: read back, check, tell apart, measure, and judge by prediction what nobody can measure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from molvae.distinct import Distinct
from molvae.errors import InvalidRecord
from molvae.nn.decoders import Drawn
from molvae.protocols import Domain
from molvae.records import Candidate
from molvae.representation import Representation
from molvae.request import Funnel, Request
from molvae.validate import Validator

RAW = 2000  # valid draws whose deviation from the targets is measured before any selection
LACKING = "lacks the asked structure"
RARE = 0.98  # share of valid draws lost to that from which a search is the better way
PATIENCE = 4096  # draws without a single valid one after which a run gives up

Predict = Callable[[Sequence[Candidate]], list[Candidate]]


def other_than(domain: Domain[Any], record: Any) -> Callable[[Any], bool]:
    """A test of records for being another one than this."""
    memory = Distinct(domain)
    memory.add(domain.key(record), domain.write(record))
    return lambda other: memory.find(domain.key(other), domain.write(other)) is None


class Run:
    """The state of one generation: gates, counts, what was seen.

    predict: candidates -> the same with the heads' predictions, from their own codes. judged: the asked properties that the domain cannot
    compute; with ``verify`` their predicted mean decides, and the candidates carry the very predictions that they were judged by.
    """

    def __init__(self, representation: Representation[Any], validator: Validator[Any], request: Request, predict: Predict) -> None:
        self.request = request
        self.representation = representation
        self.validator = validator
        self.accepted: list[Candidate] = []
        self.reasons: dict[str, int] = {}
        self.seen = Distinct(representation.domain)  # what was accepted
        self.texts: dict[str, str] = {}  # text -> why it did not pass, or nothing
        self._predict = predict
        computed = representation.domain.properties
        self.gaps: dict[str, list[float]] = {t.name: [] for t in request.targets if t.name in computed}
        self.bounds = [(t.name, t.value - t.tolerance, t.value + t.tolerance) for t in request.targets]
        self.bounds += [(r.name, r.low, r.high) for r in request.ranges]
        self.judged = tuple(dict.fromkeys(name for name, _, _ in self.bounds if name not in computed)) if request.verify else ()
        self.funnel = Funnel(predicted_inside=0 if self.judged else None)

    @property
    def hopeless(self) -> bool:
        """Whether so many draws gave no valid record that none is to be expected."""
        return self.funnel.drawn >= PATIENCE and self.funnel.valid == 0

    def take(self, drawn: Drawn) -> None:
        """Send a batch of draws through the gates."""
        passed: list[Candidate] = []
        for tokens, score, finished in zip(drawn.tokens, drawn.log_likelihood, drawn.finished, strict=True):
            self.funnel.drawn += 1
            try:
                if not finished:
                    raise InvalidRecord("", "the decoder wrote no end mark")
                record = self.representation.record(tokens)
            except InvalidRecord:
                self._lost("not a valid record")
                continue
            self.funnel.valid += 1
            candidate = self._judge(record, score)
            if candidate is not None:
                passed.append(candidate)
        self.accepted += self._foretold(passed) if self.judged else passed

    def _judge(self, record: Any, score: float) -> Candidate | None:
        request, domain = self.request, self.representation.domain
        asked = [t.name for t in request.targets] + [r.name for r in request.ranges]
        measured = {p: domain.properties[p].compute(record) for p in dict.fromkeys(asked) if p in domain.properties} if self._raw() else {}
        self._note(measured)
        text = domain.write(record)
        if request.unique and text in self.texts:
            # Counted as its first occurrence was, so that the funnel's steps stay shares of draws.
            self.funnel.passed += not self.texts[text]
            self._lost(self.texts[text] or "duplicate")
            return None
        verdict = self.validator.verdict(record)
        why = "" if all(need.test(record) for need in request.needs) else LACKING
        why = why or ("" if verdict.ok else verdict.reasons[0].split(":")[0])
        self.texts[text] = why
        if why:
            self._lost(why)
            return None
        self.funnel.passed += 1
        key = domain.key(record)
        if self._repeats(key, text):
            self._lost("duplicate")
            return None
        self.funnel.unique += 1
        novel = self.validator.novel(key)
        if request.novel and not novel:
            self._lost("in the training data")
            return None
        self.funnel.novel += 1
        if not self._inside(record, measured):
            self._lost("outside the tolerance")
            return None
        self.funnel.inside += 1
        for p in request.measure:
            measured.setdefault(p, domain.properties[p].compute(record) if p in domain.properties else math.nan)
        wanted = {t.name: t.value for t in request.targets}
        if not self.judged:
            self._remember(key, text)
        return Candidate(text=text, key=key, verdict=verdict, measured=measured, asked=wanted, novel=novel, log_likelihood=score)

    def _foretold(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those whose predicted mean is inside every target and range on a property that cannot be computed."""
        bounds = [bound for bound in self.bounds if bound[0] in self.judged]
        kept = []
        for candidate in self._predict(candidates):
            # A record that the encoder cannot read has no prediction: NaN is inside nothing.
            if not all(low <= candidate.predicted[name] <= high for name, low, high in bounds):
                self._lost("predicted outside the tolerance")
            elif self._repeats(candidate.key, candidate.text):
                self._lost("duplicate")  # of another one of this batch
            else:
                self._remember(candidate.key, candidate.text)
                kept.append(candidate)
        self.funnel.predicted_inside = (self.funnel.predicted_inside or 0) + len(kept)
        return kept

    def _repeats(self, key: str, text: str) -> bool:
        """Whether it is the same as one that was accepted. One that was not, such as a crystal at another volume, bars none."""
        return self.request.unique and self.seen.find(key, text) is not None

    def _remember(self, key: str, text: str) -> None:
        if self.request.unique:
            self.seen.add(key, text)

    def _raw(self) -> bool:
        return not self.request.verify or any(len(gaps) < RAW for gaps in self.gaps.values())

    def _note(self, measured: Mapping[str, float]) -> None:
        for t in self.request.targets:
            if t.name in self.gaps and t.name in measured and len(self.gaps[t.name]) < RAW:
                self.gaps[t.name].append(abs(measured[t.name] - t.value))

    def _inside(self, record: Any, measured: dict[str, float]) -> bool:
        """Measure what is asked, stopping at the first that is outside; what cannot be computed is left to the heads' prediction."""
        properties = self.representation.domain.properties
        for name, low, high in self.bounds:
            if name not in properties:
                continue
            if name not in measured:
                measured[name] = properties[name].compute(record)
            if self.request.verify and not low <= measured[name] <= high:
                return False
        return True

    def _lost(self, why: str) -> None:
        self.reasons[why] = self.reasons.get(why, 0) + 1

    def deviation(self) -> dict[str, float]:
        """Mean absolute deviation from each target; NaN for a property that only the heads know."""
        gaps = {t.name: np.array(self.gaps.get(t.name, [])) for t in self.request.targets}
        return {name: float(np.nanmean(values)) if np.isfinite(values).any() else math.nan for name, values in gaps.items()}

    def why(self, limit: int) -> str:
        """In words, why there are fewer candidates than asked."""
        if self.hopeless:
            return (
                f"0 of {self.request.n} candidates: none of the first {self.funnel.drawn} draws is a valid record, so the run stopped early. "
                "Lower --temperature or bring --guidance nearer to 1"
            )
        worst = ", ".join(f"{why}: {count}" for why, count in sorted(self.reasons.items(), key=lambda item: -item[1])[:4])
        foretold = f" ({', '.join(self.judged)}: judged by the model's prediction)" if self.judged else ""
        return (
            f"{len(self.accepted)} of {self.request.n} candidates after {self.funnel.drawn} draws (limit {limit}); lost to: {worst}{foretold}. "
            f"Widen a tolerance or range, loosen a requirement, or raise --max-draws{self._elsewhere()}"
        )

    def _elsewhere(self) -> str:
        """What else helps where the record's own conditions lose nearly all: plain draws do not come near a rare substructure."""
        if self.request.seeds or self.reasons.get(LACKING, 0) < RARE * self.funnel.valid or not self.funnel.valid:
            return ""
        return ". Such records are rare among draws: start from one that you know (--seeds), or let 'molvae optimize' search"
