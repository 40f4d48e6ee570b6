"""The Python API on a tiny model: what comes back, in which order, and what is refused."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from rdkit import Chem
from rdkit.Chem import Descriptors

import molvae
from molvae import Model
from molvae.domains.molecules import domain
from molvae.errors import CheckpointError, InvalidRecord, UnknownName, UsageError
from molvae.records import TokenBatch
from molvae.request import Range, Request, Target
from tests.fixtures_model import PROPERTIES, Tiny, tiny_smiles

DOMAIN = domain()
ONE, OTHER = "CC(=O)c1ccc(C#N)cn1", "Cc1cnc(COC)nc1"


def canonical(text: str) -> str:
    return DOMAIN.write(DOMAIN.parse(text))


def test_a_loaded_model_knows_itself(model: Model, tiny: Tiny) -> None:
    assert model.name == "tiny"
    assert model.version == molvae.__version__
    assert model.properties == PROPERTIES
    assert model.unit("mw") == "Da"
    assert model.unit("nonsense") == ""
    assert model.metrics["records"] == 202
    assert model.tolerance("logp") == float(f"{0.3 * float(model.vae.label_std[0]):.2g}")
    assert "molecules" in model.card
    assert molvae.load(tiny.checkpoint).metrics == model.metrics
    assert molvae.load(str(tiny.run)).name == "tiny"


def test_generation_is_valid_unique_and_repeatable(model: Model) -> None:
    found = model.generate(30, seed=5)
    texts = [c.text for c in found.candidates]
    assert len(texts) == 30
    assert found.short is None
    assert texts == [canonical(text) for text in texts]
    assert len({c.key for c in found.candidates}) == 30
    assert all(c.verdict.ok for c in found.candidates)
    assert [c.text for c in model.generate(30, seed=5).candidates] == texts
    assert [c.text for c in model.generate(30, seed=6).candidates] != texts
    for candidate in found.candidates:
        assert set(candidate.predicted) == set(candidate.predicted_std) == set(PROPERTIES)
        assert all(std > 0 for std in candidate.predicted_std.values())
        assert candidate.log_likelihood < 0


def test_plain_samples_are_valid_distinct_and_repeatable(model: Model) -> None:
    texts = model.sample(60, seed=2)
    assert texts == model.sample(60, seed=2) != model.sample(60, seed=3)
    assert len(set(texts)) == len(texts) == 60
    assert all(canonical(text) == text for text in texts)
    assert len(model.sample(700, unique=False)) == 700


def test_the_funnel_narrows(model: Model) -> None:
    found = model.generate(20, targets={"logp": 1.5}, novel=True)
    f = found.funnel
    assert f.drawn >= f.valid >= f.passed >= f.unique >= f.novel >= f.inside >= 20
    assert found.acceptance == pytest.approx(f.inside / f.drawn)
    assert sum(found.reasons.values()) + f.inside == f.drawn


def test_duplicates_are_not_held_against_the_checks(model: Model) -> None:
    unique = model.generate(10**6, max_draws=512, seed=1)
    every = model.generate(10**6, max_draws=512, seed=1, unique=False)
    assert unique.funnel.passed == every.funnel.passed == len(every.candidates)
    assert unique.funnel.valid == every.funnel.valid
    assert len(unique.candidates) < len(every.candidates)


def test_targets_ranges_and_further_measures(model: Model) -> None:
    found = model.generate(12, targets={"logp": (1.5, 0.2), "qed": 0.65}, ranges={"mw": (-math.inf, 170)}, measure=["sa"])
    assert len(found.candidates) == 12
    tolerance = model.tolerance("qed")
    for candidate in found.candidates:
        mol = Chem.MolFromSmiles(candidate.text)
        record = DOMAIN.parse(candidate.text)
        assert abs(candidate.measured["logp"] - 1.5) <= 0.2
        assert abs(candidate.measured["qed"] - 0.65) <= tolerance
        assert candidate.measured["mw"] <= 170
        assert candidate.measured["sa"] == DOMAIN.properties["sa"].compute(record)
        assert candidate.measured["mw"] == pytest.approx(Descriptors.MolWt(mol))
        assert candidate.asked == {"logp": 1.5, "qed": 0.65}
    assert set(found.raw_deviation) == {"logp", "qed"}


def test_a_target_inside_a_range_of_its_own_is_what_is_drawn_towards(model: Model) -> None:
    asked = model.sampler.targets(Request(1, (Target("logp", 1.5, 0.1),), (Range("logp", 0.0, 3.0),)), 50, torch.Generator().manual_seed(1))
    plain = model.sampler.targets(Request(1, (Target("logp", 1.5, 0.1),)), 50, torch.Generator().manual_seed(1))
    assert torch.equal(asked.nan_to_num(), plain.nan_to_num())


def test_an_open_range_is_drawn_towards_as_the_data_has_it(model: Model) -> None:
    at = PROPERTIES.index("logp")
    mean, std = float(model.vae.label_mean[at]), float(model.vae.label_std[at])
    for low, high in ((mean + 0.5 * std, math.inf), (-math.inf, mean - std), (mean + 4.9 * std, math.inf), (mean + 40 * std, math.inf)):
        drawn = model.sampler.targets(Request(1, ranges=(Range("logp", low, high),)), 20_000, torch.Generator().manual_seed(1))[:, at]
        own = drawn * std + mean
        assert torch.isfinite(own).all()
        assert float(own.min()) >= low - 1e-4 * abs(low)
        assert float(own.max()) <= high + 1e-4 * abs(high)
        if abs(low - mean) < 5 * std:  # the mean of a normal cut off below a is its density at a over the mass above
            a = torch.tensor((low - mean) / std, dtype=torch.float64)
            wanted = torch.exp(-a.square() / 2) / math.sqrt(2 * math.pi) / torch.special.ndtr(-a)
            assert float(drawn.mean()) == pytest.approx(float(wanted), abs=0.02)
    assert torch.isnan(model.sampler.targets(Request(1, ranges=(Range("logp"),)), 3, torch.Generator())[:, at]).all()


def test_one_text_is_not_taken_for_many(model: Model) -> None:
    for call in (model.encode, model.reconstruct):
        with pytest.raises(UsageError, match="one text 'CCO' was given where several are wanted"):
            call("CCO")
    assert model.generate(2, seeds=ONE).candidates == model.generate(2, seeds=[ONE]).candidates


def test_targets_steer_the_raw_draws(model: Model) -> None:
    def raw(**asked: float) -> float:
        many = model.generate(400, unique=False, verify=False, max_draws=400, targets=asked, measure=["logp"])
        return float(np.mean([c.measured["logp"] for c in many.candidates]))

    assert raw(logp=0.6) + 0.3 < raw(logp=2.4)


def test_raw_deviation_is_measured_before_selection(model: Model) -> None:
    strict = model.generate(3, targets={"logp": (1.5, 0.05)}, seed=2)
    loose = model.generate(10**6, targets={"logp": (1.5, 0.05)}, seed=2, verify=False, max_draws=strict.funnel.drawn, unique=False)
    assert strict.raw_deviation == loose.raw_deviation
    assert strict.raw_deviation["logp"] > 0.05


def test_needs(model: Model) -> None:
    found = model.generate(8, needs=[model.need("contains", "[#6](=O)"), model.need("scaffold", "c1ccncc1")])
    carbonyl, pyridine = Chem.MolFromSmarts("[#6](=O)"), Chem.MolFromSmiles("c1ccncc1")
    assert len(found.candidates) == 8
    for candidate in found.candidates:
        mol = Chem.MolFromSmiles(candidate.text)
        assert mol.HasSubstructMatch(carbonyl)
        assert mol.HasSubstructMatch(pyridine)


def test_novelty_against_the_training_rows(model: Model) -> None:
    known = {canonical(text) for text in tiny_smiles()}
    found = model.generate(15, novel=True)
    assert all(c.novel for c in found.candidates)
    every = model.generate(60)
    # A tenth of the known ones are test rows and another validation rows, which the model has not seen.
    assert all(c.text in known for c in every.candidates if not c.novel)
    assert any(not c.novel for c in every.candidates)


def test_seeds_keep_what_they_have(model: Model) -> None:
    near = model.generate(40, seeds=[ONE], level=0.3, unique=False)
    far = model.generate(40, unique=False)

    def likeness(found: molvae.Generation) -> float:
        return float(np.mean(DOMAIN.similarity(DOMAIN.parse(ONE), [DOMAIN.parse(c.text) for c in found.candidates])))

    assert likeness(near) > likeness(far) + 0.2


def test_exemplars(model: Model) -> None:
    found = model.generate(10, prior="exemplars", level=0.5, targets={"logp": 2.0}, verify=False)
    assert len(found.candidates) == 10


def test_fewer_than_asked_says_why(model: Model) -> None:
    found = model.generate(5, targets={"logp": (9.0, 0.1)}, max_draws=300)
    assert found.candidates == []
    assert found.funnel.drawn == 300
    assert found.short is not None
    assert "0 of 5 candidates after 300 draws" in found.short
    assert "outside the tolerance" in found.short


def test_a_rare_structure_is_better_searched_for(model: Model) -> None:
    rare = model.generate(5, needs=[model.need("contains", "C1CC2CCC1CC2")], max_draws=300)
    assert rare.short is not None
    assert "start from one that you know (--seeds), or let 'molvae optimize' search" in rare.short
    common = model.generate(400, needs=[model.need("contains", "C")], max_draws=300)
    assert common.short is not None
    assert "--seeds" not in common.short


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"n": 0}, UsageError, "at least 1"),
        ({"targets": {"nonsense": 1.0}}, UnknownName, "nonsense"),
        ({"targets": {"sa": 3.0}}, UsageError, "tolerance"),
        ({"ranges": {"nonsense": (0, 1)}}, UnknownName, "nonsense"),
        ({"measure": ["nonsense"]}, UnknownName, "nonsense"),
        ({"prior": "nonsense"}, UnknownName, "exemplars"),
        ({"prior": "exemplars", "level": 1.0}, UsageError, "below 1"),
        ({"level": -0.1}, UsageError, "between 0 and 1"),
        ({"temperature": -1.0}, UsageError, "0 or more"),
        ({"temperature": 0.0}, UsageError, "every draw is the same"),
        ({"guidance": -5.0}, UsageError, "guidance is -5.0; wanted a finite number, 0 or more"),
        ({"targets": {"logp": math.nan}}, UsageError, "the target of logp is nan"),
        ({"targets": {"logp": "much"}}, UsageError, "the target of logp is 'much'"),
        ({"targets": {"logp": (2.5, -1)}}, UsageError, "the tolerance of logp is -1"),
        ({"ranges": {"logp": (3, 1)}}, UsageError, "the range of logp is 3 to 1; wanted two numbers, the lower first"),
        ({"seeds": ["C1CC"]}, InvalidRecord, "C1CC"),
        ({"seeds": ["CC[Se]C"]}, InvalidRecord, "vocabulary"),
    ],
)
def test_requests_that_make_no_sense(model: Model, arguments: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        model.generate(**{"n": 3, **arguments})  # type: ignore[arg-type]


def test_unknown_queries(model: Model) -> None:
    with pytest.raises(UnknownName, match="scaffold"):
        model.need("smells", "C")
    with pytest.raises(UsageError, match="SMARTS"):
        model.need("contains", "C((")


def test_neighbours_are_ranked_and_leave_out_the_seed(model: Model) -> None:
    found = model.neighbours(ONE, 10, radius=0.6)
    likeness = [float(c.extra["similarity"]) for c in found.candidates]
    assert len(likeness) == 10
    assert likeness == sorted(likeness, reverse=True)
    assert DOMAIN.key(DOMAIN.parse(ONE)) not in {c.key for c in found.candidates}
    assert likeness == DOMAIN.similarity(DOMAIN.parse(ONE), [DOMAIN.parse(c.text) for c in found.candidates])
    assert set(found.candidates[0].measured) == set(PROPERTIES)


def test_interpolation_goes_from_one_end_to_the_other(model: Model) -> None:
    path = model.interpolate(ONE, OTHER, 9)
    ends = model.decode(model.encode([ONE, OTHER]))
    shares = [float(c.extra["share"]) for c in path]
    assert shares == sorted(shares)
    assert path[0].text == ends[0]
    assert path[-1].text == ends[1]
    assert all(a.text != b.text for a, b in pairwise(path))
    with pytest.raises(UsageError, match="at least 2"):
        model.interpolate(ONE, OTHER, 1)


def test_codes_do_not_depend_on_how_a_record_is_written_or_batched(model: Model) -> None:
    mol = Chem.MolFromSmiles(ONE)
    ways = [ONE, *(Chem.MolToSmiles(mol, rootedAtAtom=k, canonical=False) for k in range(mol.GetNumAtoms()))]
    codes = model.encode(ways)
    assert codes.dtype == np.float32
    assert codes.shape == (len(ways), 16)
    assert np.allclose(codes, codes[0], atol=1e-5)
    many = [canonical(text) for text in tiny_smiles()[:40]]
    alone = np.concatenate([model.encode([text]) for text in many])
    assert np.allclose(model.encode(many), alone, atol=1e-5)


def test_each_view_encodes(model: Model) -> None:
    alone = [model.encode([ONE], views=[view]) for view in ("graph", "sequence", "written")]
    assert not any(np.allclose(alone[k], alone[k - 1]) for k in range(3))
    assert np.array_equal(model.encode([ONE], views=["sequence", "graph", "written"]), model.encode([ONE]))
    assert not np.allclose(model.encode([ONE], views=["sequence", "graph"]), model.encode([ONE]))
    with pytest.raises(UnknownName, match="sound"):
        model.encode([ONE], views=["sound"])
    assert model.encode([]).shape == (0, 16)


def test_decode(model: Model) -> None:
    codes = model.encode([ONE, OTHER])
    assert model.decode(codes) == model.decode(codes, seed=7)
    hot = [model.decode(np.repeat(codes, 20, 0), temperature=1.0, level=0.6, seed=seed) for seed in (0, 0, 1)]
    assert hot[0] == hot[1] != hot[2]
    with pytest.raises(UsageError, match="wants"):
        model.decode(np.zeros((2, 3), np.float32))
    with pytest.raises(UnknownName, match="sa"):
        model.decode(codes, targets={"sa": 3.0})


def test_reconstruction(model: Model) -> None:
    texts = list(tiny_smiles())
    found = model.reconstruct(texts)
    assert [r.asked for r in found] == [canonical(text) for text in texts]
    assert all(r.exact == (r.asked == r.text) for r in found)
    exact = sum(r.exact for r in found)
    assert exact > 0.2 * len(texts)  # chance is one in 252
    assert sum(r.exact for r in model.reconstruct(texts, level=0.9)) < exact
    with pytest.raises(InvalidRecord):
        model.reconstruct(["C1CC"])


def test_a_search_finds_the_record_of_a_code(model: Model) -> None:
    texts = [canonical(text) for text in tiny_smiles()]
    plain = sum(r.exact for r in model.reconstruct(texts))
    for views in (None, ("graph",)):
        codes = model.encode(texts, views=views)
        found = model.invert(codes, draws=48, views=views, seed=3)
        assert [f.text for f in found] == [f.text for f in model.invert(codes, draws=48, views=views, seed=3)]
        assert all(f.draws <= 49 for f in found)
        # A record that was found is the one that was meant, and its code is the one that was asked for.
        assert all(f.text == text for f, text in zip(found, texts, strict=True) if f.found)
        again = model.encode([f.text or "" for f in found], views=views)
        assert np.allclose([f.gap for f in found], np.sqrt(np.square(again - codes).mean(1)), atol=1e-5)
    assert sum(r.exact for r in model.reconstruct(texts, search=48)) > plain


def test_a_search_needs_a_code_that_can_be_checked(model: Model) -> None:
    codes = model.encode([ONE])
    with pytest.raises(UsageError, match="level 0"):
        model.decode(codes, level=0.5, search=8)
    with pytest.raises(UsageError, match="temperature"):
        model.decode(codes, temperature=1.0, search=8)


def test_predictions_follow_the_properties(model: Model) -> None:
    texts = list(tiny_smiles())
    mean, std = model.predict(texts)
    truth = np.array([[DOMAIN.properties[p].compute(DOMAIN.parse(t)) for p in PROPERTIES] for t in texts])
    assert mean.shape == std.shape == truth.shape
    assert (np.abs(mean - truth).mean(0) < 0.5 * np.abs(truth - truth.mean(0)).mean(0)).all()
    assert (std > 0).all()


def test_describe(model: Model) -> None:
    seen = model.describe("N#Cc1ccc(C(C)=O)nc1")
    assert seen.text == canonical(ONE)
    assert seen.measured["mw"] == pytest.approx(146.15, abs=0.01)
    assert seen.log_likelihood > model.describe("CCCCCCCC").log_likelihood
    foreign = model.describe("CC[Se]C")
    assert math.isnan(foreign.log_likelihood)
    with pytest.raises(InvalidRecord):
        model.describe("C1CC")


@torch.no_grad()
def test_the_score_of_a_draw_is_its_likelihood(model: Model) -> None:
    z = torch.randn(20, 16, generator=torch.Generator().manual_seed(0))
    drawn = model.vae.draw(z, 1.0, generator=torch.Generator().manual_seed(1))
    length = max(len(tokens) for tokens in drawn.tokens)
    tokens = torch.tensor([row + [0] * (length - len(row)) for row in drawn.tokens])
    nll = model.vae.nll(z, 1.0, TokenBatch(tokens, torch.tensor([len(row) for row in drawn.tokens])))
    assert all(drawn.finished)
    assert -nll.numpy() == pytest.approx(np.array(drawn.log_likelihood), rel=1e-3, abs=1e-3)


def test_other_checks(tiny: Tiny) -> None:
    strict = molvae.load(tiny.run, checks=["default", "brenk"])
    text = "CCC=NC(=O)C"  # an imine, which Brenk et al. list
    assert molvae.load(tiny.run).describe(text).verdict.ok
    assert "brenk" in strict.describe(text).verdict.reasons[0]
    with pytest.raises(UnknownName, match="check"):
        molvae.load(tiny.run, checks=["nonsense"])


def test_missing_models() -> None:
    with pytest.raises(UnknownName, match="pretrained model 'nothing'"):
        molvae.load("nothing")
    with pytest.raises(CheckpointError):
        molvae.load("/")
