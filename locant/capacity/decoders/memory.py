"""How much working memory a decoder takes, and how much it may do at a time within a bound."""

from typing import Literal, get_args

Iterative = Literal["successive", "beam", "omp", "amp", "vamp"]


def score_rows(batch: int, members: int, memory: int, itemsize: int = 4) -> int:
    """Rows of a table to score at a time against `batch` sums so that the scores take at most `memory` bytes.

    A row takes ``batch`` scores, once more within topk, and the best so far ``4 batch members`` numbers and places.

    Raises:
        ValueError: if not even one row fits; the message names the memory that one needs.
    """
    fixed = batch * members * 2 * (itemsize + 8)
    row = 2 * batch * itemsize
    if fixed + row > memory:
        raise ValueError(_too_little(memory, fixed + row, f"{batch} sums at a time; decode fewer at a time"))
    return (memory - fixed) // row


def iterative_bytes(
    decoder: Iterative, width: int, items: int, members: int, *, beam: int = 8, itemsize: int = 4
) -> tuple[int, int]:
    """Bytes of working memory: what is taken once, and what is taken for each sum, tables and sums not counted.

    successive ``3V + 2d``; beam ``3B(V + d) + 4B²K + B⁴``; omp ``3V + 2(K+1)d``; amp ``6V + 3d``, and one copy of the
    table; vamp ``8V + 3d``, and the singular vectors with two copies of the table and two in float64.

    Raises:
        ValueError: for an unknown decoder or a beam below 1.
    """
    if beam < 1:
        raise ValueError(f"expected a beam of at least 1, was: {beam}")
    table = width * items * itemsize
    numbers = {
        "successive": (items, 3 * items + 2 * width),
        "beam": (items, 3 * beam * (items + width) + 4 * beam**2 * members + beam**4),
        "omp": (items, 3 * items + (2 * members + 2) * width),
        "amp": (items + table // itemsize, 6 * items + 3 * width),
        "vamp": (
            items + (2 * table + 3 * width * width * 8 + 2 * 8 * width * items) // itemsize,
            8 * items + 3 * width,
        ),
    }
    if decoder not in numbers:
        raise ValueError(f"expected a decoder of {', '.join(get_args(Iterative))}, was: {decoder}")
    once, each = numbers[decoder]
    return once * itemsize, each * itemsize


def sums_at_a_time(
    decoder: Iterative, width: int, items: int, members: int, memory: int, *, beam: int = 8, itemsize: int = 4
) -> int:
    """How many sums to decode at a time within `memory` bytes.

    Raises:
        ValueError: if not even one fits; the message names the memory that one needs.
    """
    once, each = iterative_bytes(decoder, width, items, members, beam=beam, itemsize=itemsize)
    if once + each > memory:
        raise ValueError(_too_little(memory, once + each, f"one sum by {decoder} against {items:,} rows"))
    return (memory - once) // each


def _too_little(memory: int, need: int, what: str) -> str:
    return f"expected at least {need / 2**20:,.1f} MiB of memory for {what}, was: {memory / 2**20:,.1f} MiB"
