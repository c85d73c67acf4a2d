"""M3b: how far apart the sums stay: the closest two tokens, two positions, and two sums that differ in both."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.maths.blocks import blocks
from locant.maths.closest import WORK, Closest, Search, Sketch, closest_pair, pairs_within, sketch
from locant.xray.metric import Metric, absent
from locant.xray.moments import Moments, moments

GAPS = 1 << 22  # squared steps between positions that are kept: all offsets up to 2048 positions, near ones beyond
SLOW = 8  # multiply-adds of a product that take as long as one comparison of an offset
PAIRS = 1 << 20  # products of token differences with positions held at once


@dataclass(frozen=True)
class Mixed:
    """The least distance of two sums with other tokens and other positions.

    `value` belongs to |W_v + P_p - W_v' - P_p'| with (v, v') = `tokens` and (p, p') = `positions`; `bound` is certainly
    not exceeded from below, and equal to it when the search was finished. `evaluated` pairs of tokens were compared.
    """

    value: float
    bound: float
    tokens: tuple[int, int]
    positions: tuple[int, int]
    evaluated: int


@dataclass(frozen=True, eq=False)
class _Steps:
    """What is needed of the positions. `squares[k - 1, p]` = |P_p - P_(p+k)|^2 for near offsets k, `order` these
    offsets by their least square `least`, and `far` a lower bound on the squares of all other offsets (infinity if
    there are none)."""

    positions: Tensor
    centre: Tensor
    squares: Tensor
    order: Tensor
    least: Tensor
    far: float

    @property
    def near(self) -> float:
        """The least squared step."""
        return min(float(self.least[0]), self.far)


def closest_mixed(
    tokens: Tensor,
    positions: Tensor,
    of_tokens: Moments | None = None,
    of_positions: Moments | None = None,
    *,
    work: int = WORK,
    steps: int = GAPS,
) -> Mixed:
    """min over v != v', p != p' of |W_v + P_p - W_v' - P_p'|, certified.

    With D = W_v - W_v', u = D P' and Q the first directions of P: |D + P_p - P_p'|^2 = |D|^2 + |P_p - P_p'|^2
    + 2 (u_p - u_p'). A pair of tokens is passed over where |(I - QQ')D| - 2 radius, or |D|^2 + (least step)^2
    - 2 range(u), is not below the best; all offsets of positions are compared for the others. With more than 2048
    positions only near offsets are (`steps` numbers of memory), and the far ones are bounded by their least step.
    Beyond `work` multiply-adds the rest of the pairs is passed over, which lowers `bound`.
    """
    w = moments(tokens) if of_tokens is None else of_tokens
    p = moments(positions) if of_positions is None else of_positions
    gaps, q, radius = _steps_of(positions, p, steps), *_tube(positions, p)
    left = _outside_covariance(w.covariance, q)
    directions = torch.linalg.eigh(left)[1].flip(1)[:, : max(1, min(64, w.width // 2))]
    search, where, doubt = Search(math.inf, (0, 1), work), (0, 1), math.inf
    near = sketch(tokens, w.mean, directions, outside=q)
    where, doubt = _compare(search, where, doubt, _first_pairs(tokens, near), tokens, gaps)

    def reach() -> float:
        return min(search.value, search.missed) + 2 * radius

    each = len(positions) * (w.width + SLOW * len(gaps.order))
    for i, j, lower in pairs_within(near, search, reach, each=each):
        if not search.spend(len(i), each):
            search.missed = min(search.missed, max(0.0, float(lower[0]) - 2 * radius))
            continue
        where, doubt = _compare(search, where, doubt, torch.stack([i, j]), tokens, gaps)
    (v, other), (a, b) = search.pair, where
    exact = (tokens[v].double() - tokens[other].double() + positions[a].double() - positions[b].double()).norm()
    bound = min(float(exact), search.missed, doubt)
    return Mixed(float(exact), bound, (v, other), (a, b), search.evaluated)


def separation(
    tokens: Tensor,
    positions: Tensor,
    of_tokens: Moments,
    of_positions: Moments,
    *,
    ids: Tensor | None = None,
    first: int = 0,
    work: int = WORK,
) -> dict[str, Metric]:
    """`separation_token`, `separation_position`, `separation_mixed` and `kappa`, each with certified bounds.

    The least distances of two token rows, of two position rows, and of two sums that differ in both (`closest_mixed`).
    `kappa` = mixed / min(token, position): at 1 or above, no mixed pair of sums is closer than the closest pure pair.
    The baseline of the mixed distance is that of orthogonal tables, sqrt(token^2 + position^2), and of kappa that
    number over the smaller of both. The interval holds the true value for certain: its ends are equal when the search
    was finished. `ids` (rows,) name the token rows in the notes; None if they are rows 0, 1, ...;
    `first` is the position of the first position row.
    """
    t = closest_pair(tokens, of_tokens.mean, of_tokens.directions, work=work)
    p = closest_pair(positions, of_positions.mean, of_positions.directions, work=work)
    found = {
        "separation_token": _metric(t, None, "tokens {} and {}".format(*_named(t.pair, ids))),
        "separation_position": _metric(p, None, f"positions {p.pair[0] + first} and {p.pair[1] + first}"),
    }
    mixed = closest_mixed(tokens, positions, of_tokens, of_positions, work=work)
    least, surely = min(t.value, p.value), min(t.bound, p.bound)
    orthogonal = math.hypot(t.value, p.value)
    (v, other), (a, b) = _named(mixed.tokens, ids), (at + first for at in mixed.positions)
    found["separation_mixed"] = _metric(mixed, orthogonal, f"token {v} at {a} and token {other} at {b}")
    if surely == 0:
        reason = "two rows of a table are equal" if least == 0 else "the closest pair of a table is not known"
        found["kappa"] = absent(reason, n=mixed.evaluated)
        return found
    ends = (mixed.bound / least, mixed.value / surely)
    note = f"pairs of tokens compared; closest: token {v} at {a} and token {other} at {b}"
    found["kappa"] = Metric(mixed.value / least, orthogonal / least, mixed.evaluated, ends, note)
    return found


def _metric(found: Closest | Mixed, baseline: float | None, pair: str) -> Metric:
    finished = "certified" if found.bound == found.value else "search not finished, the interval holds the true value"
    note = f"{pair}; n counts the pairs compared at full width; {finished}"
    return Metric(found.value, baseline, found.evaluated, (found.bound, found.value), note)


def _named(pair: tuple[int, int], ids: Tensor | None) -> tuple[int, int]:
    return pair if ids is None else (int(ids[pair[0]]), int(ids[pair[1]]))


def _tube(positions: Tensor, p: Moments) -> tuple[Tensor, float]:
    """First directions of the positions, and the greatest distance of a position to their span."""
    rank = min(int((p.energies.cumsum(0) < 0.99 * p.energies.sum()).sum()) + 1, 128, p.width // 2)
    q = p.directions[:, :rank]
    rows = [block - p.mean for _, block in blocks(positions)]
    return q, max(float((row - (row @ q) @ q.T).norm(dim=1).max()) for row in rows)


def _outside_covariance(covariance: Tensor, q: Tensor) -> Tensor:
    keep = torch.eye(len(covariance), dtype=torch.float64) - q @ q.T
    return keep @ covariance @ keep


def _steps_of(positions: Tensor, p: Moments, most: int) -> _Steps:
    count = len(positions)
    offsets = min(count - 1, max(1, most // count))
    squares = torch.full((offsets, count), torch.inf, dtype=torch.float64)
    for start in range(0, count, offsets):  # a band of the matrix of all distances, block by block
        rows = positions[start : start + 2 * offsets].double() - p.mean
        lengths, left = rows.square().sum(1), rows[:offsets]
        near = (lengths[: len(left), None] + lengths - 2 * left @ rows.T).clamp(min=0)
        here = torch.arange(len(left))
        for offset in range(1, min(offsets, len(rows) - 1) + 1):
            some = here[: len(rows) - offset]
            squares[offset - 1, start : start + len(some)] = near[some, some + offset]
    far = math.inf if offsets == count - 1 else closest_pair(positions, p.mean, p.directions, apart=offsets).bound ** 2
    least, order = squares.amin(dim=1).sort()
    return _Steps(positions, p.mean, squares, order + 1, least, far)


def _first_pairs(tokens: Tensor, near: Sketch) -> Tensor:
    """A few pairs of tokens that are close outside of the positions' directions, for a first best."""
    points = near.coordinates
    chosen = torch.linspace(0, len(tokens) - 1, min(64, len(tokens))).round().long().unique()
    distances = torch.cdist(points[chosen], points)
    distances[torch.arange(len(chosen)), chosen] = torch.inf
    return torch.stack([chosen, distances.argmin(dim=1)]).sort(dim=0).values


def _compare(
    search: Search, where: tuple[int, int], doubt: float, pairs: Tensor, tokens: Tensor, gaps: _Steps
) -> tuple[tuple[int, int], float]:
    """Compare pairs of tokens (2, count) at all positions; the best goes into `search`, its positions are returned.

    `doubt` is the least bound of far offsets that were not compared.
    """
    for some in pairs.T.split(max(1, PAIRS // gaps.squares.shape[1])):
        differences = tokens[some[:, 0]].double() - tokens[some[:, 1]].double()
        u = torch.cat([differences @ (block - gaps.centre).T for _, block in blocks(gaps.positions)], dim=1)
        squares, spread = differences.square().sum(1), u.amax(dim=1) - u.amin(dim=1)
        lower = squares - 2 * spread
        rows = lower.argsort()[: int((lower + gaps.near < search.value**2).sum())]
        if not len(rows):
            continue
        where = _offsets(search, where, some[rows], lower[rows], squares[rows], u[rows], gaps)
        doubt = min(doubt, math.sqrt(max(0.0, float(lower[rows[0]]) + gaps.far)))
    return where, doubt


def _offsets(
    search: Search,
    where: tuple[int, int],
    pairs: Tensor,
    lower: Tensor,
    squares: Tensor,
    u: Tensor,
    gaps: _Steps,
) -> tuple[int, int]:
    """Rows come by ascending `lower`, so those that an offset may still make the best are the first ones."""
    for offset, least in zip(gaps.order.tolist(), gaps.least.tolist(), strict=True):
        count = int((lower + least < search.value**2).sum())
        if not count:
            break  # later offsets have greater steps
        end = u.shape[1] - offset
        turn = u[:count, :end] - u[:count, offset:]
        values = squares[:count, None] + gaps.squares[offset - 1, :end] - 2 * turn.abs()
        index = int(values.argmin())
        value = math.sqrt(max(0.0, float(values.flatten()[index])))
        if value < search.value:
            row, first = divmod(index, end)
            swapped = float(turn[row, first]) > 0  # P_first - P_(first + offset) would push the sums apart
            where = (first + offset, first) if swapped else (first, first + offset)
            search.value, search.pair = value, (int(pairs[row, 0]), int(pairs[row, 1]))
    return where
