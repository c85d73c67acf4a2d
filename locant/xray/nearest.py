"""The pair (token, position) whose sum is nearest to a vector, exactly, without the table of all pairs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from locant.maths.blocks import BLOCK, blocks
from locant.xray.moments import Moments, moments

FIRST = 16  # tokens per query that are tried before a second pass is needed
QUERIES = 256  # queries per pass over the token table
EQUAL = 1e-12  # squared distances closer than this share of the largest square count as equal


@dataclass(frozen=True, eq=False)
class PairIndex:
    """Two tables made ready for `nearest_pairs`.

    With Q the first directions of the position table: `centre` (d,) is the mean position, `directions` (d, r) is Q,
    `radius` the greatest distance of a position to centre + span Q, `outside` (V,) the squared length of each token row
    outside of span Q, `squares` (N,) the squared length of each position row, `scale` the largest square of a sum.
    """

    tokens: Tensor
    positions: Tensor
    centre: Tensor
    directions: Tensor
    radius: float
    outside: Tensor
    squares: Tensor
    scale: float


@dataclass(frozen=True, eq=False)
class NearestPairs:
    """For each query, all of shape (queries,): the nearest `token` and `position`, their `distance`, how many pairs are
    that near (`ties`, 1 for a unique answer), and for how many tokens all positions were looked at (`tried`)."""

    token: Tensor
    position: Tensor
    distance: Tensor
    ties: Tensor
    tried: Tensor


def pair_index(tokens: Tensor, positions: Tensor, of_positions: Moments | None = None) -> PairIndex:
    """Prepare token rows (V, d) and position rows (N, d): one pass over each, and V + N + d r numbers of memory.

    The rank r holds 99 % of the variance of the positions, but is at most 128 and at most d / 2.
    """
    known = moments(positions, name="position table") if of_positions is None else of_positions
    held = known.energies.cumsum(0) < 0.99 * known.energies.sum()
    rank = min(int(held.sum()) + 1, 128, known.width // 2)
    q = known.directions[:, :rank]
    tails = [(_outside(block - known.mean, q).norm(dim=1), block.square().sum(1)) for _, block in blocks(positions)]
    radius = float(torch.cat([tail for tail, _ in tails]).max())
    squares = torch.cat([square for _, square in tails])
    lengths = [(_outside(block, q).square().sum(1), block.square().sum(1).max()) for _, block in blocks(tokens)]
    outside = torch.cat([length for length, _ in lengths])
    scale = float(max(most for _, most in lengths)) + float(squares.max())
    return PairIndex(tokens, positions, known.mean, q, radius, outside, squares, scale)


def nearest_pairs(queries: Tensor, index: PairIndex) -> NearestPairs:
    """argmin over (v, p) of |x - W_v - P_p| for each row x of queries (count, d), with proof that nothing is nearer.

    For a token, no position brings its sum nearer to x than max(0, |(I - QQ')(x - W_v - mean P)| - radius): the
    position has gone from the test. Tokens are tried in the order of that bound, each with all positions, until the
    bound exceeds the best distance. The more of the positions' variance Q holds, the fewer tokens are tried; with
    noise far above the radius the search degrades to all pairs, and stays exact.
    """
    if queries.ndim != 2 or queries.shape[1] != index.tokens.shape[1]:
        raise ValueError(f"expected queries (count, {index.tokens.shape[1]}), was: {tuple(queries.shape)}")
    step = max(1, min(QUERIES, BLOCK // max(FIRST, len(index.squares))))
    parts = [_search(part.double(), index) for part in queries.split(step)]
    token, position, square, ties, tried = (torch.cat(column) for column in zip(*parts, strict=True))
    return NearestPairs(token, position, square.clamp(min=0).sqrt(), ties, tried)


class _Best:
    """The best pair so far of each query, and how many pairs are as good."""

    def __init__(self, queries: Tensor, index: PairIndex) -> None:
        count = len(queries)
        self.queries, self.index = queries, index
        self.token = torch.zeros(count, dtype=torch.long)
        self.position = torch.zeros(count, dtype=torch.long)
        self.square = torch.full((count,), torch.inf, dtype=torch.float64)
        self.ties = torch.zeros(count, dtype=torch.long)
        self.tried = torch.zeros(count, dtype=torch.long)
        self.equal = EQUAL * max(index.scale, float(queries.square().sum(1).max()))

    def reached(self, lower: Tensor, some: Tensor) -> Tensor:
        """Whether tokens with these bounds on the distance may still be as near as the best of the queries `some`."""
        return lower.square() <= self.square[some] + self.equal

    def update(self, some: Tensor, tokens: Tensor) -> None:
        """Try the tokens (len(some), each) for the queries `some`, no query twice and no token twice for a query."""
        rest = self.queries[some, None] - self.index.tokens[tokens].double()
        products = torch.cat([rest @ block.T for _, block in blocks(self.index.positions)], dim=2)
        squares = (rest.square().sum(2, keepdim=True) + self.index.squares - 2 * products).flatten(1)
        least, where = squares.min(dim=1)
        nearer, as_near = least < self.square[some] - self.equal, least <= self.square[some] + self.equal
        counts = (squares <= torch.minimum(least, self.square[some])[:, None] + self.equal).sum(1)
        self.ties[some] = counts.where(nearer, self.ties[some] + counts * as_near)
        found = tokens.gather(1, where[:, None] // len(self.index.squares))[:, 0]
        self.token[some] = found.where(nearer, self.token[some])
        self.position[some] = (where % len(self.index.squares)).where(nearer, self.position[some])
        self.square[some] = least.where(nearer, self.square[some])
        self.tried[some] += tokens.shape[1]


def _search(queries: Tensor, index: PairIndex) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    best, rest = _Best(queries, index), _outside(queries - index.centre, index.directions)
    kept = torch.empty(len(queries), 0, dtype=torch.float64), torch.empty(len(queries), 0, dtype=torch.long)
    first = min(FIRST, len(index.tokens))
    for start, block in blocks(index.tokens):
        lower = torch.cat([kept[0], _lower(rest, block, start, index)], dim=1)
        ids = torch.cat([kept[1], torch.arange(start, start + len(block)).expand(len(queries), -1)], dim=1)
        least, where = lower.topk(min(first, lower.shape[1]), dim=1, largest=False)
        kept = least, ids.gather(1, where)
    every = torch.arange(len(queries))
    for rank in range(first):
        some = every[best.reached(kept[0][:, rank], every)]
        if len(some):
            best.update(some, kept[1][some, rank, None])
    if first < len(index.tokens):
        _second_pass(best, rest, kept[1], every[best.reached(kept[0][:, -1], every)])
    return best.token, best.position, best.square, best.ties, best.tried


def _second_pass(best: _Best, rest: Tensor, done: Tensor, open_: Tensor) -> None:
    """Try all tokens within reach for the queries that the first tokens have not settled."""
    if not len(open_):
        return
    step = max(1, BLOCK // (8 * max(len(best.index.squares), rest.shape[1])))
    for start, block in blocks(best.index.tokens):
        lower = _lower(rest[open_], block, start, best.index)
        within = best.reached(lower.T, open_).T
        for row, query in enumerate(open_):
            ids = within[row].nonzero()[:, 0]
            ids = ids[lower[row, ids].argsort(stable=True)]
            for some in ids[~torch.isin(ids + start, done[query])].split(step):
                some = some[best.reached(lower[row, some], query)]
                if not len(some):
                    break
                best.update(query[None], some[None] + start)


def _lower(rest: Tensor, block: Tensor, start: int, index: PairIndex) -> Tensor:
    """(queries, rows of the block): no position brings the token's sum nearer than this."""
    outside = index.outside[start : start + len(block)]
    squares = rest.square().sum(1, keepdim=True) + outside - 2 * rest @ block.T
    return (squares.clamp(min=0).sqrt() - index.radius).clamp(min=0)


def _outside(rows: Tensor, directions: Tensor) -> Tensor:
    return rows - (rows @ directions) @ directions.T
