"""What is added to the scores of causal attention, for blocks of queries, the future hidden.

Scores of distance are a Toeplitz matrix at consecutive positions, and the row of the last query holds every number of
it: the blocks slide along one band made of that row, so their masks are views.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from locant.encodings.base import PositionalEncoding

BLOCK = 128  # queries in the largest block, unless said otherwise
Masks = Callable[[int, int], Tensor]
"""``(start, stop)`` to what is added to the scores of these queries with keys below ``stop``, ``[head, query, key]``,
-inf where a key lies in the future."""


class Parts(Protocol):
    """What an encoding adds to scores, some queries at a time."""

    @property
    def encoding(self) -> PositionalEncoding: ...

    def part(self, start: int, stop: int) -> Tensor: ...


def band(row: Tensor, size: int) -> Tensor:
    """The last ``size`` rows of the causal Toeplitz matrix whose last row is given: ``[head, size, key]``."""
    return F.pad(row, (0, size - 1), value=-torch.inf).unfold(-1, row.shape[-1], 1).flip(1)


def from_band(gradient: Tensor) -> Tensor:
    """The transpose of ``band``: sums along the diagonals, ``[head, size, key]`` to ``[head, key]``."""
    heads, size, keys = gradient.shape
    # Rows of one number less than they are wide slide by one each, which turns diagonals into columns.
    slid = F.pad(gradient.flip(1), (0, size)).flatten(1)[:, :-size].view(heads, size, keys + size - 1)
    return slid.sum(1)[:, :keys]


def spans(time: int, size: int) -> Iterator[tuple[int, int]]:
    """Ends of blocks of ``size`` that end with the last query; what is left over comes first."""
    for stop in range((time - 1) % size + 1, time + 1, size):
        yield max(0, stop - size), stop


def of_band(row: Tensor, size: int | None = None) -> Masks:
    """Masks that are views of one band; the future is -inf in them. size: of the largest block."""
    time = row.shape[-1]
    size = min(time, BLOCK if size is None else size)
    whole = band(row, size)
    return lambda start, stop: whole[:, size - (stop - start) :, time - stop :]


def of_parts(parts: Parts) -> Masks:
    """Masks that are computed one by one, and -inf where a key lies in the future."""
    return lambda start, stop: causal(parts.part(start, stop))


def causal(part: Tensor) -> Tensor:
    """``part`` ``[head, query, key]`` of the last queries, with the future hidden."""
    queries, keys = part.shape[-2:]
    future = torch.ones(queries, keys, dtype=torch.bool, device=part.device).triu(keys - queries + 1)
    return part.masked_fill(future, -torch.inf)


def whole(masks: Masks, time: int, size: int = BLOCK) -> Tensor:
    """The masks of all queries in one, ``[head, time, time]``. size: of the largest block that they know."""
    parts = [F.pad(masks(start, stop), (0, time - stop), value=-torch.inf) for start, stop in spans(time, size)]
    return torch.cat(parts, dim=1)
