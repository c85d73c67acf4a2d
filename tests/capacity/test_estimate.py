"""Intervals against scipy, against their nominal coverage, and what they refuse."""

import numpy as np
import pytest
from scipy.stats import binomtest

from locant.capacity.estimate import Estimate, from_clusters, from_counts, from_formula, from_values


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (7, 7), (3, 11), (499, 1000)])
def test_counts_have_scipys_interval(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    found = from_counts(successes, trials)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (found.value, found.method, found.trials) == (successes / trials, "simulation", trials)


@pytest.mark.parametrize("values", [[0.0] * 20, [1.0] * 20])
def test_no_spread_is_not_taken_for_certainty(values):
    found = from_values(values)
    assert found.high - found.low > 0.1


def test_values_reach_their_coverage():
    generator, truth, covered = np.random.default_rng(1), 0.75, 0
    for _ in range(1500):
        found = from_values(generator.beta(3, 1, 30))
        covered += found.low <= truth <= found.high
    assert 0.93 < covered / 1500 < 0.97


def test_clusters_reach_their_coverage_where_wilson_does_not():
    generator, truth, clustered, naive = np.random.default_rng(2), 0.8, 0, 0
    for _ in range(1000):
        good = generator.binomial(100, generator.beta(8, 2, 12))
        found, simple = from_clusters(good, [100] * 12), from_counts(int(good.sum()), 1200)
        clustered += found.low <= truth <= found.high
        naive += simple.low <= truth <= simple.high
    assert clustered / 1000 > 0.92
    assert naive / 1000 < 0.7


def test_clusters_of_one_trial_are_a_count():
    assert from_clusters([1, 0, 1, 1], [1, 1, 1, 1]).value == 0.75
    assert from_clusters([5, 5], [5, 5]).low < 1


def test_agreement_is_overlap():
    assert from_formula(0.5, 0.1).agrees(from_formula(0.65, 0.05))
    assert not from_formula(0.5).agrees(from_formula(0.51))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Estimate(0.5, 0.6, 0.7, "formula"), "expected low <= value <= high"),
        (lambda: Estimate(0.5, 0.5, 0.5, "formula", -1), "at least 0 trials"),
        (lambda: from_formula(1.5), "between 0 and 1, was: 1.5"),
        (lambda: from_formula(0.5, -1.0), "tolerance"),
        (lambda: from_counts(1, 0), "at least 1 trial, was: 0"),
        (lambda: from_counts(3, 2), "between 0 and 2, was: 3"),
        (lambda: from_counts(1, 2, confidence=1.0), "confidence"),
        (lambda: from_values([0.5]), "at least 2 values"),
        (lambda: from_values([0.5, 1.5]), "values between 0 and 1"),
        (lambda: from_clusters([1], [2]), "at least 2 codebooks"),
        (lambda: from_clusters([1, 1], [2]), "as many successes"),
        (lambda: from_clusters([1, 0], [2, 0]), "at least 1 trial for each"),
        (lambda: from_clusters([1, 3], [2, 2]), "successes between 0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
