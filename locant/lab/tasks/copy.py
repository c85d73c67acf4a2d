"""Copying a string."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from locant.lab.tasks.base import Batch, at_least, draw_strings, most_frequent_symbol, question_and_answer


@dataclass(frozen=True)
class Copy:
    """A random string, a separator, and the same string again.

    Rows of one length hold strings of length // 4 (rounded up) to length // 2 symbols, then filler. Minimum length: 2.
    Slices: `length`, the string's. Chance: always answering the string's most frequent symbol.
    """

    symbols: int = 16
    name: ClassVar[str] = "copy"
    description: ClassVar[str] = (
        "Reproduce a string after a separator, which needs the distance back to the string's same place, "
        "a distance that differs from row to row."
    )

    def __post_init__(self) -> None:
        at_least(2, self.symbols, "a number of symbols")

    @property
    def vocabulary(self) -> int:
        return self.symbols + 2

    def chance(self, length: int) -> float:
        return most_frequent_symbol(length, self.symbols)

    def batch(self, size: int, length: int, generator: torch.Generator) -> Batch:
        strings, lengths = draw_strings(size, length, self.symbols, generator)
        return question_and_answer(strings, strings, lengths, length, self.symbols)
