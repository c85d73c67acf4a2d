"""Associative recall: looking up what was paired with a key."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from locant.lab.tasks.base import (
    NO_TARGET,
    Batch,
    at_least,
    draw,
    expected_largest_counts,
    upper_half,
)


@dataclass(frozen=True)
class Recall:
    """Pairs of a key and a value, then keys again, each of which asks for its value and is followed by it.

    No key is told two values. Rows of one length first tell from half of P up to P pairs, P = (length + 1) // 4 but at
    most `keys`; questions drawn from the told pairs fill the rest. Minimum length: 3. Slices: `pairs`, those told.
    A longer row thus holds more questions, not more pairs: a small model learns 8 keys within some hundred steps, but
    not 32. Chance: always answering the most frequent value of the told pairs.
    """

    keys: int = 8
    values: int = 16
    name: ClassVar[str] = "recall"
    description: ClassVar[str] = (
        "Answer a key with the value that followed it earlier, which needs to know what stood one place later and "
        "nothing else about position."
    )

    def __post_init__(self) -> None:
        at_least(1, self.keys, "a number of keys")
        at_least(2, self.values, "a number of values")

    @property
    def vocabulary(self) -> int:
        """Keys come first, values after them."""
        return self.keys + self.values

    def chance(self, length: int) -> float:
        pairs = self._pairs(length)
        asked = [(length + 1) // 2 - count for count in pairs]
        largest = expected_largest_counts(pairs, self.values)
        right = sum(questions * most / count for questions, most, count in zip(asked, largest, pairs, strict=True))
        return right / sum(asked)

    def batch(self, size: int, length: int, generator: torch.Generator) -> Batch:
        choices = self._pairs(length)
        pairs = draw(choices, size, generator)
        keys = torch.rand(size, self.keys, generator=generator).argsort(dim=1)[:, : choices[-1]]
        values = self.keys + torch.randint(self.values, keys.shape, generator=generator)
        turn = torch.arange((length + 1) // 2).expand(size, -1)
        told = turn < pairs[:, None]
        share = torch.rand(turn.shape, generator=generator, dtype=torch.float64)
        pair = torch.where(told, turn, (share * pairs[:, None]).long())
        key, value = keys.gather(1, pair), values.gather(1, pair)
        tokens = torch.stack([key, value], dim=2).flatten(1)[:, :length]
        targets = torch.stack([torch.where(told, NO_TARGET, value), torch.full_like(value, NO_TARGET)], dim=2)
        return Batch(tokens, targets.flatten(1)[:, :length], {"pairs": pairs})

    def _pairs(self, length: int) -> range:
        at_least(3, length, "a length")
        return upper_half(min((length + 1) // 4, self.keys))
