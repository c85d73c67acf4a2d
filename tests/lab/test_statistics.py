"""Verdicts against scipy, hand computations, brute force and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from locant.lab.statistics import holm, interval, paired, ranks

SAMPLES = st.lists(st.floats(-1, 1).map(lambda value: round(value, 6)), min_size=2, max_size=8)
MARGINS = st.floats(0, 1)
OPPOSITE = {"better": "worse", "worse": "better", "equivalent": "equivalent", "undecided": "undecided"}


def judge(differences, comparisons=1, margin=0.0, better="lower", confidence=0.95):
    return paired(differences, comparisons=comparisons, margin=margin, better=better, confidence=confidence)


@pytest.mark.parametrize("comparisons", [1, 4])
@pytest.mark.parametrize("count", [2, 3, 5, 12])
def test_interval_is_the_one_of_the_one_sample_t_test(count, comparisons):
    sample = np.random.default_rng(count).normal(0.3, 1.0, count)
    expected = stats.ttest_1samp(sample, 0).confidence_interval(1 - 0.05 / comparisons)
    verdict = judge(sample.tolist(), comparisons)
    assert verdict.difference == pytest.approx(sample.mean())
    assert verdict.interval == pytest.approx((expected.low, expected.high), rel=1e-9)


@pytest.mark.parametrize("count", [2, 5])
def test_interval_of_one_comparison_by_itself(count):
    sample = np.random.default_rng(count).normal(0.3, 1.0, count)
    expected = stats.ttest_1samp(sample, 0).confidence_interval(0.9)
    assert interval(sample.tolist(), 0.9) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert interval([0.1 + 0.2] * count) == (0.1 + 0.2, 0.1 + 0.2)
    with pytest.raises(ValueError, match="expected at least 2 differences, was: 1"):
        interval([0.3])


@pytest.mark.parametrize("count", [3, 5])
def test_coverage_is_nominal(count):
    trials, truth = 2000, 0.7
    samples = np.random.default_rng(7 + count).normal(truth, 2.0, (trials, count))
    # The half-width is a multiple of the standard deviation that only depends on the count: read it off one verdict.
    low, high = judge(samples[0].tolist()).interval
    factor = (high - low) / 2 / samples[0].std(ddof=1)
    covered = np.abs(samples.mean(1) - truth) <= factor * samples.std(1, ddof=1)
    for sample, inside in zip(samples[:50], covered, strict=False):
        low, high = judge(sample.tolist()).interval
        assert (low <= truth <= high) == inside
    assert abs(covered.mean() - 0.95) < 4 * math.sqrt(0.95 * 0.05 / trials)


@pytest.mark.parametrize("comparisons", [3, 7])
def test_family_wise_error_is_at_most_five_percent(comparisons):
    trials, count = 600, 4
    generator = np.random.default_rng(comparisons)
    results = generator.normal(size=(trials, comparisons + 1, count))
    wrong = 0
    for trial in results - results[:, :1]:
        wrong += any(judge(row.tolist(), comparisons).verdict in ("better", "worse") for row in trial[1:])
    assert wrong / trials < 0.05 + 3 * math.sqrt(0.05 * 0.95 / trials)
    assert wrong > 0


def test_equivalence_is_two_one_sided_tests_by_hand():
    sample = [0.01, -0.02, 0.015, 0.005, -0.01]
    mean, deviation = 0.0, math.sqrt((0.01**2 + 0.02**2 + 0.015**2 + 0.005**2 + 0.01**2) / 4)
    edge = abs(mean) + 2.131846786 * deviation / math.sqrt(5)  # 95 % quantile of t with 4 degrees of freedom
    assert judge(sample, margin=edge * 1.001).verdict == "equivalent"
    assert judge(sample, margin=edge * 0.999).verdict == "undecided"
    above = stats.ttest_1samp(sample, -edge, alternative="greater").pvalue
    below = stats.ttest_1samp(sample, edge, alternative="less").pvalue
    assert max(above, below) == pytest.approx(0.05, rel=1e-6)
    assert judge(sample, comparisons=5, margin=edge * 1.001).verdict == "undecided"


def test_real_but_tiny_difference_is_equivalent():
    sample = [0.0040, 0.0041, 0.0042]
    assert judge(sample, margin=0.01).verdict == "equivalent"
    assert judge(sample, margin=0.001).verdict == "worse"
    assert judge(sample, margin=0.001, better="higher").verdict == "better"


@pytest.mark.parametrize(("mean", "deviation", "margin"), [(0.1, 0.3, 0.0), (0.02, 0.3, 0.1), (0.3, 0.5, 0.2)])
@pytest.mark.parametrize("comparisons", [1, 3])
def test_more_seeds_by_brute_force(mean, deviation, margin, comparisons):
    count = 4
    sample = mean + deviation * np.array([-1.0, -1.0, 1.0, 1.0]) * math.sqrt(3 / 4)
    verdict = judge(sample.tolist(), comparisons, margin)
    assert verdict.verdict == "undecided"

    def decided(seeds):
        error, level = deviation / math.sqrt(seeds), 0.05 / comparisons
        away = abs(mean) / error > stats.t.ppf(1 - level / 2, seeds - 1)
        near = (margin - abs(mean)) / error >= stats.t.ppf(1 - level, seeds - 1)
        return away or near

    assert verdict.more_seeds == next(more for more in range(1, 1001) if decided(count + more))


def test_more_seeds_is_not_proposed_when_hopeless():
    assert judge([-1.0, 1.0]).more_seeds is None
    assert judge([-1.0, 1.0001], margin=0.001).more_seeds is None


def test_one_seed_is_undecided():
    verdict = judge([0.5], margin=1.0)
    assert (verdict.difference, verdict.interval, verdict.verdict, verdict.more_seeds) == (0.5, None, "undecided", None)


@pytest.mark.parametrize(("value", "expected"), [(0.0, "equivalent"), (0.1, "worse"), (-0.1, "better")])
def test_equal_differences_have_an_interval_of_width_zero(value, expected):
    verdict = judge([value] * 3)
    assert verdict.interval == (value, value)
    assert verdict.verdict == expected


@given(SAMPLES, MARGINS, st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_sign_flip_swaps_better_and_worse(sample, margin, comparisons):
    here = judge(sample, comparisons, margin)
    there = judge([-value for value in sample], comparisons, margin)
    assert there.verdict == OPPOSITE[here.verdict]
    assert there.more_seeds == here.more_seeds
    assert there.interval == pytest.approx((-here.interval[1], -here.interval[0]))
    assert judge(sample, comparisons, margin, "higher").verdict == OPPOSITE[here.verdict]


@given(SAMPLES, MARGINS, MARGINS)
@settings(max_examples=60, deadline=None)
def test_wider_margin_keeps_equivalence_and_never_unsettles(sample, margin, extra):
    here, there = judge(sample, margin=margin).verdict, judge(sample, margin=margin + extra).verdict
    assert there == "equivalent" or there == here


@given(SAMPLES, st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_more_comparisons_never_narrow_an_interval(sample, comparisons):
    one, many = judge(sample).interval, judge(sample, comparisons).interval
    assert many[0] <= one[0]
    assert one[1] <= many[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"differences": []}, "expected at least one difference, was: none"),
        ({"differences": [0.1, math.nan]}, "expected finite differences, was: nan"),
        ({"differences": [math.inf]}, "expected finite differences, was: inf"),
        ({"comparisons": 0}, "expected at least 1 comparison, was: 0"),
        ({"margin": -0.1}, "expected a finite margin of at least 0, was: -0.1"),
        ({"margin": math.inf}, "expected a finite margin of at least 0, was: inf"),
        ({"confidence": 1.0}, "expected a confidence between 0 and 1, was: 1.0"),
        ({"better": "bigger"}, "expected better to be lower or higher, was: bigger"),
    ],
)
def test_paired_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        judge(**({"differences": [0.1, 0.2]} | options))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"expected p-values between 0 and 1, was: 1\.5"):
        holm([0.5, 1.5])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_holm_rejects_what_the_step_down_rule_rejects(p_values):
    level, rejected = 0.05, set()
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if (len(p_values) - rank) * p_values[index] > level:
            break
        rejected.add(index)
    assert {index for index, value in enumerate(holm(p_values)) if value <= level} == rejected


def test_ranks():
    values = {"a": 2.0, "b": 1.0, "c": 2.0, "d": math.inf}
    assert ranks(values, "lower") == ["b", "a", "c", "d"]
    assert ranks(values, "higher") == ["d", "a", "c", "b"]
    with pytest.raises(ValueError, match="expected a number to rank for a, was: nan"):
        ranks({"a": math.nan}, "lower")
    with pytest.raises(ValueError, match="expected better to be lower or higher, was: up"):
        ranks(values, "up")
