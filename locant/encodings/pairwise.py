"""What the encodings of scores share: all pairs at once, prepared once per layer, and precision that survives casts."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from locant.encodings.axes import one_axis
from locant.encodings.base import Pairs, ScoreMod


def wide(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 if that is what it is: the precision of scores."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def exact(x: Tensor) -> AbstractContextManager[object]:
    """A region in which autocast leaves products alone: distances do not survive its bfloat16."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def distances(pairs: Pairs) -> Tensor:
    """Query position minus key position of all pairs, ``[rows, query, key]``; positive for keys of the past.

    Raises ValueError if positions have more than one axis.
    """
    return one_axis(pairs.q_positions)[:, :, None] - pairs.k_positions[:, None, :]


def seen(pairs: Pairs) -> Tensor:
    """Which keys every query may see, as booleans that broadcast to ``[batch, head, query, key]``."""
    sizes = (pairs.q.shape[0], 1, pairs.q.shape[-2], pairs.k.shape[-2])
    grid = [torch.arange(n, device=pairs.q.device).view([-1] + [1] * (3 - axis)) for axis, n in enumerate(sizes)]
    return pairs.visible(*grid)


def keys(pairs: Pairs) -> Tensor:
    """The keys with one head for each head of the queries: grouped queries share theirs."""
    groups = pairs.q.shape[1] // pairs.k.shape[1]
    return pairs.k if groups == 1 else pairs.k.repeat_interleave(groups, dim=1)


def content(pairs: Pairs, width: int) -> Tensor:
    """The queries before any rotation, ``[batch, head, query, width]``; if not at hand, the first columns of ``q``."""
    return (pairs.q if pairs.content is None else pairs.content)[..., :width]


def products(pairs: Pairs) -> Tensor:
    """``scale q k'`` of all pairs, ``[batch, head, query, key]``: what the score is before anything is done to it."""
    return wide(pairs.q @ keys(pairs).mT) * pairs.scale


def adding(bias: Tensor) -> ScoreMod:
    """The function that adds ``bias`` ``[rows, head, query, key]``, where one row serves the whole batch."""

    def add(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return score + (bias[0][h, i, j] if bias.shape[0] == 1 else bias[b, h, i, j]).to(score.dtype)

    add.bias = bias  # type: ignore[attr-defined]
    return add


def added(mod: ScoreMod, batch: int, heads: int, queries: int, keys: int, zero: Tensor) -> Tensor:
    """All that an additive ``mod`` adds to scores, broadcast to ``[1 or batch, head, query, key]``.

    zero: the score that it is added to, which gives the dtype and the device.
    """
    bias = getattr(mod, "bias", None)  # of ``adding``, whose numbers need not be picked one by one
    if bias is None:
        sizes = enumerate((batch, heads, queries, keys))
        bias = mod(zero, *(torch.arange(n, device=zero.device).view([-1] + [1] * (3 - axis)) for axis, n in sizes))
    bias = bias.to(zero.dtype)
    return bias.expand(*(1,) * (4 - bias.ndim), *bias.shape[:-2], queries, keys)


def between(take: Callable[[Tensor], Tensor], index: Tensor) -> Tensor:
    """``take(index)`` for whole indices; for fractional ones the straight line between the two neighbours."""
    if not index.is_floating_point():
        return take(index)
    low, high = take(index.floor().long()), take(index.ceil().long())
    return torch.lerp(low, high, (index - index.floor()).to(low.dtype))


def from_here_back(x: Tensor) -> Tensor:
    """Sums from each key to the last one, ``y_j = x_j + x_(j+1) + ...``, so that near keys have small, exact sums."""
    return wide(x).flip(-1).cumsum(-1).flip(-1)
