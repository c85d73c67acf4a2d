"""Tables that may be larger than memory, read in blocks."""

from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 1 << 22  # numbers per block: 32 MiB in float64


def blocks(table: Tensor, numbers: int = BLOCK) -> Iterator[tuple[int, Tensor]]:
    """Pairs (index of the first row, rows in float64) that cover the table, `numbers` numbers at a time."""
    step = max(1, numbers // table.shape[1])
    for start in range(0, len(table), step):
        yield start, table[start : start + step].detach().to("cpu", torch.float64)
