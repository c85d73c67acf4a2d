"""Two numbers for every token: its place within a segment, and the segment's own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from locant.encodings.positions import Layout


def bilevel(tokens: Tensor, separators: Sequence[int], *, documents: Tensor | None = None) -> Layout:
    """Positions ``[batch, time, 2]``: the place within the segment, from 0, and the number of the segment, from 0.

    A segment ends with a separator (a full stop, a line break), which belongs to it; both numbers start again with each
    document. ``on_axis(add(...), axis=0) + on_axis(rotary, axis=1)`` then tells of the place by what is added and of
    the segment by rotation, which is BiPE: the catalogue's ``bipe``.
    tokens: ids ``[batch, time]``.  separators: the ids that end a segment.
    documents: as in ``Layout``, ``[rows, time]``.
    Source: BiPE, He et al. 2024, arXiv:2401.16421, with the segments of the authors' code. Differs: theirs
    gives all places beyond the table the last row of it, and counts padding on.
    """
    ends = torch.isin(tokens, torch.tensor(list(separators), device=tokens.device, dtype=tokens.dtype))
    new = torch.zeros_like(ends)  # whether a token starts a document
    if documents is not None:
        new[:, 1:] = (documents[:, 1:] != documents[:, :-1]).expand(len(tokens), -1)
    starts = new.clone()
    starts[:, 1:] |= ends[:, :-1]
    time = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    place = time - torch.where(starts, time, 0).cummax(dim=1).values
    count = starts.long().cumsum(dim=1)
    segment = count - torch.where(new, count, 0).cummax(dim=1).values
    return Layout(torch.stack([place, segment], dim=-1), documents)
