"""Brute force: draw sets from a real or a random table, add them, and look whether the largest scores are theirs."""

import math

import torch
from torch import Tensor

from locant.capacity.check import check_members, check_noise, check_width
from locant.capacity.estimate import Estimate, from_clusters, from_counts
from locant.capacity.formats import number_format
from locant.capacity.simulate import CODES

ROWS = 4096  # code vectors in memory at a time


def brute_force(
    source: int | Tensor,
    items: int | None = None,
    members: int = 1,
    *,
    code: str = "gauss",
    noise: float = 0.0,
    format_name: str | None = None,
    trials: int = 1024,
    codebooks: int = 8,
    seed: int = 0,
    rows: int = ROWS,
) -> Estimate:
    """The share of random sets whose `members` largest dot products are exactly the members'; ties are failures.

    source: a width, for random codebooks of `items` vectors (their trials are spread over `codebooks`, and the interval
        counts codebooks, as trials that share one are not independent); or a table ``[items, width]`` (then trials are
        independent given the table, which is what the answer is about).
    members: K.  noise: variance per coordinate.  format_name: rounds the sums.  rows: code vectors held at a time.
    Memory is ``trials x rows`` scores and ``rows x width`` codes: chunks of a random table are drawn again from their
    own seed, never stored. Only the least hit and the largest miss are kept, as no order among the rest matters.
    Supports are drawn by random keys or by Floyd's method, which end for any K <= V.
    Raises ValueError for sizes out of range, an unknown code, or a table with NaN.
    """
    check_noise(noise)
    if trials < 1 or codebooks < 1 or rows < 1:
        raise ValueError(f"expected at least 1 trial, codebook and row, was: {trials}, {codebooks}, {rows}")
    if isinstance(source, Tensor):
        if source.ndim != 2 or not torch.isfinite(source).all():
            raise ValueError(f"expected a finite table [items, width], was: {list(source.shape)} or NaN in it")
        check_members(len(source), members)
        book = _Stored(source.float(), rows)
        right = _right(book, members, trials, noise, format_name, _generator(seed, 0))
        return from_counts(right, trials, "brute force")
    check_width(source)
    if items is None or code not in CODES:
        raise ValueError(f"expected items and a code of {', '.join(CODES)}, was: {items} and {code}")
    check_members(items, members)
    if codebooks < 2:
        raise ValueError(f"expected at least 2 codebooks, was: {codebooks}")
    counts = [trials // codebooks + (book < trials % codebooks) for book in range(codebooks)]
    good = [
        _right(_Drawn(source, items, code, seed + 7919 * (book + 1), rows), members, count, noise, format_name,
               _generator(seed, book + 1))
        for book, count in enumerate(counts) if count
    ]  # fmt: skip
    return from_clusters(good, [count for count in counts if count])


class _Stored:
    """A table, in chunks of rows."""

    def __init__(self, table: Tensor, rows: int) -> None:
        self.table, self.items, self.width, self.rows = table, len(table), table.shape[1], rows
        self.size = float(table.square().mean().sqrt()) or 1.0

    def chunk(self, index: int) -> Tensor:
        return self.table[index * self.rows : (index + 1) * self.rows]


class _Drawn:
    """A random table that is not stored: every chunk of it is drawn from a seed of its own, the same each time."""

    def __init__(self, width: int, items: int, code: str, seed: int, rows: int) -> None:
        self.width, self.items, self.code, self.seed, self.rows, self.size = width, items, code, seed, rows, 1.0
        self.kept: tuple[int, Tensor] | None = None  # the last chunk: small tables are drawn once

    def chunk(self, index: int) -> Tensor:
        if self.kept is None or self.kept[0] != index:
            count = min(self.rows, self.items - index * self.rows)
            generator = _generator(self.seed, index)
            if self.code == "sign":
                drawn = torch.randint(0, 2, (count, self.width), generator=generator).float() * 2 - 1
            else:
                drawn = torch.randn(count, self.width, generator=generator)
                if self.code == "sphere":
                    drawn *= math.sqrt(self.width) / drawn.norm(dim=1, keepdim=True)
            self.kept = (index, drawn)
        return self.kept[1]


def _right(
    book: _Stored | _Drawn, members: int, trials: int, noise: float, format_name: str | None, generator: torch.Generator
) -> int:
    """How many of the sets are recovered."""
    chosen = supports(trials, book.items, members, generator)
    chunks = range(math.ceil(book.items / book.rows))
    sums = torch.zeros(trials, book.width)
    for index in chunks:
        _add_members(sums, chosen, book.chunk(index), index * book.rows)
    if noise:
        sums += math.sqrt(noise) * torch.randn(sums.shape, generator=generator)
    if format_name is not None:
        sums = number_format(format_name).round(sums)
    least, most = torch.full((trials,), math.inf), torch.full((trials,), -math.inf)
    for index in chunks:
        part = book.chunk(index)
        scores = sums @ part.T
        row, column = _inside(chosen, index * book.rows, len(part))
        hits = scores[row, column]
        least.scatter_reduce_(0, row, hits, "amin")
        scores[row, column] = -math.inf
        most = torch.maximum(most, scores.amax(1))
    return int((least > most).sum())


def _inside(chosen: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
    """Trial and row of the chunk for every member that lies in it."""
    here = (chosen >= start) & (chosen < start + count)
    return here.nonzero()[:, 0], chosen[here] - start


def _add_members(sums: Tensor, chosen: Tensor, part: Tensor, start: int) -> None:
    row, column = _inside(chosen, start, len(part))
    sums.index_add_(0, row, part[column])


def supports(trials: int, items: int, members: int, generator: torch.Generator) -> Tensor:
    """Sets of `members` different items ``[trials, members]``, each as likely as any other.

    By random keys where these fit, and by Floyd's method (Bentley and Floyd 1987) where the items are many.
    """
    if trials * items <= 1 << 24:
        return torch.rand(trials, items, generator=generator).topk(members, dim=1).indices
    chosen = torch.empty(trials, members, dtype=torch.long)
    for index in range(members):
        last = items - members + index
        drawn = torch.randint(0, last + 1, (trials,), generator=generator)
        taken = (chosen[:, :index] == drawn[:, None]).any(1)
        chosen[:, index] = torch.where(taken, torch.full_like(drawn, last), drawn)
    return chosen


def _generator(seed: int, index: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 1_000_003 + index) % (1 << 62))
