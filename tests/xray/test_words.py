"""M8 and M9: cards and rankings whose values are known, formulas by plain loops and by peers."""

import math

import pytest
import torch
from torch import Tensor

from locant.xray.moments import moments
from locant.xray.ranking import static_ranking, turning
from locant.xray.words import auc, population, word_card, word_metrics


def noise(rows: int, width: int, seed: int) -> Tensor:
    return torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def circle(count: int, width: int) -> Tensor:
    angles = torch.arange(count).double() * 2 * math.pi / count
    rows = torch.zeros(count, width).double()
    rows[:, 0], rows[:, 1] = angles.cos(), angles.sin()
    return rows


def test_the_card_is_that_of_plain_loops() -> None:
    w, p = noise(9, 4, 0), 0.4 * noise(6, 4, 1)
    card = word_card(w, p, {"cat": 2, "dog": 7})
    unit = torch.nn.functional.normalize(w[:, None] + p, dim=2)
    within = [float(unit[2, a] @ unit[2, b]) for a in range(6) for b in range(6) if a != b]
    between = [float(unit[2, a] @ unit[7, b]) for a in range(6) for b in range(6)]
    assert card.within["cat"] == pytest.approx((min(within), sum(within) / 30))
    assert card.between["cat", "dog"] == pytest.approx((max(between), sum(between) / 36))
    least = min(card.within["cat"][0], card.within["dog"][0])
    assert card.margin == pytest.approx(least - max(between))
    assert card.strict == (card.margin > 0)


def test_position_0_may_be_what_makes_a_card_not_strict() -> None:
    w, p = 3 * torch.eye(4).double(), 0.1 * noise(8, 4, 1)
    p[0] = torch.tensor([-9.0, 9, 0, 0])
    words = {"cat": 0, "dog": 1}
    assert word_card(w, p, words).strict is False
    assert word_card(w, p[1:], words).strict is True
    found = word_metrics(word_card(w, p[1:], words))
    assert found["words_margin"].value == pytest.approx(found["words_within"].value - found["words_between"].value)
    assert found["words_margin"].note == "strict"


def test_one_word_has_no_margin() -> None:
    card = word_card(noise(3, 4, 0), noise(3, 4, 1), {"cat": 0})
    assert card.strict is None
    assert word_metrics(card)["words_margin"].note == "a single word was given"


def test_what_the_model_does_to_the_sum_is_applied() -> None:
    w, p = noise(5, 4, 0), noise(6, 4, 1)
    card = word_card(w, p, {"cat": 0, "dog": 1}, finish=lambda sums: sums * 0 + torch.ones(4))
    assert card.within["cat"] == pytest.approx((1, 1))
    assert card.strict is False


@pytest.mark.parametrize(
    ("words", "count", "message"),
    [
        ({}, 4, "expected at least one word, was: none"),
        ({"cat": 5}, 4, "expected an id below 5 for 'cat', was: 5"),
        ({"cat": 1, "Cat": 1}, 4, r"expected words of different ids, was: \[1, 1\]"),
        ({"cat": 1}, 1, "expected at least 2 positions, was: 1"),
    ],
)
def test_card_refusals(words: dict[str, int], count: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        word_card(noise(5, 3, 0), noise(count, 3, 1), words)


def test_auc_is_the_share_of_pairs_with_ties_counting_half() -> None:
    high, low = noise(40, 1, 0)[:, 0].mul(2).round() + 1, noise(30, 1, 1)[:, 0].mul(2).round()
    pairs = [(1.0 if a > b else 0.5 if a == b else 0.0) for a in high for b in low]
    assert auc(high, low).value == pytest.approx(sum(pairs) / 1200)


def test_delongs_interval_covers() -> None:
    """P(a > b) = Phi(1 / sqrt 2) for a about 1 and b about 0, of deviation 1: inside of 95 % of the intervals."""
    truth, inside = float(torch.special.ndtr(torch.tensor(0.5**0.5))), 0
    for seed in range(300):
        found = auc(noise(60, 1, seed)[:, 0] + 1, noise(80, 1, 1000 + seed)[:, 0])
        inside += found.interval[0] < truth < found.interval[1]
    assert 0.91 < inside / 300 < 0.98


def test_population_of_far_tokens_and_small_positions() -> None:
    w, p = 100 * torch.eye(40).double(), 0.1 * noise(12, 40, 0)
    a, b = moments(w), moments(p)
    found = population(w, p, a, b, pairs=500)
    assert found["auc"].value == 1
    assert found["auc"].interval == (1 - 3 / 500, 1.0)
    assert found["dprime"].value > 100
    assert found["ratio"].value == pytest.approx(a.total / b.total)
    assert [found[f"beyond_{name}"].value for name in ("step", "rms", "diameter")] == [1, 1, 1]


def test_population_of_near_tokens_and_large_positions() -> None:
    w, p = 0.01 * noise(40, 6, 0), noise(12, 6, 1)
    found = population(w, p, moments(w), moments(p), pairs=2000)
    assert found["auc"].interval[0] < 0.52
    assert [found[f"beyond_{name}"].value for name in ("step", "rms", "diameter")] == [0, 0, 0]


def test_lengths_and_nearest_tokens_are_those_of_plain_loops() -> None:
    w, p = noise(30, 3, 0), 0.5 * noise(9, 3, 1)
    found = population(w, p, moments(w), moments(p), pairs=10, neighbours=30)
    nearest = torch.tensor([min(float((w[i] - w[j]).norm()) for j in range(30) if j != i) for i in range(30)])
    steps = [float((p[i + 1] - p[i]).norm()) for i in range(8)]
    every = [float((a - b).square().sum()) for a in p for b in p]
    for name, length in (
        ("step", sum(steps) / 8),
        ("rms", math.sqrt(sum(every) / 81)),
        ("diameter", math.sqrt(max(every))),
    ):
        assert found[f"beyond_{name}"].value == pytest.approx(float((nearest > length).double().mean()))
        assert f"{length:.4g}" in found[f"beyond_{name}"].note


def test_population_refusals_and_equal_positions() -> None:
    w, p = noise(5, 3, 0), torch.ones(4, 3).double()
    assert population(w, p, moments(w), moments(p))["ratio"].note == "all positions are equal"
    with pytest.raises(ValueError, match="expected 2 rows or more and 2 pairs, was: 5, 4 and 1"):
        population(w, p, moments(w), moments(p), pairs=1)


def test_without_positions_nothing_turns() -> None:
    torch.testing.assert_close(turning(noise(7, 5, 0), torch.zeros(6, 5)), torch.zeros(7).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("centre", [True, False])
def test_positions_on_a_circle_turn_a_token_of_zero_entirely(centre: bool) -> None:
    found = turning(torch.zeros(3, 6), circle(12, 6), centre=centre)
    torch.testing.assert_close(found, torch.ones(3).double(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("centre", [True, False])
def test_turning_is_that_of_plain_loops(centre: bool) -> None:
    w, p = noise(7, 5, 0), noise(6, 5, 1)
    for v in range(7):
        sums = w[v] + p
        normed = torch.nn.functional.layer_norm(sums, (5,), eps=0) if centre else sums
        expected = 1 - float(torch.nn.functional.normalize(normed, dim=1).mean(0).square().sum())
        assert float(turning(w, p, centre=centre)[v]) == pytest.approx(expected, abs=1e-10)


def test_the_ranking_finds_what_is_turned_beyond_its_length() -> None:
    """All tokens about equally long; orthogonal to the circle D is 1 - 1/(1 + 1), and within it 1 - 4/pi^2."""
    w, p = noise(200, 8, 0), circle(40, 8)
    w[:, :2] = 0
    w = torch.nn.functional.normalize(w, dim=1)
    w *= 1 + 0.01 * torch.rand(200, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w[50] = torch.tensor([1.005] + [0] * 7).double()
    found = static_ranking(w, p, centre=False, ids=torch.arange(1000, 1200), top=3)
    assert found.metrics["static_reliability"].value > 0.9
    assert found.most[0] == (1050, pytest.approx(1 - 4 / math.pi**2, abs=0.05))
    assert found.most[1][1] == pytest.approx(0.5, abs=0.01)
    assert len(found.most) == len(found.least) == 3
    assert found.metrics["static"].value == pytest.approx(float(turning(w, p, centre=False).mean()))


def test_an_unreliable_ranking_is_refused() -> None:
    """Even positions turn one half of the tokens and odd ones the other."""
    w, p = noise(100, 50, 0).abs() * 0.05 + torch.eye(50).double().repeat(2, 1), torch.zeros(40, 50).double()
    p[::2, :25], p[1::2, 25:] = 3 * noise(20, 25, 1), 3 * noise(20, 25, 2)
    found = static_ranking(w, p, centre=False)
    assert found.metrics["static_reliability"].value < 0.5
    assert found.metrics["static_reliability"].note == "below 0.5: no ranking"
    assert found.most == found.least == ()


def test_spearman_is_scipys() -> None:
    from scipy.stats import spearmanr

    w, p = noise(60, 5, 0).round(), noise(30, 5, 1)
    found = static_ranking(w, p, centre=False).metrics["static_norm"].value
    assert found == pytest.approx(spearmanr(turning(w, p, centre=False), w.norm(dim=1)).statistic, abs=1e-9)


def test_few_or_equal_tokens_have_no_ranking() -> None:
    few = static_ranking(noise(9, 4, 0), noise(30, 4, 1)).metrics["static"].note
    assert few == "expected at least 10 tokens and positions, was: 9 and 30"
    equal = static_ranking(torch.ones(12, 4), noise(30, 4, 1), centre=False).metrics["static_reliability"].note
    assert equal == "all tokens are turned alike, or are equally long"
