"""One number for all: designed codes decode, random ones follow their law, knapsacks fall where they should."""

import os
import sys
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locant.capacity.one_number import digits, fp32_code, subset_sum, weights, zipping


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=6), st.data())
def test_digits_there_and_back(sizes, data):
    choice = tuple(data.draw(st.integers(0, size - 1)) for size in sizes)
    assert digits.split(digits.join(choice, sizes), sizes) == choice


@given(st.sets(st.integers(0, 300)))
def test_powers_of_two_there_and_back(members):
    assert digits.number_to_set(digits.set_to_number(sorted(members))) == sorted(members)


def test_whole_numbers_waste_the_exponent():
    assert digits.distinct_integers((50257, 1024)) == 29_643_009
    assert digits.distinct_integers((50257, 1024), centred=True) == 42_508_801
    assert digits.distinct_integers((50257, 1024), "float64") == 50257 * 1024


def test_random_weights_follow_their_law():
    """The published points of 4 of 64, and counting by sets instead of arrays."""
    drawn = [weights.random_sums(64, 4, (1e-4, 1e-5, 1e-6, 1e-7), np.random.default_rng(seed)) for seed in range(3)]
    for points, known in zip(zip(*drawn, strict=True), (0.154, 0.672, 0.957, 0.9955), strict=True):
        assert points[0].best_law == pytest.approx(known, abs=0.002)
        assert np.mean([point.best for point in points]) == pytest.approx(points[0].best_law, abs=0.05)
        assert np.mean([point.unique for point in points]) == pytest.approx(points[0].unique_law, abs=0.05)


@pytest.mark.parametrize("members", [1, 2, 5])
def test_random_weights_by_plain_counting(members):
    (point,) = weights.random_sums(9, members, [0.1], np.random.default_rng(4))
    drawn = np.random.default_rng(4).standard_normal(9)
    cells = Counter(round(sum(drawn[list(chosen)]) / 0.1) for chosen in combinations(range(9), members))
    sets = sum(cells.values())
    assert point.best == pytest.approx(len(cells) / sets)
    assert point.unique == pytest.approx(sum(count == 1 for count in cells.values()) / sets)


@pytest.mark.parametrize(("tokens", "positions"), [(3000, 1024), (1, 1), (500, 7), (40_000, 100), (2000, 2048)])
def test_one_fp32_number_for_token_and_position(tokens, positions):
    assert fp32_code.errors(tokens, positions) == (tokens * positions, 0)


def test_the_first_and_the_last_token_of_gpt_2():
    values = fp32_code.token_values(50257, 1024)
    assert (values[0], values[-1]) == (2048.0, 148480.25)
    assert len(np.unique(values)) == 50257


@pytest.mark.slow
def test_all_sums_of_gpt_2_in_one_fp32_number():
    assert fp32_code.errors(50257, 1024) == (51_463_168, 0)


def knapsacks(count: int, bits: int) -> list[tuple[list[int], list[int]]]:
    """Ten drawn knapsacks: weights of so many bits, and half of them as members."""
    generator, made = np.random.default_rng(0), []
    for _ in range(10):
        drawn = [int.from_bytes(generator.bytes(bits // 8), "big") + 1 for _ in range(count)]
        made.append((drawn, sorted(generator.permutation(count)[: count // 2].tolist())))
    return made


def solved(count: int, bits: int, orders: int = 8) -> int:
    cases = knapsacks(count, bits)
    return sum(subset_sum.solve(w, sum(w[index] for index in s), orders=orders) == s for w, s in cases)


def test_sparse_knapsacks_are_solved_and_dense_ones_are_not():
    assert solved(12, 56) == 10
    assert solved(60, 120) == 10 > solved(60, 120, orders=1)
    assert solved(30, 16) < 5  # 155 million sets of 15 for two million sums: hardly ever the one that was meant
    assert subset_sum.density([1 << 60] * 12) == pytest.approx(0.2)


def test_members_are_found_at_the_ends_and_nothing_where_there_is_nothing():
    large, _ = knapsacks(10, 48)[0]
    assert subset_sum.solve(large, large[7]) == [7]
    assert subset_sum.solve(large, sum(large)) == list(range(10))
    assert subset_sum.solve(large, sum(large) + 1) is None
    assert subset_sum.solve([5], 5) == [0]


def test_without_the_lattice_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(ModuleNotFoundError, match=r"expected python-flint .*, was: not installed"):
        subset_sum.solve([3, 5], 8)


@pytest.mark.parametrize("method", sorted(zipping.METHODS))
def test_a_zip_of_a_zip_is_no_shorter(method):
    text = (os.__doc__ or "").encode() * 3
    sizes = zipping.again(text, method, 3)
    assert sizes[1] < sizes[0]
    assert sizes[2] > 0.95 * sizes[1]
    assert sizes[3] > sizes[2]


def test_few_strings_are_compressible():
    assert zipping.compressible_share(1) == 1.0
    assert zipping.compressible_share(11) == 2**-10
    # Enumerated: of the 256 strings of 8 bits, a code for the shorter ones can shorten by 3 bits at most 63.
    assert sum(2**length for length in range(6)) / 256 < zipping.compressible_share(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: digits.join((5,), (4,)), "expected an item between 0 and 3, was: 5"),
        (lambda: digits.join((5,), (4, 3)), "expected one item of each of 2 codebooks, was: 1"),
        (lambda: digits.split(12, (4, 3)), "expected a number between 0 and 11, was: 12"),
        (lambda: digits.set_to_number([1, 1]), r"expected different members of at least 0, was: \[1, 1\]"),
        (lambda: digits.number_to_set(-1), "expected a sum of at least 0, was: -1"),
        (lambda: digits.distinct_integers((1 << 20, 1 << 20)), "expected two codebooks with at most 2.28 sums"),
        (lambda: weights.random_sums(100, 9, [0.1], np.random.default_rng(0)), "expected at most 10.7 sets"),
        (lambda: weights.random_sums(9, 2, [0.0], np.random.default_rng(0)), r"expected positive steps, was: \[0.0\]"),
        (lambda: weights.random_sums(9, 10, [0.1], np.random.default_rng(0)), "expected members between 1 and 9 items"),
        (lambda: fp32_code.token_values(98_305, 1024), "expected at most 98304 tokens for 1024 positions .*: 98305"),
        (lambda: fp32_code.decode(np.zeros(2), 4), "expected fp32 sums, was: float64"),
        (lambda: subset_sum.solve([0, 2], 2), r"expected whole weights of at least 1, was: \[0, 2\]"),
        (lambda: subset_sum.solve([1, 2], 2, orders=0), "expected at least 1 order to try, was: 0"),
        (lambda: zipping.again(b""), "expected data and at least 1 round, was: 0 bytes, 4 rounds"),
        (lambda: zipping.again(b"a", "rar"), "expected a method of zlib, bz2, lzma, was: rar"),
        (lambda: zipping.compressible_share(0), "expected at least 1 bit, was: 0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
