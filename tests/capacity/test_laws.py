"""The laws against simulation, enumeration, published tables and each other."""

import math

import numpy as np
import pytest
import torch

from locant.capacity import bits, bounds, information, membership, pursuit, solve, state_evolution
from locant.capacity.approximate import classic_integral, rule_of_width
from locant.capacity.exact import recovery_probability
from locant.capacity.formats import number_format
from locant.capacity.other_codes import recovery
from locant.capacity.simulate import draw, law_sample, simulate
from locant.capacity.two_codebooks import successive_pair


def direct(width, items, members, trials, seed, code="gauss", noise=0.0):
    """Whole sets recovered by the largest scores, a codebook a trial; ties fail."""
    generator, right = torch.Generator().manual_seed(seed), 0
    for _ in range(trials):
        table = draw(code, (items, width), generator)
        y = table[:members].sum(0) + math.sqrt(noise) * torch.randn(width, generator=generator, dtype=torch.float64)
        scores = table @ y
        right += bool(scores[:members].min() > scores[members:].max())
    return right / trials


@pytest.mark.parametrize(
    ("width", "items", "members", "noise"), [(24, 60, 3, 0.0), (24, 60, 2, 1.5), (48, 300, 5, 0.0)]
)
def test_exact_law_is_what_happens(width, items, members, noise):
    found = direct(width, items, members, 4000, 1, noise=noise)
    assert recovery_probability(width, items, members, noise=noise) == pytest.approx(found, abs=0.025)


def test_exact_law_at_known_sizes():
    assert solve.members_for(768, 50257, 0.5, recovery_probability) == 20
    assert solve.members_for(768, 50257, 0.99, recovery_probability) == 13
    assert solve.members_for(1024, 50257, 0.5, recovery_probability) == 26
    assert recovery_probability(512, 4096, 14) == pytest.approx(0.8764, abs=2e-4)
    assert recovery_probability(82, (50257, 1024)) > 0.99 > recovery_probability(81, (50257, 1024))
    assert successive_pair(60, 50257, 1024) == pytest.approx(0.99, abs=0.005)
    assert 0 < recovery_probability(8192, 10**12, 100) < 1


def test_exact_law_is_monotone_and_knows_its_ends():
    for noise in (0.0, 2.0):
        by_width = [recovery_probability(d, 1000, 4, noise=noise) for d in (32, 64, 128, 256)]
        by_items = [recovery_probability(64, v, 4, noise=noise) for v in (10, 100, 10**4, 10**8)]
        by_members = [recovery_probability(64, 1000, k, noise=noise) for k in (1, 2, 4, 8)]
        assert by_width == sorted(by_width)
        assert by_items == sorted(by_items, reverse=True)
        assert by_members == sorted(by_members, reverse=True)
    assert recovery_probability(3, 7, 7) == 1.0


def test_classic_integral_is_off():
    exact, classic = recovery_probability(512, 4096, 14), classic_integral(512, 4096, 14)
    assert 0.02 < abs(exact - classic) < 0.19
    assert rule_of_width(50257, 20) > 1.25 * solve.width_for(50257, 20, 0.5, recovery_probability)


@pytest.mark.parametrize("code", ["gauss", "sphere", "sign"])
def test_simulators_are_what_happens(code):
    found = direct(32, 200, 3, 4000, 2, code)
    made = simulate(32, 200, 3, code=code, trials=3000)
    assert made.value == pytest.approx(found, abs=0.025)
    assert made.low < made.value < made.high
    assert recovery(32, 200, 3, code=code) == pytest.approx(found, abs=0.03)


def test_sampled_law_is_the_integrated_one():
    found = law_sample(96, 5000, 5, 0.7, 20_000, np.random.default_rng(0))
    assert found.low <= recovery_probability(96, 5000, 5, noise=0.7) <= found.high


def test_rounding_to_four_bits_acts_like_its_noise():
    noise = number_format("int4").noise(14, width=512)
    rounded = simulate(512, 4096, 14, format_name="int4", trials=1500)
    assert recovery_probability(512, 4096, 14, noise=noise) == pytest.approx(rounded.value, abs=0.025)


def test_threshold_is_harder_than_the_largest_scores():
    probability, threshold = membership.membership_probability(542, 4096, 8)
    assert 1 - probability == pytest.approx(0.0067, abs=0.0005)
    assert 1 - recovery_probability(542, 4096, 8) < 1e-4
    assert 0.4 < threshold < 0.8


def test_counting():
    assert bits.bits_needed((50257, 1024)) == pytest.approx(math.log2(50257 * 1024))
    assert bits.bits_needed(10, 3) == pytest.approx(math.log2(120))
    assert bits.bits_needed(10, 3, ordered=True) == pytest.approx(3 * math.log2(10))
    assert bits.log2_choose(10**6, 5000) == pytest.approx(math.log2(math.comb(10**6, 5000)), rel=1e-9)
    widths = [
        bits.pigeonhole_width((50257, 1024), 1, name) for name in ("fp32", "bf16", "fp16", "e4m3", "int4", "1bit")
    ]
    assert widths == [1, 2, 2, 4, 7, 26]
    assert bits.pigeonhole_members(768, 50257, "bf16") == 2035
    assert bits.pigeonhole_members(768, 50257, "fp32") == 5349
    assert bits.sign_counting_members(768, 50257) == 537
    exact = bits.binomial_entropy(2000)
    assert exact == pytest.approx(0.5 * math.log2(math.pi * math.e * 1000), abs=1e-4)


def test_random_sums_in_a_format_by_enumeration():
    generator, rounding = torch.Generator().manual_seed(0), number_format("bf16")
    unique = best = total = 0.0
    for _ in range(20):
        tokens = torch.randn(64, 1, 2, generator=generator, dtype=torch.float64)
        sums = rounding.round((tokens + torch.randn(1, 32, 2, generator=generator, dtype=torch.float64)).flatten(0, 1))
        _, counts = torch.unique(sums, dim=0, return_counts=True)
        unique += float((counts == 1).sum())
        best += len(counts)
        total += len(sums)
    many = information.random_code_probability(2, (64, 32), 1, "bf16")
    assert many == (pytest.approx(unique / total, abs=2e-3), pytest.approx(best / total, abs=2e-3))
    e4m3 = information.random_code_probability(3, (4096, 1024), 1, "e4m3")[1]
    assert e4m3 == pytest.approx(0.2366, abs=0.01)
    assert information.random_code_probability(3, (50257, 1024), 1, "bf16")[1] == pytest.approx(0.9818, abs=0.003)


def test_state_evolution_at_known_sizes():
    assert state_evolution.amp_members(768, 50257) == 126
    assert state_evolution.amp_members(1024, 50257) == 179
    for log_ratio, published in ((5, 1.004), (10, 1.083), (20, 1.211)):
        items = int(1000 * math.exp(log_ratio))
        assert state_evolution.amp_width(items, 1000) / (1000 * log_ratio) == pytest.approx(published, abs=0.005)
    assert state_evolution.amp_width(50257, 126) <= 768


def test_pursuit_without_the_items_is_pursuit_with_them():
    found = pursuit.omp_probability(40, 120, 5, 300, np.random.default_rng(0), selection="dot")
    generator, right = np.random.default_rng(1), 0
    for _ in range(600):
        table = generator.standard_normal((120, 40))
        y, chosen = table[:5].sum(0), []
        residual = y
        for _ in range(5):
            scores = np.abs(table @ residual)
            scores[chosen] = -1
            chosen.append(int(scores.argmax()))
            basis = table[chosen].T
            residual = y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
        right += set(chosen) == set(range(5))
    assert found.value == pytest.approx(right / 600, abs=0.08)


def test_coherence():
    table = torch.randn(300, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    table /= table.norm(dim=1, keepdim=True)
    largest = float((table @ table.T).fill_diagonal_(0).abs().max())
    assert bounds.welch_bound(16, 300) < largest
    assert bounds.random_coherence(16, 300) == pytest.approx(largest, abs=0.06)
    assert bounds.certified_members(bounds.random_coherence(1024, 50257)) == 3
    assert bounds.welch_bound(16, 16) == 0.0


def test_solving_for_each():
    law = recovery_probability
    width = solve.width_for(50257, 20, 0.5, law)
    assert law(width, 50257, 20) >= 0.5 > law(width - 1, 50257, 20)
    items = solve.items_for(768, 20, 0.5, law)
    assert law(768, items, 20) >= 0.5 > law(768, items + 1, 20)
    assert solve.members_for(2, 10**6, 0.99, law) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recovery_probability(0, 10, 2), "expected a width of at least 1, was: 0"),
        (lambda: recovery_probability(8, 10, 11), "expected members between 1 and 10 items, was: 11"),
        (lambda: recovery_probability(8, 10, 2, noise=-1), "expected a noise variance of at least 0, was: -1"),
        (lambda: recovery_probability(8, 10, 2, goal="sett"), "expected a goal of set, slot, membership, was: sett"),
        (lambda: recovery_probability(8, (10, 4), 2), "expected members=1, one item of each of 2 codebooks, was: 2"),
        (lambda: simulate(8, 10, 2, code="signs"), "expected a code of gauss, sphere, sign, was: signs"),
        (lambda: recovery(8, 10, 2, code="signs"), "expected a code of gauss, sphere, sign, was: signs"),
        (lambda: classic_integral(8, 10, 2, code="x"), "expected a code of gauss, sphere, sign, was: x"),
        (lambda: simulate(8, 10, 2, trials=1), "expected at least 2 trials, was: 1"),
        (lambda: pursuit.omp_probability(8, 10, 2, 1, np.random.default_rng(0)), "expected at least 2 trials, was: 1"),
        (lambda: information.noisy_width(10, 2, 0.0), "expected a noise above 0 .*, was: 0"),
        (lambda: bounds.certified_members(0.0), "expected a coherence above 0 and at most 1, was: 0.0"),
        (lambda: bounds.welch_bound(4, 1), "expected at least 2 items, was: 1"),
        (lambda: solve.width_for(10, 2, 1.0, recovery_probability), "expected a probability between 0 and 1, was: 1.0"),
        (lambda: bits.bits_available(8, "fp31"), "expected a number format of .*, was: fp31"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
