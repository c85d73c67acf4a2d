"""Tables, sets and sums that the tests of the decoders share, and the share of sums taken apart."""

import torch
from torch import Tensor


def table(items: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(items, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def sets(batch: int, items: int, members: int, seed: int = 1) -> Tensor:
    """Random sets by random keys, ascending."""
    keys = torch.rand(batch, items, generator=torch.Generator().manual_seed(seed))
    return keys.topk(members, dim=1).indices.sort(dim=1).values


def right(found: Tensor, expected: Tensor) -> float:
    assert found.shape == expected.shape
    assert found.dtype == torch.long
    return (found == expected).all(1).double().mean().item()


def trained(items: int, width: int, seed: int = 0) -> Tensor:
    """A table with what trained ones have: a common mean, unequal norms and a decaying spectrum in rotated axes."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(items, width, generator=generator) * torch.arange(1, width + 1) ** -0.5
    rows = rows @ torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
    rows = rows * torch.exp(0.3 * torch.randn(items, 1, generator=generator))
    return rows + rows.std() * torch.randn(width, generator=generator)
