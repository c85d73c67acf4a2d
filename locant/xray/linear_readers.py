"""Linear readers of one part of a sum: matched filter, discriminant and oblique projection."""

from dataclasses import dataclass

import torch
from torch import Tensor

from locant.xray.moments import BLOCK, Moments, blocks

LOW_RANK = 0.05  # regularisation of a covariance of fewer than 2 d rows, as a share of the mean variance
FULL_RANK = 1e-6


@dataclass(frozen=True, eq=False)
class LinearReader:
    """argmax over rows c of (x - o)'A(c - m) - 1/2 (c - m)'A(c - m).

    `rows` (count, d) are the candidates, `mean` m their mean, `origin` o the mean of the sums, `metric` A (d, d)
    symmetric, `halves` (count,) the last term.
    """

    rows: Tensor
    mean: Tensor
    origin: Tensor
    metric: Tensor
    halves: Tensor


def linear_reader(rows: Tensor, mean: Tensor, other_mean: Tensor, metric: Tensor) -> LinearReader:
    """A reader of `rows` in sums with rows of another table, whose mean is `other_mean`.

    metric = I is the matched filter with the energy of each row taken off; (S + l I)^-1 with S the covariance of the
    other table is Fisher's discriminant for rows with that noise; I - UU' ignores the other table's directions U.
    """
    halves = [((block - mean) @ metric * (block - mean)).sum(1) / 2 for _, block in blocks(rows)]
    return LinearReader(rows, mean, mean + other_mean, metric, torch.cat(halves))


def discriminant(noise: Moments, share: float | None = None) -> Tensor:
    """(S + share tr(S)/d I)^-1. By default share is 1e-6 for more than 2 d rows, else .05."""
    if share is None:
        share = FULL_RANK if noise.rows > 2 * noise.width else LOW_RANK
    ridge = share * noise.total / noise.width
    return (noise.directions / (noise.energies + ridge)) @ noise.directions.T


def oblique(noise: Moments, rank: int) -> Tensor:
    """I - UU', with U the first `rank` principal directions of the other table."""
    u = noise.directions[:, :rank]
    return torch.eye(noise.width, dtype=torch.float64) - u @ u.T


def read(sums: Tensor, reader: LinearReader) -> Tensor:
    """Index of the row that the reader takes for the one in each sum (count, d): (count,)."""
    left = (sums.double() - reader.origin) @ reader.metric
    most = torch.full((len(sums),), -torch.inf, dtype=torch.float64)
    found = torch.zeros(len(sums), dtype=torch.long)
    for start, block in blocks(reader.rows, BLOCK // 2):
        scores = left @ (block - reader.mean).T - reader.halves[start : start + len(block)]
        best, where = scores.max(dim=1)
        found = (where + start).where(best > most, found)
        most = torch.maximum(best, most)
    return found


def right_everywhere(tokens: Tensor, positions: Tensor, reader: LinearReader, places: Tensor | None = None) -> Tensor:
    """Whether the position is read rightly in W_v + P_p, for every given token and all positions, or those at `places`:
    (tokens, places).

    The scores are M1[v, p'] + M2[p, p'] - c[p'], so the products are made once per token and once per position.
    """
    right = torch.arange(len(positions)) if places is None else places
    v = tokens.double() - (reader.origin - reader.mean)
    p = positions[right].double() - reader.mean
    parts = []
    for _, block in blocks(reader.rows):
        candidates = (block - reader.mean) @ reader.metric
        parts.append((v @ candidates.T, p @ candidates.T))
    by_token, by_position = (torch.cat(columns, dim=1) for columns in zip(*parts, strict=True))
    by_position -= reader.halves
    return torch.stack([(by_position + row).argmax(dim=1) == right for row in by_token])
