"""Brute force: draw sets from a real or a random table, add them, and look whether the largest scores are theirs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from locant.capacity.books import Book, drawn_book, seeded, stored_book, supports
from locant.capacity.estimate import Estimate, from_clusters, from_counts
from locant.capacity.formats import NumberFormat
from locant.capacity.simulate import check_code_and_format, check_question, draw, stored

ROWS = 1024  # code vectors whose scores are in memory at a time
BATCH = 1024  # trials whose scores are in memory at a time


def brute_force(
    source: int | Tensor | Sequence[Tensor],
    items: int | Sequence[int] | None = None,
    members: int = 1,
    *,
    code: str = "gauss",
    noise: float = 0.0,
    format_name: str | None = None,
    accumulate: bool = False,
    goal: str = "set",
    threshold: float | None = None,
    trials: int = 1024,
    codebooks: int = 8,
    seed: int = 0,
    rows: int = ROWS,
    device: str = "cpu",
) -> Estimate:
    """The share of random sums whose members have the largest dot products; ties are failures.

    source: a width, for random codebooks of `items` vectors, or one such of each of a sequence of `items`. The trials
        are spread over `codebooks`, and the interval counts codebooks, as trials that share one are not independent.
        Or a table ``[items, width]``, or a sequence of tables: then trials are independent given the tables, which is
        what the answer is about.
    members: K different items of one codebook; 1, one of each, of several.  noise: variance per coordinate.
    goal, threshold, accumulate: as in `simulate.simulate`.  format_name: rounds the sums.
    rows: code vectors scored at a time.  device: where random codebooks are drawn; a table stays where it is.

    Holds ``min(trials, 1024) x rows`` scores and ``rows x width`` codes, however many items there are: chunks of a
    large random codebook are drawn again from their own seed. Only the least hit and the largest miss are kept, as no
    order among the rest matters. Scores are float32: those of sign codes are whole numbers, and tie, up to 2^24; sums
    in a format without an exponent are scored as their codes, so that rounding makes and breaks no tie there either.
    Raises ValueError for sizes out of range, an unknown code, goal or format, tables that are empty, not finite or of
    different widths, fewer than 2 codebooks, or one slot of a single table.
    """
    if trials < 1 or codebooks < 1 or rows < 1:
        raise ValueError(f"expected at least 1 trial, codebook and row, was: {trials}, {codebooks}, {rows}")
    rounding = check_code_and_format(code, format_name, accumulate)
    if not isinstance(source, int):
        tables = _checked([source] if isinstance(source, Tensor) else list(source), items, goal)
        sizes = [len(table) for table in tables]
        width = tables[0].shape[1]
        check_question(width, sizes[0] if len(tables) == 1 else sizes, members, noise, goal, threshold)
        books = [stored_book(table.float(), rows) for table in tables]
        test = _Test(books, members, code, noise, rounding, accumulate, goal, threshold)
        return from_counts(_right(test, trials, seeded(seed, device=tables[0].device)), trials, "brute force")
    if items is None:
        raise ValueError(f"expected a number of items beside the width, was: {items}")
    check_question(source, items, members, noise, goal, threshold)
    if codebooks < 2:
        raise ValueError(f"expected at least 2 codebooks, was: {codebooks}")
    counts = [trials // codebooks + (index < trials % codebooks) for index in range(min(codebooks, trials))]
    sizes, good = [items] if isinstance(items, int) else list(items), []
    for index, count in enumerate(counts):
        books = [drawn_book(code, size, source, rows, (seed, index, n), device) for n, size in enumerate(sizes)]
        test = _Test(books, members, code, noise, rounding, accumulate, goal, threshold)
        good.append(_right(test, count, seeded(seed, index, device=device)))
    return from_clusters(good, counts)


@dataclass(frozen=True, eq=False)
class _Test:
    """Codebooks, and how sums of them are made and judged."""

    books: list[Book]
    members: int
    code: str
    noise: float
    rounding: NumberFormat | None
    accumulate: bool
    goal: str
    threshold: float | None


def _right(test: _Test, trials: int, generator: torch.Generator) -> int:
    """How many of the sums are taken apart."""
    return sum(_batch(test, min(BATCH, trials - start), generator) for start in range(0, trials, BATCH))


def _batch(test: _Test, trials: int, generator: torch.Generator) -> int:
    slot = test.goal == "slot"
    taken = 1 if slot or len(test.books) > 1 else test.members
    chosen = [supports(trials, book.items, taken, generator) for book in test.books]
    sums = _sums(test, chosen, generator)
    level = torch.full((trials,), math.inf if test.threshold is None else test.threshold * sums.shape[1])
    level = level.to(sums.device)
    if test.rounding is not None and test.rounding.dtype is None:  # one scale a sum: its codes give the same order
        scale = test.rounding.scale(sums).clamp_min(torch.finfo(sums.dtype).tiny)
        sums, level = (sums / scale).round(), level / scale[:, 0]
    right = torch.ones(trials, dtype=torch.bool, device=sums.device)
    scored = 1 if slot else len(test.books)
    for book, own in zip(test.books[:scored], chosen[:scored], strict=True):
        least, most = _extremes(book, own, sums)
        right &= (least > level) & (level > most) if test.goal == "membership" else least > most
    return int(right.sum())


def _sums(test: _Test, chosen: list[Tensor], generator: torch.Generator) -> Tensor:
    """What is stored of each sum, `[trial, width]`. Vectors are kept apart only where their order matters."""
    trials, width, device = len(chosen[0]), test.books[0].width, generator.device
    alone = test.members - 1 if test.goal == "slot" and len(test.books) == 1 else 0  # from codebooks never scored
    others = [draw(test.code, (trials, width), generator, torch.float32) for _ in range(alone)]
    if test.accumulate:
        parts = [torch.empty(*own.shape, width, device=device) for own in chosen]
        for book, own, part in zip(test.books, chosen, parts, strict=True):
            for start, vectors in book.chunks():
                here = (own >= start) & (own < start + len(vectors))
                part[here] = vectors[own[here] - start]
        drawn = torch.cat([*parts, *(other[:, None] for other in others)], 1)
        return stored(drawn.sum(1), drawn, test.noise, test.rounding, True, generator)
    sums = torch.zeros(trials, width, device=device)
    for book, own in zip(test.books, chosen, strict=True):
        for start, vectors in book.chunks():
            trial, row = _inside(own, start, len(vectors))
            sums.index_add_(0, trial, vectors[row])
    for other in others:
        sums += other
    return stored(sums, None, test.noise, test.rounding, False, generator)


def _extremes(book: Book, chosen: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """The least score of the chosen and the largest of all others, `[trial]` each."""
    least = torch.full((len(sums),), math.inf, device=sums.device)
    most = torch.full((len(sums),), -math.inf, device=sums.device)
    room = torch.empty(len(sums), min(book.rows, book.items), device=sums.device)
    for start, vectors in book.chunks():
        full = len(vectors) == room.shape[1]
        scores = torch.mm(sums, vectors.T, out=room) if full else sums @ vectors.T
        trial, row = _inside(chosen, start, len(vectors))
        least.scatter_reduce_(0, trial, scores[trial, row], "amin")
        scores[trial, row] = -math.inf
        most = torch.maximum(most, scores.amax(1))
    return least, most


def _inside(chosen: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
    """Trial, and row of the chunk, of every member that lies in it."""
    trial, place = ((chosen >= start) & (chosen < start + count)).nonzero(as_tuple=True)
    return trial, chosen[trial, place] - start


def _finite(table: Tensor) -> bool:
    low, high = torch.aminmax(table)  # NaN is passed on; ten times as fast as a look at every number
    return bool(low.isfinite() & high.isfinite())


def _checked(tables: list[Tensor], items: int | Sequence[int] | None, goal: str) -> list[Tensor]:
    if items is not None:
        raise ValueError(f"expected no number of items beside a table, was: {items}")
    if goal == "slot" and len(tables) == 1:
        raise ValueError("expected a table for each slot, was: 1")
    for table in tables:
        if table.ndim != 2 or 0 in table.shape or not _finite(table):
            raise ValueError(f"expected a finite table [items, width], was: {list(table.shape)} or NaN in it")
        if table.shape[1] != tables[0].shape[1]:
            raise ValueError(f"expected tables of one width, was: {tables[0].shape[1]} and {table.shape[1]}")
    if not tables:
        raise ValueError("expected at least one table, was: none")
    return tables
