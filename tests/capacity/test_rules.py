"""Rules, bounds and exact small laws against enumeration, linear programmes and their published figures."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import linprog

from locant.capacity.bits import log2_choose
from locant.capacity.exact import recovery_probability
from locant.capacity.membership import membership_probability
from locant.capacity.rules import (
    RULES,
    box_probability,
    compare_rules,
    johnson_lindenstrauss_width,
    lasso_width,
    threshold_width,
    union_bound,
)


def test_rules_beside_the_laws():
    found = {error.rule.name: (error.predicted, error.actual) for error in compare_rules(1024, 50257)}
    assert found == {"2 K ln V": (47, 26), "2 K (√ln(V-K) + √ln K)²": (20, 26), "2 K ln(V/K)": (79, 179)}


def test_a_rule_turned_round():
    for rule in RULES:
        members = rule.members(500, 10_000)
        assert rule.width(10_000, members) <= 500 < rule.width(10_000, members + 1)
    assert RULES[0].members(1, 100) == 0


def test_the_box_has_one_solution_as_often_as_the_binomial_says():
    assert [box_probability(width, 40) for width in (16, 20, 24)] == pytest.approx([0.0998, 0.5, 0.9002], abs=1e-4)
    generator, alone, trials = np.random.default_rng(0), 0, 150
    for _ in range(trials):
        table = generator.standard_normal((10, 5)).T
        hidden = generator.integers(0, 2, 10)
        # Any other solution moves against the hidden vector inside of the box.
        away = np.where(hidden == 1, -1.0, 1.0)
        answer = linprog(-away, A_eq=table, b_eq=table @ hidden, bounds=(0, 1), method="highs")
        alone += -answer.fun - away @ hidden < 1e-7
    expected = box_probability(5, 10)
    assert abs(alone / trials - expected) < 4 * math.sqrt(expected * (1 - expected) / trials)
    assert box_probability(10, 10) == 1.0


def best_decoder_fails(width, items, members, noise, trials, generator):
    """How often some other set explains the sum as well as the true one or better, by trying all of them."""
    sets = np.array(list(combinations(range(items), members)))
    failures = 0
    for _ in range(trials):
        if noise == 0:
            table, error = generator.integers(0, 2, (items, width)) * 2 - 1, np.zeros(width)
        else:
            table, error = generator.standard_normal((items, width)), generator.standard_normal(width)
        distance = ((table[sets].sum(1) - table[:members].sum(0) - math.sqrt(noise) * error) ** 2).sum(1)
        failures += distance[1:].min() <= distance[0] + 1e-9
    return failures / trials


@pytest.mark.parametrize(("sizes", "noise"), [((9, 10, 3), 0.0), ((12, 12, 2), 0.0), ((14, 10, 3), 0.5)])
def test_the_best_decoder_fails_at_most_as_often_as_the_union_bound(sizes, noise):
    measured = best_decoder_fails(*sizes, noise, 800, np.random.default_rng(1))
    bound = union_bound(*sizes, noise)
    assert measured - 0.03 < bound < 1
    assert bound < 6 * measured + 0.02  # and it is no empty promise


def test_union_bound_at_its_ends():
    assert union_bound(1, 1000, 10) == 1.0
    assert union_bound(5, 7, 7) == 0.0
    assert union_bound(4096, 50257, 20) < 1e-100


def test_plates_rule_is_near_the_law_of_a_threshold():
    width = threshold_width(4096, 8, 0.01)
    assert width == pytest.approx(542, abs=0.5)
    assert 1 - membership_probability(round(width), 4096, 8)[0] < 0.01
    assert 1 - recovery_probability(round(width), 4096, 8) < 1e-4


def test_distances_survive_in_the_width_of_johnson_and_lindenstrauss():
    width, points = math.ceil(johnson_lindenstrauss_width(60, 0.5)), 60
    generator = np.random.default_rng(2)
    high = generator.standard_normal((points, 400))
    low = high @ generator.standard_normal((400, width)) / math.sqrt(width)
    first, second = np.triu_indices(points, 1)
    ratio = ((low[first] - low[second]) ** 2).sum(1) / ((high[first] - high[second]) ** 2).sum(1)
    assert ratio.min() > 0.5
    assert ratio.max() < 1.5


def test_lasso_width():
    assert lasso_width(50257, 10) == pytest.approx(20 * math.log(50247))
    assert lasso_width(5, 5) == 1.0


@pytest.mark.parametrize(("items", "members"), [(50257, 2000), (100_000, 30_000), (10**9, 700)])
def test_choices_by_stirling_are_the_exact_ones(items, members):
    exact = math.comb(items, members)
    shift = exact.bit_length() - 60
    assert log2_choose(items, members) == pytest.approx(math.log2(exact >> shift) + shift, abs=1e-8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare_rules(10, 1), "at least 2 items, was: 1"),
        (lambda: compare_rules(0, 10), "a width of at least 1"),
        (lambda: threshold_width(10, 2, 0.0), "probability between 0 and 1"),
        (lambda: johnson_lindenstrauss_width(1, 0.5), "at least 2 points, was: 1"),
        (lambda: johnson_lindenstrauss_width(9, 1.0), "distortion between 0 and 1, was: 1.0"),
        (lambda: box_probability(3, 0), "at least 1 item"),
        (lambda: union_bound(3, 4, 5), "members between 1 and 4"),
        (lambda: union_bound(3, 4, 2, -1.0), "noise variance"),
        (lambda: lasso_width(3, 4), "members between 1 and 3"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
