"""The two rows of a table that are closest together, without comparing all pairs at full width."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.maths.blocks import blocks

TILE = 1024  # rows by rows of one tile of pairs
CHUNK = 1024  # pairs compared at full width at once
DENSE = 1 / 256  # share of a tile's pairs beyond which a product of its full rows is the faster comparison
WORK = 1 << 40  # multiply-adds at full width, at most
GATHERED = 16  # multiply-adds that take as long as fetching one number from a row of its own
SKETCHED = 4  # multiply-adds for sketches of all pairs, at most, for each at full width: they are of half the length
COSTLY = 1 << 31  # multiply-adds of one chunk, where a single pair costs many


@dataclass(frozen=True)
class Closest:
    """`value` is the least distance found, between the rows `pair`; `bound` certainly not exceeded from below.

    Equal when the search was finished; `evaluated` pairs were compared at full width.
    """

    value: float
    bound: float
    pair: tuple[int, int]
    evaluated: int


@dataclass(eq=False)
class Search:
    """The state of a search for the least of something over pairs.

    `value` and `pair` are the best so far, `evaluated` the pairs compared at full width with at most `work`
    multiply-adds left, and `missed` the least bound of those that were passed over for want of them.
    """

    value: float
    pair: tuple[int, int]
    work: int
    evaluated: int = 0
    missed: float = float("inf")

    def spend(self, pairs: int, each: int) -> bool:
        """Whether so many more pairs may be compared at so many multiply-adds each; if so they are counted."""
        if pairs * each > self.work:
            return False
        self.work -= pairs * each
        self.evaluated += pairs
        return True


@dataclass(frozen=True, eq=False)
class Sketch:
    """Rows shortened so that distances only shrink: `coordinates` (rows, m + 1) float32, `slack` the greatest error of
    a square; `full` gives the rows of a range in float64, at full width and with the same distances or greater."""

    coordinates: Tensor
    slack: float
    full: Callable[[int, int], Tensor]
    width: int


def sketch(table: Tensor, mean: Tensor, directions: Tensor, *, outside: Tensor | None = None) -> Sketch:
    """Coordinates of the rows along `directions` (d, m), and the length of what is left as one more coordinate.

    |a - b|^2 >= |a_m - b_m|^2 + (|a_rest| - |b_rest|)^2, by the triangle inequality. `outside` (d, r) are orthonormal
    columns whose span is taken out of the rows first.
    """

    def full(start: int, end: int) -> Tensor:
        rows = table[start:end].detach().double() - mean
        return rows if outside is None else rows - (rows @ outside) @ outside.T

    parts = []
    for start in range(0, len(table), TILE):
        rows = full(start, start + TILE)
        along = rows @ directions
        rest = (rows.square().sum(1) - along.square().sum(1)).clamp(min=0).sqrt()
        parts.append(torch.cat([along, rest[:, None]], dim=1).float())
    coordinates = torch.cat(parts)
    return Sketch(coordinates, _slack(coordinates), full, len(mean))


def _slack(rows: Tensor) -> float:
    """The greatest rounding error of |a|^2 + |b|^2 - 2 a.b, and of rounding the rows themselves to their type."""
    eps = torch.finfo(rows.dtype).eps
    return 4 * (rows.shape[1] + 6) * eps * float(rows.double().square().sum(1).max())


def pairs_within(
    of: Sketch, search: Search, reach: Callable[[], float], *, each: int, apart: int = 0
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """All pairs i < j, j - i > apart, that may belong to rows closer than reach(): (i, j, least distance).

    In chunks, tile by tile, nearest first within a tile; `reach` is asked anew for every tile and chunk, so a caller
    that lowers it on the way is given fewer of them. A pair costs the caller `each` multiply-adds; of those that the
    rest of its work does not pay for only the nearest of a tile is given, which bounds the others.
    """
    points, count = of.coordinates, len(of.coordinates)
    for first in range(0, count, TILE):
        for second in range(first, count, TILE):
            squares = _squares(points[first : first + TILE], points[second : second + TILE])
            if second - first <= TILE + apart:
                rows, columns = torch.arange(first, first + len(squares)), torch.arange(second, second + len(squares.T))
                squares.masked_fill_(columns - rows[:, None] <= apart, torch.inf)
            slack, limit = of.slack, reach() ** 2 + of.slack
            if not float(squares.amin()) < limit:
                continue
            paid = search.work >= squares.numel() * of.width
            close = squares < limit if paid else None
            if close is not None and int(close.sum()) > DENSE * close.numel():
                search.spend(close.numel(), of.width)
                a, b = of.full(first, first + TILE).float(), of.full(second, second + TILE).float()
                squares, slack = _squares(a, b).masked_fill_(~close, torch.inf), max(_slack(a), _slack(b))
            for rank, lower in _chunks(squares.flatten(), slack, reach, search, each):
                yield first + rank // squares.shape[1], second + rank % squares.shape[1], lower


def _squares(a: Tensor, b: Tensor) -> Tensor:
    """|a|^2 + |b|^2 - 2 a.b for all pairs, by one product."""
    one, other = torch.ones(len(a), 1, dtype=a.dtype), torch.ones(len(b), 1, dtype=b.dtype)
    left = torch.cat([a, a.square().sum(1, keepdim=True), one], dim=1)
    return left @ torch.cat([-2 * b, other, b.square().sum(1, keepdim=True)], dim=1).T


def _chunks(
    squares: Tensor, slack: float, reach: Callable[[], float], search: Search, each: int
) -> Iterator[tuple[Tensor, Tensor]]:
    paid = search.work // each + 1  # with the first that is not, as it bounds those after it
    kept = (squares < reach() ** 2 + slack).nonzero()[:, 0] if paid > 1 else squares.argmin()[None]
    near, order = squares[kept].topk(min(paid, len(kept)), largest=False)
    kept, lower = kept[order], (near.double() - slack).clamp(min=0).sqrt()
    step = min(CHUNK, max(1, COSTLY // each))
    for start in range(0, len(kept), step):
        some = slice(start, start + step)
        count = int((lower[some] < reach()).sum())
        if not count:
            return
        yield kept[some][:count], lower[some][:count]


def closest_pair(table: Tensor, mean: Tensor, directions: Tensor, *, apart: int = 0, work: int = WORK) -> Closest:
    """min over i < j, j - i > apart, of |x_i - x_j|, certified.

    Pairs are compared in the first m `directions` (d, d, columns) from `mean` (d,) and by the length of the rest, which
    is never more than the distance; those that may still be the closest are compared in full. m is chosen for the least
    work. Beyond `work` multiply-adds at full width the rest is passed over, and `bound` says what it might hide.
    Any orthonormal directions give the right answer; the table's principal ones, largest first, give it soonest.

    Raises:
        ValueError: for a table without a pair of rows that far apart.
    """
    if len(table) < apart + 2:
        raise ValueError(f"expected at least {apart + 2} rows, was: {len(table)}")
    value, pair, evaluated = _start(table, apart)
    search, each = Search(value, pair, work, evaluated), GATHERED * len(mean)
    shortened = sketch(table, mean, directions[:, : _sketch_width(table, directions, value, work)])
    for i, j, lower in pairs_within(
        shortened, search, lambda: min(search.value, search.missed), each=each, apart=apart
    ):
        if not search.spend(len(i), each):
            search.missed = min(search.missed, float(lower[0]))
            continue
        distances = (table[i].double() - table[j].double()).norm(dim=1)
        least = int(distances.argmin())
        if float(distances[least]) < search.value:
            search.value, search.pair = float(distances[least]), (int(i[least]), int(j[least]))
    return Closest(search.value, min(search.value, search.missed), search.pair, search.evaluated)


def _start(table: Tensor, apart: int) -> tuple[float, tuple[int, int], int]:
    """The closest of the pairs that have one of 64 rows spread over the table, as a first guess."""
    chosen = torch.linspace(0, len(table) - 1, min(64, len(table))).round().long().unique()
    rows, value, pair = table[chosen].double(), float("inf"), (0, apart + 1)
    for start, block in blocks(table):
        distances = torch.cdist(rows, block)
        gaps = (torch.arange(start, start + len(block)) - chosen[:, None]).abs()
        distances.masked_fill_(gaps <= apart, torch.inf)
        least = int(distances.argmin())
        if float(distances.flatten()[least]) < value:
            value = float(distances.flatten()[least])
            pair = (int(chosen[least // len(block)]), start + least % len(block))
    i, j = sorted(pair)
    exact = float((table[i].double() - table[j].double()).norm())
    return exact, (i, j), len(chosen) * (len(table) - 1)


def _sketch_width(table: Tensor, directions: Tensor, distance: float, work: int) -> int:
    """The m for which sketching all pairs and comparing what remains takes the fewest multiply-adds, by a sample."""
    generator, width = torch.Generator().manual_seed(0), len(directions)
    pairs = torch.randint(len(table), (2, 4096), generator=generator)
    pairs = pairs[:, pairs[0] != pairs[1]]
    step, parts = max(1, (1 << 22) // width), []
    for some in pairs.T.split(step):
        difference = (table[some[:, 0]].double() - table[some[:, 1]].double()) @ directions
        parts.append(difference.square().cumsum(1) < distance**2)
    within = torch.cat(parts).double().mean(0) if pairs.numel() else torch.zeros(width)
    widths = torch.arange(1, width + 1)
    cost = widths.clamp(min=32) + 2 * GATHERED * width * within
    most = max(16, SKETCHED * work * 2 // len(table) ** 2)
    allowed = cost[:most]  # of those that cost about as little the longest, as it has the best bound
    return int((allowed <= 1.01 * allowed.min()).nonzero()[-1]) + 1
