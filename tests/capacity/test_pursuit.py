"""Greedy decoders by law against greedy decoders on whole codebooks, and two ways to the same probability."""

import math

import numpy as np
import pytest
from scipy import stats

from locant.capacity.pursuit import (
    absorption_probability,
    draw_span,
    omp_probability,
    orthogonal_path,
    staying,
    successive_probability,
)
from locant.capacity.unions import union_probability


def scores_of(table, norms, residual, selection):
    scores = table @ residual
    return {"dot": scores, "cosine": scores / norms, "nearest": scores - norms**2 / 2}[selection]


def direct(sizes, trials, generator, *, refit, selection, noise=0.0, positive=True):
    """The share of whole sets that a greedy decoder finds in codebooks drawn anew each time."""
    (width, items, members), right = sizes, 0
    for _ in range(trials):
        table = generator.standard_normal((items, width))
        norms = np.linalg.norm(table, axis=1)
        total = table[:members].sum(0) + math.sqrt(noise) * generator.standard_normal(width)
        residual, taken = total, []
        for _ in range(members):
            scores = scores_of(table, norms, residual, selection)
            scores = scores if positive else np.abs(scores)
            scores[taken] = -np.inf
            taken.append(int(scores.argmax()))
            if taken[-1] >= members:
                break
            fitted = np.linalg.lstsq(table[taken].T, total, rcond=None)[0] @ table[taken] if refit else None
            residual = total - fitted if refit else residual - table[taken[-1]]
        right += set(taken) == set(range(members))
    return right / trials


def near(found, simulated, trials):
    error = math.hypot((found.high - found.low) / 3.92, math.sqrt(max(simulated * (1 - simulated), 0.01) / trials))
    return abs(found.value - simulated) < 4 * error


@pytest.mark.parametrize("selection", ["dot", "cosine", "nearest"])
@pytest.mark.parametrize(("sizes", "noise"), [((17, 64, 4), 0.0), ((12, 40, 2), 1.0), ((3, 10, 5), 0.2)])
def test_successive_cancellation(sizes, noise, selection):
    generator = np.random.default_rng(sizes[0])
    simulated = direct(sizes, 1500, generator, refit=False, selection=selection, noise=noise)
    found = successive_probability(*sizes, 300, generator, noise=noise, selection=selection)
    assert near(found, simulated, 1500)


@pytest.mark.parametrize("selection", ["dot", "cosine"])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize(("sizes", "noise"), [((20, 64, 4), 0.0), ((12, 40, 2), 1.0), ((5, 12, 5), 0.1)])
def test_matching_pursuit(sizes, noise, positive, selection):
    generator, trials = np.random.default_rng(sizes[0]), 500
    simulated = direct(sizes, trials, generator, refit=True, selection=selection, noise=noise, positive=positive)
    found = omp_probability(*sizes, 300, generator, noise=noise, positive=positive, selection=selection)
    assert near(found, simulated, trials)


def test_absorbed_motion_and_sampled_union_agree():
    generator = np.random.default_rng(3)
    absorbed = absorption_probability(128, 10**6, 6, 40, generator)
    sampled = omp_probability(128, 10**6, 6, 300, generator, selection="dot")
    assert 0.1 < sampled.value < 0.9
    assert absorbed.agrees(sampled)


def test_both_ways_on_one_path_to_three_digits():
    generator = np.random.default_rng(4)
    residuals, best = orthogonal_path(*draw_span(200, 12, 0.0, generator), False, "dot")
    power = (residuals**2).sum(1)
    leaves = 1 - staying(1 / power, best / power, 320)
    rows, levels = np.vstack([residuals, -residuals]), np.tile(best, 2)
    sampled = np.mean([union_probability(rows, levels, 200, "dot", generator) for _ in range(60)])
    assert sampled == pytest.approx(leaves, rel=0.01)


def test_union_of_one_event_is_that_event():
    generator, row = np.random.default_rng(5), np.array([[3.0, 0.0]])
    assert union_probability(row, np.array([9.0]), 20, "dot", generator) == pytest.approx(stats.norm.sf(3), rel=1e-9)
    cosine = union_probability(row, np.array([2.0]), 20, "cosine", generator)
    assert cosine == pytest.approx(stats.beta.sf((1 + 2 / 3) / 2, 9.5, 9.5), rel=1e-9)
    nearest = union_probability(row, np.array([-2.0]), 20, "nearest", generator)
    assert nearest == pytest.approx(stats.ncx2.cdf(9 + 4, 20, 9), rel=1e-3)
    assert union_probability(row, np.array([1e4]), 20, "dot", generator) == 0.0


def test_more_members_than_numbers_cannot_be_fitted():
    generator = np.random.default_rng(6)
    assert omp_probability(3, 50, 4, 5, generator).value == 0.0
    assert omp_probability(1, 1, 1, 5, generator).value == 1.0
    assert successive_probability(8, 4, 4, 5, generator).value == 1.0


def test_a_figure_at_real_size():
    """Published for codes on the sphere: 0.56 ± 0.03 at width 256 for 28 of 4096."""
    found = omp_probability(256, 4096, 28, 150, np.random.default_rng(7))
    assert found.value == pytest.approx(0.56, abs=0.06)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: omp_probability(8, 10, 2, 1, g), "at least 2 trials, was: 1"),
        (lambda g: omp_probability(8, 10, 2, 2, g, selection="nearest"), "cosine, dot, was: nearest"),
        (lambda g: omp_probability(8, 10, 2, 2, g, noise=-1.0), "noise variance"),
        (lambda g: successive_probability(8, 10, 11, 2, g), "members between 1 and 10"),
        (lambda g: successive_probability(8, 10, 2, 2, g, selection="best"), "dot, cosine, nearest, was: best"),
        (lambda g: absorption_probability(8, 10, 2, 0, g), "at least 2 trials, was: 0"),
        (lambda g: union_probability(np.ones((1, 3)), np.ones(1), 2, "dot", g), "a width of at least 3, was: 2"),
        (lambda g: union_probability(np.ones((1, 3)), np.ones(1), 4, "best", g), "nearest, was: best"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))
