"""Scores of all items for a sum, and the best of them: dot, cosine, centred and whitened log-likelihood."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from locant.capacity.decoders.inputs import check, check_noise, check_rows, check_tables, parts

Score = Literal["dot", "cosine", "centred", "whitened"]
ROWS = 4096  # rows of a table that statistics read at a time


@dataclass(frozen=True)
class Filter:
    """A score that is linear in the sum: ``score_j = scale_j <a_j - centre, M (y - offset)> - bias_j``.

    It belongs to a table and a number of members, and is made once for any number of sums. `matrix` is ``[width,
    width]`` in float64 and symmetric (its condition may be that of float32), `offset` and `centre` ``[width]``, `scale`
    and `bias` ``[items]``; None stands for one or zero.
    """

    offset: Tensor | None = None
    centre: Tensor | None = None
    matrix: Tensor | None = None
    scale: Tensor | None = None
    bias: Tensor | None = None

    def queries(self, sums: Tensor) -> Tensor:
        """``M (y - offset)`` for each sum."""
        moved = sums if self.offset is None else sums - self.offset
        return moved if self.matrix is None else (moved.to(self.matrix.dtype) @ self.matrix).to(sums.dtype)

    def block(self, queries: Tensor, table: Tensor, rows: slice) -> Tensor:
        """Scores ``[batch, rows]`` of some rows of the table."""
        scores = queries @ table[rows].T
        if self.centre is not None:
            scores -= (queries @ self.centre)[:, None]
        if self.scale is not None:
            scores *= self.scale[rows]
        if self.bias is not None:
            scores -= self.bias[rows]
        return scores


def make_filter(
    kind: Score, table: Tensor, members: int = 1, *, noise: float = 0.0, precision: torch.dtype | None = None
) -> Filter:
    """The filter that finds the `members` rows of one table that were added.

    With the mean ``μ`` and covariance ``Σ`` of the rows, ``c_j = a_j - μ`` and ``y' = y - Kμ``:

    - dot: ``<a_j, y>``. The matched filter; right for rows of equal norm and mean zero.
    - cosine: ``<a_j, y> / |a_j|``. What vector-symbolic libraries call clean-up.
    - centred: ``<c_j, y'> - |c_j|²/2``, the nearest centred row: the log-likelihood for an isotropic remainder.
    - whitened: ``c_j'W y' - c_j'W c_j/2`` with ``W = ((K-1)Σ + (σ² + δ)I)⁻¹``: the log-likelihood of ``y = a_j + rest``
      for a Gaussian rest of ``K-1`` rows and noise (linear discriminant; ours adds the floor ``δ``, the rounding of a
      sum in `precision`, the type that the sums are stored in, so that W exists for every table). The default for
      trained tables: common mean, unequal norms and decaying spectra ruin the other three. The correction
      for drawing without replacement is left out: it only scales Σ. For K = 1, W is a multiple of I: centred.

    Cost: 2dV flops for each sum, +2d² for whitened, which also takes ``4d²V + 10d³`` flops once; ``2V`` numbers.

    Raises:
        ValueError: for an unknown kind, bad noise, rows of zeros (cosine) or a table whose rows are all equal
            (whitened, K > 1).
    """
    _check_kind(kind)
    check_noise(noise)
    _, table = check(table[:1], table, members)
    if kind == "dot":
        return Filter()
    if kind == "cosine":
        return Filter(scale=check_rows(table).reciprocal())
    if kind == "centred" or members == 1:
        mean = mean_of(table)
        return Filter(members * mean, mean, None, None, _half_squares(table, mean, None))
    mean, covariance = moments(table)
    floor = noise + rounding(members * mean, members * covariance, precision or table.dtype, table.dtype)
    return _whitened(table, mean, members * mean, (members - 1) * covariance, floor)


def slot_filters(
    kind: Score, tables: Sequence[Tensor], *, noise: float = 0.0, precision: torch.dtype | None = None
) -> list[Filter]:
    """One filter for each of several tables of which one row each was added.

    As `make_filter`, with the rest of a slot being one row of every other table: ``W_l = (Σ_{m≠l} Σ_m + (σ² + δ)I)⁻¹``
    and ``y' = y - Σ_m μ_m``. Where the other tables span few directions, W weighs those at nearly zero, which projects
    them out.
    """
    _check_kind(kind)
    check_noise(noise)
    _, tables = check_tables(tables[0][:1], tables)
    if kind in ("dot", "cosine"):
        return [make_filter(kind, table) for table in tables]
    if kind == "centred":
        means = [mean_of(table) for table in tables]
        offset = torch.stack(means).sum(0)
        found = zip(tables, means, strict=True)
        return [Filter(offset, mean, None, None, _half_squares(table, mean, None)) for table, mean in found]
    known = [moments(table) for table in tables]
    offset = torch.stack([mean for mean, _ in known]).sum(0)
    every = torch.stack([covariance for _, covariance in known]).sum(0)
    floor = noise + rounding(offset, every, precision or tables[0].dtype, tables[0].dtype)
    filters = []
    for index, (table, (mean, _)) in enumerate(zip(tables, known, strict=True)):
        rest = torch.stack([covariance for other, (_, covariance) in enumerate(known) if other != index]).sum(0)
        filters.append(_whitened(table, mean, offset, rest, floor))
    return filters


def slot_order(
    tables: Sequence[Tensor], *, noise: float = 0.0, precision: torch.dtype | None = None
) -> tuple[list[int], list[Filter]]:
    """In which order to find and subtract one row of each table, and the whitened filter of each step.

    First the table with the largest ``tr(Σ_l W_l) / ln V_l``: twice the trace is the mean squared distance of two rows
    in units of the rest, and a union bound over V_l rows fails where an eighth of it comes near ``ln V_l``. What is
    found is subtracted, and so on with the others. The last is faced with itself and noise alone: the nearest row.
    """
    check_noise(noise)
    _, tables = check_tables(tables[0][:1], tables)
    known, order, filters = [moments(table) for table in tables], [], []
    left = list(range(len(tables)))
    while len(left) > 1:
        offset = torch.stack([known[index][0] for index in left]).sum(0)
        every = torch.stack([known[index][1] for index in left]).sum(0)
        floor = noise + rounding(offset, every, precision or tables[0].dtype, tables[0].dtype)
        ease = {}
        for index in left:
            rest = every - known[index][1] + floor * torch.eye(len(every), dtype=every.dtype, device=every.device)
            ease[index] = float(torch.linalg.solve(rest, known[index][1]).trace()) / math.log(
                max(len(tables[index]), 2)
            )
        first = max(left, key=lambda index: ease[index])
        filters.append(_whitened(tables[first], known[first][0], offset, every - known[first][1], floor))
        order.append(first)
        left.remove(first)
    return [*order, left[0]], [*filters, make_filter("centred", tables[left[0]])]


def top(sums: Tensor, table: Tensor, made: Filter, members: int, chunk: int | None = None) -> Tensor:
    """The `members` rows of highest score, ascending: ``[batch, members]``.

    `chunk` rows of the table are scored at a time and merged with the best so far, so that ``batch * (chunk + 2
    members)`` scores are held and never ``batch * items``. Equal scores fall either way: a recovery that counts must
    not rest on a tie.
    """
    return best_rows(*check(sums, table, members), made, members, chunk)


def best_rows(sums: Tensor, table: Tensor, made: Filter, members: int, chunk: int | None = None) -> Tensor:
    """`top` for sums and a table that have been checked."""
    queries = made.queries(sums)
    best, where = queries.new_empty(len(sums), 0), torch.empty(len(sums), 0, dtype=torch.long, device=sums.device)
    for rows in parts(len(table), chunk):
        block = made.block(queries, table, rows)
        values, found = block.topk(min(members, block.shape[1]), dim=1)
        values, found = torch.cat((best, values), 1), torch.cat((where, found + rows.start), 1)
        best, kept = values.topk(min(members, values.shape[1]), dim=1)
        where = found.gather(1, kept)
    return where.sort(dim=1).values


def slots(sums: Tensor, tables: Sequence[Tensor], filters: Sequence[Filter], chunk: int | None = None) -> Tensor:
    """The best row of each table by its own filter: ``[batch, tables]``."""
    found = [top(sums, table, made, 1, chunk) for table, made in zip(tables, filters, strict=True)]
    return torch.cat(found, dim=1)


def mean_of(table: Tensor) -> Tensor:
    """The mean row, added up in float64."""
    return table.sum(0, dtype=torch.float64).div(len(table)).to(table.dtype)


def moments(table: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``[width]`` and covariance ``[width, width]`` of the rows in float64, `ROWS` rows at a time."""
    mean = table.sum(0, dtype=torch.float64) / len(table)
    covariance = mean.new_zeros(len(mean), len(mean))
    for rows in parts(len(table), ROWS):
        centred = table[rows].double() - mean
        covariance.addmm_(centred.T, centred)
    if not covariance.diagonal().any():
        raise ValueError("expected rows that differ, was: a table of equal rows")
    return mean, covariance / len(table)


def rounding(mean: Tensor, covariance: Tensor, precision: torch.dtype, kind: torch.dtype) -> float:
    """A variance for each coordinate, as one float, below which a sum of that mean and covariance says nothing.

    ``eps² (μ² + σ²)``, coordinates on average, for storing a sum in `precision`; but at least ``eps σ²`` of the type
    `kind` that is computed in (``d eps σ²`` of float64), beyond which weights by the inverse drown in their rounding.
    """
    spread = covariance.diagonal().mean()
    stored = (mean.square().mean() + spread) * torch.finfo(precision).eps ** 2
    resolved = max(torch.finfo(kind).eps, len(covariance) * torch.finfo(torch.float64).eps)
    return float(stored.maximum(spread * resolved))


def _check_kind(kind: str) -> None:
    if kind not in get_args(Score):
        raise ValueError(f"expected a score of {', '.join(get_args(Score))}, was: {kind}")


def _whitened(table: Tensor, mean: Tensor, offset: Tensor, rest: Tensor, floor: float) -> Filter:
    values, vectors = torch.linalg.eigh(rest)
    root = vectors / (values.clamp_min(0) + floor).sqrt()
    mean, offset = mean.to(table.dtype), offset.to(table.dtype)
    return Filter(offset, mean, root @ root.T, None, _half_squares(table, mean, root.to(table.dtype)))


def _half_squares(table: Tensor, mean: Tensor, root: Tensor | None) -> Tensor:
    """``|R'c_j|² / 2`` for every row."""
    halves = []
    for rows in parts(len(table), ROWS):
        centred = table[rows] - mean
        halves.append((centred if root is None else centred @ root).square().sum(1) / 2)
    return torch.cat(halves)
