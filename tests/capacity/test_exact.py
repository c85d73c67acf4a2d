"""The exact law against the published figures, against direct simulation, and at its edges."""

import math

import numpy as np
import pytest
from scipy import special

from locant.capacity.exact import recovery_probability
from locant.capacity.residuals import smallest_residual
from locant.capacity.two_codebooks import successive_pair


def brute(width, sizes, members, noise, trials, seed):
    """Codebook, sum and scores drawn anew for each trial; one codebook with `members`, or one item of each of many."""
    generator, good = np.random.default_rng(seed), 0
    for _ in range(trials):
        books = [generator.normal(size=(size, width)) for size in sizes]
        total = sum(book[:members].sum(0) for book in books) + math.sqrt(noise) * generator.normal(size=width)
        scores = [book @ total for book in books]
        good += all(score[:members].min() > score[members:].max() for score in scores)
    return good / trials


def near(found, expected, trials, sigmas=4.0):
    return abs(found - expected) < sigmas * math.sqrt(max(expected * (1 - expected), 0.01) / trials)


@pytest.mark.parametrize(
    ("width", "items", "members", "noise"),
    [(44, 64, 4, 0.0), (20, 64, 2, 0.7), (24, 100, 3, 0.0), (16, 200, 1, 0.5), (3, 9, 7, 0.2), (40, 50, 5, 3.0)],
)
def test_sets_against_brute_force(width, items, members, noise):
    trials = 2500
    simulated = brute(width, [items], members, noise, trials, seed=width)
    assert near(simulated, recovery_probability(width, items, members, noise=noise), trials)


@pytest.mark.parametrize(
    ("width", "sizes", "noise"), [(20, (60, 30), 0.0), (24, (50, 10), 1.0), (30, (20, 20, 40), 0.3)]
)
def test_one_of_each_codebook_against_brute_force(width, sizes, noise):
    trials = 2500
    simulated = brute(width, sizes, 1, noise, trials, seed=width)
    assert near(simulated, recovery_probability(width, sizes, noise=noise), trials)


def test_one_slot_against_brute_force():
    generator, good, trials = np.random.default_rng(4), 0, 3000
    for _ in range(trials):
        book = generator.normal(size=(40, 16))
        scores = book @ (book[0] + generator.normal(size=(2, 16)).sum(0))
        good += scores.argmax() == 0
    assert near(good / trials, recovery_probability(16, 40, 3, goal="slot"), trials)
    assert recovery_probability(16, (40, 7, 9), goal="slot") == recovery_probability(16, 40, 3, goal="slot")


@pytest.mark.parametrize(("width", "items", "members", "noise"), [(10, 300, 50, 0.0), (12, 80, 40, 0.8)])
def test_successive_pair_against_brute_force(width, items, members, noise):
    generator, good, trials = np.random.default_rng(5), 0, 3000
    for _ in range(trials):
        tokens, positions = generator.normal(size=(items, width)), generator.normal(size=(members, width))
        total = tokens[0] + positions[0] + math.sqrt(noise) * generator.normal(size=width)
        place = (positions @ total).argmax()
        good += place == 0 and (tokens @ (total - positions[0])).argmax() == 0
    assert near(good / trials, successive_pair(width, items, members, noise=noise), trials)


def test_gpt2_sizes():
    """Half and 99 % of sets in 768 numbers; token plus position at once and one after the other."""
    assert recovery_probability(768, 50257, 20) > 0.5 > recovery_probability(768, 50257, 21)
    assert recovery_probability(768, 50257, 13) > 0.99 > recovery_probability(768, 50257, 14)
    assert recovery_probability(40, (50257, 1024)) > 0.5 > recovery_probability(39, (50257, 1024))
    assert recovery_probability(82, (50257, 1024)) > 0.99 > recovery_probability(81, (50257, 1024))
    assert recovery_probability(32, (50257, 1024)) == pytest.approx(0.266, abs=1e-3)
    assert successive_pair(60, 50257, 1024) > 0.99 > successive_pair(59, 50257, 1024)


@pytest.mark.parametrize(
    ("width", "items", "members", "expected"), [(512, 4096, 14, 0.8764), (1024, 50257, 26, 0.576), (44, 64, 4, 0.4956)]
)
def test_figures_of_a_million_trials(width, items, members, expected):
    assert recovery_probability(width, items, members) == pytest.approx(expected, abs=2e-4)


def sampled(width, items, members, noise):
    """The same law by drawing length and hits, without its Fourier transform, its grids and its table."""
    generator = np.random.default_rng(0)
    beta = generator.normal(size=(20_000_000 // max(50, 2 * members), members))
    shift = math.sqrt(noise / (members * (members + noise))) * generator.normal(size=len(beta))
    low = (beta - beta.mean(1, keepdims=True)).min(1) + shift
    length = np.sqrt(generator.chisquare(width, len(beta)) / (members + noise))
    return np.exp((items - members) * special.log_ndtr(length + low)).mean()


@pytest.mark.parametrize(
    ("width", "items", "members", "noise"),
    [(8192, 10**6, 130, 0.0), (2048, 10**12, 20, 1.0), (5, 8, 7, 0.1), (1, 10, 2, 0.0), (700, 10**12, 6, 0.0)],
)
def test_law_against_its_sampler(width, items, members, noise):
    found = recovery_probability(width, items, members, noise=noise)
    assert found == pytest.approx(sampled(width, items, members, noise), abs=4e-3)


@pytest.mark.parametrize("members", [2, 3, 4, 9, 200])
@pytest.mark.parametrize("noise", [1e-9, 1e-4, 0.3, 20.0])
def test_smallest_residual_is_a_falling_probability_and_has_its_limit(members, noise):
    points = np.linspace(-6, 3, 50)
    values = smallest_residual(points, members, noise)
    assert (np.diff(values) <= 1e-9).all()
    assert values.min() >= 0
    assert values.max() <= 1
    if noise <= 1e-4:
        clean = smallest_residual(points, members, 0.0)
        assert np.abs(values - clean).max() < 0.02 * math.sqrt(noise / 1e-4) + 1e-7


def test_no_noise_is_the_limit_of_little_noise():
    for members in (1, 2, 3, 7):
        clean = recovery_probability(40, 500, members)
        assert recovery_probability(40, 500, members, noise=1e-10) == pytest.approx(clean, abs=1e-6)


def test_monotone_in_every_argument():
    widths = [recovery_probability(width, 1000, 5) for width in range(1, 400, 20)]
    sizes = [recovery_probability(100, 10**power, 5) for power in range(1, 14)]
    counts = [recovery_probability(100, 1000, members) for members in range(1, 40)]
    noises = [recovery_probability(100, 1000, 5, noise=noise) for noise in np.linspace(0, 30, 25)]
    assert widths == sorted(widths)
    for falling in (sizes, counts, noises):
        assert falling == sorted(falling, reverse=True)


def test_edges():
    assert recovery_probability(3, 7, 7) == 1.0
    assert recovery_probability(3, 1, 1) == 1.0
    assert recovery_probability(5, (1, 1)) == pytest.approx(1.0, abs=1e-9)
    assert recovery_probability(64, (300,)) == recovery_probability(64, 300)
    assert 0 < recovery_probability(1024, 10**12, 20) < 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recovery_probability(0, 10, 2), "a width of at least 1, was: 0"),
        (lambda: recovery_probability(10, 0, 1), "at least 1 item, was: 0"),
        (lambda: recovery_probability(10, 4, 5), "members between 1 and 4 items, was: 5"),
        (lambda: recovery_probability(10, 4, 0), "was: 0"),
        (lambda: recovery_probability(10, 4, 2, noise=-1.0), "noise variance of at least 0, was: -1.0"),
        (lambda: recovery_probability(10, 4, 2, noise=math.nan), "was: nan"),
        (lambda: recovery_probability(10, 4, 2, goal="all"), "set, slot, membership, was: all"),
        (lambda: recovery_probability(10, (4, 4), 2), "expected members=1, one item of each of 2 codebooks, was: 2"),
        (lambda: recovery_probability(10, (4, 0)), "at least 1 item in each"),
        (lambda: recovery_probability(10, (4, 4), goal="membership"), "one codebook for goal membership"),
        (lambda: recovery_probability(10, 4, 0, goal="slot"), "at least 1 item and 1 member"),
        (lambda: successive_pair(10, 4, 0), "at least 1 item in each"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
