"""Membership with an unknown number of members: every item whose amplitude passes a level."""

from typing import Literal, get_args

import torch
from torch import Tensor

from locant.capacity.decoders.inputs import check, check_rows, parts
from locant.capacity.decoders.scores import ROWS, moments, rounding

Amplitude = Literal["dot", "centred", "whitened"]


def above(
    sums: Tensor, table: Tensor, level: float = 0.5, kind: Amplitude = "whitened", chunk: int | None = None
) -> Tensor:
    """Pairs ``(sum, item)`` of all items with an amplitude above `level`, in order: ``[found, 2]``.

    The amplitude is 1 on average for a member and 0 for any other row:

    - dot: ``<a_j, y> / |a_j|²``;
    - centred: the same with the direction of the mean row projected out of sums and table. (Taking off ``Kμ`` as the
      other decoders do needs K.)
    - whitened: ``a_j'W y / a_j'W a_j`` in that complement, with W the inverse covariance there, whose unknown factor K
      cancels (Capon's filter).

    Harder than recovery of known size: hits and misses compete with a level, not with one another (Plate 1994).
    Level ½ is the middle; for Gaussian codes the best one follows from the law of membership.
    Cost: 2dV flops for each sum; ``chunk * batch`` scores at a time, and what passes.

    Raises:
        ValueError: for an unknown kind, a level that is not finite, or rows of zeros (of which there is none left after
            centring either).
    """
    if kind not in get_args(Amplitude):
        raise ValueError(f"expected an amplitude of {', '.join(get_args(Amplitude))}, was: {kind}")
    if not abs(level) < float("inf"):
        raise ValueError(f"expected a finite level, was: {level}")
    precision = sums.dtype
    sums, table = check(sums, table, 1)
    check_rows(table)
    root = _root(table, kind, precision)
    queries = sums if root is None else (sums.double() @ root @ root.T).to(sums.dtype)
    found = []
    for rows in parts(len(table), ROWS if chunk is None else chunk):
        square = (table[rows] if root is None else table[rows] @ root.to(table.dtype)).square().sum(1)
        if not (square > 0).all():
            raise ValueError(f"expected no rows along the mean alone, was: {rows.start + int(square.argmin())}")
        pairs = (queries @ table[rows].T > level * square).nonzero()
        pairs[:, 1] += rows.start
        found.append(pairs)
    pairs = torch.cat(found)
    return pairs[(pairs[:, 0] * len(table) + pairs[:, 1]).argsort()]


def _root(table: Tensor, kind: Amplitude, precision: torch.dtype) -> Tensor | None:
    """A root of the metric in the complement of the mean, in float64; None for the identity."""
    if kind == "dot":
        return None
    mean, covariance = moments(table)
    projector = torch.eye(len(mean), dtype=mean.dtype, device=mean.device)
    along = mean / torch.linalg.vector_norm(mean).clamp_min(torch.finfo(mean.dtype).tiny)
    projector -= along[:, None] * along[None, :]
    if kind == "centred":
        return projector
    inside = projector @ covariance @ projector + covariance.diagonal().mean() * along[:, None] * along[None, :]
    values, vectors = torch.linalg.eigh(inside)  # with some variance along the mean, which is projected out again
    floor = rounding(mean, covariance, precision, table.dtype)
    return projector @ (vectors / (values.clamp_min(0) + floor).sqrt())
