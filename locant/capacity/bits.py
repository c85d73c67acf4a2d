"""Counting: bits that must be told apart, bits that a vector has, and the pigeonhole between them."""

import math
from collections.abc import Sequence

from locant.capacity.check import check_members, check_one_of_each, check_width
from locant.capacity.formats import number_format


def bits_needed(items: int | Sequence[int], members: int = 1, *, ordered: bool = False) -> float:
    """Bits that name one sum: ``log2 C(V, K)`` for a set of one codebook, ``sum log2 V_i`` for one item of each.

    items: V, or a sequence of codebook sizes of which one item each is added (`members` is 1 then).
    ordered: K items whose order counts, ``K log2 V``.
    Raises ValueError for sizes out of range.
    """
    if isinstance(items, Sequence):
        check_one_of_each(items, members)
        return math.fsum(math.log2(size) for size in items)
    if ordered:
        if items < 1 or members < 1:
            raise ValueError(f"expected at least 1 item and 1 member, was: {items} and {members}")
        return members * math.log2(items)
    check_members(items, members)
    return log2_choose(items, members)


def log2_choose(items: int, members: int) -> float:
    """``log2 C(V, K)``: exact below 10^4 bits; beyond by Stirling's series with differences taken before logarithms.

    Log-gamma itself would lose all digits after the point at 10^12 items. Good to 1e-9 bits and 15 digits.
    """
    few = min(members, items - members)
    if few * math.log2(max(items, 2)) < 1e4:
        return math.log2(math.comb(items, few))
    rest = items - few
    entropy = few * math.log(items / few) - rest * math.log1p(-few / items)
    spread = 0.5 * math.log(items / (2 * math.pi * few * rest))
    return (entropy + spread + (1 / items - 1 / few - 1 / rest) / 12) / math.log(2)


def bits_available(width: int, format_name: str) -> float:
    """``width log2 M`` with M the count of finite values of the format: no code can tell more sums apart.

    Raises ValueError for a width below 1 or an unknown format.
    """
    check_width(width)
    return width * math.log2(number_format(format_name).finite_values)


def pigeonhole_width(items: int | Sequence[int], members: int, format_name: str) -> int:
    """The fewest numbers of a format that can hold all sums apart, ``ceil(bits needed / log2 M)``, at least 1."""
    each = math.log2(number_format(format_name).finite_values)
    needed = bits_needed(items, members)
    return max(1, math.ceil(needed / each - 1e-12))


def pigeonhole_members(width: int, items: int, format_name: str) -> int:
    """The most members of which all sets can have different sums: the largest K with ``log2 C(V, K) <= width log2 M``.

    Counted up to K = V/2, beyond which sets become fewer again; if they fit all, V is returned.
    """
    available = bits_available(width, format_name)
    low, high = 0, items // 2
    if high == 0 or log2_choose(items, high) <= available:
        return items
    while high - low > 1:
        middle = (low + high) // 2
        if log2_choose(items, middle) <= available:
            low = middle
        else:
            high = middle
    return low


def sign_counting_members(width: int, items: int) -> int:
    """The most members that a random sign code can hold, best decoder, no noise: ``log2 C(V, K) <= d H(Bin(K, 1/2))``.

    A sum of K signs takes few values, ``H`` is their entropy in bits. Source: the counting threshold of quantitative
    group testing (Scarlett and Cevher 2017; Gebhard et al. 2019). An asymptotic law: at 64 items and 4 members it says
    9.5 coordinates, and 10.1 were measured.
    """
    check_width(width)
    low, high = 0, items // 2
    while high - low > 1:
        middle = (low + high) // 2
        if log2_choose(items, middle) <= width * binomial_entropy(middle):
            low = middle
        else:
            high = middle
    return low


def binomial_entropy(count: int) -> float:
    """Entropy of Bin(count, 1/2) in bits; beyond 2000 by ``log2(pi e K / 2) / 2``, right to 1e-4."""
    if count > 2000:
        return 0.5 * math.log2(math.pi * math.e * count / 2)
    total = 0.0
    for hits in range(count + 1):
        log_p = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1) - count * math.log(2)
        total -= math.exp(log_p) * log_p
    return total / math.log(2)
