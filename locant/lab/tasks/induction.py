"""Induction: repeating what followed the last time."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from locant.lab.tasks.base import NO_TARGET, Batch, at_least


@dataclass(frozen=True)
class Induction:
    """Random text in which every token asks what followed the token's previous occurrence.

    A first occurrence asks nothing. Minimum length: symbols + 1, from which on every row repeats a symbol. Slices:
    `distance`, the mean distance back to the previous occurrence in the row, rounded. Chance: 1 / symbols.
    """

    symbols: int = 16
    name: ClassVar[str] = "induction"
    description: ClassVar[str] = (
        "Repeat what followed the previous occurrence of the current symbol, which needs the token one place later "
        "and which of several occurrences is the latest."
    )

    def __post_init__(self) -> None:
        at_least(2, self.symbols, "a number of symbols")

    @property
    def vocabulary(self) -> int:
        return self.symbols

    def chance(self, length: int) -> float:
        at_least(self.symbols + 1, length, "a length")
        return 1 / self.symbols

    def batch(self, size: int, length: int, generator: torch.Generator) -> Batch:
        at_least(self.symbols + 1, length, "a length")
        tokens = torch.randint(self.symbols, (size, length), generator=generator)
        place = torch.arange(length).expand(size, length)
        seen = torch.full((size, self.symbols, length), -1)
        seen.scatter_(1, tokens[:, None], place[:, None])
        latest = seen.cummax(dim=2).values
        before = torch.cat([torch.full((size, self.symbols, 1), -1), latest[:, :, :-1]], dim=2)
        previous = before.gather(1, tokens[:, None])[:, 0]
        repeated = previous >= 0
        targets = torch.where(repeated, tokens.gather(1, (previous + 1).clamp(max=length - 1)), NO_TARGET)
        distance = ((place - previous) * repeated).sum(dim=1) / repeated.sum(dim=1)
        return Batch(tokens, targets, {"distance": distance.round().long()})
