"""Optuna's own samplers over the same latent space, by name."""

from __future__ import annotations

import importlib.util

from optuna import samplers

from molvae.errors import MissingExtra, UnknownName, UsageError

NAMES = ("auto", "local", "cmaes", "tpe", "gp", "nsga2", "random")


def check(name: str, objectives: int) -> None:
    """Raises UnknownName, MissingExtra, and UsageError for a sampler of one objective where there are several."""
    if name in ("auto", "local"):
        return
    if objectives > 1 and name == "cmaes":
        raise UsageError(
            f"sampler cmaes knows one objective, not {objectives}; take another one for a Pareto search, such as auto or nsga2"
        )
    optuna_sampler(name, 0)


def optuna_sampler(name: str, seed: int) -> samplers.BaseSampler:
    """The sampler of that name; those that know constraints heed those of the trials. Raises UnknownName, MissingExtra."""
    if name == "cmaes":
        if importlib.util.find_spec("cmaes") is None:
            raise MissingExtra("cmaes", "search")
        return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    if name == "tpe":
        return samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    if name == "gp":
        return samplers.GPSampler(seed=seed)
    if name == "nsga2":
        return samplers.NSGAIISampler(seed=seed)
    if name == "random":
        return samplers.RandomSampler(seed=seed)
    raise UnknownName("sampler", name, list(NAMES))
