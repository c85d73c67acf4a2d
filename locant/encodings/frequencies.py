"""Angular frequencies, in radians per position: what sinusoidal codes and rotations have in common."""

import torch
from torch import Tensor


def geometric(pairs: int, base: float = 10_000.0) -> Tensor:
    """``base ** (-c / pairs)`` for ``c = 0 .. pairs - 1``, as float64 ``[pairs]``.

    With ``pairs = width / 2`` this is ``1 / 10000 ** (2c / width)``.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5; Su et al. 2021, arXiv:2104.09864, equation 15.
    Raises ValueError if there is no pair or the base is not above 1.
    """
    if pairs < 1:
        raise ValueError(f"expected at least 1 pair of columns, was: {pairs}")
    if not base > 1:
        raise ValueError(f"expected a base above 1, was: {base}")
    return torch.tensor([base ** (-c / pairs) for c in range(pairs)], dtype=torch.float64)


def linear(bands: int, fastest: float) -> Tensor:
    """``bands`` frequencies evenly spaced from 1 to ``fastest``, as float64 ``[bands]``.

    Source: Jaegle et al. 2021 (Perceiver), arXiv:2103.03206, section 3.2, with ``fastest`` half the resolution.
    Raises ValueError if there is no band.
    """
    if bands < 1:
        raise ValueError(f"expected at least 1 band, was: {bands}")
    return torch.linspace(1.0, max(fastest, 1.0), bands, dtype=torch.float64)
