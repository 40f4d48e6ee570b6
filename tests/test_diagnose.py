"""Mutual information of codes and records, beside its closed form and its bounds."""

from __future__ import annotations

import math

import pytest
import torch

from molvae.diagnose import information


def test_codes_that_say_nothing_carry_nothing() -> None:
    torch.manual_seed(0)
    assert information(torch.zeros(500, 8), torch.zeros(500, 8)) == pytest.approx(0, abs=1e-9)


def test_codes_that_say_all_carry_the_entropy_of_the_records() -> None:
    torch.manual_seed(0)
    assert information(50 * torch.randn(300, 8), torch.full((300, 8), -4.0)) == pytest.approx(math.log(300), abs=1e-6)


def test_a_gaussian_channel_carries_what_shannon_says() -> None:
    # Means N(0, 1), noise of variance 1/2 in one dimension: 1/2 ln(1 + 2) nats.
    torch.manual_seed(0)
    told = information(torch.randn(2000, 1), torch.full((2000, 1), math.log(0.5)))
    assert told == pytest.approx(0.5 * math.log(3), abs=0.05)
