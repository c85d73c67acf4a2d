"""Looking a fixed number of steps back."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from locant.lab.tasks.base import NO_TARGET, Batch, at_least


@dataclass(frozen=True)
class Shift:
    """Random text in which every place asks for the token `by` steps before it.

    Minimum length: by + 1. Slices: `distance`, always `by`. Chance: 1 / symbols.
    """

    symbols: int = 16
    by: int = 7
    name: ClassVar[str] = "shift"

    def __post_init__(self) -> None:
        at_least(2, self.symbols, "a number of symbols")
        at_least(1, self.by, "a shift")

    @property
    def description(self) -> str:
        return f"Repeat the token seen {self.by} steps ago, which needs one relative position and no content."

    @property
    def vocabulary(self) -> int:
        return self.symbols

    def chance(self, length: int) -> float:
        at_least(self.by + 1, length, "a length")
        return 1 / self.symbols

    def batch(self, size: int, length: int, generator: torch.Generator) -> Batch:
        at_least(self.by + 1, length, "a length")
        tokens = torch.randint(self.symbols, (size, length), generator=generator)
        targets = torch.full_like(tokens, NO_TARGET)
        targets[:, self.by :] = tokens[:, : -self.by]
        return Batch(tokens, targets, {"distance": torch.full((size,), self.by)})
