"""Codebooks in chunks of rows: stored tables, and random ones that are drawn again instead of stored."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from locant.capacity.simulate import draw

HELD = 1 << 24  # numbers of a random codebook up to which it is kept


@dataclass(frozen=True, eq=False)
class Book:
    """A codebook of `items` vectors of `width`; `chunk(i)` has those from `i rows` on, at most `rows` of them."""

    items: int
    width: int
    rows: int
    chunk: Callable[[int], Tensor]

    def chunks(self) -> Iterator[tuple[int, Tensor]]:
        """The first item of each chunk, and its vectors."""
        for index in range(math.ceil(self.items / self.rows)):
            yield index * self.rows, self.chunk(index)


def stored_book(table: Tensor, rows: int) -> Book:
    """A table `[items, width]` in chunks."""
    return Book(len(table), table.shape[1], rows, lambda index: table[index * rows : (index + 1) * rows])


def drawn_book(code: str, items: int, width: int, rows: int, key: tuple[int, ...], device: str = "cpu") -> Book:
    """A random codebook. Every chunk comes from a generator of its own, seeded with `key` and its number, whenever it
    is asked for; one of up to `HELD` numbers is drawn once and kept, with the same vectors."""

    def chunk(index: int) -> Tensor:
        count = min(rows, items - index * rows)
        return draw(code, (count, width), seeded(*key, index, device=device), torch.float32)

    if items * width > HELD:
        return Book(items, width, rows, chunk)
    return stored_book(torch.cat([chunk(index) for index in range(math.ceil(items / rows))]), rows)


def seeded(*key: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator for a key of whole numbers of at least 0: different keys, unrelated numbers."""
    state = np.random.SeedSequence([len(key), *key]).generate_state(1, np.uint64)[0]  # without it (1,) is (1, 0)
    return torch.Generator(device=device).manual_seed(int(state >> np.uint64(1)))


def supports(trials: int, items: int, members: int, generator: torch.Generator) -> Tensor:
    """Sets of `members` different items `[trials, members]`, each set as likely as any other.

    Floyd's method (Bentley and Floyd 1987), a member at a time for all trials: the l-th is drawn from the first
    ``items - members + l`` items, and is the last of these if it was taken. It ends for any number of members, where
    drawing until all differ practically never does beyond ``sqrt(items)``, and needs no memory of the size of `items`.
    """
    chosen = torch.empty(trials, members, dtype=torch.long, device=generator.device)
    for index in range(members):
        last = items - members + index
        drawn = torch.randint(0, last + 1, (trials,), generator=generator, device=generator.device)
        taken = (chosen[:, :index] == drawn[:, None]).any(1)
        chosen[:, index] = torch.where(taken, last, drawn)
    return chosen
