"""Search in a model's latent space for records that score well: Optuna asks and tells, a sampler made for latent spaces proposes."""

from __future__ import annotations

from molvae.search.loop import Search
from molvae.search.outcome import Optimisation, Progress, Settings
from molvae.search.pool import Pool, Scored

__all__ = ["Optimisation", "Pool", "Progress", "Scored", "Search", "Settings"]
