"""Reading, preparing and storing data sets of any domain."""

from molvae.dataset.plan import Summary
from molvae.dataset.prepare import prepare
from molvae.dataset.ragged import Ragged
from molvae.dataset.read import iter_rows
from molvae.dataset.store import LabelScale, Store
from molvae.records import Row

__all__ = ["LabelScale", "Ragged", "Row", "Store", "Summary", "iter_rows", "prepare"]
