"""The limit of the best decoder against enumeration, and state evolution against its own fixed-point condition."""

import math

import numpy as np
import pytest
import torch
from scipy import special

from locant.capacity import bits
from locant.capacity.formats import number_format
from locant.capacity.information import noisy_width, random_code_probability
from locant.capacity.state_evolution import amp_members, amp_recovers, amp_width, state_evolution

GRID = np.linspace(-9, 9, 6001)
NORMAL = np.exp(-(GRID**2) / 2) / np.exp(-(GRID**2) / 2).sum()


def widths_per_member(odds):
    """``max over τ of E[1 - η | x = 1] / τ²``: with fewer coordinates a member some τ is a fixed point."""
    squares = np.exp(np.linspace(math.log(1e-3), math.log(2), 800))
    missed = [NORMAL @ special.expit(odds - (0.5 + math.sqrt(square) * GRID) / square) for square in squares]
    return float((np.array(missed) / squares).max())


@pytest.mark.parametrize(
    ("log_ratio", "published"),
    [(2, 1.114), (3, 1.022), (5, 1.004), (8, 1.049), (10, 1.083), (15, 1.155), (20, 1.211), (40, 1.345)],
)
def test_state_evolution_against_its_fixed_points_and_the_published_limits(log_ratio, published):
    assert widths_per_member(log_ratio) / log_ratio == pytest.approx(published, abs=6e-4)
    if log_ratio <= 15:  # the published ones are for K << V, ours for the sizes as they are
        items, members = round(20_000 * math.exp(log_ratio)), 20_000
        odds = math.log(items / members - 1)
        assert amp_width(items, members) / members == pytest.approx(widths_per_member(odds), rel=1e-3)


def test_state_evolution_moves_one_way():
    assert amp_recovers(768, 50257, 126)
    assert not amp_recovers(768, 50257, 127)
    noises = [amp_members(768, 50257, noise / 768) for noise in (0.0, 1.0, 5.0, 20.0)]
    assert noises == sorted(noises, reverse=True)
    assert noises[-1] > 0
    path = state_evolution(768, 50257, 100)
    assert path == sorted(path, reverse=True)


def enumerated(width, sizes, kind, scale, books, seed):
    """Shares of sums that are unique, and of sums that the best decoder gets right: one of each set of equal ones."""
    generator, unique, cells, total = torch.Generator().manual_seed(seed), 0, 0, 0
    for _ in range(books):
        first, second = (torch.randn(size, width, generator=generator, dtype=torch.float64) for size in sizes)
        sums = kind.round((first[:, None] + second[None]).flatten(0, 1), scale)
        counts = torch.unique(sums, dim=0, return_counts=True)[1]
        unique, cells, total = unique + int((counts == 1).sum()), cells + len(counts), total + len(sums)
    return unique / total, cells / total


@pytest.mark.parametrize(("name", "width"), [("bf16", 2), ("e4m3", 3), ("e5m2", 4), ("fp16", 1)])
def test_sums_in_a_format_by_enumeration(name, width):
    expected = random_code_probability(width, (128, 64), 1, name)
    found = enumerated(width, (128, 64), number_format(name), None, 12, 1)
    assert expected == (pytest.approx(found[0], abs=0.012), pytest.approx(found[1], abs=0.012))


def test_one_number_for_sets_of_four():
    """All 635,376 sets of 4 of 64 in one fp32 number: the law against one enumeration."""
    generator = torch.Generator().manual_seed(2)
    weights = torch.randn(64, generator=generator, dtype=torch.float64)
    sets = torch.combinations(torch.arange(64), 4)
    sums = number_format("fp32").round(weights[sets].sum(1))
    cells = len(torch.unique(sums)) / len(sets)
    assert random_code_probability(1, 64, 4, "fp32")[1] == pytest.approx(cells, abs=0.02)


@pytest.mark.parametrize(
    ("name", "width", "published"),
    [
        ("fp32", 1, 0.7303),
        ("fp32", 2, 1.0),
        ("fp16", 2, 0.7601),
        ("bf16", 2, 0.0831),
        ("bf16", 3, 0.9818),
        ("e4m3", 4, 0.574),
        ("e4m3", 5, 0.985),
    ],
)
def test_published_token_and_position_sums(name, width, published):
    assert random_code_probability(width, (50257, 1024), 1, name)[1] == pytest.approx(published, abs=0.012)


def test_unique_is_rarer_than_right():
    for width in (1, 2, 3):
        unique, right = random_code_probability(width, 500, 2, "bf16")
        assert 0 <= unique <= right <= 1


def test_noise_asks_for_width():
    widths = [noisy_width(10_000, 20, noise) for noise in (0.01, 0.1, 1.0, 10.0)]
    assert widths == sorted(widths)
    assert noisy_width(10_000, 20, 1.0) == pytest.approx(2 * bits.log2_choose(10_000, 20) / math.log2(21))


def test_bits_of_sums_and_of_vectors():
    assert bits.bits_available(768, "bf16") == pytest.approx(768 * math.log2(65_279))
    assert bits.bits_available(1, "fp32") > bits.bits_needed((50257, 1024)) > bits.bits_available(1, "bf16")
    for name in ("bf16", "int4", "1bit"):
        members = bits.pigeonhole_members(64, 5000, name)
        assert math.comb(5000, members) <= number_format(name).finite_values ** 64 < math.comb(5000, members + 1)
    assert bits.pigeonhole_members(10_000, 100, "bf16") == 100
    with pytest.raises(ValueError, match="at least 1 item and 1 member"):
        bits.bits_needed(5, 0, ordered=True)
