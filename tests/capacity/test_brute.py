"""Brute force against the exact law, the simulators and plain loops, in chunks, with any table."""

import math
from itertools import combinations

import pytest
import torch

from locant.capacity import books
from locant.capacity.books import drawn_book, seeded, supports
from locant.capacity.brute import brute_force
from locant.capacity.estimate import Estimate
from locant.capacity.exact import recovery_probability
from locant.capacity.membership import membership_probability
from locant.capacity.simulate import simulate


def near(found: Estimate, value: float) -> bool:
    """Within twice the half-width of the 95 % interval."""
    return abs(found.value - value) < found.high - found.low


@pytest.mark.parametrize("noise", [0.0, 1.5])
@pytest.mark.parametrize(
    ("items", "members", "goal"),
    [
        (900, 2, "set"),
        (900, 3, "set"),
        ((900, 50), 1, "set"),
        ((900, 50), 1, "slot"),
        (300, 3, "slot"),
        ((80, 60, 40), 1, "set"),
        (900, 2, "membership"),
    ],
)
def test_gaussian_codes_follow_the_law(items, members, goal, noise):
    law, threshold = recovery_probability(40, items, members, noise=noise, goal=goal), None
    if goal == "membership":
        law, threshold = membership_probability(40, items, members, noise=noise)
    found = brute_force(
        40, items, members, noise=noise, goal=goal, threshold=threshold, trials=4000, codebooks=20, rows=512
    )
    assert near(found, law)
    assert found.low < found.value < found.high
    assert (found.trials, found.method) == (4000, "brute force")


@pytest.mark.parametrize("code", ["sphere", "sign"])
@pytest.mark.parametrize("form", [None, "int3", "1bit"])
def test_other_codes_and_formats_follow_their_simulators(code, form):
    """Where ties of sign codes count: a simulator without them is off by 0.06 at one bit."""
    found = brute_force(32, 100, 3, code=code, format_name=form, trials=6000, codebooks=24)
    assert 0.05 < found.value < 0.95
    assert near(found, simulate(32, 100, 3, code=code, format_name=form, trials=4000).value)


def test_running_sums_follow_their_simulator():
    for way in (False, True):
        found = brute_force(128, 1000, 12, format_name="e5m2", accumulate=way, trials=3000)
        assert near(found, simulate(128, 1000, 12, format_name="e5m2", accumulate=way, trials=3000).value)
    pair = brute_force(24, (100, 20), format_name="e5m2", accumulate=True, trials=3000)
    assert near(pair, simulate(24, (100, 20), format_name="e5m2", accumulate=True, trials=3000).value)


@pytest.mark.parametrize("goal", ["set", "membership"])
def test_a_table_against_plain_loops(goal):
    """All pairs of a small table are summed and scored one by one; brute force must find the same share."""
    table = torch.randn(14, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    right = []
    for first in range(14):
        for second in range(first):
            total = [table[first][c].item() + table[second][c].item() for c in range(12)]
            scores = [sum(row[c].item() * total[c] for c in range(12)) for row in table]
            others = [scores[j] for j in range(14) if j not in (first, second)]
            least, most = min(scores[first], scores[second]), max(others)
            right.append(least > most if goal == "set" else least > 7.2 > most)
    share = sum(right) / len(right)
    assert 0.05 < share < 0.9
    threshold = 0.6 if goal == "membership" else None
    assert near(brute_force(table, members=2, goal=goal, threshold=threshold, trials=6000), share)


@pytest.mark.parametrize("form", ["1bit", "int4", None])
def test_ties_of_sign_vectors_are_counted_in_whole_numbers(form):
    """Every triple of 13 sign vectors of width 11, by whole numbers; ties are common."""
    table = torch.randint(0, 2, (13, 11), generator=torch.Generator().manual_seed(2)) * 2 - 1
    won, tied = 0, 0
    for chosen in combinations(range(13), 3):
        total = table[list(chosen)].sum(0)  # -3, -1, 1 or 3, never 0
        if form == "1bit":
            total = total.sign()
        if form == "int4":
            total = (total * (7 / total.abs().max())).round().long()
        scores = (table @ total).tolist()
        least = min(scores[index] for index in chosen)
        most = max(score for index, score in enumerate(scores) if index not in chosen)
        won, tied = won + (least > most), tied + (least == most)
    sets = math.comb(13, 3)
    assert tied > 0.1 * sets
    found = brute_force(table.float(), members=3, format_name=form, trials=20_000)
    assert found.value == pytest.approx(won / sets, abs=0.01)


def test_tables_against_plain_loops():
    generator = torch.Generator().manual_seed(4)
    tokens, positions = (torch.randn(size, 5, generator=generator) for size in (12, 7))
    right = []
    for t in tokens:
        for p in positions:
            ways = [int((tokens @ (t + p)).argmax()), int((positions @ (t + p)).argmax())]
            right.append(bool((tokens[ways[0]] == t).all() and (positions[ways[1]] == p).all()))
    assert near(brute_force([tokens, positions], trials=6000), sum(right) / len(right))


def test_chunks_change_nothing():
    table = torch.randn(700, 32, generator=torch.Generator().manual_seed(0))
    assert len({brute_force(table, members=3, trials=1500, rows=rows).value for rows in (50, 333, 700, 5000)}) == 1


def test_codebooks_that_are_drawn_again_are_those_that_were_kept(monkeypatch):
    kept = brute_force(32, (700, 90), trials=400, rows=100, format_name="e4m3", accumulate=True)
    monkeypatch.setattr(books, "HELD", 0)
    again = brute_force(32, (700, 90), trials=400, rows=100, format_name="e4m3", accumulate=True)
    assert kept == again
    book = drawn_book("gauss", 250, 8, 100, (3, 1))
    assert [(start, len(part)) for start, part in book.chunks()] == [(0, 100), (100, 100), (200, 50)]
    assert torch.equal(book.chunk(1), book.chunk(1))
    assert not torch.equal(book.chunk(0), book.chunk(1))


def test_the_seed_decides():
    assert brute_force(24, 200, 3, seed=1) == brute_force(24, 200, 3, seed=1) != brute_force(24, 200, 3, seed=2)
    drawn = {float(torch.rand((), generator=seeded(*key))) for key in [(0,), (1,), (0, 1), (1, 0), (0, 1, 1)]}
    assert len(drawn) == 5


def test_few_trials_leave_no_codebook_empty():
    assert brute_force(8, 20, 2, trials=3, codebooks=8).trials == 3


def test_orthogonal_table_gives_everything_back_and_equal_rows_nothing():
    assert brute_force(torch.eye(64), members=30, trials=200).value == 1.0
    assert brute_force(torch.ones(64, 4), members=3, trials=200).value == 0.0
    assert brute_force(torch.ones(5, 4), members=5, trials=20).value == 1.0


def test_rounding_to_one_bit_costs():
    table = torch.randn(500, 64, generator=torch.Generator().manual_seed(1))
    exact, rounded = (brute_force(table, members=2, trials=1000, format_name=name).value for name in (None, "1bit"))
    assert rounded < exact - 0.05


@pytest.mark.parametrize(("items", "members"), [(20, 20), (20, 3), (10**12, 4), (17, 1), (4096, 425)])
def test_supports_are_sets(items, members):
    chosen = supports(50, items, members, torch.Generator().manual_seed(0))
    assert all(len(set(row.tolist())) == members for row in chosen)
    assert chosen.min() >= 0
    assert chosen.max() < items


def test_every_set_is_as_likely_as_any_other():
    chosen = supports(60_000, 6, 3, torch.Generator().manual_seed(0)).sort(dim=1).values
    _, counts = torch.unique(chosen, dim=0, return_counts=True)
    assert len(counts) == math.comb(6, 3)
    assert float(((counts - 3000) ** 2 / 3000).sum()) < 43.8  # chi-squared with 19 degrees of freedom, 0.1 %


NAN = torch.full((4, 4), torch.nan)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: brute_force(8, 10, 11), "expected members between 1 and 10 items, was: 11"),
        (lambda: brute_force(8), "expected a number of items beside the width, was: None"),
        (lambda: brute_force(8, 10, 2, codebooks=1), "expected at least 2 codebooks, was: 1"),
        (lambda: brute_force(8, 10, 2, code="x"), "expected a code of gauss, sphere, sign, was: x"),
        (lambda: brute_force(8, 10, 2, format_name="x"), "expected a number format of .*, was: x"),
        (lambda: brute_force(8, 10, 2, accumulate=True), "expected a format to accumulate in, was: None"),
        (lambda: brute_force(8, 10, 2, goal="x"), "expected a goal of set, slot, membership, was: x"),
        (lambda: brute_force(8, 10, 2, goal="membership"), "expected a threshold for goal membership"),
        (lambda: brute_force(8, 10, 2, trials=0), "expected at least 1 trial, codebook and row, was: 0, 8, 1024"),
        (lambda: brute_force(NAN, members=2), r"expected a finite table .*, was: \[4, 4\]"),
        (lambda: brute_force(torch.ones(4), members=2), r"expected a finite table .*, was: \[4\]"),
        (lambda: brute_force(torch.ones(4, 2), 4), "expected no number of items beside a table, was: 4"),
        (lambda: brute_force(torch.ones(4, 2), members=2, goal="slot"), "expected a table for each slot, was: 1"),
        (lambda: brute_force([torch.ones(4, 2), torch.ones(4, 3)]), "expected tables of one width, was: 2 and 3"),
        (lambda: brute_force([]), "expected at least one table, was: none"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
