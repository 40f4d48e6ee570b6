"""Where endpoint values come from: computed properties, Python functions, programs, HTTP services, scikit-learn models; and their guard."""

from molvae.scorers.callables import Function
from molvae.scorers.contract import Failure, Outcome, ReportingScorer, Scorer, Values
from molvae.scorers.guard import Guarded
from molvae.scorers.http import Http
from molvae.scorers.program import Program
from molvae.scorers.properties import Properties, Similarity, Structures
from molvae.scorers.sklearn_model import Sklearn
from molvae.scorers.spec import of

__all__ = [
    "Failure",
    "Function",
    "Guarded",
    "Http",
    "Outcome",
    "Program",
    "Properties",
    "ReportingScorer",
    "Scorer",
    "Similarity",
    "Sklearn",
    "Structures",
    "Values",
    "of",
]
