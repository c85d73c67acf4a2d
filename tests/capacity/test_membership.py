"""The fixed threshold against whole codebooks, against finer searches, and beside the set of known size."""

import math

import numpy as np
import pytest

from locant.capacity.exact import recovery_probability
from locant.capacity.membership import membership_probability, threshold_probability


def direct(sizes, noise, thresholds, trials, seed):
    """For each threshold, how often exactly the members exceed it, in codebooks drawn anew each time."""
    (width, items, members), generator = sizes, np.random.default_rng(seed)
    right = np.zeros(len(thresholds))
    for _ in range(trials):
        table = generator.standard_normal((items, width))
        total = table[:members].sum(0) + math.sqrt(noise) * generator.standard_normal(width)
        scores = table @ total / width
        right += (scores[:members].min() > thresholds) & (scores[members:].max() <= thresholds)
    return right / trials


@pytest.mark.parametrize(
    ("sizes", "noise"),
    [((40, 60, 2), 0.0), ((30, 200, 1), 0.0), ((20, 30, 3), 1.5), ((2, 3, 2), 0.0), ((9, 30, 1), 0.4)],
)
def test_law_at_several_thresholds(sizes, noise):
    trials, best = 3000, membership_probability(*sizes, noise=noise)
    thresholds = np.array([best[1] - 0.2, best[1], best[1] + 0.2])
    expected = threshold_probability(thresholds, *sizes, noise)
    error = np.sqrt(np.maximum(expected * (1 - expected), 0.01) / trials)
    assert (np.abs(direct(sizes, noise, thresholds, trials, 3) - expected) < 4 * error).all()
    assert best[0] == pytest.approx(expected[1], abs=1e-12)


@pytest.mark.parametrize("sizes", [(40, 60, 2), (542, 4096, 8), (30, 10**9, 1), (8192, 10**6, 50), (1, 4, 2)])
def test_the_threshold_is_the_best(sizes):
    best = membership_probability(*sizes)
    assert best[0] >= threshold_probability(np.linspace(-2, 3, 3000), *sizes).max() - 1e-9


def test_not_knowing_the_number_costs_something():
    probability, threshold = membership_probability(542, 4096, 8)
    assert 1 - probability == pytest.approx(0.0067, abs=0.0005)
    assert 1 - recovery_probability(542, 4096, 8) < 1e-4
    assert 0.4 < threshold < 0.8
    for width in (5, 50, 300):
        assert membership_probability(width, 4096, 8)[0] < recovery_probability(width, 4096, 8)
    assert recovery_probability(100, 500, 3, goal="membership") == membership_probability(100, 500, 3)[0]


def test_ends():
    assert membership_probability(5, 7, 7) == (1.0, -math.inf)
    assert membership_probability(100_000, 1000, 2)[0] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="members between 1 and 4"):
        membership_probability(5, 4, 6)
