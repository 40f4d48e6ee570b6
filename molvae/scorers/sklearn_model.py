"""A saved scikit-learn model as a scorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from molvae.errors import DataError, MissingExtra, UsageError
from molvae.scorers.contract import Failure, Outcome, ReportingScorer, batch_values, raised

Method = Literal["predict", "predict_proba"]


class Sklearn(ReportingScorer):
    """A scikit-learn model from a pickle or joblib file. The file must be trusted: reading it runs the code it holds.

    featurise: text -> a vector of numbers, as the model was trained on; what it raises fails that text alone. method: with
    ``predict_proba`` and one name, the probability of the second of two classes. names: by default the file's name.

    Raises UsageError without ``trust`` or ``featurise``, DataError for a file that cannot be read, MissingExtra without scikit-learn.
    """

    def __init__(
        self,
        path: Path | str,
        featurise: Callable[[str], Sequence[float]] | None,
        names: Sequence[str] | None = None,
        *,
        trust: bool = False,
        method: Method = "predict",
    ) -> None:
        self._path = Path(path)
        super().__init__([self._path.stem] if names is None else names)
        self.together = True
        if not trust:
            raise UsageError(
                f"{path}: reading a saved scikit-learn model runs whatever code the file holds. If you made it, or trust who did, say so: "
                "trust=True, on the command line --trust"
            )
        if featurise is None:
            raise UsageError(f"{path}: a scikit-learn model needs to know how a text becomes its features; hand in featurise=FUNCTION")
        if method not in ("predict", "predict_proba"):
            raise UsageError(f"{path}: method {method!r}; wanted predict or predict_proba")
        self._featurise, self._method = featurise, method
        self._model: Any = self._load()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_model"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._model = self._load()

    def attempt(self, texts: Sequence[str]) -> list[Outcome]:
        """For each text its values, or why it has no features or no prediction."""
        import numpy as np

        rows: list[Any] = []
        out: list[Outcome | None] = [None] * len(texts)
        for k, text in enumerate(texts):
            try:
                rows.append(np.asarray(self._featurise(text), dtype=float))
            except Exception as error:
                out[k] = raised(error)
        found = iter(self._predict(rows) if rows else [])
        return [next(found) if outcome is None else outcome for outcome in out]

    def _predict(self, rows: list[Any]) -> list[Outcome]:
        import numpy as np

        try:
            predicted = np.asarray(getattr(self._model, self._method)(np.stack(rows)))
        except Exception as error:
            return [raised(error, shared=len(rows) > 1)] * len(rows)
        if self._method == "predict_proba" and len(self.names) == 1:
            if predicted.ndim != 2 or predicted.shape[1] != 2:
                return [Failure("wrong number of values", f"probabilities of shape {predicted.shape}; one name is for two classes")] * len(
                    rows
                )
            predicted = predicted[:, 1]
        return batch_values(predicted, len(rows), self.names)

    def _load(self) -> Any:
        try:
            import joblib
            import sklearn  # noqa: F401  # joblib alone would fail inside the file, with a less helpful message
        except ImportError as error:
            raise MissingExtra("scikit-learn", "sklearn") from error
        try:
            model = joblib.load(self._path)
        except Exception as error:
            raise DataError(self._path, f"not a readable scikit-learn model: {type(error).__name__}: {error}") from error
        if not hasattr(model, self._method):
            raise DataError(self._path, f"a {type(model).__name__}, which has no {self._method}; a fitted scikit-learn model is wanted")
        return model
