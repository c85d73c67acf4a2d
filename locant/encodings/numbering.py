"""Other numbers for the same tokens: moved, jittered, stretched, or counted within numbers.

Each document of a row is numbered on its own, so that packing changes nothing. Drawing is for training: whoever
evaluates or decodes numbers the tokens without it, and whoever computes a batch again passes the same layout.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from locant.encodings.axes import one_axis
from locant.encodings.positions import PADDING, Layout


def _documents(layout: Layout) -> Tensor:
    """Integers ``[rows, time]`` from 0, padding as a document of its own."""
    if layout.documents is None:
        return torch.zeros(layout.positions.shape[:2], dtype=torch.long, device=layout.positions.device)
    return layout.documents.to(torch.long) - PADDING


def _per_document(values: Tensor, documents: Tensor, reduce: str) -> Tensor:
    """``values [rows, time]`` reduced over each document, put back at each of its tokens."""
    rows, count = max(len(values), len(documents)), int(documents.max()) + 1 if documents.numel() else 1
    values, documents = values.expand(rows, -1), documents.expand(rows, -1)
    start = torch.zeros(rows, count, dtype=values.dtype, device=values.device)
    return start.scatter_reduce(1, documents, values, reduce, include_self=False).gather(1, documents)


def _drawn(layout: Layout, rows: int | None, generator: torch.Generator) -> tuple[Layout, Tensor]:
    """The layout with ``rows`` rows, and a number from ``[0, 1)`` for each document at each of its tokens."""
    here = len(layout.positions)
    if rows is not None and here not in (1, rows):
        raise ValueError(f"expected positions of 1 row or of {rows}, was: {here}")
    rows = here if rows is None else rows
    documents = _documents(layout).expand(rows, -1)
    given = None if layout.documents is None else layout.documents.expand(rows, -1)
    count = int(documents.max()) + 1 if documents.numel() else 1
    each = torch.rand(rows, count, generator=generator, device=generator.device).to(documents.device)
    return Layout(one_axis(layout.positions).expand(rows, -1), given), each.gather(1, documents)


def randomly_shifted(layout: Layout, furthest: int, *, rows: int | None = None, generator: torch.Generator) -> Layout:
    """Positions plus ``k``, a whole number drawn from ``0 .. furthest`` for each document of each row.

    rows: how many rows to draw for, where the layout's one row is shared; those of the layout unless given.
    A model trained so must rely on distances: whatever ``k`` is, the tokens mean the same.
    Source: SHAPE, Kiyono et al. 2021, arXiv:2109.05644, section 3, where a sequence is one document.
    Raises ValueError if ``furthest`` is negative, ``rows`` does not fit, or positions have more than one axis.
    """
    if furthest < 0:
        raise ValueError(f"expected a furthest shift of at least 0, was: {furthest}")
    layout, share = _drawn(layout, rows, generator)
    return layout._replace(positions=layout.positions + (share.double() * (furthest + 1)).long())


def centred(layout: Layout) -> Layout:
    """Positions minus the mean of their document, as floats: what a model trained on ``cape`` is evaluated with.

    Source: CAPE, Likhomanenko et al. 2021, arXiv:2106.03143, section 3.1.  Raises ValueError on more than one axis.
    """
    positions = one_axis(layout.positions).to(torch.float32)
    return layout._replace(positions=positions - _per_document(positions, _documents(layout), "mean"))


def cape(
    layout: Layout, *, shift: float, jitter: float, scale: float, rows: int | None = None, generator: torch.Generator
) -> Layout:
    """``(i - mean + D + e_i) l``: centred positions, moved and scaled together and jittered one by one.

    ``D ~ U(-shift, shift)`` and ``log l ~ U(-log scale, log scale)`` for each document of each row,
    ``e_i ~ U(-jitter, jitter)`` for each token. They are fractional and negative, so for codes without a table.
    rows: how many rows to draw for, where the layout's one row is shared; those of the layout unless given.
    Source: CAPE, Likhomanenko et al. 2021, arXiv:2106.03143, section 3.1. A public implementation draws the jitter from
    half of the interval; ``jitter`` here is the largest there is.
    Raises ValueError if ``shift`` or ``jitter`` is negative or ``scale`` below 1, ``rows`` does not fit, or positions
    have more than one axis.
    """
    if shift < 0 or jitter < 0 or scale < 1:
        raise ValueError(f"expected shift and jitter >= 0 and scale >= 1, was: {shift}, {jitter} and {scale}")
    layout, moved = _drawn(centred(layout), rows, generator)
    _, scaled = _drawn(layout, None, generator)
    each = torch.rand(layout.positions.shape, generator=generator, device=generator.device).to(moved.device)
    positions = layout.positions + (2 * moved - 1) * shift + (2 * each - 1) * jitter
    return layout._replace(positions=positions * scale ** (2 * scaled - 1))


def stretched_to(layout: Layout, length: int) -> Layout:
    """Positions scaled, each document on its own, such that its largest one becomes ``length - 1``; as floats.

    So a longer document is squeezed into the positions that a model was trained on, a table's rows included. What
    comes later is not known while decoding: use ``stretched`` with a fixed factor there.
    Source: position interpolation, Chen et al. 2023, arXiv:2306.15595, equation 3. Differs: ends are matched to ends,
    ``(length - 1) / (n - 1)``; the paper's ``length / n`` leaves its last position above ``length - 1``.
    Raises ValueError if ``length`` is below 1 or positions have more than one axis.
    """
    if length < 1:
        raise ValueError(f"expected a length of at least 1, was: {length}")
    positions = one_axis(layout.positions).to(torch.float32)
    largest = _per_document(positions, _documents(layout), "amax")
    # Multiplied before it is divided, so that the last position is length - 1 and not a rounding beyond it.
    return layout._replace(positions=torch.where(largest > 0, positions * (length - 1) / largest, positions))


def abacus(
    tokens: Tensor,
    digits: Sequence[int],
    *,
    furthest: int = 0,
    generator: torch.Generator | None = None,
    documents: Tensor | None = None,
) -> Layout:
    """Every digit's place in its number: 1 for the first, 2 for the next ...; 0 for tokens that are no digit.

    tokens: ``[batch, time]``. digits: the ids of the tokens that are digits. documents: as in ``Layout``; a number ends
    with its document. Numbers must be written lowest digit first for equal places to mean equal powers of ten.
    furthest, generator: digits' places are moved by one number drawn from ``0 .. furthest`` for each row, so that a
    table learns places that are rare or absent in training.
    To have ordinary positions besides, put both on axes of their own: ``stacked(ordinary, abacus(...))``.
    Source: McLeish et al. 2024, arXiv:2405.17399, section 3.1. Differs: their code draws once for the whole batch.
    Raises ValueError if ``furthest`` is negative or there is a generator without it or it without a generator.
    """
    if furthest < 0 or (furthest > 0) != (generator is not None):
        given = "a" if generator is not None else "no"
        raise ValueError(f"expected furthest > 0 with a generator or 0 without, was: {furthest} and {given} generator")
    is_digit = torch.isin(tokens, torch.tensor(list(digits), device=tokens.device, dtype=tokens.dtype))
    goes_on = is_digit[:, :-1].clone()
    if documents is not None:
        goes_on = goes_on & (documents[:, 1:] == documents[:, :-1])
    time = torch.arange(tokens.shape[1], device=tokens.device)
    starts = is_digit.clone()
    starts[:, 1:] &= ~goes_on
    place = time + 1 - torch.where(starts, time, 0).cummax(dim=1).values
    if generator is not None:
        drawn = torch.randint(furthest + 1, (len(tokens), 1), generator=generator, device=generator.device)
        place = place + drawn.to(place.device)
    return Layout(torch.where(is_digit, place, 0), documents)
