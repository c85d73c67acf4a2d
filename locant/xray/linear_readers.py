"""Linear readers of one part of a sum: matched filter, discriminant and oblique projection."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.maths.blocks import BLOCK, blocks
from locant.xray.moments import Moments, fitting

LOW_RANK = 0.05  # regularisation of a covariance of fewer than 2 d rows, as a share of the mean variance
FULL_RANK = 1e-6


@dataclass(frozen=True, eq=False)
class LinearReader:
    """argmax over rows c of (x - o)'A(c - m) - 1/2 (c - m)'A(c - m).

    `rows` (count, d) are the candidates, `mean` m their mean, `origin` o the mean of the sums, `halves` (count,) the
    last term, and A = D diag(w) D' with D the `directions` (d, d) of the other table and w the `weights` (d,).
    """

    rows: Tensor
    mean: Tensor
    origin: Tensor
    directions: Tensor
    weights: Tensor
    halves: Tensor

    def applied(self, x: Tensor) -> Tensor:
        """x A for rows x (any, d)."""
        return (x @ self.directions * self.weights) @ self.directions.T


def linear_readers(
    rows: Tensor, mean: Tensor, noise: Moments, weights: Mapping[str, Tensor]
) -> dict[str, LinearReader]:
    """Readers of `rows` in sums with rows of another table, whose moments are `noise`, one for each of the weights.

    Weights of 1 are the matched filter with the energy of each row taken off; `discriminant` is Fisher's for rows with
    that noise; `oblique` ignores the other table's first directions. All of them are diagonal in the same directions,
    so that one pass over the rows serves them all.
    """
    chosen = torch.stack(list(weights.values()), dim=1)
    products = fitting(len(rows), noise.width)
    turn = noise.directions.to(products)
    parts = [((block - mean).to(products) @ turn).double().square() @ chosen / 2 for _, block in blocks(rows)]
    halves = torch.cat(parts)
    origin = mean + noise.mean
    return {
        name: LinearReader(rows, mean, origin, noise.directions, each, halves[:, index].contiguous())
        for index, (name, each) in enumerate(weights.items())
    }


def discriminant(noise: Moments, share: float | None = None) -> Tensor:
    """1 / (l + share tr(S)/d), (d,): A = (S + share tr(S)/d I)^-1, with S the covariance of the other table, l its
    eigenvalues. By default share is 1e-6 for more than 2 d rows, else .05."""
    if share is None:
        share = FULL_RANK if noise.rows > 2 * noise.width else LOW_RANK
    return 1 / (noise.energies + share * noise.total / noise.width)


def oblique(noise: Moments, rank: int) -> Tensor:
    """0 for the first `rank` principal directions of the other table and 1 for the others, (d,): A = I - UU'."""
    return (torch.arange(noise.width) >= rank).double()


def read(sums: Tensor, reader: LinearReader) -> Tensor:
    """Index of the row that the reader takes for the one in each sum (count, d): (count,)."""
    left = reader.applied(sums.double() - reader.origin)
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
    v = reader.applied(tokens.double() - (reader.origin - reader.mean))
    p = reader.applied(positions[right].double() - reader.mean)
    parts = [(v @ (block - reader.mean).T, p @ (block - reader.mean).T) for _, block in blocks(reader.rows)]
    by_token, by_position = (torch.cat(columns, dim=1) for columns in zip(*parts, strict=True))
    by_position -= reader.halves
    return torch.stack([(by_position + row).argmax(dim=1) == right for row in by_token])
