"""A decoder as a law of (width, items, members), and the noise that it faces."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch

from locant.capacity.bits import bits_needed
from locant.capacity.estimate import Estimate
from locant.capacity.formats import FORMATS, number_format
from locant.capacity.question import Question

Items = int | tuple[int, ...]


@dataclass(frozen=True)
class Law:
    """A decoder's probability as a function of width, items and members.

    `key` is its short name; `method` says how it is found. A law that is not `cheap` is simulated; `near` are cheap
    ones between whose limits its own may lie. `least` is the fewest members that the law is meant for, `most`
    the most that are simulated in a moment.
    """

    key: str
    decoder: str
    does: str
    source: str
    probability: Callable[[int, Items, int], Estimate]
    method: str = "formula"
    cheap: bool = True
    near: "tuple[Law, ...]" = ()
    least: int = 1
    most: float = math.inf

    def value(self, width: int, items: Items, members: int) -> float:
        """The probability alone, as the solvers want it."""
        return self.probability(width, items, members).value


def rounding_noise(name: str, width: int) -> float:
    """Variance that rounding to a format adds to each number of a Gaussian sum of variance 1, measured.

    Rounding is then treated as Gaussian noise, which is poor for int2 by absmax.
    """
    # The absmax of a row, and with it the noise, depends on the width, slowly.
    rough = 1 if number_format(name).dtype is not None else 1 << max(0, round(math.log2(width)))
    return _measured(name, min(rough, 1 << 16))


@lru_cache(maxsize=256)
def _measured(name: str, width: int) -> float:
    return max(0.0, FORMATS[name].noise(1, width=width))


def total_noise(question: Question, width: int, members: int) -> float:
    """The question's noise and that of its format, for a sum of so many members."""
    if question.code == "sign" and question.noise == 0 and _exact(question.number_format, members):
        return 0.0
    return question.noise + members * rounding_noise(question.number_format, width)


def _exact(name: str, members: int) -> bool:
    """Whether a format holds every whole number up to `members`, so that sums of signs are not rounded."""
    kind = number_format(name).dtype
    return kind is not None and members <= 2 / torch.finfo(kind).eps


def overflows(name: str, members: int) -> bool:
    """Whether sums of so many vectors exceed the largest value of a format now and then: six standard deviations."""
    kind = number_format(name)
    return kind.dtype is not None and 6 * math.sqrt(members) > kind.largest


def needed_bits(items: Items, members: int, goal: str) -> float:
    """Bits that name one sum: one item of each table, slots filled from one, or a set."""
    if isinstance(items, tuple):
        return bits_needed(items)
    return bits_needed(items, members, ordered=goal == "slot")
