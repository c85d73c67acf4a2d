"""Naming the symbol at an absolute position."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from locant.lab.tasks.base import NO_TARGET, Batch, at_least, expected_largest_counts

BANDS = 4


@dataclass(frozen=True)
class WhatAtIndex:
    """A random string, then questions: tokens that each name an index of the string and ask for the symbol there.

    The first half of a row (rounded down) is the string, the rest questions. Token `symbols + i` asks for index i.
    Indices that exist at a length: 0 up to min(length // 2, indices) - 1. A longer row asks nothing new: a question
    whose token was never trained has no answer under any encoding, so with `indices` at most half of the training
    length every question at 2 and 4 times that length has been met, over a longer string and from places further on.
    Minimum length: 2.

    Slices: `index`, the first index of the quarter of the existing indices that all questions of the row come from.
    Chance: always answering the most frequent of the symbols that can be asked for.
    """

    symbols: int = 16
    indices: int = 32
    name: ClassVar[str] = "what_at_index"
    description: ClassVar[str] = (
        "Name the symbol that stood at an index, counted from the start of the row, which needs absolute positions."
    )

    def __post_init__(self) -> None:
        at_least(2, self.symbols, "a number of symbols")
        at_least(1, self.indices, "a number of indices")

    @property
    def vocabulary(self) -> int:
        """Symbols come first, indices after them."""
        return self.symbols + self.indices

    def chance(self, length: int) -> float:
        existing = self._existing(length)
        return expected_largest_counts([existing], self.symbols)[0] / existing

    def batch(self, size: int, length: int, generator: torch.Generator) -> Batch:
        existing = self._existing(length)
        strings = torch.randint(self.symbols, (size, length // 2), generator=generator)
        bands = min(BANDS, existing)
        bounds = torch.arange(bands + 1) * existing // bands
        band = torch.bucketize(torch.randint(existing, (size,), generator=generator), bounds, right=True) - 1
        first, stop = bounds[band], bounds[band + 1]
        share = torch.rand(size, length - length // 2, generator=generator, dtype=torch.float64)
        questions = first[:, None] + (share * (stop - first)[:, None]).long()
        answers = strings.gather(1, questions)
        targets = torch.cat([torch.full_like(strings, NO_TARGET), answers], dim=1)
        return Batch(torch.cat([strings, self.symbols + questions], dim=1), targets, {"index": first})

    def _existing(self, length: int) -> int:
        at_least(2, length, "a length")
        return min(length // 2, self.indices)
