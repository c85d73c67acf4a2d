"""Means and covariances of tables that may be larger than memory: read in blocks, summed in float64."""

from dataclasses import dataclass

import torch
from torch import Tensor

from locant.maths.blocks import blocks

STRIP = 512  # columns of a product of a table with itself that are made at once
LONG = 1 << 35  # multiply-adds beyond which products within a block are made in float32
AT_THE_MEAN = 1e-14  # of the largest row: as far as the rounding of the mean can bring a row that lies there


@dataclass(frozen=True)
class Moments:
    """What d x d matrices say about the rows x_v of a table with weights w_v, sum w = 1.

    `mean` (d,) is m = sum w x; `covariance` (d, d) is sum w (x - m)(x - m)', the population's, without n - 1;
    `units` (d, d) is sum w u u' over unit rows u = (x - m) / |x - m|, a row at the mean, up to rounding, counting as 0;
    `energies` (d,) and `directions` (d, d, columns) are the eigenvalues and vectors of the covariance, largest first;
    `rows` is the number of rows with a weight above 0. All float64.
    """

    mean: Tensor
    covariance: Tensor
    units: Tensor
    energies: Tensor
    directions: Tensor
    rows: int

    @property
    def width(self) -> int:
        """Length d of a row."""
        return len(self.mean)

    @property
    def total(self) -> float:
        """Trace of the covariance: the mean squared distance of a row to the mean."""
        return float(self.covariance.trace())


def moments(
    table: Tensor, weights: Tensor | None = None, *, name: str = "table", products: torch.dtype | None = None
) -> Moments:
    """Moments of a (rows, width) table of any floating type, on disk or in memory, in two passes over its blocks.

    `weights` (rows,) are scaled to sum 1; None weighs all rows alike. `products` is the type in which the rows of one
    block are multiplied: float32 halves the time at a relative error of about 1e-6; sums over blocks are float64. None:
    float64 unless it takes long (see `fitting`).
    Memory: a block, and five d x d matrices.

    Raises:
        ValueError: for a table that is not two-dimensional or has fewer than 2 rows, for numbers that are not finite
            (with the row), and for weights that are negative, not finite, all 0 or as many as the rows are not.
    """
    share = _shares(table, weights, name)
    products = fitting(len(table), table.shape[1]) if products is None else products
    mean, largest = torch.zeros(table.shape[1], dtype=torch.float64), 0.0
    for start, block in blocks(table):
        bad = ~block.isfinite().all(dim=1)
        if bad.any():
            raise ValueError(f"expected finite numbers in the {name}, was: {_first_bad(block, bad, start)}")
        mean += share[start : start + len(block)] @ block
        largest = max(largest, float(block.norm(dim=1).max()))
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    units = torch.zeros_like(covariance)
    for start, block in blocks(table):
        centred, root = block - mean, share[start : start + len(block), None].sqrt()
        norms = centred.norm(dim=1, keepdim=True)
        covariance += _gram(centred * root, products)
        units += _gram(centred * (root / norms.where(norms > AT_THE_MEAN * largest, torch.inf)), products)
    energies, directions = torch.linalg.eigh(covariance)
    energies, directions = energies.flip(0).clamp(min=0), directions.flip(1)
    return Moments(mean, covariance, units, energies, directions, int((share > 0).sum()))


def fitting(rows: int, width: int) -> torch.dtype:
    """float64 for products of so many rows with width x width numbers, float32 from 2^35 multiply-adds on."""
    return torch.float64 if rows * width**2 < LONG else torch.float32


def haar(width: int, generator: torch.Generator) -> Tensor:
    """An orthogonal (width, width) float64 matrix, uniform over the orthogonal group.

    QR of a Gaussian matrix with the signs of R's diagonal moved into Q (Mezzadri 2007, section 5); without them the
    result is not uniform.
    """
    q, r = torch.linalg.qr(torch.randn(width, width, dtype=torch.float64, generator=generator))
    return q * r.diagonal().sign()


def _gram(rows: Tensor, products: torch.dtype) -> Tensor:
    """rows' rows in float64: columns in strips against those from there on, as the rest is the same mirrored."""
    rows, width = rows.to(products), rows.shape[1]
    gram = torch.zeros(width, width, dtype=torch.float64)
    for start in range(0, width, STRIP):
        gram[start : start + STRIP, start:] = rows[:, start : start + STRIP].T @ rows[:, start:]
    return gram if width <= STRIP else gram.triu() + gram.triu(1).T


def _shares(table: Tensor, weights: Tensor | None, name: str) -> Tensor:
    if table.ndim != 2 or len(table) < 2 or table.shape[1] < 1:
        raise ValueError(f"expected a {name} of at least 2 rows and 1 column, was: {tuple(table.shape)}")
    if weights is None:
        return torch.full((len(table),), 1 / len(table), dtype=torch.float64)
    if weights.shape != (len(table),):
        raise ValueError(f"expected {len(table)} weights for the {name}, was: {tuple(weights.shape)}")
    weights = weights.double()
    if not (weights.isfinite().all() and (weights >= 0).all() and weights.sum() > 0):
        raise ValueError(
            f"expected weights of the {name} of at least 0 with a sum above 0, was: {weights.tolist()[:8]}"
        )
    return weights / weights.sum()


def _first_bad(block: Tensor, bad: Tensor, start: int) -> str:
    row = int(bad.nonzero()[0])
    value = block[row][~block[row].isfinite()][0]
    return f"{float(value)} in row {start + row}"
