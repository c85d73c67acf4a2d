"""Any one of width, items, members, format and probability from the others, by bisection of a law."""

from collections.abc import Callable

from locant.capacity.check import check_probability

Law = Callable[[int, int, int], float]
"""``(width, items, members) -> probability``; rising in the width, falling in items and members."""
FURTHEST = 1 << 62


def members_for(width: int, items: int, probability: float, law: Law) -> int:
    """The most members with ``law >= probability``; 0 if one is too many already.

    Sets of more than half of the items are not searched: there is then less to tell apart again, and laws turn.
    Raises ValueError for a probability outside (0, 1).
    """
    check_probability(probability)
    return _last(lambda members: law(width, items, members) >= probability, max(1, items // 2))


def width_for(items: int, members: int, probability: float, law: Law) -> int:
    """The fewest coordinates with ``law >= probability``. Raises ValueError if 2^30 are too few."""
    check_probability(probability)
    low, high = 0, 1
    while law(high, items, members) < probability:
        low, high = high, 2 * high
        if high > 1 << 30:
            raise ValueError(f"expected a probability that some width reaches, was: {probability}")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if law(middle, items, members) >= probability else (middle, high)
    return high


def items_for(width: int, members: int, probability: float, law: Law) -> int:
    """The most items with ``law >= probability``, at least `members`, at most 2^62."""
    check_probability(probability)
    return max(members, _last(lambda items: items <= members or law(width, items, members) >= probability, FURTHEST))


def _last(holds: Callable[[int], bool], largest: int) -> int:
    """The largest number up to `largest` for which a condition holds that fails from some number on; 0 if none."""
    if not holds(1):
        return 0
    low, high = 1, 2
    while high <= largest and holds(high):
        low, high = high, 2 * high
    high = min(high, largest + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
