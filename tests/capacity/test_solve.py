"""Solving for each unknown: the answer holds, its neighbour does not, and laws that turn round are refused."""

import pytest

from locant.capacity.exact import recovery_probability
from locant.capacity.formats import FORMATS
from locant.capacity.solve import format_for, items_for, members_for, width_for


def slots(width, items, members):
    return recovery_probability(width, items, members, goal="slot")


@pytest.mark.parametrize("probability", [0.01, 0.5, 0.99])
def test_each_unknown_is_at_its_edge(probability):
    width, items, members = 200, 5000, 4
    found = members_for(width, items, probability, recovery_probability)
    assert recovery_probability(width, items, found) >= probability > recovery_probability(width, items, found + 1)
    found = width_for(items, members, probability, recovery_probability)
    assert recovery_probability(found, items, members) >= probability > recovery_probability(found - 1, items, members)
    found = items_for(100, members, probability, recovery_probability)
    assert recovery_probability(100, found, members) >= probability > recovery_probability(100, found + 1, members)


def test_every_cell_of_the_table_of_limits():
    """45 cells of half and 99 % limits; a few of them published."""
    widths, sizes = (64, 128, 256, 512, 768, 1024, 2048, 4096, 8192), (256, 4096, 32768, 50257, 10**6)
    table = {
        (width, items): tuple(members_for(width, items, level, recovery_probability) for level in (0.5, 0.99))
        for width in widths
        for items in sizes
    }
    assert table[768, 50257] == (20, 13)
    assert table[1024, 50257][0] == 26
    assert table[8192, 50257][0] == 172
    assert all(table[cell][0] >= table[cell][1] for cell in table)
    assert all(table[width, 10**6][0] <= table[width, 4096][0] for width in widths)


def test_ends():
    assert members_for(1, 10**6, 0.99, recovery_probability) == 0
    assert members_for(100_000, 100, 0.99, recovery_probability) == 50
    assert items_for(1, 3, 0.999999, recovery_probability) == 3
    assert members_for(64, 2, 0.5, slots, most=1000) > 20
    assert width_for(1, 1, 0.5, recovery_probability) == 1


def test_the_format_of_fewest_bits():
    assert format_for(0.5, lambda name: float(FORMATS[name].bits >= 4)) == "int4"
    assert format_for(0.5, lambda name: float(FORMATS[name].finite_values > 247)) == "e4m3"
    sums = 50257 * 1024
    assert format_for(0.5, lambda name: float(FORMATS[name].finite_values >= sums)) == "fp32"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: members_for(9, 9, 0.0, recovery_probability), "between 0 and 1, was: 0.0"),
        (lambda: members_for(9, 9, 0.5, recovery_probability, most=0), "at least 1 member to search, was: 0"),
        (lambda: items_for(9, 9, 1.5, recovery_probability), "between 0 and 1, was: 1.5"),
        (lambda: width_for(9, 2, 0.5, lambda *sizes: 0.1), "that some width reaches, was: 0.5"),
        (lambda: format_for(0.5, lambda name: 0.1), "that some number format reaches, was: 0.5"),
        (lambda: format_for(2.0, lambda name: 0.1), "between 0 and 1, was: 2.0"),
        (
            lambda: members_for(9, 100, 0.5, lambda width, items, members: 0.6 if members == 1 else 0.9),
            "expected a law that falls with members, was: 0.6 at 1 and 0.9 at",
        ),
        (
            lambda: width_for(9, 2, 0.5, lambda width, items, members: 0.4 if width == 1 else 0.1 if width < 9 else 1),
            "expected a law that rises with width, was: 0.4 at 1 and 0.1 at 2",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
