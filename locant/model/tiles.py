"""Causal attention written out in tiles that stay in a core's cache, with the weights kept for the backward pass.

For training on a processor. PyTorch's fused kernel takes its keys and queries in small pieces, one head at a time; some
heads of some rows together make products that are large enough to be fast, in bfloat16 above all. The price is memory
for half of all pairs, so the caller looks at ``kept`` first.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from locant.encodings.pairwise import exact
from locant.model.bands import Masks, band, from_band, spans, whole
from locant.model.blockwise import again
from locant.model.fused import has_units, multiplying

LEAST = 128  # queries from which it is faster than the fused kernel
BLOCK = 64  # queries at a time
NUMBERS = 2**18  # of scores in a tile: 1 MiB of float32, the second cache of one core
MOST = 32 << 20  # bytes that a layer may keep


def pays(q: Tensor, k: Tensor) -> bool:
    """Whether tiles are faster than PyTorch's kernel: in training, in bfloat16 always; not where much is to be kept,
    nor where the processor has units for the type."""
    trains = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad)
    if q.shape[-2] < LEAST or has_units(q) or not (trains or q.dtype == torch.bfloat16):
        return False
    return not trains or kept(q) <= MOST


def kept(q: Tensor) -> int:
    """Bytes that a layer keeps for its backward pass: half of all pairs, and half a block more."""
    batch, heads, time, _ = q.shape
    return batch * heads * time * (time + BLOCK) // 2 * q.element_size()


def tiled(q: Tensor, k: Tensor, v: Tensor, masks: Masks, scale: float, row: Tensor | None = None) -> Tensor:
    """``softmax(scale q k' + mask) v``, ``[batch, head, time, width]``, in the type of ``q``.

    masks: for blocks of ``BLOCK`` queries; one head's may serve all. Of at least float32, unless there is nothing in
    them but 0 and -inf.  row: of a band, ``[head, key]``, that they are made of, if it is to have a gradient.
    Products are of the type of ``q`` and plain, sums and the softmax of float32.
    """
    result: Tensor = _Tiled.apply(q, k, v, row, masks, scale)
    return result


class _Tiled(Function):
    """A gradient of the gradient takes the plain way."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, row: Tensor | None, masks: Masks,
                scale: float) -> Tensor:  # fmt: skip
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        batch, heads, time, _ = q.shape
        out = v.new_empty(batch, time, heads, v.shape[-1]).transpose(1, 2)  # as the next projection reads it
        weights, keep = [], any(ctx.needs_input_grad)
        with exact(q), multiplying():
            for start, stop in spans(time, BLOCK):
                mask = masks(start, stop)
                if keep:
                    weights.append(q.new_empty(batch, heads, stop - start, stop))
                for tile in _tiles(batch, heads, (stop - start) * stop):
                    scores = _scores(q[tile][:, :, start:stop], k[tile][:, :, :stop], _of(mask, tile), scale)
                    some = weights[-1][tile] if keep else torch.empty_like(scores, dtype=q.dtype)
                    if scores.dtype == some.dtype:
                        torch.softmax(scores, -1, out=some)
                    else:
                        some.copy_(scores.softmax(-1))
                    out[tile][:, :, start:stop] = _times(some, v[tile][:, :, :stop])
        ctx.save_for_backward(q, k, v, row, out, *weights)
        ctx.masks, ctx.scale = masks, scale
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, row, out, *weights = ctx.saved_tensors
        with exact(q), multiplying():
            if torch.is_grad_enabled():
                time = q.shape[-2]
                mask = whole(ctx.masks, time, BLOCK) if row is None else band(row, time)
                learned = () if row is None else (row,)
                found = again(q, k, v, mask, ctx.scale, gradients[0], learned)
                return *found[:3], found[3] if learned else None, None, None
            return *_gradients(q, k, v, row, out, weights, gradients[0], ctx.scale), None, None


Tile = tuple[slice, slice]
"""Some rows of the batch, some of their heads."""


def _tiles(batch: int, heads: int, scores: int) -> Iterator[Tile]:
    """Tiles of about ``NUMBERS`` scores.  scores: of one head of one row."""
    some = max(1, min(heads, NUMBERS // scores))
    rows = max(1, NUMBERS // (scores * heads))
    for row in range(0, batch, rows):
        for head in range(0, heads, some):
            yield slice(row, row + rows), slice(head, head + some)


def _of(mask: Tensor, tile: Tile) -> Tensor:
    return mask[tile[1]] if mask.shape[0] > 1 else mask


def _times(a: Tensor, b: Tensor) -> Tensor:
    """``a b`` for every head of every row."""
    return torch.bmm(a.flatten(0, 1), b.flatten(0, 1)).unflatten(0, a.shape[:2])


def _scores(q: Tensor, k: Tensor, mask: Tensor, scale: float) -> Tensor:
    if q.dtype == mask.dtype and mask.shape[0] == 1:
        return torch.baddbmm(mask, q.flatten(0, 1), k.flatten(0, 1).mT, alpha=scale).unflatten(0, q.shape[:2])
    return torch.add(mask, _times(q, k.mT), alpha=scale)


def _gradients(q: Tensor, k: Tensor, v: Tensor, row: Tensor | None, out: Tensor, weights: list[Tensor],
               gradient: Tensor, scale: float) -> tuple[Tensor | None, ...]:  # fmt: skip
    """Of q, k, v and the row."""
    time, wide = q.shape[-2], torch.promote_types(q.dtype, torch.float32)
    gradient = gradient.contiguous()
    product = (gradient * out).sum(-1, keepdim=True)
    to_q, to_k, to_v = torch.empty_like(q), torch.zeros_like(k, dtype=wide), torch.zeros_like(v, dtype=wide)
    size = min(BLOCK, time)
    to_band = None if row is None else torch.zeros_like(band(row, size))
    for (start, stop), kept_here in zip(spans(time, BLOCK), weights, strict=True):
        here, seen = (slice(None), slice(None), slice(start, stop)), (slice(None), slice(None), slice(stop))
        for tile in _tiles(q.shape[0], q.shape[1], (stop - start) * stop):
            some, back = kept_here[tile], gradient[tile][here]
            to_v[tile][seen].add_(_times(some.mT, back))
            minus = product[tile][here].flatten(0, 1)
            to_scores = torch.baddbmm(minus, back.flatten(0, 1), v[tile][seen].flatten(0, 1).mT, beta=-1)
            to_scores = to_scores.unflatten(0, some.shape[:2]).mul_(some)
            torch.mul(_times(to_scores, k[tile][seen]), scale, out=to_q[tile][here])
            to_k[tile][seen].add_(_times(to_scores.mT, q[tile][here]), alpha=scale)
            if to_band is not None:
                part = to_band[tile[1], size - (stop - start) :, time - stop :]
                part += to_scores.sum(0, dtype=part.dtype)
    return to_q, to_k.to(k.dtype), to_v.to(v.dtype), None if to_band is None else from_band(to_band)
