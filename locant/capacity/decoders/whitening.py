"""A table and its sums in coordinates in which the rows are centred and isotropic."""

import torch
from torch import Tensor

from locant.capacity.decoders.inputs import check, check_noise, parts
from locant.capacity.decoders.scores import ROWS, moments, rounding


def whiten(
    sums: Tensor, table: Tensor, members: int, *, noise: float = 0.0, precision: torch.dtype | None = None
) -> tuple[Tensor, Tensor]:
    """``(y - Kμ) R`` and ``(a_j - μ) R`` with ``R = (Σ + (σ² + δ)/K I)^(-1/2)``: sums and table for any decoder.

    Exact: ``y = Σ a_j`` becomes ``y R - Kμ R = Σ (a_j - μ) R``, whatever R. Successive cancellation, OMP and AMP are
    made for columns that are isotropic; on a trained table they gain from this more than from anything else. With
    noise, R whitens the sum of K rows and its noise together. ``δ`` is the rounding of a sum in `precision` (the type
    of the sums by default), as in `make_filter`. A table of at most d rows comes out with equal angles between rows.

    Cost: ``2d²V + 10d³`` flops once, 2d² for each sum; a copy of the table.
    """
    check_noise(noise)
    precision = precision or sums.dtype
    sums, table = check(sums, table, members)
    mean, covariance = moments(table)
    floor = noise + rounding(members * mean, members * covariance, precision, table.dtype)
    values, vectors = torch.linalg.eigh(covariance)
    root = ((vectors / (values.clamp_min(0) + floor / members).sqrt()) @ vectors.T).to(table.dtype)
    centre = mean.to(table.dtype)
    mapped = torch.empty_like(table)
    for rows in parts(len(table), ROWS):
        mapped[rows] = (table[rows] - centre) @ root
    return (sums - members * centre) @ root, mapped
