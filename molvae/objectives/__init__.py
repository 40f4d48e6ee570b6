"""What is asked of candidates: terms to make large, small or near, constraints to meet, and one score or several objectives from them."""

from molvae.objectives.constraints import Likeness, Limit, Structure
from molvae.objectives.objective import BoundObjective, Judgement, Objective
from molvae.objectives.table import from_table, read_toml
from molvae.objectives.terms import Near, Ramp, Term, Within

__all__ = [
    "BoundObjective",
    "Judgement",
    "Likeness",
    "Limit",
    "Near",
    "Objective",
    "Ramp",
    "Structure",
    "Term",
    "Within",
    "from_table",
    "read_toml",
]
