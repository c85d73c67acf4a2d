"""Whole numbers as codes: digits for one item of each codebook, powers of two for sets of items."""

import math
from collections.abc import Sequence

import numpy as np

from locant.capacity.check import check_one_of_each

CHUNK = 1 << 20  # sums in memory at a time


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
    total = math.prod(sizes)
    first = -(total // 2) if centred else 0
    found, last = 0, None
    for start in range(first, first + total, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, first + total), dtype=np.int64).astype(dtype)
        found += int(np.count_nonzero(numbers[1:] != numbers[:-1])) + (last is None or bool(numbers[0] != last))
        last = numbers[-1]
    return found
