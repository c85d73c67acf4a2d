"""Numbering: which position every token has, and which document it belongs to.

An encoding is given positions and never lengths, so everything that changes with the way a batch is laid out is decided
here, once, outside of the model: packing, padding, cached decoding, random or stretched positions.

Three things that are easily confused stay apart. *Positions* are what encodings see; they may repeat, skip or be
fractional. *Documents* decide who may see whom. *Order* in the tensor decides causality. Only the first is the
encoding's business.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

PADDING = -1  # the document of a token that belongs to none


class Layout(NamedTuple):
    """Where every token of a batch sits.

    positions: ``[rows, time]``, whole or fractional; ``rows`` is 1 if the batch's rows share them, else the batch.
    documents: integers ``[rows, time]``; a token sees only tokens of its own document. ``-1`` is padding, which no
        real token sees. None means that every row is one document.
    """

    positions: Tensor
    documents: Tensor | None = None


def contiguous(time: int, *, start: int = 0, device: torch.device | str | None = None) -> Layout:
    """Positions ``start, start + 1, ..., start + time - 1``, shared by all rows: shape ``[1, time]``."""
    return Layout(torch.arange(start, start + time, device=device)[None])


def packed(lengths: Sequence[Sequence[int]], *, device: torch.device | str | None = None) -> Layout:
    """Several documents one after the other in each row; positions restart at 0 in each of them.

    lengths: the documents' lengths, one sequence per row. Shorter rows are filled with padding at the end.
    Raises ValueError if a length is not positive.
    """
    if any(length < 1 for row in lengths for length in row):
        raise ValueError(f"expected document lengths of at least 1, was: {[list(row) for row in lengths]}")
    time = max(sum(row) for row in lengths)
    positions = torch.zeros(len(lengths), time, dtype=torch.long)
    documents = torch.full((len(lengths), time), PADDING)
    for row, row_lengths in enumerate(lengths):
        start = 0
        for document, length in enumerate(row_lengths):
            positions[row, start : start + length] = torch.arange(length)
            documents[row, start : start + length] = document
            start += length
    return Layout(positions.to(device), documents.to(device))


def from_mask(mask: Tensor) -> Layout:
    """Positions that count the real tokens of each row: ``cumsum(mask) - 1``, wherever the padding is.

    mask: ``[batch, time]``, true (or 1) for real tokens. Padding gets position 0 and document ``-1``.
    """
    real = mask.to(torch.bool)
    return Layout((real.long().cumsum(-1) - 1).clamp_min(0), torch.where(real, 0, PADDING))


def left_padded(lengths: Sequence[int], *, device: torch.device | str | None = None) -> Layout:
    """Rows of different lengths, padded on the left, as for batched generation."""
    time = max(lengths)
    index = torch.arange(time, device=device)
    return from_mask(index >= time - torch.tensor(lengths, device=device)[:, None])


def randomised(time: int, limit: int, *, rows: int = 1, generator: torch.Generator) -> Layout:
    """Positions drawn without replacement from ``0 .. limit - 1`` and sorted, anew for each row.

    Training on them lets any encoding see positions beyond the training length.
    Source: Ruoss et al. 2023, arXiv:2305.16843, section 3.  Raises ValueError if ``limit < time``.
    """
    if limit < time:
        raise ValueError(f"expected a limit of at least the {time} positions to draw, was: {limit}")
    drawn = torch.rand(rows, limit, generator=generator, device=generator.device).argsort(-1)[:, :time]
    return Layout(drawn.sort(-1).values)


def stretched(layout: Layout, factor: float) -> Layout:
    """Positions multiplied by ``factor`` (below 1: squeezed), as floats.

    Source: position interpolation, Chen et al. 2023, arXiv:2306.15595, equation 3, where ``factor = L / L'``.
    """
    return layout._replace(positions=layout.positions.to(torch.float32) * factor)


def shifted(layout: Layout, offset: int | float | Tensor) -> Layout:
    """Positions plus ``offset``: one number, or a tensor ``[rows, 1]`` with one for each row.

    A random offset per sequence in training is SHAPE: Kiyono et al. 2021, arXiv:2109.05644, section 3.
    """
    return layout._replace(positions=layout.positions + offset)
