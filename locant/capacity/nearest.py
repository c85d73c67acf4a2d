"""The two nearest rows of a table, with a certificate of how near any two can be."""

import math

import torch
from torch import Tensor

from locant.capacity.estimate import Estimate
from locant.capacity.geometry import spectrum

HEAD = 64  # leading principal directions that the bound is computed in
BLOCK = 1024
SEEDS = 256  # rows whose nearest neighbour is found first, so that the bound has something to beat
EXACT = 3e11  # multiplications that may be spent on blocks that the bound does not clear


def nearest_pair(rows: Tensor, budget: float = EXACT) -> tuple[Estimate, tuple[int, int]]:
    """The least distance between two rows and which rows they are.

    Rows are split into their leading principal directions h and the length τ of the rest. For any two rows
    ``|a - b|² >= |h_a - h_b|² + (τ_a - τ_b)²``, so only pairs whose bound is below the least distance so far are looked
    at in full. `value` and `high` are the least distance found; `low` is certified and equals it unless more than
    `budget` multiplications would have been needed.

    Raises ValueError for a table of fewer than 2 rows.
    """
    if len(rows) < 2:
        raise ValueError(f"expected at least 2 rows, was: {len(rows)}")
    rows = rows - rows.mean(0)
    _, vectors = spectrum(rows)
    head = rows @ vectors[:, :HEAD].float()
    rest = (rows.square().sum(1) - head.square().sum(1)).clamp_min(0).sqrt()
    head = torch.cat([head, rest[:, None]], 1)
    best, pair = _first(rows)
    low = math.inf
    for start in range(0, len(rows), BLOCK):
        block = slice(start, min(start + BLOCK, len(rows)))
        bound = _squares(head[block], head[start:])
        _hide(bound)
        close = bound < best
        count = int(close.sum())
        if count == 0:
            continue
        if count * 20 < bound.numel():
            i, j = close.nonzero(as_tuple=True)
            exact = _pairwise(rows, i + start, j + start)
            at = int(exact.argmin())
            found, where = float(exact[at]), (int(i[at]) + start, int(j[at]) + start)
        elif (cost := (block.stop - start) * (len(rows) - start) * rows.shape[1]) <= budget:
            budget -= cost
            exact = _squares(rows[block], rows[start:])
            _hide(exact)
            at = int(exact.argmin())
            found, where = float(exact.flatten()[at]), (at // exact.shape[1] + start, at % exact.shape[1] + start)
        else:
            low = min(low, float(bound.min()))
            continue
        if found < best:
            best, pair = found, where
    distance = float((rows[pair[0]].double() - rows[pair[1]].double()).norm())
    certified = min(distance, math.sqrt(max(0.0, low))) if low < best else distance
    method = "search of all pairs" if certified == distance else "search within a budget"
    return Estimate(distance, certified, distance, method), pair


def _first(rows: Tensor) -> tuple[float, tuple[int, int]]:
    """The least squared distance among evenly spaced rows and all others."""
    chosen = torch.linspace(0, len(rows) - 1, min(SEEDS, len(rows))).long().unique()
    squares = _squares(rows[chosen], rows)
    squares[torch.arange(len(chosen)), chosen] = math.inf
    at = int(squares.argmin())
    i, j = int(chosen[at // len(rows)]), at % len(rows)
    return float((rows[i].double() - rows[j].double()).square().sum()), (i, j)


def _squares(first: Tensor, second: Tensor) -> Tensor:
    return first.square().sum(1)[:, None] + second.square().sum(1) - 2 * first @ second.T


def _hide(squares: Tensor) -> None:
    """Leaves of a block on the diagonal only the pairs above it."""
    size = squares.shape[0]
    corner = squares[:, :size]
    corner.masked_fill_(torch.ones(size, size, dtype=torch.bool).tril(), math.inf)


def _pairwise(rows: Tensor, i: Tensor, j: Tensor) -> Tensor:
    parts = [(rows[a] - rows[b]).square().sum(1) for a, b in zip(i.split(65536), j.split(65536), strict=True)]
    return torch.cat(parts)
