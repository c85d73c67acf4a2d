"""Searches over all sets: the maximum likelihood set, and the exact set by meeting in the middle."""

import math

import torch
from torch import Tensor

from locant.capacity.decoders.inputs import check, parts

LARGEST = 10**9  # sets that a search may go through


def subsets(items: int, members: int, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
    """Sets number `start` to `stop` - 1 of all sets of `members` of `items`: ``[stop - start, members]``.

    The combinatorial number system (Knuth 4A, 7.2.1.3): set ``c_1 < ... < c_K`` has number ``Σ C(c_k, k)``.
    """
    number = torch.arange(start, stop, device=device)
    found = torch.empty(len(number), members, dtype=torch.long, device=device)
    for size in range(members, 0, -1):
        counts = torch.tensor([math.comb(item, size) for item in range(items)], device=device)
        found[:, size - 1] = torch.searchsorted(counts, number, right=True) - 1
        number = number - counts[found[:, size - 1]]
    return found


def exhaustive(sums: Tensor, table: Tensor, members: int, *, chunk: int = 2**14) -> Tensor:
    """The set nearest to each sum, of all ``C(V, K)``: ascending ``[batch, members]``.

    ``argmax <y, s> - |s|²/2`` over all sums s: maximum likelihood for white noise. No decoder does better; the
    yardstick of the others at small V. Equal scores go to the set of the lower number. Cost: ``C(V, K) (dK + 2d)``
    flops for each sum; ``chunk (d + batch)`` numbers.

    Raises:
        ValueError: for more than 10⁹ sets, and as `inputs.check`.
    """
    sums, table = check(sums, table, members)
    count = _count(len(table), members)
    best = sums.new_full((len(sums),), -torch.inf)
    found = torch.zeros(len(sums), members, dtype=torch.long, device=sums.device)
    for some in parts(count, chunk):
        sets = subsets(len(table), members, some.start, some.stop, sums.device)
        totals = table[sets].sum(1)
        values, place = (sums @ totals.T - totals.square().sum(1) / 2).max(1)
        better = values > best
        best, found = torch.where(better, values, best), torch.where(better[:, None], sets[place], found)
    return found


def meet_in_the_middle(
    sums: Tensor,
    table: Tensor,
    members: int,
    *,
    tolerance: float | None = None,
    precision: torch.dtype | None = None,
    memory: int = 2**30,
) -> Tensor:
    """The nearest set within `tolerance` of each sum, from two half sets: ascending ``[batch, members]``.

    All ``C(V, ⌊K/2⌋)`` half sums are sorted by their coordinate on one axis; for each other half, those whose
    coordinate lies within the tolerance of what is missing are compared in full (Horowitz and Sahni 1974, for vectors).
    Finds what `exhaustive` finds where anything is within the tolerance, in about ``C(V, ⌈K/2⌉)`` steps instead of
    ``C(V, K)``. The axis is the first principal direction of the table. `tolerance` is a distance; by default 16
    roundings of the longest sum, in `precision` (by default the type of sums or table, whichever is coarser), so give
    one for sums with noise.

    Cost: ``C(V, ⌈K/2⌉) (d K + log)`` flops for each sum; ``C(V, ⌈K/2⌉) (2d + K)`` numbers.

    Raises:
        ValueError: for a bad tolerance, half sets that do not fit into `memory`, a sum with no set within the tolerance
            (this finds exact sums, or nothing), and as `inputs.check`.
    """
    resolution = max(torch.finfo(kind).eps for kind in ([precision] if precision else [sums.dtype, table.dtype]))
    sums, table = check(sums, table, members)
    small, large = members // 2, members - members // 2
    need = sum(_count(len(table), size) * ((table.shape[1] + 3) * table.element_size() + 8 * size) for size in
               {small, large})  # fmt: skip
    if need > memory:
        raise ValueError(f"expected half sets within {memory / 2**20:,.0f} MiB, was: {need / 2**20:,.0f} MiB")
    if tolerance is None:
        tolerance = 16 * resolution * float(torch.linalg.vector_norm(sums, dim=1).max())
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"expected a tolerance of at least 0, was: {tolerance}")
    axis = torch.linalg.eigh(table.double().T @ table.double())[1][:, -1].to(table.dtype)
    left = subsets(len(table), small, 0, math.comb(len(table), small), sums.device)
    right = subsets(len(table), large, 0, math.comb(len(table), large), sums.device)
    totals, others = table[left].sum(1), table[right].sum(1)
    order = (totals @ axis).argsort()
    left, totals = left[order], totals[order]
    return torch.stack([_meet(target, axis, (left, totals), (right, others), tolerance) for target in sums])


def _meet(
    target: Tensor, axis: Tensor, left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor], tolerance: float
) -> Tensor:
    missing = target - right[1]
    along = missing @ axis
    keys = left[1] @ axis
    slack = tolerance + 4 * torch.finfo(keys.dtype).eps * float(keys.abs().max() + along.abs().max())
    first, last = torch.searchsorted(keys, along - slack), torch.searchsorted(keys, along + slack, right=True)
    best, found = tolerance, None
    while True:
        open_ = (first < last).nonzero()[:, 0]  # one candidate of each window in turn
        if len(open_) == 0:
            break
        sets = torch.cat((left[0][first[open_]], right[0][open_]), dim=1).sort(dim=1).values
        distance = torch.linalg.vector_norm(missing[open_] - left[1][first[open_]], dim=1)
        distance.masked_fill_((sets[:, 1:] == sets[:, :-1]).any(1), torch.inf)
        place = int(distance.argmin())
        if float(distance[place]) <= best:
            best, found = float(distance[place]), sets[place]
        first[open_] += 1
    if found is None:
        raise ValueError(f"expected a set within {tolerance:.3g} of every sum, was: a sum with none")
    return found


def _count(items: int, members: int) -> int:
    count = math.comb(items, members)
    if count > LARGEST:
        raise ValueError(f"expected at most {LARGEST:,} sets, was: {count:,}")
    return count
