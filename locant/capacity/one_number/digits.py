"""Whole numbers as codes: digits for one item of each codebook, powers of two for sets, random weights for chance."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from locant.capacity.check import check_members, check_one_of_each


def join(choice: Sequence[int], sizes: Sequence[int]) -> int:
    """One item of each codebook as one whole number: ``sum_l i_l prod_(m < l) V_m``. Token + 50257 position is this.

    Each codebook's code is its item times a constant, so the number *is* a sum of code values, and the shortest one:
    it needs ``log2 prod V`` bits. Raises ValueError for an item outside of its codebook.
    """
    check_one_of_each(sizes, 1)
    if len(choice) != len(sizes):
        raise ValueError(f"expected one item of each of {len(sizes)} codebooks, was: {len(choice)}")
    number, place = 0, 1
    for item, size in zip(choice, sizes, strict=True):
        if not 0 <= item < size:
            raise ValueError(f"expected an item between 0 and {size - 1}, was: {item}")
        number, place = number + item * place, place * size
    return number


def split(number: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """The inverse of `join`. Raises ValueError for a number that no choice gives."""
    if not 0 <= number < math.prod(sizes):
        raise ValueError(f"expected a number between 0 and {math.prod(sizes) - 1}, was: {number}")
    choice = []
    for size in sizes:
        number, item = divmod(number, size)
        choice.append(item)
    return tuple(choice)


def set_to_number(members: Sequence[int]) -> int:
    """A set as the sum of its weights ``2^j``: super-increasing, so every set of any size has its own sum, one bit an
    item. Raises ValueError for a negative or repeated member."""
    if len(set(members)) < len(members) or min(members, default=0) < 0:
        raise ValueError(f"expected different members of at least 0, was: {list(members)}")
    return sum(1 << member for member in members)


def number_to_set(number: int) -> list[int]:
    """The inverse of `set_to_number`: the sum is the bitmap."""
    if number < 0:
        raise ValueError(f"expected a sum of at least 0, was: {number}")
    return [bit for bit in range(number.bit_length()) if number >> bit & 1]


def distinct_integers(sizes: Sequence[int], dtype: str = "float32", centred: bool = False) -> int:
    """How many of the sums ``token + 50257 position`` (or any two sizes) stay different in a float type.

    Plain whole numbers waste the exponent: of 51,463,168 sums fp32 keeps 29,643,009 apart, centred on zero 42,508,801.
    Raises ValueError for other than two codebooks or more than 2^28 sums.
    """
    if len(sizes) != 2 or math.prod(sizes) > 1 << 28:
        raise ValueError(f"expected two codebooks with at most 2^28 sums, was: {tuple(sizes)}")
    start = -(math.prod(sizes) // 2) if centred else 0
    numbers = np.arange(start, start + math.prod(sizes), dtype=np.int64).astype(dtype)
    return int(1 + np.count_nonzero(np.diff(numbers)))


def random_weights(items: int, members: int, step: float, generator: np.random.Generator) -> tuple[float, float]:
    """``(measured, by the law)``: the probability that the best decoder names the set behind one rounded number.

    Weights are N(0, 1), the sum of `members` of them is rounded to a multiple of `step`, and all ``C(V, K)`` sets are
    enumerated: of the ``n`` sets in a cell the decoder names one, so cells over sets are right. The law is
    ``E (1 - exp(-l)) / l`` with ``l = C(V, K) step f(y)``, ``f`` the density of N(0, K).
    Raises ValueError for sizes out of range or more than 10^7 sets.
    """
    check_members(items, members)
    count = math.comb(items, members)
    if count > 10**7:
        raise ValueError(f"expected at most 10^7 sets to enumerate, was: {count}")
    weights = generator.standard_normal(items)
    chosen = np.fromiter(
        (index for each in combinations(range(items), members) for index in each), dtype=np.int32, count=count * members
    )
    sums = weights[chosen.reshape(count, members)].sum(1)
    cells = len(np.unique(np.rint(sums / step)))
    y = math.sqrt(members) * generator.standard_normal(100_000)
    rate = count * step * np.exp(-(y**2) / (2 * members)) / math.sqrt(2 * math.pi * members)
    return cells / count, float(np.mean(-np.expm1(-rate) / np.maximum(rate, 1e-300)))
