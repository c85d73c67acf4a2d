"""Favourite tokens by plain loops."""

import pytest
import torch

from locant.xray.favourites import favourites, tied_logits
from locant.xray.moments import haar, moments


def noise(rows, width, seed):
    return torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_logits_of_all_pairs():
    w, p = noise(9, 4, 0) + 2, noise(5, 4, 1)
    logits = (w - w.mean(0)) @ (p - p.mean(0)).T
    found = tied_logits(moments(w), moments(p))["tied_logit"]
    assert found.value == pytest.approx(float(logits.square().mean().sqrt()))
    generator, squares = torch.Generator().manual_seed(0), []
    for _ in range(3000):
        turned = (w - w.mean(0)) @ haar(4, generator) @ (p - p.mean(0)).T
        squares.append(float(turned.square().mean()))
    assert found.baseline == pytest.approx((sum(squares) / 3000) ** 0.5, rel=0.02)
    assert found.n == 45


def test_the_favourites_of_a_place():
    w, p = torch.eye(4), torch.tensor([[3.0, 0, 0, 1], [0, 0, 2, 0]])
    first, second = favourites(w, p, torch.zeros(4), [0, 1], top=2)
    assert (first.position, first.most) == (0, ((0, 3.0), (3, 1.0)))
    assert second.most[0] == (2, 2.0)
    assert {row for row, _ in first.least} == {1, 2}


def test_equal_positions_favour_nothing():
    assert tied_logits(moments(noise(5, 3, 0)), moments(torch.ones(4, 3)))["tied_logit"].value is None
