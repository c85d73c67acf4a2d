"""What coherence certifies for every set, next to what is true of almost every set."""

import math

from scipy import special

from locant.capacity.check import check_width


def welch_bound(width: int, items: int) -> float:
    """The least possible largest ``|cosine|`` of `items` unit vectors: ``sqrt((V - d) / (d (V - 1)))``, 0 if V <= d.

    Source: Welch 1974. Raises ValueError for a width below 1 or fewer than 2 items.
    """
    _check(width, items)
    return math.sqrt((items - width) / (width * (items - 1))) if items > width else 0.0


def random_coherence(width: int, items: int) -> float:
    """The median of the largest ``|cosine|`` of `items` random directions, pairs taken as independent.

    ``P(|cos| > c)`` is a Beta tail, and the median solves ``V (V - 1) / 2 P = ln 2``. About ``sqrt(4 ln V / d)``.
    Raises ValueError for a width below 2 or fewer than 2 items.
    """
    _check(width, items)
    if width < 2:
        raise ValueError(f"expected a width of at least 2, was: {width}")
    tail = min(1.0, math.log(2) / (items * (items - 1) / 2))
    return math.sqrt(1 - float(special.betaincinv((width - 1) / 2, 0.5, tail)))


def certified_members(coherence: float) -> int:
    """The most members that dot products, OMP and basis pursuit recover for *every* set: ``K < (1 + 1 / mu) / 2``.

    Source: Tropp 2004, theorem 3.5. Far below what holds for almost every set: at width 1024 and 50257 items it
    certifies 3, where dot products recover 26 half of the time. Raises ValueError for a coherence outside (0, 1].
    """
    if not 0 < coherence <= 1:
        raise ValueError(f"expected a coherence above 0 and at most 1, was: {coherence}")
    return max(1, math.ceil((1 + 1 / coherence) / 2) - 1)


def _check(width: int, items: int) -> None:
    check_width(width)
    if items < 2:
        raise ValueError(f"expected at least 2 items, was: {items}")
