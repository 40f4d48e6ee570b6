"""The normalisation of codes: over the data, in training as in use."""

from __future__ import annotations

import torch

from molvae.nn.encoders import Views
from molvae.nn.latents import NoiseDial, Normalised


def warm(width: int = 3) -> Normalised:
    """After its first batches, of codes with means 1, 2, 3 and deviations 1, 2, 3."""
    torch.manual_seed(0)
    norm = Normalised(width, 0.05)
    each = torch.arange(1.0, width + 1)
    for _ in range(2 * Normalised.FIRST):
        norm(each + each * torch.randn(64, width))
    return norm


def test_the_first_batches_are_normalised_by_their_own_statistics() -> None:
    torch.manual_seed(0)
    code = Normalised(3, 0.05)(5.0 + 2.0 * torch.randn(32, 3))
    torch.testing.assert_close(code.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(code.var(0, unbiased=False), torch.ones(3), atol=1e-3, rtol=0)


def test_training_and_use_see_the_same_codes_also_of_a_batch_of_one_kind() -> None:
    norm = warm()
    alike = torch.tensor([3.0, 2.0, -3.0]) + 0.01 * torch.randn(16, 3)
    norm.steady = True
    trained = norm(alike)
    torch.testing.assert_close(trained, norm.eval()(alike))
    torch.testing.assert_close(trained.mean(0), torch.tensor([2.0, 0.0, -2.0]), atol=0.2, rtol=0)  # (3 - 1) / 1, (2 - 2) / 2, (-3 - 3) / 3


def test_a_larger_code_gains_nothing() -> None:
    norm = warm()
    norm.steady = True
    off = torch.randn(16, 3)
    size = torch.ones(3, requires_grad=True)
    norm(norm.running_mean + size * off).square().sum().backward()
    torch.testing.assert_close(size.grad, torch.zeros(3), atol=1e-3, rtol=0)


def test_what_is_encoded_steadily_leaves_no_trace() -> None:
    dial, views = NoiseDial(3).train(), Views(torch.randn(1, 8, 3), torch.zeros(1, 8, 3), torch.ones(1, 8, dtype=torch.bool))
    with dial.steady():
        dial(views, torch.zeros(8))
    assert int(dial.norm.num_batches_tracked) == 0
    dial(views, torch.zeros(8))
    assert int(dial.norm.num_batches_tracked) == 1
    torch.testing.assert_close(dial.norm.running_mean, views.mean[0].mean(0))
