"""The loss of the property heads: what it is made of, and that each view learns from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from molvae import build
from molvae.config import override
from molvae.domains.crystals.structure import of_structure
from molvae.model import VAE, Parcel
from molvae.records import Batch
from molvae.representation import only
from tests.domains.crystals.prototypes import PROTOTYPES
from tests.fixtures_crystals import BLANK, wyckoff_strings

VIEWS = ("sequence", "graph")


def _made(views: tuple[str, ...], **settings: object) -> tuple[VAE, Batch]:
    """A fresh model, and the prototypes as its batch with random labels."""
    torch.manual_seed(0)
    representation = wyckoff_strings(views)
    model = build.vae(override(build.usual("crystals"), {**BLANK, **settings, "encoder.views": list(views)}), representation)
    batch = representation.batch([of_structure(make()) for make in PROTOTYPES.values()], target=True)
    return model, replace(batch, labels=torch.randn(batch.size, 1))


@pytest.mark.parametrize("kind", ["dial", "gaussian"])
def test_half_of_it_is_of_all_views_and_half_of_each_alone(kind: str) -> None:
    others = {"latent.kind": "gaussian", "regulariser.kind": "kl", "train.prior_batch": 0}
    model, batch = _made(VIEWS, **(others if kind == "gaussian" else {}))
    model.eval()  # no view is dropped, and codes do not depend on the batch
    assert model.head is not None
    with torch.no_grad():
        _, parts = model(Parcel(batch, 0.0))
        together, *alone = (model.head.loss(model.encode(b).mode, batch.labels) for b in (batch, *(only(batch, view) for view in VIEWS)))
    assert float(together) != pytest.approx(float(sum(alone) / 2), abs=1e-3)
    assert float(parts["head"]) == pytest.approx(float(together / 2 + sum(alone) / 4), abs=1e-5)


def test_of_one_view_it_is_that_view_s() -> None:
    model, batch = _made(("graph",), **{"practice.alone": 0.0})
    model.eval()
    assert model.head is not None
    with torch.no_grad():
        _, parts = model(Parcel(batch, 0.0))
        assert float(parts["head"]) == pytest.approx(float(model.head.loss(model.encode(batch).mode, batch.labels)), abs=1e-5)


def test_a_view_that_every_record_has_lost_learns_from_it_no_more_and_the_codes_statistics_stay() -> None:
    model, batch = _made(VIEWS, **{"encoder.alone": [1.0, 0.0], "encoder.view_dropout": 0.0})
    model.train()
    model(Parcel(batch, 0.0))
    seen = int(model.latent.norm.num_batches_tracked)
    views = model.encoder(batch)
    assert model.head is not None
    assert not bool(views.present[1].any())
    loss = model._head_loss(model.head, views, model._code(views, 0.0), batch.labels)
    loss.backward()
    assert seen == 1
    assert int(model.latent.norm.num_batches_tracked) == 2  # once more, by the code of all views
    assert all(p.grad is None or not p.grad.any() for p in model.encoder.graph.parameters())
    assert any(p.grad is not None and bool(p.grad.any()) for p in model.encoder.sequence.parameters())


def test_a_view_that_some_records_have_lost_learns_from_all_of_them() -> None:
    model, batch = _made(VIEWS)
    with torch.no_grad():
        views = model.encoder(batch)
    views = replace(views, present=torch.ones_like(views.present))
    views.present[1, 1:] = False
    assert model.head is not None
    grads = []
    for rows in (batch.labels, batch.labels.clone().masked_fill_(torch.arange(batch.size)[:, None] != 1, torch.nan)):
        mean = views.mean.clone().requires_grad_()
        model._head_loss(model.head, replace(views, mean=mean), model._code(views, 0.0), rows).backward()
        grads.append(mean.grad)
    assert all(bool(grad is not None and grad[1, 1].any()) for grad in grads)
