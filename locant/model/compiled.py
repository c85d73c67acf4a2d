"""Causal attention by the compiled kernel, with what follows from positions, or nothing, added to the scores.

Faster than PyTorch's fused attention on a processor, in training above all; learned scores of distance cost nothing
more, and nothing of the size of all pairs is ever held.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from locant.encodings import native
from locant.encodings.native import attention as kernel
from locant.encodings.native.attention import Added
from locant.encodings.once import eager, forward_mode
from locant.encodings.pairwise import exact
from locant.model.bands import Parts, band, causal, spans
from locant.model.blockwise import again, in_order
from locant.model.fused import has_units

BLOCK = 256  # queries at a time, where what is added is computed for some of them; keys are laid out anew for each
PIECE = 64  # queries for which it is computed at a time, so that it stays in a core's cache
LEAST = 32  # queries from which it is faster than PyTorch's
# With units for matrices of bfloat16, PyTorch's kernel with nothing to add is faster from so many queries on.
AMX_FORWARD, AMX_TRAINING = 256, 1536


def pays(q: Tensor, k: Tensor, v: Tensor, *, adds: bool) -> bool:
    """Whether the kernel is there, can take these, and is the fastest way that there is.  adds: to the scores."""
    time = q.shape[2]
    if time < LEAST or native.library() is None or not eager() or forward_mode():
        return False
    if not (native.plain(q) and native.plain(k) and native.plain(v)):
        return False
    if q.dtype not in kernel.DTYPES or not q.dtype == k.dtype == v.dtype:
        return False
    if q.shape != k.shape or q.shape[:3] != v.shape[:3] or q.numel() == 0:
        return False
    if adds or not has_units(q):
        return True
    trains = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    return time < (AMX_TRAINING if trains else AMX_FORWARD)


def attention(q: Tensor, k: Tensor, v: Tensor, row: Tensor | None, scale: float) -> Tensor:
    """``softmax(scale q k' + bias) v``, causal, ``[batch, head, time, width]``, in the type of ``q``.

    row: what the last query adds to each key, ``[head or 1, time]``, float32, of which it follows for all others by
    distance; None for nothing. It has a gradient, too. Products are of float32.
    """
    result: Tensor = _Attention.apply(*(_close(x) for x in (q, k, v)), row, scale)
    return result


def in_parts(q: Tensor, k: Tensor, v: Tensor, parts: Parts, scale: float) -> Tensor:
    """The same with what ``parts`` adds to scores, and a gradient for the parameters of its encoding."""
    learned = parts.encoding.parameters()
    result: Tensor = _InParts.apply(*(_close(x) for x in (q, k, v)), parts, scale, *learned)
    return result


def _close(x: Tensor) -> Tensor:
    return x if x.stride(3) == 1 else x.contiguous()


class _Attention(Function):
    """A gradient of the gradient takes the plain way."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, row: Tensor | None, scale: float) -> Tensor:
        trains = any(ctx.needs_input_grad)
        added = None if row is None else Added.of(row)
        out, kept = kernel.forward(native.compiled(), q, k, v, added, scale, trains)
        if trains:
            ctx.save_for_backward(q, k, v, row, kept)
            ctx.added, ctx.scale = added, scale
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, row, kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            mask = band(q.new_zeros(1, q.shape[2], dtype=torch.float32) if row is None else row, q.shape[2])
            with exact(q):
                found = again(q, k, v, mask, ctx.scale, gradients[0], () if row is None else (row,))
            return *found[:3], None if row is None else found[3], None
        back = kernel.backward(native.compiled(), q, k, v, ctx.added, kept, _close(gradients[0]), ctx.scale,
                               ctx.needs_input_grad[3])  # fmt: skip
        return *back, None


class _InParts(Function):
    """Some queries at a time, so that what is added to them need not be there for all pairs at once."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, parts: Parts, scale: float, *parameters: Tensor) -> Tensor:
        trains, kept = any(ctx.needs_input_grad), []
        out = v.new_empty(v.shape[0], v.shape[2], v.shape[1], v.shape[3]).transpose(1, 2)
        with exact(q):
            for start, stop in spans(q.shape[2], BLOCK):
                here, seen = (slice(None), slice(None), slice(start, stop)), (slice(None), slice(None), slice(stop))
                added, _ = _added(parts, start, stop, q.shape[1])
                _, some = kernel.forward(native.compiled(), q[here], k[seen], v[seen], added, scale, trains, out[here])
                kept.append(some)
        if trains:
            ctx.save_for_backward(q, k, v, *parameters)
            ctx.kept, ctx.parts, ctx.scale = kept, parts, scale
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *parameters = ctx.saved_tensors
        learned = [parameter for parameter in parameters if parameter.requires_grad]
        with exact(q):
            if torch.is_grad_enabled():
                mask = causal(ctx.parts.part(0, q.shape[2]))
                to = again(q, k, v, mask, ctx.scale, gradients[0], learned)
                return *to[:3], None, None, *in_order(parameters, learned, to[3:])
            # In float32, as what blocks give to a key is summed.
            given = [x.float() for x in (q, k, v, _close(gradients[0]))]
            sums = [torch.zeros_like(x) for x in (*given[:3], *learned)]
            for (start, stop), kept in zip(spans(q.shape[2], BLOCK), ctx.kept, strict=True):
                _block_back(given, sums, learned, ctx.parts, ctx.scale, start, stop, kept)
        found = [total.to(q.dtype) for total in sums[:3]]
        return *found, None, None, *in_order(parameters, learned, sums[3:])


def _added(parts: Parts, start: int, stop: int, heads: int) -> tuple[Added, list[tuple[slice, Tensor]]]:
    """What is added to the scores of some queries, and the pieces that it was made of, with their rows."""
    pieces = []
    for first in range(start, stop, PIECE):
        last = min(stop, first + PIECE)
        pieces.append((slice(first - start, last - start), parts.part(first, last)))
    numbers = pieces[0][1].new_zeros(heads, stop - start, stop + kernel.ROOM)
    for rows, piece in pieces:
        numbers[:, rows, : piece.shape[2]] = piece.detach()
    return Added(numbers), pieces


def _block_back(given: list[Tensor], sums: list[Tensor], learned: list[Tensor], parts: Parts, scale: float, start: int,
                stop: int, kept: Tensor) -> None:  # fmt: skip
    """Adds to the ``sums`` for q, k, v and what is learned what the queries of one block give."""
    q, k, v, gradient = given
    here, seen = (slice(None), slice(None), slice(start, stop)), (slice(None), slice(None), slice(stop))
    with torch.set_grad_enabled(bool(learned)):
        added, pieces = _added(parts, start, stop, q.shape[1])
    to_q, to_k, to_v, to_added = kernel.backward(native.compiled(), q[here], k[seen], v[seen], added, kept,
                                                 gradient[here], scale, bool(learned))  # fmt: skip
    sums[0][here] = to_q
    sums[1][seen] += to_k
    sums[2][seen] += to_v
    if to_added is not None:
        ends = [piece for _, piece in pieces]
        back = [to_added[:, rows, : piece.shape[2]] for rows, piece in pieces]
        for total, each in zip(sums[3:], torch.autograd.grad(ends, learned, back, allow_unused=True), strict=True):
            total += 0 if each is None else each
