"""The shape of real tables: norms, the common mean, how many directions they use, and the angles between two spans."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shape:
    """What sets a table apart from independent Gaussian rows, for which `common` is 0 and `effective` near the width.

    `norm` and `norm_spread` are mean and standard deviation of the rows' lengths; `common` is the share of the mean
    squared length that the mean row has, ``|μ|² / E|a|²``; `effective` the participation ratio ``(Σλ)² / Σλ²`` of the
    covariance's eigenvalues; `directions` the number of them that hold 99 % of the variance; `rank` that of the
    centred table in float32.
    """

    items: int
    width: int
    norm: float
    norm_spread: float
    common: float
    effective: float
    directions: int
    rank: int


def shape(rows: Tensor) -> Shape:
    """Measures a table `[items, width]`, in float64."""
    norms = rows.double().norm(dim=1)
    mean = rows.double().mean(0)
    values, _ = spectrum(rows)
    total = values.sum()
    shares = values.cumsum(0) / total
    return Shape(
        items=len(rows),
        width=rows.shape[1],
        norm=float(norms.mean()),
        norm_spread=float(norms.std(correction=0)),
        common=float(mean.square().sum() / norms.square().mean()),
        effective=float(total**2 / values.square().sum()),
        directions=int((shares < 0.99).sum()) + 1,
        rank=_rank(values, rows),
    )


def spectrum(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, largest first, and eigenvectors (columns) of the covariance of the rows, in float64."""
    centred = rows.double() - rows.double().mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(rows))
    return values.flip(0).clamp_min(0), vectors.flip(1)


def sines(first: Tensor, second: Tensor, share: float = 1.0) -> Tensor:
    """Sines of the principal angles between the spans of two centred tables, smallest first (Björck and Golub 1973).

    The spans hold every difference of two rows. A sine of 0 is a direction that both tables use, so that a difference
    of tokens can look like a difference of positions; there are at least ``rank_1 + rank_2 - width`` of them. Computed
    as the singular values of ``(I - Q_1 Q_1') Q_2``, which, unlike the arc cosine, resolves small angles.
    With a `share` below 1 each span is that of the leading directions which hold so much of the table's variance.
    Returns min(rank_1, rank_2) values, float64.
    """
    bases = []
    for rows in (first, second):
        values, vectors = spectrum(rows)
        held = int((values.cumsum(0) / values.sum() < share).sum()) + 1
        bases.append(vectors[:, : min(_rank(values, rows), held)])
    wide, narrow = sorted(bases, key=lambda basis: -basis.shape[1])
    outside = narrow - wide @ (wide.T @ narrow)
    return torch.linalg.svdvals(outside).flip(0).clamp(0, 1)


def _rank(values: Tensor, rows: Tensor) -> int:
    """Singular values above numpy's tolerance for float32: the largest times the longer side times eps."""
    singular = values.sqrt()
    return int((singular > singular[0] * max(rows.shape) * torch.finfo(torch.float32).eps).sum())
