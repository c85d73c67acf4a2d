"""The fast way to rotate pairs of columns with PyTorch's operations. The plain one is ``rotary.turn_plainly``.

Where there are compiled kernels (``native``), they do it.

Interleaved pairs are complex numbers in memory, so one multiplication does it. Halves have no such operation; they, and
numbers of fewer bits, which have to be widened first, are rotated in blocks that stay in a core's cache.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from locant.encodings.native import functions as kernels
from locant.encodings.once import forward_mode, once

BLOCK = 2**18  # numbers in a block: 1 MiB of float32, the second cache of one core
NARROW = 16  # columns of a head up to which blocks do not pay: half a head at a time is too little work
COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}
LEAST = 2**16  # numbers below which blocks do not pay: fewer calls do


def ready(cos: Tensor, sin: Tensor, layout: str) -> tuple[Tensor, ...]:
    """What ``turned`` and ``small`` multiply with: ``cos + i sin``, or ``[cos cos]`` and ``[-sin sin]``."""
    if layout == "interleaved":
        return (torch.complex(cos, sin),)
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def small(q: Tensor, k: Tensor, factors: tuple[Tensor, ...]) -> tuple[Tensor, Tensor] | None:
    """``turned`` of few queries and keys at the same positions, if that needs no gradient: a token of decoding.

    One token costs what the calls do, so that queries and keys are laid side by side and turned there at once. None
    where this does not serve, as without factors.
    """
    if not factors:
        return None
    first, shape = factors[0], q.shape
    if len(shape) != 4 or shape != k.shape or q.dtype is not k.dtype or q.numel() >= LEAST:
        return None
    if torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or first.requires_grad):
        return None
    batch, heads, time, width = shape
    rows, shared, times, columns = first.shape
    if shared != 1 or rows > batch or times > time:
        return None
    if len(factors) == 2:
        if columns != width or q.dtype is not first.dtype:
            return None
        both = torch.cat((q, k), 1)
        swapped = both.roll(width // 2, -1)
        both.mul_(first).addcmul_(swapped, factors[1])
    else:
        # A view of another dtype loses derivatives in forward mode.
        if forward_mode() or 2 * columns != width or COMPLEX.get(q.dtype) is not first.dtype:
            return None
        both = torch.cat((q, k), 1)
        both.view(first.dtype).mul_(first)
    turned_q, turned_k = both.split_with_sizes((heads, heads), 1)
    return turned_q, turned_k


def turned(x: Tensor, cos: Tensor, sin: Tensor, factors: tuple[Tensor, ...], layout: str) -> Tensor | None:
    """``x`` ``[..., time, 2 * pair]`` rotated, in its own dtype, or None where only the plain way serves.

    cos, sin: ``[..., time, pair]``.  factors: those of ``ready`` if they are at hand, or none.
    """
    if not factors and (found := kernels.turned(cos, sin, layout, x)) is not None:
        return found[0]
    interleaved = layout == "interleaved"
    if interleaved and not _complex(x):
        return None
    learned = torch.is_grad_enabled() and (cos.requires_grad or sin.requires_grad)
    blocks = x.ndim == 4 and cos.ndim <= 4 and x.numel() >= LEAST and x.device.type == "cpu" and not learned
    if interleaved and (x.dtype == cos.dtype or not blocks):
        return _multiplied(x.to(cos.dtype), *(factors or ready(cos, sin, layout))).to(x.dtype)
    if not interleaved and x.dtype == cos.dtype and not learned and (x.numel() < LEAST or x.shape[-1] <= NARROW):
        both, signed = factors or ready(cos, sin, layout)
        if _heads_inside(x) and both.ndim == 4 and both.shape[1] == 1:
            both, signed = (_spread_once(factor, x.shape[1]) for factor in (both, signed))
        swapped: Tensor = _Swapped.apply(x, both, signed, 1)
        return swapped
    result: Tensor | None = _Blocks.apply(x, cos, sin, layout) if blocks else None
    return result


def _complex(x: Tensor) -> bool:
    """Whether neighbouring columns can be viewed as complex numbers where they lie."""
    strides = x.stride()
    return strides[-1] == 1 and x.storage_offset() % 2 == 0 and math.gcd(2, *strides[:-1]) == 2


def _multiplied(x: Tensor, cis: Tensor) -> Tensor:
    if not torch.is_grad_enabled() or not cis.requires_grad:
        spread = _heads_inside(x) and x.numel() >= LEAST and cis.ndim == 4 and cis.shape[1] == 1
        table = _spread_once(cis, x.shape[1]) if spread else cis
        if not (torch.is_grad_enabled() and x.requires_grad):
            return _product(x, table)
        back = once("conjugate", lambda: table.conj().resolve_conj(), table)
        result: Tensor = _Product.apply(x, table, back)
        return result
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * cis).flatten(-2)


def _product(x: Tensor, table: Tensor) -> Tensor:
    z = torch.view_as_complex((x if _complex(x) else x.contiguous()).unflatten(-1, (-1, 2)))
    # Where heads lie inside, copying first keeps the strided read fast.
    turned = z.clone().mul_(table) if _heads_inside(x) and x.numel() >= LEAST else z * table
    return torch.view_as_real(turned).flatten(-2)


class _Product(Function):
    """A multiplication with complex numbers that do not learn; back: their conjugates, which turn the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, table: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(table, back)
        ctx.save_for_forward(table, back)
        return _product(x, table)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        table, back = ctx.saved_tensors
        return _Product.apply(gradients[0], back, table), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        result: Tensor = _Product.apply(tangents[0], *ctx.saved_tensors)
        return result


def _heads_inside(x: Tensor) -> bool:
    """Whether the heads of one token lie beside each other, as in views of a common projection of q, k and v."""
    return x.ndim == 4 and x.shape[1] > 1 and x.stride(1) < x.stride(2)


def _spread_once(table: Tensor, heads: int) -> Tensor:
    """``[rows, 1, time, column]`` for every head, in the order of memory ``rows, time, head, column``."""
    rows, _, time, columns = table.shape
    wide = (rows, time, heads, columns)
    return once(("spread", heads), lambda: table.transpose(1, 2).expand(wide).contiguous().transpose(1, 2), table)


class _Swapped(Function):
    """Halves rotated in three passes over all columns, for few numbers or few columns, where blocks do not pay.

    both: ``[cos cos]``.  signed: ``[-sin sin]``.  sign: -1 for the negative angle, which the gradient takes.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, both: Tensor, signed: Tensor, sign: int) -> Tensor:
        ctx.save_for_backward(both, signed)
        ctx.save_for_forward(both, signed)
        ctx.sign = sign
        first, second = x.chunk(2, dim=-1)
        return torch.addcmul(x * both, torch.cat([second, first], dim=-1), signed, value=sign)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return _Swapped.apply(gradients[0], *ctx.saved_tensors, -ctx.sign), None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        result: Tensor = _Swapped.apply(tangents[0], *ctx.saved_tensors, ctx.sign)
        return result


class _Blocks(Function):
    """The rotation in blocks. It is linear in ``x``; its gradient is the rotation by the negative angle."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor, layout: str) -> Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.save_for_forward(cos, sin)
        ctx.layout = layout
        return _in_blocks(x, cos, sin, layout)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        cos, sin = ctx.saved_tensors
        return _Blocks.apply(gradients[0], cos, -sin, ctx.layout), None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        cos, sin = ctx.saved_tensors
        result: Tensor = _Blocks.apply(tangents[0], cos, sin, ctx.layout)
        return result


def _in_blocks(x: Tensor, cos: Tensor, sin: Tensor, layout: str) -> Tensor:
    """Where heads lie inside, a block is copied first and then worked on: a copy alone reads across values and keys at
    the speed of memory."""
    out, scratch = torch.empty_like(x), _Scratch()
    narrow, inside = x.dtype != cos.dtype, _heads_inside(x)
    factors = [factor.expand(*x.shape[:-1], -1) for factor in ready(cos, sin, layout)]  # views: nothing is written
    for at in _blocks(x):
        block, source = out[at], x[at]
        if narrow and inside:
            source = block.copy_(source)
        wide = (scratch.like(block, "wide", cos.dtype) if narrow else block).copy_(source)
        _turn(wide, [factor[at] for factor in factors], scratch)
        if narrow:
            block.copy_(wide)
    return out


def _turn(x: Tensor, factors: list[Tensor], scratch: "_Scratch") -> None:
    """Rotates in place, with what ``ready`` gives."""
    if len(factors) == 1:
        torch.view_as_complex(x.unflatten(-1, (-1, 2))).mul_(factors[0])
        return
    swapped, (first, second) = scratch.like(x, "swapped", x.dtype), x.chunk(2, dim=-1)
    for half, other in zip(swapped.chunk(2, dim=-1), (second, first), strict=True):  # faster than a concatenation
        half.copy_(other)
    x.mul_(factors[0]).addcmul_(swapped, factors[1])


class _Scratch:
    """Memory that blocks of one shape share, so that it stays in the cache."""

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] = {}

    def like(self, block: Tensor, name: str, dtype: torch.dtype) -> Tensor:
        """Memory of the block's shape and order, with whatever is in it."""
        if name not in self.kept or self.kept[name].shape != block.shape:
            self.kept[name] = torch.empty_like(block, dtype=dtype)
        return self.kept[name]


def _blocks(x: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Parts of ``[batch, head, time, width]`` of about ``BLOCK`` numbers, each of them close together in memory."""
    batch, heads, time, width = x.shape
    if _heads_inside(x):
        some_heads = heads
        times = min(time, max(1, BLOCK // (heads * width)))
    else:
        times = min(time, max(1, BLOCK // width))
        some_heads = min(heads, max(1, BLOCK // (times * width)))
    rows = max(1, BLOCK // (some_heads * times * width))
    for row in range(0, batch, rows):
        for head in range(0, heads, some_heads):
            for start in range(0, time, times):
                yield slice(row, row + rows), slice(head, head + some_heads), slice(start, start + times)
