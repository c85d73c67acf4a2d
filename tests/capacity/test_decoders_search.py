"""Searches, least squares and the linear programme, against itertools and the laws that hold for them."""

import itertools
import math

import pytest
import torch
from capacity.sums import right, sets, table, trained
from scipy.stats import binom

from locant.capacity.decoders import amp, box, exhaustive, least_squares, meet_in_the_middle, subsets

F64 = torch.float64


@pytest.mark.parametrize(("items", "members"), [(1, 1), (6, 1), (6, 3), (6, 6), (9, 4), (12, 2), (5, 0)])
def test_subsets_are_all_sets_once(items: int, members: int) -> None:
    count = math.comb(items, members)
    found = subsets(items, members, 0, count)
    assert sorted(map(tuple, found.tolist())) == list(itertools.combinations(range(items), members))
    assert torch.equal(subsets(items, members, count // 2, count), found[count // 2 :])


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_exhaustive_search_finds_the_nearest_set(chunk: int) -> None:
    rows = trained(9, 3).double()
    sums = rows[sets(12, 9, 3)].sum(1) + 0.3 * table(12, 3, 5, F64)
    every = list(itertools.combinations(range(9), 3))
    for y, found in zip(sums, exhaustive(sums, rows, 3, chunk=chunk), strict=True):
        away = [float((y - rows[list(chosen)].sum(0)).square().sum()) for chosen in every]
        assert tuple(found.tolist()) == every[away.index(min(away))]


def test_it_needs_ten_dimensions_where_passing_needs_twelve() -> None:
    """Sign codes, V=64 and K=4: half of the sets at about d=10, a little above the counting bound of 9.49."""
    shares = []
    for width in (8, 12):
        rows = table(64, width).sign()
        expected = sets(60, 64, 4)
        sums = rows[expected].sum(1)
        found = exhaustive(sums, rows, 4, chunk=2**16)
        assert torch.equal(rows[found].sum(1), sums)  # it always finds a set of that sum
        shares.append(right(found, expected))
        assert right(amp(sums, rows, 4), expected) <= shares[-1]
    assert shares[0] < 0.5 < shares[1]


@pytest.mark.parametrize("members", [1, 2, 3, 4, 5])
def test_meeting_in_the_middle_finds_what_exhaustive_search_finds(members: int) -> None:
    rows = table(16, 2, dtype=F64)
    expected = sets(15, 16, members)
    sums = rows[expected].sum(1)
    assert torch.equal(meet_in_the_middle(sums, rows, members), expected)
    noisy = sums + 1e-3 * table(15, 2, 3, F64)
    assert torch.equal(meet_in_the_middle(noisy, rows, members, tolerance=0.5), exhaustive(noisy, rows, members))


def test_four_of_a_hundred_in_one_number() -> None:
    rows = table(100, 1, dtype=F64)
    expected = sets(5, 100, 4)
    assert torch.equal(meet_in_the_middle(rows[expected].sum(1), rows, 4), expected)
    coarse = table(100, 3)
    sums = coarse[expected].sum(1)
    assert torch.equal(meet_in_the_middle(sums, coarse, 4), expected)


def test_lattices_in_which_many_keys_are_equal() -> None:
    rows = table(24, 12, 1, F64).sign()
    expected = sets(10, 24, 4)
    found = meet_in_the_middle(rows[expected].sum(1), rows, 4)
    assert torch.equal(rows[found].sum(1), rows[expected].sum(1))


def test_least_squares_finds_any_number_of_independent_rows() -> None:
    rows = table(30, 32)
    for members in (1, 15, 29, 30):
        expected = sets(20, 30, members)
        assert torch.equal(least_squares(rows[expected].sum(1), rows, members), expected)


@pytest.mark.parametrize("width", [12, 14, 16])
def test_the_box_is_unique_as_often_as_coins_fall(width: int) -> None:
    """``P(Bin(V-1, 1/2) >= V-d)`` whatever the number of members; rounding to K members adds a few."""
    items, trials = 24, 80
    hits = 0.0
    for seed in range(trials):
        members = 9 + seed % 7
        rows = table(items, width, seed, F64)
        expected = sets(1, items, members, seed + 99)
        hits += right(box(rows[expected].sum(1), rows, members), expected)
    law = float(binom.sf(items - width - 1, items - 1, 0.5))
    error = 3 * math.sqrt(law * (1 - law) / trials)
    assert law - error < hits / trials < law + error + 0.05


def test_the_box_bears_rounding() -> None:
    rows = table(40, 32)
    expected = sets(5, 40, 20)
    assert torch.equal(box(rows[expected].sum(1).bfloat16(), rows, 20), expected)


BAD = [
    (lambda: exhaustive(table(2, 4), table(500, 4), 6), "at most 1,000,000,000 sets, was: 21,057,686,727,000"),
    (lambda: meet_in_the_middle(table(2, 4), table(900, 4), 5), "half sets within 1,024 MiB, was: "),
    (lambda: meet_in_the_middle(table(2, 4), table(9, 4), 3, tolerance=-1.0), "a tolerance of at least 0, was: -1.0"),
    (lambda: meet_in_the_middle(table(2, 4), table(9, 4), 3), "of every sum, was: a sum with none"),
    (lambda: least_squares(table(2, 4), table(5, 4), 2), "at most 4 rows, one for each column, was: 5"),
    (lambda: least_squares(table(2, 4), torch.ones(3, 4), 2), "expected independent rows, was: row"),
    (lambda: box(table(2, 4), table(5, 4), 6), "members between 1 and 5 items, was: 6"),
]


@pytest.mark.parametrize(("call", "words"), BAD)
def test_refusals(call, words: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        call()
    assert words in str(error.value)
