"""Running parity."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from locant.lab.tasks.base import Batch, at_least


@dataclass(frozen=True)
class Parity:
    """Random bits; every place asks whether the ones so far are odd in number.

    Minimum length: 1. Slices: `ones`, their number in the row. Chance: 1 / 2.
    """

    name: ClassVar[str] = "parity"
    description: ClassVar[str] = (
        "Say after every bit whether the ones so far are odd in number, which needs an exact count over the whole "
        "prefix and no positions."
    )

    @property
    def vocabulary(self) -> int:
        return 2

    def chance(self, length: int) -> float:
        at_least(1, length, "a length")
        return 0.5

    def batch(self, size: int, length: int, generator: torch.Generator) -> Batch:
        at_least(1, length, "a length")
        tokens = torch.randint(2, (size, length), generator=generator)
        return Batch(tokens, tokens.cumsum(dim=1) % 2, {"ones": tokens.sum(dim=1)})
