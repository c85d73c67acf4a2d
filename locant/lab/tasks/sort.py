"""Sorting a string."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from locant.lab.tasks.base import Batch, at_least, draw_strings, question_and_answer, string_lengths


@dataclass(frozen=True)
class Sort:
    """A random string with repetitions, a separator, and its symbols in ascending order.

    Rows of one length hold strings of length // 4 (rounded up) to length // 2 symbols, then filler. Minimum length: 2.
    Slices: `length`, the string's. Chance: the best guess from the string's length, the rank asked for and the answer
    before it, without the string; it rises with length, since the answers of a long string repeat one another.
    """

    symbols: int = 64
    name: ClassVar[str] = "sort"
    description: ClassVar[str] = (
        "Write a string's symbols in ascending order after a separator, which needs counts but no positions: "
        "a control for the other tasks."
    )

    def __post_init__(self) -> None:
        at_least(2, self.symbols, "a number of symbols")

    @property
    def vocabulary(self) -> int:
        return self.symbols + 2

    def chance(self, length: int) -> float:
        lengths = string_lengths(length)
        return sum(_expected_right(count, self.symbols) for count in lengths) / sum(lengths)

    def batch(self, size: int, length: int, generator: torch.Generator) -> Batch:
        strings, lengths = draw_strings(size, length, self.symbols, generator)
        unused = torch.arange(strings.shape[1]) >= lengths[:, None]
        answers = strings.masked_fill(unused, self.symbols).sort(dim=1).values
        return question_and_answer(strings, answers, lengths, length, self.symbols)


def _expected_right(count: int, symbols: int) -> float:
    """Returns the expected number of right answers per string of the best guess from rank and previous answer.

    With X(1) <= ... <= X(n) the sorted string over 0 .. m - 1, and j of its n symbols at most a, a among them:
    P(X(j) = a, X(j + 1) >= b) = C(n, j) ((a + 1)^j - a^j) (m - b)^(n - j) / m^n  for b > a.
    Its differences fall with b, so the best guess after a is a again or a + 1; the likeliest first answer is 0.
    """
    import numpy
    from scipy import special

    rank = numpy.arange(1, count)[:, None]
    choices = special.gammaln(count + 1) - special.gammaln(rank + 1) - special.gammaln(count - rank + 1)
    below, up_to = numpy.arange(symbols) / symbols, numpy.arange(1, symbols + 1) / symbols

    def next_at_least(share: numpy.ndarray) -> numpy.ndarray:
        rest = special.xlogy(count - rank, share)
        here = numpy.exp(choices + special.xlogy(rank, up_to) + rest)
        return here - numpy.exp(choices + special.xlogy(rank, below) + rest)

    larger = next_at_least(1 - up_to)
    one_larger = larger - next_at_least(numpy.maximum(1 - up_to - 1 / symbols, 0))
    reached = special.betainc(rank, count - rank + 1, up_to) - special.betainc(rank, count - rank + 1, below)
    first = 1 - (1 - 1 / symbols) ** count
    return float(first + numpy.maximum(reached - larger, one_larger).sum())
