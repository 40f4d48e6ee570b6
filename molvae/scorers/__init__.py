"""Where endpoint values come from: Python functions, programs, HTTP services, scikit-learn models, likeness to a record; and their guard."""

from molvae.scorers.callables import Function
from molvae.scorers.contract import Failure, Outcome, ReportingScorer, Scorer, Values
from molvae.scorers.guard import Guarded
from molvae.scorers.http import Http
from molvae.scorers.named import Measured, named
from molvae.scorers.program import Program
from molvae.scorers.similarity import Similarity
from molvae.scorers.sklearn_model import Sklearn
from molvae.scorers.spec import of

__all__ = [
    "Failure",
    "Function",
    "Guarded",
    "Http",
    "Measured",
    "Outcome",
    "Program",
    "ReportingScorer",
    "Scorer",
    "Similarity",
    "Sklearn",
    "Values",
    "named",
    "of",
]
