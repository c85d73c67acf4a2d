"""Two tables whose spans meet only at zero: taken apart exactly by an oblique projection, at a price in noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.capacity.decoders.inputs import check_tables, parts
from locant.capacity.decoders.scores import Filter, mean_of, moments, top


@dataclass(frozen=True)
class Oblique:
    """The projections that split ``t + p``, and what they do to noise.

    With means ``μ_T, μ_P`` and y' = y - μ_T - μ_P: ``t = μ_T + E y'`` and ``p = μ_P + F y'``, both ``[width, width]``.
    `sine` is that of the smallest principal angle between the spans of the centred tables; ``|E|_2 = |F|_2 = 1/sine``
    is the largest factor on noise (Szyld 2006). `gains` are ``|E|_F²`` and ``|F|_F²``, by which the
    total variance of white noise of variance 1 for each coordinate comes out:
    ``|E|_F² = rank_T - r + Σ 1/sin² θ_i`` over the r = min(rank_T, rank_P) angles. `ranks` are those of the spans.
    """

    first: Tensor
    second: Tensor
    means: tuple[Tensor, Tensor]
    ranks: tuple[int, int]
    sine: float
    gains: tuple[float, float]

    def split(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """What the first and the second table gave to each sum, before it is looked up in them."""
        rest = sums - self.means[0] - self.means[1]
        return self.means[0] + rest @ self.first.T, self.means[1] + rest @ self.second.T


def make_oblique(first: Tensor, second: Tensor, tolerance: float | None = None) -> Oblique:
    """The oblique projections of two tables.

    ``[E; F] y' = [Q_T 0; 0 Q_P] pinv([Q_T Q_P]) y'`` with orthonormal bases of the spans of the centred tables, in
    float64. A direction belongs to a span if its singular value exceeds `tolerance` times the largest (default: the
    longer side of the table times the resolution of its type, as numpy's matrix_rank).
    Cost: ``2d²(V+P) + 30 d³`` flops once and 4d² for each sum.

    Raises:
        ValueError: if the ranks add up to more than the width or the spans share a direction; the message says which.
            A table of full rank leaves no room: then use `project_out` or `best_pairs`.
    """
    _, (first, second) = check_tables(first[:1], (first, second))
    bases = [_span(table, tolerance) for table in (first, second)]
    ranks = (bases[0].shape[1], bases[1].shape[1])
    width = first.shape[1]
    if sum(ranks) > width:
        raise ValueError(f"expected ranks of at most the width {width} together, was: {ranks[0]} and {ranks[1]}")
    basis = torch.cat(bases, dim=1)
    sine = float(_sines(*bases).min())
    if sine < width * torch.finfo(torch.float64).eps:
        raise ValueError(f"expected spans that meet only at zero, was: a smallest angle of sine {sine:.1e}")
    solve = torch.linalg.pinv(basis)
    projections = (bases[0] @ solve[: ranks[0]], bases[1] @ solve[ranks[0] :])
    gains = (float(projections[0].square().sum()), float(projections[1].square().sum()))
    means = (mean_of(first), mean_of(second))
    return Oblique(projections[0].to(first.dtype), projections[1].to(first.dtype), means, ranks, sine, gains)


def oblique_pairs(sums: Tensor, tables: Sequence[Tensor], made: Oblique, chunk: int | None = None) -> Tensor:
    """The nearest row of each table to its part of the sum: ``[batch, 2]``. `chunk` rows are looked at at a time.

    Exact without noise for any tables whose spans meet only at zero; right up to noise of
    ``sine * (least distance of two rows) / 2`` in length.
    """
    sums, tables = check_tables(sums, tables)
    found = [_nearest(part, table, chunk) for part, table in zip(made.split(sums), tables, strict=True)]
    return torch.stack(found, dim=1)


def project_out(
    sums: Tensor, tables: Sequence[Tensor], tolerance: float | None = None, chunk: int | None = None
) -> Tensor:
    """Rows of the first table found in the complement of the second's span, then the second's: ``[batch, 2]``.

    For a first table of full rank and a second that spans few directions (positions): with Q an orthonormal basis of
    the centred second table, ``i = argmin |(I - QQ')(y - μ_P - t_i)|``, then ``j = argmin |y - t_i - p_j|``. Without
    noise it is exact if no two rows of the first table agree outside of the span.
    Cost: ``2d²P + 10d³ + 2d²V`` flops once, 2d(V+P) for each sum; a copy of the first table.

    Raises:
        ValueError: if the second table spans every direction at that tolerance.
    """
    sums, (first, second) = check_tables(sums, tables)
    span = _span(second, tolerance)
    if span.shape[1] == second.shape[1]:
        raise ValueError(f"expected a second table of rank below the width, was: {span.shape[1]}")
    outside = torch.eye(len(span), dtype=span.dtype, device=span.device) - span @ span.T
    outside = outside.to(first.dtype)
    token = _nearest((sums - mean_of(second)) @ outside, first @ outside, chunk)
    return torch.stack((token, _nearest(sums - first[token], second, chunk)), dim=1)


def _nearest(parts_of_sums: Tensor, table: Tensor, chunk: int | None) -> Tensor:
    mean = mean_of(table)
    half = torch.cat([(table[rows] - mean).square().sum(1) / 2 for rows in parts(len(table), chunk)])
    return top(parts_of_sums, table, Filter(offset=mean, centre=mean, bias=half), 1, chunk)[:, 0]


def _span(table: Tensor, tolerance: float | None) -> Tensor:
    """An orthonormal basis ``[width, rank]`` in float64 of the span of the centred rows."""
    resolution = torch.finfo(table.dtype).eps * max(table.shape)
    relative = resolution if tolerance is None else tolerance
    if not 0 <= relative < 1:
        raise ValueError(f"expected a tolerance between 0 and 1, was: {tolerance}")
    _, covariance = moments(table)
    values, vectors = torch.linalg.eigh(covariance)
    least = max(relative**2, len(values) * torch.finfo(torch.float64).eps)  # squares lose half of the digits
    return vectors[:, values > values[-1] * least]


def _sines(first: Tensor, second: Tensor) -> Tensor:
    """Sines of the principal angles (Björck and Golub 1973): unlike the arc cosine they resolve small ones."""
    wide, narrow = (first, second) if first.shape[1] >= second.shape[1] else (second, first)
    return torch.linalg.svdvals(narrow - wide @ (wide.T @ narrow))
