"""Causal attention by the compiled kernel: for what follows from distance, or nothing, added to the scores.

Faster than PyTorch's fused attention on a processor, in training above all; learned scores of distance cost nothing
more, and nothing of the size of all pairs is ever held.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad

from locant.encodings import native
from locant.encodings.native import attention as kernel
from locant.encodings.once import eager
from locant.encodings.pairwise import exact
from locant.model.bands import band
from locant.model.blockwise import again

LEAST = 32  # queries from which it is faster than PyTorch's
# With units for matrices of bfloat16, PyTorch's kernel with nothing to add is faster from so many queries on.
AMX_FORWARD, AMX_TRAINING = 256, 1536
AMX = bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


def pays(q: Tensor, k: Tensor, v: Tensor, *, adds: bool) -> bool:
    """Whether the kernel is there, can take these, and is the fastest way that there is.  adds: to the scores."""
    time = q.shape[2]
    if time < LEAST or native.library() is None or not eager() or getattr(forward_ad, "_current_level", 0) >= 0:
        return False
    if q.device.type != "cpu" or q.dtype not in kernel.DTYPES or not q.dtype == k.dtype == v.dtype:
        return False
    if q.shape != k.shape or q.shape[:3] != v.shape[:3] or q.numel() == 0:
        return False
    if adds or not AMX or q.dtype is not torch.bfloat16:
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


def _close(x: Tensor) -> Tensor:
    return x if x.stride(3) == 1 else x.contiguous()


class _Attention(Function):
    """A gradient of the gradient takes the plain way."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, row: Tensor | None, scale: float) -> Tensor:
        trains = any(ctx.needs_input_grad)
        wide = None if row is None else kernel.with_room(row)
        out, kept = kernel.forward(native.compiled(), q, k, v, wide, scale, trains)
        if trains:
            ctx.save_for_backward(q, k, v, row, wide, kept)
            ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, row, wide, kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            mask = band(q.new_zeros(1, q.shape[2], dtype=torch.float32) if row is None else row, q.shape[2])
            with exact(q):
                found = again(q, k, v, mask, ctx.scale, gradients[0], () if row is None else (row,))
            return *found[:3], None if row is None else found[3], None
        learned = ctx.needs_input_grad[3]
        return *kernel.backward(native.compiled(), q, k, v, wide, kept, _close(gradients[0]), ctx.scale, learned), None
