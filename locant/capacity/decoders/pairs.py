"""The best pair of rows of two tables, exactly: maximum likelihood with pruning."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.capacity.decoders.inputs import check_tables, parts
from locant.capacity.decoders.scores import ROWS, mean_of

QUERIES = 64  # sums whose scores against both tables are held at a time
FIRST = 8  # rows of each table that are tried against the whole other one for a first answer
ROUNDS = 3


@dataclass(frozen=True)
class Pairs:
    """Two centred tables with what the search needs of them, made once for any number of sums.

    `gram` is ``[items, items]`` of inner products, or None where it would not fit; `least` holds for each row the least
    inner product with any row of the other table.
    """

    tables: tuple[Tensor, Tensor]
    mean: Tensor
    halves: tuple[Tensor, Tensor]
    least: tuple[Tensor, Tensor]
    gram: Tensor | None


def make_pairs(first: Tensor, second: Tensor, memory: int = 2**30) -> Pairs:
    """The tables prepared for `best_pairs`; inner products are kept if they fit into `memory` bytes.

    Cost: 2dVP flops once, ``VP`` numbers (206 MB for 50257 tokens and 1024 positions) or none.
    """
    _, (first, second) = check_tables(first[:1], (first, second))
    means = mean_of(first), mean_of(second)
    first, second = first - means[0], second - means[1]
    keep = len(first) * len(second) * first.element_size() <= memory
    blocks, by_row = [], []
    by_column = first.new_full((len(second),), torch.inf)
    for rows in parts(len(first), ROWS):
        block = first[rows] @ second.T
        by_row.append(block.amin(1))
        by_column = by_column.minimum(block.amin(0))
        if keep:
            blocks.append(block)
    halves = first.square().sum(1) / 2, second.square().sum(1) / 2
    gram = torch.cat(blocks) if keep else None
    return Pairs((first, second), means[0] + means[1], halves, (torch.cat(by_row), by_column), gram)


def best_pairs(sums: Tensor, made: Pairs, cells: int = 2**22) -> tuple[Tensor, Tensor]:
    """The pair nearest to each sum, ``[batch, 2]``, and how many pairs each sum had to look at, ``[batch]``.

    ``argmin |y - t_i - p_j|² = argmax a_i + b_j - <t_i, p_j>`` with ``a = <t, y> - |t|²/2``, ``b`` likewise: maximum
    likelihood for white noise, and no decoder is right more often for tables used evenly. A first answer comes from the
    best rows of each table against all of the other. Then row i is dropped if ``a_i + max_j b_j - min_j <t_i, p_j>`` is
    below it, likewise columns, with the maximum over what is left, and the remaining block is searched in full.

    Cost: 2d(V+P) flops for each sum and from 16(V+P) to VP pairs: nearly everything is pruned for widths of some
    hundreds, nothing for a few columns. `cells` pairs are held at a time.

    Raises:
        ValueError: for fewer than 1 cell, and as `inputs.check`.
    """
    if cells < 1:
        raise ValueError(f"expected at least 1 cell, was: {cells}")
    sums, _ = check_tables(sums, made.tables)
    sums = sums.to(made.mean.dtype) - made.mean
    found = torch.empty(len(sums), 2, dtype=torch.long, device=sums.device)
    looked = torch.empty(len(sums), dtype=torch.long, device=sums.device)
    for queries in parts(len(sums), QUERIES):
        scores = tuple(sums[queries] @ table.T - half for table, half in zip(made.tables, made.halves, strict=True))
        lowest = _first_answers(scores[0], scores[1], made)
        for place, (a, b, least) in enumerate(zip(*scores, lowest, strict=True), start=queries.start):
            rows, columns = _unpruned(a, b, made, least)
            found[place] = _search(a, b, rows, columns, made, cells)
            looked[place] = len(rows) * len(columns)
    return found, looked


def _first_answers(a: Tensor, b: Tensor, made: Pairs) -> Tensor:
    """A score that some pair reaches, less its rounding, so that nothing equal to it is dropped."""
    rows = a.topk(min(FIRST, a.shape[1]), dim=1)
    best = b.new_full((len(a),), -torch.inf)
    for place in range(rows.indices.shape[1]):
        other = made.tables[0][rows.indices[:, place]] @ made.tables[1].T
        best = best.maximum((rows.values[:, place, None] + b - other).amax(1))
    columns = b.topk(min(FIRST, b.shape[1]), dim=1)
    for place in range(columns.indices.shape[1]):
        other = made.tables[1][columns.indices[:, place]] @ made.tables[0].T
        best = best.maximum((columns.values[:, place, None] + a - other).amax(1))
    size = a.abs().amax(1) + b.abs().amax(1) + made.halves[0].max() + made.halves[1].max()
    return best - size * torch.finfo(a.dtype).eps * 16


def _unpruned(a: Tensor, b: Tensor, made: Pairs, least: Tensor) -> tuple[Tensor, Tensor]:
    highest_a, highest_b = a.max(), b.max()
    for _ in range(ROUNDS):
        rows = (a + highest_b - made.least[0] >= least).nonzero()[:, 0]
        highest_a = a[rows].max()
        columns = (b + highest_a - made.least[1] >= least).nonzero()[:, 0]
        highest_b = b[columns].max()
    return rows, columns


def _search(a: Tensor, b: Tensor, rows: Tensor, columns: Tensor, made: Pairs, cells: int) -> Tensor:
    best, where = a.new_tensor(-torch.inf), rows.new_zeros(2)
    every = len(columns) == len(b)
    for some in parts(len(rows), max(1, cells // len(columns))):
        part = rows[some]
        if made.gram is None:
            block = made.tables[0][part] @ made.tables[1][columns].T
        else:
            block = made.gram[part] if every else made.gram[part[:, None], columns]
        block = a[part, None] + b[columns] - block
        place = block.argmax()
        row, column = place // len(columns), place % len(columns)
        better = block[row, column] > best
        best = torch.where(better, block[row, column], best)
        where = torch.where(better, torch.stack((part[row], columns[column])), where)
    return where


def pairs_of(sums: Tensor, tables: Sequence[Tensor], memory: int = 2**30) -> Tensor:
    """`best_pairs` for tables that are used once: ``[batch, 2]``.

    Raises:
        ValueError: for another number of tables than 2, and as `inputs.check`.
    """
    if len(tables) != 2:
        raise ValueError(f"expected 2 tables, was: {len(tables)}")
    sums, (first, second) = check_tables(sums, tables)
    return best_pairs(sums, make_pairs(first, second, memory))[0]
