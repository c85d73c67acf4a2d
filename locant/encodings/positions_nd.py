"""Positions on several axes: grids, segments of text and images, and several numberings of the same tokens."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from locant.encodings.axes import one_axis
from locant.encodings.positions import PADDING, Layout


def grid(*sizes: int, device: torch.device | str | None = None) -> Layout:
    """Every cell of a grid in reading order: ``grid(height, width)`` gives ``[1, height * width, 2]``, row then column.

    The last axis runs fastest, as patches do that are flattened from ``[height, width]``.
    Raises ValueError if there is no size or one below 1.
    """
    if not sizes or min(sizes) < 1:
        raise ValueError(f"expected sizes of at least 1, was: {list(sizes)}")
    axes = [torch.arange(size, device=device) for size in sizes]
    cells = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    return Layout(cells.reshape(1, -1, len(sizes)))


def folded(layout: Layout, *inner: int) -> Layout:
    """Positions of one axis as places in a grid that is read line by line: ``folded(layout, width)`` gives
    ``(i // width, i % width)``; more sizes, more axes.

    With ``learned_axial`` it is the factorised table of Kitaev et al. 2020 (Reformer), arXiv:2001.04451.
    Raises ValueError if there is no size or one below 1, positions are not whole, or they have axes already.
    """
    if not inner or min(inner) < 1:
        raise ValueError(f"expected sizes of at least 1, was: {list(inner)}")
    positions = one_axis(layout.positions)
    if positions.is_floating_point() and bool((positions != positions.floor()).any()):
        raise ValueError("expected whole positions to fold, was: fractional ones")
    axes = [positions.div(prod(inner), rounding_mode="floor")]
    for place, size in enumerate(inner):
        axes.append(positions.div(prod(inner[place + 1 :]), rounding_mode="floor").remainder(size))
    return layout._replace(positions=torch.stack(axes, dim=-1))


def stacked(*layouts: Layout) -> Layout:
    """Several numberings of the same tokens, each on an axis of its own; documents are those of the first layout.

    Encodings of one axis then read theirs through ``on_axis``. Raises ValueError if there is none or one has axes.
    """
    if not layouts:
        raise ValueError("expected at least one layout, was: none")
    positions = torch.broadcast_tensors(*[one_axis(layout.positions) for layout in layouts])
    kind = positions[0].dtype
    for axis in positions:
        kind = torch.promote_types(kind, axis.dtype)
    return layouts[0]._replace(positions=torch.stack([axis.to(kind) for axis in positions], dim=-1))


Segment = int | Sequence[int]
"""A number of text tokens, or an image's ``(height, width)``, or a video's ``(frames, height, width)``."""


def _segment(segment: Segment, start: int) -> Tensor:
    sizes = (segment,) if isinstance(segment, int) else tuple(segment)
    if len(sizes) > 3 or min(sizes, default=0) < 1:
        wanted = "expected a number of tokens, (height, width) or (frames, height, width), all of at least 1"
        raise ValueError(f"{wanted}, was: {segment}")
    if isinstance(segment, int):
        return start + torch.arange(segment)[:, None].expand(-1, 3)
    return start + grid(*(1,) * (3 - len(sizes)), *sizes).positions[0]


def mrope(rows: Sequence[Sequence[Segment]], *, device: torch.device | str | None = None) -> Layout:
    """Ids ``(time, height, width)`` of rows of text and images: positions ``[rows, time, 3]``.

    rows: for each row its segments in order, such as ``[5, (2, 3), 4]``: 5 text tokens, an image of 2 by 3 cells, 4
    text tokens. A text token has the same id on every axis; an image's cells count from the segment's start along
    their axis. A segment starts 1 above the largest id before it, on any axis. Sizes are those that the language model
    sees, after any merging of patches. Shorter rows are filled with padding at the end.
    Text alone has the ids of ``contiguous`` on every axis. To decode on, end the row with text: the next token's ids
    are then those of the last one plus 1.
    Source: M-RoPE, Wang et al. 2024 (Qwen2-VL), arXiv:2409.12191, section 2.1.
    Raises ValueError if there is no row, one without segments, or a segment that is none of these.
    """
    if not rows or not all(rows):
        raise ValueError(f"expected rows of at least 1 segment, was: {[list(row) for row in rows]}")
    numbered = []
    for row in rows:
        parts: list[Tensor] = []
        for segment in row:
            parts.append(_segment(segment, int(parts[-1].max()) + 1 if parts else 0))
        numbered.append(torch.cat(parts))
    lengths = [len(ids) for ids in numbered]
    positions = torch.zeros(len(rows), max(lengths), 3, dtype=torch.long)
    documents = torch.full(positions.shape[:2], PADDING)
    for index, ids in enumerate(numbered):
        positions[index, : len(ids)], documents[index, : len(ids)] = ids, 0
    shared = min(lengths) == max(lengths)
    return Layout(positions.to(device), None if shared else documents.to(device))
