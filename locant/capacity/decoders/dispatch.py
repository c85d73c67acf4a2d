"""One call for every decoder, within a bound on memory."""

from collections.abc import Sequence
from typing import Literal, cast, get_args

import torch
from torch import Tensor

from locant.capacity.decoders.greedy import beam_search, pursuit, successive, successive_slots
from locant.capacity.decoders.inputs import MEMORY, check, check_noise, check_tables, parts
from locant.capacity.decoders.linear import box, least_squares
from locant.capacity.decoders.memory import Iterative, score_rows, sums_at_a_time
from locant.capacity.decoders.message_passing import amp, vamp
from locant.capacity.decoders.oblique import make_oblique, oblique_pairs, project_out
from locant.capacity.decoders.pairs import pairs_of
from locant.capacity.decoders.scores import Score, best_rows, make_filter, slot_filters, slot_order, slots
from locant.capacity.decoders.search import exhaustive, meet_in_the_middle
from locant.capacity.decoders.whitening import whiten

SCORES = get_args(Score)
OF_ONE = (*SCORES, *get_args(Iterative), "least_squares", "box", "exhaustive", "middle")
OF_SEVERAL = (*SCORES, "successive", "oblique", "project_out", "pairs")
WHITENED = ("successive", "beam", "omp", "amp")
SUMS = 4096  # sums scored at a time
LEAST = 2**10  # bytes below which a bound on memory is a slip

Decoder = Literal[
    "dot", "cosine", "centred", "whitened", "successive", "beam", "omp", "amp", "vamp", "least_squares", "box",
    "exhaustive", "middle", "oblique", "project_out", "pairs"
]  # fmt: skip


def decode(
    sums: Tensor,
    tables: Tensor | Sequence[Tensor],
    members: int = 1,
    decoder: Decoder = "whitened",
    *,
    noise: float = 0.0,
    whitened: bool = False,
    beam: int | None = None,
    memory: int = MEMORY,
) -> Tensor:
    """The rows that were added, for each sum: indices ``[batch, members]``, or ``[batch, tables]`` for several tables.

    `sums` is ``[batch, width]``. With one table ``[items, width]``, `members` different rows of it were added, and
    their indices come in ascending order; with a sequence of tables, one row of each, in the order of the tables.

    | decoder | tables | what it does | cost for each sum |
    |---|---|---|---|
    | dot, cosine, centred, whitened | any | scores of `make_filter`, `slot_filters`; the best K | 2dV |
    | successive | any | nearest, subtract, repeat; several tables: the easiest first, `slot_order` | 2dVK |
    | beam | 1 | successive that keeps `beam` partial sets (8) | 2dVKB |
    | omp | 1 | orthogonal matching pursuit for positive amplitudes | 2dVK + 4dK² |
    | amp, vamp | 1 | (vector) approximate message passing | 4dV for each of 8 to 40 iterations |
    | least_squares, box | 1 | all amplitudes, for V <= d and V <= 2d | 2dV, a linear programme |
    | exhaustive, middle | 1 | all sets, all half sets (needs exact sums) | C(V, K), C(V, K/2) |
    | oblique, project_out, pairs | 2 | projections; maximum likelihood | 2dV, at most V_1 V_2 |

    Start with whitened (the default); for more members take ``amp`` with ``whitened=True``, which whitens table and
    sums first (for successive, beam, omp and amp; trained tables need it), or ``vamp``, the best in noise. `noise` is
    the variance for each coordinate of what was added to the sums besides, for the decoders that weigh it (whitened,
    successive of several tables, vamp, and whitening). `memory` bounds the bytes of working memory: of scores and
    states, not of inputs or prepared copies of the table, for the decoders that hold anything of the size of a table
    for each sum.

    Raises:
        ValueError: for a decoder that is unknown or not for this number of tables, `whitened` or `beam` where they
            have no meaning, a bound on memory that does not hold one sum, and what the decoder refuses itself.
    """
    check_noise(noise)
    if memory < LEAST:
        raise ValueError(f"expected memory of at least {LEAST} bytes, was: {memory}")
    several = not isinstance(tables, Tensor)
    names = OF_SEVERAL if several else OF_ONE
    if decoder not in names:
        some = "several tables" if several else "one table"
        raise ValueError(f"expected a decoder for {some} of {', '.join(names)}, was: {decoder}")
    if whitened and (several or decoder not in WHITENED):
        raise ValueError(f"expected whitened with one table and one of {', '.join(WHITENED)}, was: {decoder}")
    if beam is not None and decoder != "beam":
        raise ValueError(f"expected beam with the decoder beam, was: {decoder}")
    if isinstance(tables, Tensor):
        return _of_one(sums, tables, members, decoder, noise, whitened, 8 if beam is None else beam, memory)
    if members != 1:
        raise ValueError(f"expected 1 member of each of several tables, was: {members}")
    return _of_several(sums, tables, decoder, noise, memory)


def _of_one(
    sums: Tensor, table: Tensor, members: int, decoder: str, noise: float, whitened: bool, beam: int, memory: int
) -> Tensor:
    stored = sums.dtype, table.dtype
    sums, table = check(sums, table, members)
    precision, coarsest = stored[0], max(stored, key=lambda kind: torch.finfo(kind).eps)
    if whitened:
        sums, table = whiten(sums, table, members, noise=noise, precision=precision)
    if decoder in SCORES:
        made = make_filter(cast(Score, decoder), table, members, noise=noise, precision=precision)
        batch = min(len(sums), SUMS)
        rows = score_rows(batch, members, memory, table.element_size())
        return torch.cat([best_rows(sums[some], table, made, members, rows) for some in parts(len(sums), batch)])
    if decoder in get_args(Iterative):
        return _iterative(sums, table, members, cast(Iterative, decoder), noise, precision, beam, memory)
    if decoder == "least_squares":
        return least_squares(sums, table, members)
    if decoder == "box":
        return box(sums, table, members)
    if decoder == "exhaustive":
        row = table.element_size() * (len(sums) + table.shape[1] * (members + 2) + 4 * members)
        return exhaustive(sums, table, members, chunk=max(1, min(2**16, memory // row)))
    return meet_in_the_middle(sums, table, members, precision=coarsest, memory=memory)


def _iterative(
    sums: Tensor,
    table: Tensor,
    members: int,
    decoder: Iterative,
    noise: float,
    precision: torch.dtype,
    beam: int,
    memory: int,
) -> Tensor:
    items, width = table.shape
    chunk = sums_at_a_time(decoder, width, items, members, memory, beam=beam, itemsize=table.element_size())
    if decoder == "successive":
        return successive(sums, table, members, chunk=chunk)
    if decoder == "beam":
        return beam_search(sums, table, members, beam=beam, chunk=chunk)
    if decoder == "omp":
        return pursuit(sums, table, members, positive=True, chunk=chunk)
    if decoder == "amp":
        return amp(sums, table, members, chunk=chunk)
    return vamp(sums, table, members, noise=noise, precision=precision, chunk=chunk)


def _of_several(sums: Tensor, tables: Sequence[Tensor], decoder: str, noise: float, memory: int) -> Tensor:
    precision = sums.dtype
    sums, tables = check_tables(sums, tables)
    if decoder not in (*SCORES, "successive") and len(tables) != 2:
        raise ValueError(f"expected 2 tables for {decoder}, was: {len(tables)}")
    if decoder == "pairs":
        return pairs_of(sums, tables, memory)
    batch = min(len(sums), SUMS)
    rows = score_rows(batch, 1, memory, sums.element_size())
    if decoder == "oblique":
        made = make_oblique(tables[0], tables[1])
        return torch.cat([oblique_pairs(sums[some], tables, made, rows) for some in parts(len(sums), batch)])
    if decoder == "project_out":
        return torch.cat([project_out(sums[some], tables, chunk=rows) for some in parts(len(sums), batch)])
    if decoder != "successive":
        filters = slot_filters(cast(Score, decoder), tables, noise=noise, precision=precision)
        return torch.cat([slots(sums[some], tables, filters, rows) for some in parts(len(sums), batch)])
    order, filters = slot_order(tables, noise=noise, precision=precision)
    return torch.cat([successive_slots(sums[some], tables, filters, order, rows) for some in parts(len(sums), batch)])
