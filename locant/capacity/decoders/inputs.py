"""What every decoder takes and refuses: sums, tables, members, and the memory that a decoder may use."""

from collections.abc import Sequence

import torch
from torch import Tensor

MEMORY = 2**30  # bytes of working memory that `decode` may use by default


def check(sums: Tensor, table: Tensor, members: int) -> tuple[Tensor, Tensor]:
    """Sums ``[batch, width]`` and a table ``[items, width]`` in one type to compute in: float32, or float64 if given.

    Raises:
        ValueError: for other shapes, different widths or devices, integers, NaN or infinity, no sums, or members
            outside 1..items.
    """
    for name, value in (("sums", sums), ("table", table)):
        if value.ndim != 2 or value.shape[0] == 0 or value.shape[1] == 0:
            raise ValueError(f"expected {name} as a matrix with at least 1 row and column, was: {tuple(value.shape)}")
        if not value.is_floating_point():
            raise ValueError(f"expected {name} of floating point, was: {value.dtype}")
    if sums.shape[1] != table.shape[1]:
        raise ValueError(f"expected sums and table of one width, was: {sums.shape[1]} and {table.shape[1]}")
    if sums.device != table.device:
        raise ValueError(f"expected sums and table on one device, was: {sums.device} and {table.device}")
    if not 1 <= members <= len(table):
        raise ValueError(f"expected members between 1 and {len(table)} items, was: {members}")
    kind = torch.promote_types(torch.promote_types(sums.dtype, table.dtype), torch.float32)
    for name, value in (("sums", sums), ("table", table)):
        low, high = torch.aminmax(value)  # NaN spreads through both, and no mask of the table's size is made
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise ValueError(f"expected finite {name}, was: values from {low.item()} to {high.item()}")
    return sums.to(kind), table.to(kind)


def check_tables(sums: Tensor, tables: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Sums and at least two tables in one type to compute in; one row of each table was added."""
    if len(tables) < 2:
        raise ValueError(f"expected at least 2 tables, was: {len(tables)}")
    checked = [check(sums, table, 1) for table in tables]
    kind = sums.dtype
    for _, table in checked:
        kind = torch.promote_types(kind, table.dtype)
    return sums.to(kind), [table.to(kind) for _, table in checked]


def check_noise(noise: float) -> None:
    """Noise is a variance for each coordinate, in the units of the table."""
    if not (noise >= 0 and noise < float("inf")):
        raise ValueError(f"expected noise of a finite variance of at least 0, was: {noise}")


def check_rows(table: Tensor) -> Tensor:
    """The norms of the rows, none of which is zero.

    Raises:
        ValueError: for a row of zeros, which no decoder can tell from nothing.
    """
    norms = torch.linalg.vector_norm(table, dim=1)
    if not norms.all():
        raise ValueError(f"expected no rows of zeros, was: row {int((norms == 0).nonzero()[0])}")
    return norms


def parts(count: int, chunk: int | None) -> list[slice]:
    """Slices of at most `chunk` that cover ``range(count)``; one slice for None."""
    if chunk is None:
        return [slice(0, count)]
    if chunk < 1:
        raise ValueError(f"expected a chunk of at least 1, was: {chunk}")
    return [slice(start, min(start + chunk, count)) for start in range(0, count, chunk)]
