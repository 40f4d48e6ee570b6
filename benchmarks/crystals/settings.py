"""The constants of CDVAE's protocol for each data set.

Xie, Fu, Ganea, Barzilay, Jaakkola, "Crystal Diffusion Variational Autoencoder for Periodic Material Generation", ICLR 2022,
arXiv:2110.06197; the values are those of ``scripts/compute_metrics.py`` in txie-93/cdvae.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from molvae.errors import UnknownName


@dataclass(frozen=True)
class Setting:
    """One data set. net: folder of its property net. label: column of the data that the net predicts, in eV/atom.

    structure_cutoff, composition_cutoff: distances of fingerprints within which a crystal covers another. percentiles: the 5th, 10th and
    15th of the label, eV/atom, under which an optimised crystal counts. least_atoms: in a cell of the data, below which the net is not to be
    trusted (Carbon-24 writes diamond with 6 to 24 atoms).
    """

    net: str
    label: str
    structure_cutoff: float
    composition_cutoff: float
    percentiles: tuple[float, float, float]
    least_atoms: int = 1


SETTINGS: Mapping[str, Setting] = {
    "perov_5": Setting("perovskite", "heat_ref", 0.2, 4.0, (0.43924842, 0.61202443, 0.7364607)),
    "carbon_24": Setting("carbon", "energy_per_atom", 0.2, 4.0, (-154.527093, -154.45865733, -154.44206825), least_atoms=6),
    "mp_20": Setting("mp20", "formation_energy_per_atom", 0.4, 10.0, (-3.17562208, -2.82196882, -2.52814761)),
}


def setting(data: str) -> Setting:
    """The setting of a data set by name. Raises UnknownName."""
    try:
        return SETTINGS[data]
    except KeyError as error:
        raise UnknownName("data set", data, list(SETTINGS)) from error
