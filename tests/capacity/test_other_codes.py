"""Codes of equal length: the law against simulators with exact tails and against whole codebooks."""

import numpy as np
import pytest
import torch

from locant.capacity.exact import recovery_probability
from locant.capacity.other_codes import recovery, score_step
from locant.capacity.simulate import simulate
from locant.capacity.sphere import sphere_probability


def simulated(sizes, code, noise, trials):
    return simulate(*sizes, code=code, noise=noise, trials=trials, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("sizes", "noise", "tolerance"),
    [
        ((8, 20, 1), 1.0, 0.001),
        ((40, 10**6, 1), 3.0, 0.001),
        ((8, 20, 2), 0.0, 0.001),
        ((24, 1000, 2), 0.5, 0.001),
        ((46, 1000, 3), 0.0, 0.021),
        ((24, 64, 3), 1.0, 0.021),
        ((44, 64, 4), 0.0, 0.011),
        ((20, 30, 5), 0.0, 0.005),
        ((128, 4096, 6), 0.0, 0.005),
        ((512, 4096, 16), 0.0, 0.005),
        ((512, 4096, 13), 3.0, 0.005),
    ],
)
def test_sphere(sizes, noise, tolerance):
    found = simulated(sizes, "sphere", noise, 8000 if sizes[0] < 200 else 2000)
    value = sphere_probability(*sizes, noise=noise)
    assert found.low - tolerance < value < found.high + tolerance


@pytest.mark.parametrize(
    ("sizes", "noise"), [((46, 1000, 3), 0.0), ((44, 64, 4), 0.0), ((128, 4096, 6), 0.0), ((100, 10**5, 4), 2.0)]
)
def test_signs(sizes, noise):
    found = simulated(sizes, "sign", noise, 4000)
    assert found.low - 0.02 < recovery(*sizes, code="sign", noise=noise) < found.high + 0.02


def test_scores_of_an_even_number_of_signs_lie_four_apart():
    generator = np.random.default_rng(0)
    for members, step in ((2, 4), (3, 2), (4, 4), (5, 2)):
        signs = generator.integers(0, 2, (400, 20)) * 2 - 1
        scores = signs @ signs[:members].sum(0)
        assert np.gcd.reduce(scores - scores[0]) == step
        assert score_step(members, "sign", 0.0) == step
    assert score_step(4, "sign", 0.1) == score_step(4, "sphere", 0.0) == 0.0


def test_whole_codebooks_on_the_sphere():
    generator, right, trials = np.random.default_rng(1), 0, 2500
    for _ in range(trials):
        table = generator.standard_normal((60, 30))
        table *= np.sqrt(30) / np.linalg.norm(table, axis=1, keepdims=True)
        scores = table @ (table[:4].sum(0) + generator.standard_normal(30))
        right += scores[:4].min() > scores[4:].max()
    assert recovery(30, 60, 4, code="sphere", noise=1.0) == pytest.approx(right / trials, abs=0.045)


def test_equal_lengths_help_and_matter_less_and_less():
    gains = [
        recovery(*sizes, code="sphere") - recovery_probability(*sizes)
        for sizes in ((128, 4096, 6), (512, 4096, 16), (4096, 50257, 90))
    ]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] > 0


def test_monotone_and_ends():
    widths = [recovery(width, 1000, 5, code="sphere") for width in (3, 10, 40, 80, 160, 320)]
    noises = [recovery(120, 1000, 5, code="sphere", noise=noise) for noise in (0.0, 0.1, 1.0, 5.0, 50.0)]
    members = [recovery(120, 1000, count, code="sphere") for count in (1, 2, 3, 4, 5, 8, 16, 60)]
    assert widths == sorted(widths)
    assert noises == sorted(noises, reverse=True)
    assert members == sorted(members, reverse=True)
    assert recovery(5, 8, 8, code="sphere") == 1.0
    assert 0 < recovery(1, 4, 2, code="sign") < 0.2
    assert recovery(60, 200, 2, code="gauss") == recovery_probability(60, 200, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recovery(8, 10, 2, code="signs"), "gauss, sphere, sign, was: signs"),
        (lambda: recovery(8, 10, 12, code="sphere"), "members between 1 and 10"),
        (lambda: sphere_probability(2, 10, 2), "a width of at least 3, was: 2"),
        (lambda: sphere_probability(8, 10, 2, noise=-1.0), "noise variance"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
