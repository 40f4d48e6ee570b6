"""A tiny model of crystals, from prepared rows to candidates: everything that is drawn is a legal crystal with what was asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from pymatgen.core.composition import Composition

import molvae
from molvae import build
from molvae.api import Model
from molvae.config import override
from molvae.dataset import Store, prepare
from molvae.domains.crystals import domain
from molvae.domains.crystals.symmetry import groups_of
from molvae.errors import UsageError
from molvae.objectives import Objective
from molvae.training import train
from tests.cli.conftest import Cli

SMALL = {
    "encoder.sequence_hidden": 32,
    "encoder.features": 32,
    "encoder.graph_hidden": 16,
    "latent.width": 8,
    "decoder.embed": 16,
    "decoder.hidden": 32,
    "decoder.layers": 2,
    "decoder.heads": 2,
    "train.steps": 120,
    "train.learning_rate": 5e-3,
    "train.warmup_steps": 10,
    "train.ema": 0.9,
    "train.precision": "32-true",
    "train.threads": 1,
    "heads.hidden": 16,
}


def rows() -> Iterator[str]:
    """Rock salts and perovskites, as Wyckoff texts of plausible volumes."""
    for at, metal in enumerate(("Li", "Na", "K", "Rb", "Mg", "Ca", "Sr", "Ba")):
        for anion in ("F", "Cl", "Br", "O", "S", "Se"):
            yield f"sg225@a{metal}@b{anion}|{18 + at % 4:02d}.{10 + at:02d}"
        for small in ("Ti", "Zr", "Hf", "Nb", "Sn"):
            for anion in ("O", "S", "F"):
                yield f"sg221@a{metal}@b{small}@c{anion}|{18 + at % 4:02d}.{20 + at:02d}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("crystals")
    source = place / "rows.csv"
    pd.DataFrame({"wyckoff": list(rows())}).to_csv(source, index=False)
    store = prepare(build.maker("crystals"), [source], place / "store", properties=("density", "volume_per_atom"), workers=1)
    train(Store.open(store.path), override(build.usual("crystals"), SMALL), place / "run")
    return place / "run"


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return molvae.load(folder)


def test_every_draw_is_a_legal_crystal(model: Model) -> None:
    found = model.generate(40, seed=1)
    assert found.funnel.valid == found.funnel.drawn
    assert len(found.candidates) == 40
    again = model.generate(40, seed=1)
    assert [c.text for c in again.candidates] == [c.text for c in found.candidates]


@pytest.mark.parametrize(
    ("wishes", "holds"),
    [
        ({"composition": "LiFePO4"}, lambda c: c.formula == Composition("LiFePO4").reduced_formula),
        ({"chemsys": "Sr-Ti-O"}, lambda c: {e.symbol for e in c.composition} == {"Sr", "Ti", "O"}),
        ({"elements": "K,Cl,Br"}, lambda c: {e.symbol for e in c.composition} <= {"K", "Cl", "Br"}),
        ({"exclude": "O,S", "spacegroup": "225"}, lambda c: not {e.symbol for e in c.composition} & {"O", "S"} and c.group == 225),
        ({"spacegroup": "tetragonal"}, lambda c: c.group in groups_of("tetragonal")),
        ({"atoms": "3:6"}, lambda c: 3 <= c.composition.num_atoms <= 6),
    ],
)
def test_wishes_are_fulfilled_by_every_draw(model: Model, wishes: dict[str, str], holds: object) -> None:
    sampler = model.sampler.within(wishes)
    z = torch.randn(32, model.vae.latent.width, generator=torch.Generator().manual_seed(0))
    drawn = sampler.draw(z, torch.ones(32), sampler.unset(32), 1.0, 0.0, torch.Generator().manual_seed(0))
    finished = [model.representation.record(t) for t, ended in zip(drawn.tokens, drawn.finished, strict=True) if ended]
    assert len(finished) > 16
    assert all(holds(crystal) for crystal in finished)  # type: ignore[operator]
    assert model.sampler.model.rules is not sampler.model.rules


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"composition": "Xy2"}, "a formula of known elements"),
        ({"chemsys": "Li-P", "composition": "LiP"}, "each says which elements"),
        ({"atoms": "many"}, "no number of atoms"),
        ({"spacegroup": "231"}, "no space group"),
        ({"exclude": "O", "chemsys": "Li-O"}, "asked for and not allowed"),
        ({"flavour": "sweet"}, "no constraint"),
    ],
)
def test_wishes_that_mean_nothing_are_refused(model: Model, wishes: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        model.generate(1, constraints=wishes)


def test_a_search_keeps_the_composition(model: Model) -> None:
    wishes = {"composition": "CaTiO3"}
    objective = Objective.of(minimize="density")
    found = model.optimize(objective, budget=40, seed=2, verify=False, constraints=wishes)
    assert found.candidates
    assert {domain().parse(c.text).formula for c in found.candidates} == {"CaTiO3"}


def test_the_command_writes_cells_and_a_page(cli: Cli, folder: Path, tmp_path: Path) -> None:
    cif, table, page = tmp_path / "out.cif", tmp_path / "out.csv", tmp_path / "out.html"
    arguments = ("--target", "density=4±3", "--chemsys", "Sr-Ti-O", "-o", cif, "-o", table, "--report", page)
    done = cli("generate", "--model", folder, "-n", "3", *arguments)
    assert done.code == 0, done.err
    assert cif.read_text().count("data_") == 3
    assert list(pd.read_csv(table)["density"].between(1, 7)) == [True] * 3
    assert "chemsys Sr-Ti-O" in page.read_text()


def test_molecules_have_no_composition_to_ask_for(cli: Cli, tiny: object) -> None:
    done = cli("generate", "--model", tiny.checkpoint, "-n", "3", "--composition", "CH4")  # type: ignore[attr-defined]
    assert done.code == 2
    assert "no constraint of the molecules domain" in done.err


@pytest.mark.slow
def test_stability_is_part_of_the_evidence(cli: Cli, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("chgnet", reason="the extra stability is not installed")
    known = tmp_path / "known.csv"
    known.write_text("formula,formation_energy_per_atom,e_above_hull\nNaCl,-2.1,0\n")
    assert cli("hull", "build", "--from", known, "-o", tmp_path / "hull.json").code == 0
    table, page = tmp_path / "out.csv", tmp_path / "out.html"
    asked = ("--chemsys", "Na-Cl", "--reference", tmp_path / "hull.json", "-o", table, "--report", page)
    done = cli("generate", "--model", folder, "-n", "2", *asked)
    assert done.code == 0, done.err
    found = pd.read_csv(table)
    assert found["e_form"].notna().all()
    assert (found["reference"] == "hull").all()
    assert (found["phases"] >= 1).all()
    assert found["stability"].isin(["stable", "metastable", "unstable", "no verdict"]).all()
    assert "Convex hull" in page.read_text()


def test_molecules_have_no_stability_to_compute(cli: Cli, tiny: object) -> None:
    done = cli("generate", "--model", tiny.checkpoint, "-n", "1", "--relax")  # type: ignore[attr-defined]
    assert done.code == 2
    assert "molecules have no stability" in done.err
