"""Any one of width, items, members, format and probability from the others, by bisection of a law."""

from collections.abc import Callable
from itertools import pairwise

from locant.capacity.check import check_probability
from locant.capacity.formats import FORMATS

Law = Callable[[int, int, int], float]
"""``(width, items, members) -> probability``; rising in the width, falling in items and members."""
FURTHEST = 1 << 62
WIDEST = 1 << 30
SLACK = 0.02  # by which a sampled law may turn round between two sizes


def members_for(width: int, items: int, probability: float, law: Law, *, most: int | None = None) -> int:
    """The most members with ``law >= probability``; 0 if one is too many already.

    Sets of more than half of the items are not searched: there is then less to tell apart again, and laws turn. Where
    members are slots, one of each codebook, say with `most` how many to search.
    Raises ValueError for a probability outside (0, 1), `most` below 1, or a law that does not fall with members.
    """
    check_probability(probability)
    most = max(1, items // 2) if most is None else most
    if most < 1:
        raise ValueError(f"expected at least 1 member to search, was: {most}")
    return _last(lambda members: law(width, items, members), probability, 1, most, "members")


def width_for(items: int, members: int, probability: float, law: Law) -> int:
    """The fewest coordinates with ``law >= probability``.

    Raises ValueError if 2^30 are too few, for a probability outside (0, 1), or a law that does not rise with the width.
    """
    check_probability(probability)
    seen: dict[int, float] = {}
    low, high = 0, 1
    while _at(seen, high, lambda width: law(width, items, members)) < probability:
        low, high = high, 2 * high
        if high > WIDEST:
            raise ValueError(f"expected a probability that some width reaches, was: {probability}")
    while high - low > 1:
        middle = (low + high) // 2
        enough = _at(seen, middle, lambda width: law(width, items, members)) >= probability
        low, high = (low, middle) if enough else (middle, high)
    _check_monotone(seen, "width", rising=True)
    return high


def items_for(width: int, members: int, probability: float, law: Law) -> int:
    """The most items with ``law >= probability``, at least `members`, at most 2^62.

    Raises ValueError for a probability outside (0, 1), or a law that does not fall with items.
    """
    check_probability(probability)
    found = _last(lambda items: law(width, items, members), probability, members + 1, FURTHEST, "items")
    return max(members, found)


def format_for(probability: float, law: Callable[[str], float]) -> str:
    """The number format of the fewest bits, by name, with ``law(name) >= probability``.

    Raises ValueError for a probability outside (0, 1), or if no format reaches it.
    """
    check_probability(probability)
    for name in sorted(FORMATS, key=lambda name: (FORMATS[name].bits, FORMATS[name].finite_values)):
        if law(name) >= probability:
            return name
    raise ValueError(f"expected a probability that some number format reaches, was: {probability}")


def _last(law: Callable[[int], float], probability: float, first: int, largest: int, what: str) -> int:
    """The largest size from `first` to `largest` with ``law(size) >= probability``, doubling first; 0 if none."""
    seen: dict[int, float] = {}
    if largest < first or _at(seen, first, law) < probability:
        return 0
    low, high = first, 2 * first
    while high <= largest and _at(seen, high, law) >= probability:
        low, high = high, 2 * high
    high = min(high, largest + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _at(seen, middle, law) >= probability else (low, middle)
    _check_monotone(seen, what, rising=False)
    return low


def _at(seen: dict[int, float], size: int, law: Callable[[int], float]) -> float:
    seen[size] = law(size)
    return seen[size]


def _check_monotone(seen: dict[int, float], what: str, *, rising: bool) -> None:
    """Bisection finds a crossing of any law; it is *the* crossing only if the law moves one way."""
    sizes = sorted(seen)
    for left, right in pairwise(sizes):
        change = seen[right] - seen[left]
        if (change < -SLACK) if rising else (change > SLACK):
            way = "rises" if rising else "falls"
            found = f"{seen[left]:.3g} at {left} and {seen[right]:.3g} at {right}"
            raise ValueError(f"expected a law that {way} with {what}, was: {found}")
