"""The small measures on cases whose answer is known."""

import math

import pytest
import torch
from support import noise, perturbed

import locant
from locant.xray.logits import logit_split
from locant.xray.reach import reach_model
from locant.xray.tier3 import (
    Neurons,
    Slots,
    adjacency,
    favourites,
    identical_word,
    locality,
    positional_neurons,
    shrinking,
    symmetry,
)

T = 12


def slots(x: torch.Tensor) -> Slots:
    made = Slots(len(x))
    for start in range(0, len(x), 7):
        made.add(x[start : start + 7], slice(start, min(start + 7, len(x))))
    return made


def test_locality_of_known_attention() -> None:
    assert locality(torch.eye(T)[None]).value == 1
    previous = torch.zeros(1, T, T)
    previous[0, torch.arange(1, T), torch.arange(T - 1)] = 1
    previous[0, 0] = torch.nan
    found = locality(previous)
    assert (found.value, found.n) == (0.5, T - 1)
    uniform = torch.full((2, T, T), 1 / T)
    assert locality(uniform).value == pytest.approx(locality(uniform).baseline)
    assert locality(torch.full((1, T, T), torch.nan)).value is None


def test_symmetry_of_known_attention() -> None:
    distance = (torch.arange(T)[:, None] - torch.arange(T)).abs().float()
    assert symmetry((-distance)[None].softmax(-1)[:, 3:9, 3:9]).value > 0.9
    i, j = torch.arange(T)[:, None], torch.arange(T)
    assert symmetry((0.5 ** (i - j).abs().double())[None]).value == pytest.approx(1)
    onesided = torch.where(j > i, 1.0, 0.01)[None]
    assert symmetry(onesided).value == pytest.approx(0)
    assert "one side" in symmetry(torch.ones(1, T, T).tril()).note
    assert symmetry(torch.ones(1, T, T)).value is None


def test_one_word_repeated_leaves_position() -> None:
    model = perturbed(locant.decoder("alibi", width=16, heads=2, layers=2, length=32, vocabulary=20))
    sums = identical_word(reach_model(model), range(6), T)
    found = logit_split(sums[0])
    assert found["position"].value == pytest.approx(1)
    assert found["relative"].value == pytest.approx(1)
    blind = perturbed(locant.decoder("none", width=16, heads=2, layers=2, length=32, vocabulary=20))
    shares = logit_split(identical_word(reach_model(blind), range(6), T)[0])
    assert shares["position"].value is None or shares["position"].value < 1e-6
    attention = sums[0].mean_attention()
    assert locality(attention).value > locality(attention).baseline


def test_adjacency_of_walks_and_noise() -> None:
    walk = noise(30, T, 64).cumsum(1)
    assert adjacency(slots(walk)).value > 0.9
    found = adjacency(slots(noise(200, T, 16)))
    assert found.interval[0] < 0.5 < found.interval[1]
    assert adjacency(slots(torch.ones(4, T, 3))).value == 0.5


def test_means_of_all_before_shrink_as_one_over_m() -> None:
    running = noise(3000, T, 4).cumsum(1) / torch.arange(1, T + 1)[:, None]
    assert shrinking(slots(running)).value == pytest.approx(-1, abs=0.05)
    assert shrinking(slots(noise(3000, T, 4) + 5)).value == pytest.approx(0, abs=0.05)
    assert shrinking(slots(torch.ones(4, T, 3))).value is None
    running[:, 0] = 3.0  # the same special token in every text
    assert shrinking(slots(running)).value == pytest.approx(-1, abs=0.05)
    x = noise(9, T, 4)
    torch.testing.assert_close(slots(x).variances().float(), x.var(0).sum(-1))


def test_neurons_that_know_the_slot() -> None:
    x = noise(500, 8, 3, seed=1)
    x[..., 0] = torch.where(torch.arange(8) < 4, 1.0, -1.0)  # one bit
    x[..., 1] = 1.0  # always active: nothing
    neurons = Neurons()
    for start in range(0, 500, 100):
        neurons.add(x[start : start + 100], slice(start, start + 100))
    bits = neurons.information()
    assert float(bits[0]) == pytest.approx(1, abs=0.01)
    assert float(bits[1]) == 0
    assert abs(float(bits[2])) < 0.005
    assert positional_neurons(neurons).value == pytest.approx(1 / 3)
    assert positional_neurons(Neurons()).value is None


def test_information_of_noise_is_unbiased() -> None:
    values = []
    for seed in range(10):
        neurons = Neurons()
        neurons.add(noise(100, 8, 50, seed=seed), slice(0, 100))
        values.append(float(neurons.information().mean()))
    assert abs(sum(values) / 10) < 0.1 * 7 / (2 * 800 * math.log(2))


def test_favourites_by_blocks() -> None:
    positions, words = noise(5, 8), noise(100, 8, seed=1)
    expected = ((positions - positions.mean(0)) @ words.T).topk(3).indices
    assert torch.equal(favourites(positions, words, most=3, block=7), expected)
