"""Greedy decoders: successive cancellation with known amplitude, its beam search, and orthogonal matching pursuit."""

from collections.abc import Sequence

import torch
from torch import Tensor

from locant.capacity.decoders.inputs import check, check_rows, check_tables, parts
from locant.capacity.decoders.scores import Filter, top


def successive(sums: Tensor, table: Tensor, members: int, *, chunk: int | None = None) -> Tensor:
    """K times: take the row nearest to the remainder, subtract it. Ascending ``[batch, members]``.

    ``j = argmax <a_j, r> - |a_j|²/2`` over rows not yet taken, then ``r <- r - a_j``: successive interference
    cancellation with the amplitude known to be 1, so nothing is fitted. The half square is the log-likelihood for an
    isotropic remainder and makes unequal norms harmless; with equal norms this is matching pursuit of step 1.

    Cost: 2dVK flops and 2V numbers for each sum. Needs 9 to 24 % more members than OMP to fail on random codes without
    noise; with unknown amplitudes use `pursuit`. `chunk` sums are decoded at a time.

    Raises:
        ValueError: as `inputs.check`.
    """
    sums, table = check(sums, table, members)
    half = table.square().sum(1) / 2
    return torch.cat([_successive(sums[rows], table, half, members) for rows in parts(len(sums), chunk)])


def _successive(rest: Tensor, table: Tensor, half: Tensor, members: int) -> Tensor:
    found = torch.empty(len(rest), members, dtype=torch.long, device=rest.device)
    for step in range(members):
        scores = (rest @ table.T).sub_(half)
        scores.scatter_(1, found[:, :step], -torch.inf)
        found[:, step] = scores.argmax(1)
        rest = rest - table[found[:, step]]
    return found.sort(dim=1).values


def beam_search(sums: Tensor, table: Tensor, members: int, *, beam: int = 8, chunk: int | None = None) -> Tensor:
    """Successive cancellation that keeps the `beam` best partial sets: ascending ``[batch, members]``.

    Each of the partial sets is extended by its `beam` best rows, equal sets are merged, and the `beam` sets with the
    smallest remainder ``|y - Σ a|²`` are kept (the most likely ones, the remainder being Gaussian of the same size for
    all). `beam=1` is `successive`. Cost: 2dVKB flops and 2VB numbers for each sum. Use it where the first choice of
    `successive` is doubtful and V is too large for message passing.

    Raises:
        ValueError: for a beam below 1, and as `inputs.check`.
    """
    if beam < 1:
        raise ValueError(f"expected a beam of at least 1, was: {beam}")
    sums, table = check(sums, table, members)
    half = table.square().sum(1) / 2
    return torch.cat([_beam(sums[rows], table, half, members, beam) for rows in parts(len(sums), chunk)])


def _beam(sums: Tensor, table: Tensor, half: Tensor, members: int, beam: int) -> Tensor:
    rest = sums[:, None, :]  # [batch, kept, width]
    found = torch.empty(len(sums), 1, 0, dtype=torch.long, device=sums.device)
    gained = sums.new_zeros(len(sums), 1)  # half of what the taken rows took off the squared remainder
    for _ in range(members):
        scores = (rest @ table.T).sub_(half)
        scores.scatter_(2, found, -torch.inf)
        values, picked = scores.topk(min(beam, len(table)), dim=2)
        gains = (gained[:, :, None] + values).flatten(1)
        sets = torch.cat((found[:, :, None, :].expand(*picked.shape, -1), picked[..., None]), -1).flatten(1, 2)
        sets = sets.sort(dim=2).values
        gains = gains.masked_fill(_repeated(sets), -torch.inf)
        gained, kept = gains.topk(min(beam, gains.shape[1]), dim=1)
        found = sets.gather(1, kept[..., None].expand(-1, -1, sets.shape[2]))
        rest = sums[:, None, :] - table[found].sum(2)
    return found[:, 0]


def _repeated(sets: Tensor) -> Tensor:
    """Which of the sets ``[batch, sets, size]`` stand earlier in the row already."""
    equal = torch.ones(len(sets), sets.shape[1], sets.shape[1], dtype=torch.bool, device=sets.device)
    for place in range(sets.shape[2]):
        equal &= sets[:, :, None, place] == sets[:, None, :, place]
    return equal.tril(-1).any(2)


def pursuit(sums: Tensor, table: Tensor, members: int, *, positive: bool = False, chunk: int | None = None) -> Tensor:
    """Orthogonal matching pursuit: ascending ``[batch, members]``.

    K times: take the row of the largest ``|<a_j, r>| / |a_j|``, then make r the part of y that is orthogonal to all
    rows taken (least squares on them; Pati, Rezaiifar and Krishnaprasad 1993). `positive` leaves out the absolute
    value, right for sums in which every amplitude is 1, and recovers more. Ours keeps an orthonormal basis of the rows
    taken (Gram-Schmidt, twice) for all sums at once and never forms a Gram matrix.

    Cost: ``2dVK + 4dK²`` flops, ``2V + dK`` numbers for each sum. Use it where amplitudes are unknown; where they
    are 1, `amp` is better and, for ``K > 2T``, cheaper.

    Raises:
        ValueError: for more members than columns, rows of zeros, and as `inputs.check`.
    """
    sums, table = check(sums, table, members)
    if members > table.shape[1]:
        raise ValueError(f"expected members of at most the width {table.shape[1]}, was: {members}")
    scale = check_rows(table).reciprocal()
    return torch.cat([_pursuit(sums[rows], table, scale, members, positive) for rows in parts(len(sums), chunk)])


def _pursuit(rest: Tensor, table: Tensor, scale: Tensor, members: int, positive: bool) -> Tensor:
    found = torch.empty(len(rest), members, dtype=torch.long, device=rest.device)
    basis = rest.new_empty(len(rest), members, rest.shape[1])
    smallest = torch.finfo(rest.dtype).tiny
    for step in range(members):
        scores = (rest @ table.T).mul_(scale)
        if not positive:
            scores.abs_()
        scores.scatter_(1, found[:, :step], -torch.inf)
        found[:, step] = scores.argmax(1)
        new, known = table[found[:, step]], basis[:, :step]
        for _ in range(2):
            new = new - ((known @ new[:, :, None]) * known).sum(1)
        new = new / torch.linalg.vector_norm(new, dim=1, keepdim=True).clamp_min(smallest)
        rest = rest - (rest * new).sum(1, keepdim=True) * new
        basis[:, step] = new
    return found.sort(dim=1).values


def successive_slots(
    sums: Tensor, tables: Sequence[Tensor], filters: Sequence[Filter], order: Sequence[int], chunk: int | None = None
) -> Tensor:
    """One row of each of several tables, table by table: ``[batch, tables]``.

    In the given order, the best row by the table's filter is found and subtracted, so that the last table faces an
    exact sum. `slot_order` gives an order and its filters; `filters[n]` belongs to the n-th table *of the order* and is
    made for what is left by then. Cost: 2dV flops for each sum and table.

    Raises:
        ValueError: for an order that is no permutation of the tables, or another number of filters.
    """
    rest, tables = check_tables(sums, tables)
    if sorted(order) != list(range(len(tables))):
        raise ValueError(f"expected an order of the tables 0 to {len(tables) - 1}, was: {tuple(order)}")
    if len(filters) != len(tables):
        raise ValueError(f"expected {len(tables)} filters, was: {len(filters)}")
    found = torch.empty(len(rest), len(tables), dtype=torch.long, device=rest.device)
    for index, made in zip(order, filters, strict=True):
        found[:, index] = top(rest, tables[index], made, 1, chunk)[:, 0]
        rest = rest - tables[index][found[:, index]]
    return found
