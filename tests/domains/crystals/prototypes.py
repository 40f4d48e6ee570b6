"""Well-known structure types, made in code from their published parameters."""

from __future__ import annotations

from pymatgen.core import Lattice, Structure


def rock_salt() -> Structure:
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def caesium_chloride() -> Structure:
    return Structure.from_spacegroup("Pm-3m", Lattice.cubic(4.12), ["Cs", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def perovskite() -> Structure:
    return Structure.from_spacegroup("Pm-3m", Lattice.cubic(3.905), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]])


def wurtzite() -> Structure:
    lattice = Lattice.hexagonal(3.25, 5.207)
    return Structure.from_spacegroup("P6_3mc", lattice, ["Zn", "O"], [[1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0.382]])


def diamond() -> Structure:
    return Structure.from_spacegroup("Fd-3m", Lattice.cubic(3.567), ["C"], [[0, 0, 0]])


def rutile(x: float = 0.305) -> Structure:
    """x: the free coordinate, so that the group stays."""
    return Structure.from_spacegroup("P4_2/mnm", Lattice.tetragonal(4.594, 2.959), ["Ti", "O"], [[0, 0, 0], [x, x, 0]])


def quartz() -> Structure:
    lattice = Lattice.hexagonal(4.913, 5.405)
    return Structure.from_spacegroup("P3_221", lattice, ["Si", "O"], [[0.47, 0, 2 / 3], [0.413, 0.267, 0.786]])


def spinel() -> Structure:
    coords = [[0, 0, 0], [0.625, 0.625, 0.625], [0.387, 0.387, 0.387]]
    return Structure.from_spacegroup("Fd-3m", Lattice.cubic(8.08), ["Mg", "Al", "O"], coords)


def corundum() -> Structure:
    return Structure.from_spacegroup("R-3c", Lattice.hexagonal(4.759, 12.991), ["Al", "O"], [[0, 0, 0.352], [0.306, 0, 0.25]])


def zirconia() -> Structure:
    lattice = Lattice.monoclinic(5.151, 5.212, 5.317, 99.2)
    coords = [[0.275, 0.04, 0.208], [0.07, 0.332, 0.345], [0.442, 0.755, 0.479]]
    return Structure.from_spacegroup("P2_1/c", lattice, ["Zr", "O", "O"], coords)


def triclinic() -> Structure:
    lattice = Lattice.from_parameters(5.1, 6.2, 7.3, 81, 97, 104)
    return Structure(
        lattice, ["K", "P", "S", "S", "O"], [[0.1, 0.2, 0.3], [0.62, 0.15, 0.71], [0.35, 0.77, 0.1], [0.81, 0.55, 0.4], [0.45, 0.52, 0.83]]
    )


PROTOTYPES = {
    function.__name__: function
    for function in (rock_salt, caesium_chloride, perovskite, wurtzite, diamond, rutile, quartz, spinel, corundum, zirconia, triclinic)
}
GROUPS = {
    **{"rock_salt": 225, "caesium_chloride": 221, "perovskite": 221, "wurtzite": 186, "diamond": 227, "rutile": 136, "quartz": 154},
    **{"spinel": 227, "corundum": 167, "zirconia": 14, "triclinic": 1},
}
