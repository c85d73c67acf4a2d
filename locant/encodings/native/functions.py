"""The kernels with their gradients, and where they serve: on a processor, for what lies close together in memory."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from locant.encodings import native
from locant.encodings.native.calls import KINDS, added, beside, call_of, rotated
from locant.encodings.once import eager, forward_mode


def turned(cos: Tensor, sin: Tensor, layout: str, *xs: Tensor) -> tuple[Tensor, ...] | None:
    """Each of ``xs`` ``[batch, head, time, 2 * pair]`` rotated, or None where the kernels do not serve.

    cos, sin: ``[batch or 1, head or 1, time or 1, pair]``, float32, or float64 for what is float64.
    """
    library = native.library()
    if library is None or not eager() or not _serves(xs[0], cos, sin):
        return None
    alike = len(xs) == 1 or _alike(*xs)
    if not alike and not all(_serves(x, cos, sin) for x in xs[1:]):
        return None
    if not _followed(*xs):
        return _call(cos, sin, layout, 1, xs, alike)
    result: tuple[Tensor, ...] = _Turned.apply(cos, sin, layout, 1, *xs)
    return result


class Table:
    """Cosines and sines for ``turned``, which remembers what the last queries and keys looked like.

    In decoding all layers ask for the same positions with queries and keys of the same form: what was found out about
    the first holds for the others, and a token costs little more than the call.
    """

    def __init__(self, cos: Tensor, sin: Tensor, layout: str) -> None:
        self.cos, self.sin, self.layout = cos, sin, layout
        self.form: tuple[object, ...] = ()
        self.known: tuple[object, ...] = ()

    def both(self, q: Tensor, k: Tensor) -> tuple[Tensor, ...] | None:
        """``turned`` of queries and keys."""
        form = (type(q), type(k), q.shape, k.shape, q.stride(), k.stride(), q.dtype, k.dtype, q.is_cpu, k.is_cpu)
        if form == self.form and not _followed(q, k) and not (q.is_neg() or k.is_neg()):
            library = native.library()
            if library is not None and eager():
                y, z = torch.empty_like(q), torch.empty_like(k)
                library.rotate(q.data_ptr(), y.data_ptr(), k.data_ptr(), z.data_ptr(), *self.known)
                return y, z
        found = turned(self.cos, self.sin, self.layout, q, k)
        if found is not None and _alike(q, k) and not _followed(q, k):
            self.form, self.known = form, call_of(self.cos, self.sin, self.layout, 1, q, found[0])
        return found


def _followed(*xs: Tensor) -> bool:
    """Whether somebody wants derivatives; where torch does not tell of those in forward mode, yes."""
    return forward_mode() or (torch.is_grad_enabled() and any(x.requires_grad for x in xs))


def _serves(x: Tensor, cos: Tensor, sin: Tensor) -> bool:
    if not (native.plain(x) and native.plain(cos) and native.plain(sin)) or x.dtype not in KINDS:
        return False
    if torch.is_grad_enabled() and (cos.requires_grad or sin.requires_grad):
        return False
    if cos.dtype is not (torch.float64 if x.dtype is torch.float64 else torch.float32):
        return False
    shape, table, at = x.shape, cos.shape, cos.stride()
    if len(shape) != 4 or len(table) != 4 or x.stride(3) != 1 or at[3] != 1 or sin.stride() != at:
        return False
    broadcast = table[0] in (1, shape[0]) and table[1] in (1, shape[1]) and table[2] in (1, shape[2])
    return broadcast and shape[3] == 2 * table[3] and x.numel() > 0


def _alike(x: Tensor, other: Tensor) -> bool:
    """Whether one call can do both: what serves the one then serves the other."""
    same = x.shape == other.shape and x.stride() == other.stride() and x.dtype is other.dtype
    return same and native.plain(other)


def _call(cos: Tensor, sin: Tensor, layout: str, sign: int, xs: tuple[Tensor, ...], alike: bool) -> tuple[Tensor, ...]:
    """The kernel on all of them, at once where they are alike."""
    library = native.compiled()
    if alike:
        return rotated(library, cos, sin, layout, sign, *xs)
    return tuple(each for x in xs for each in rotated(library, cos, sin, layout, sign, x))


class _Turned(Function):
    """Linear in what it rotates; its gradient is the rotation by the negative angle."""

    @staticmethod
    def forward(ctx: Any, cos: Tensor, sin: Tensor, layout: str, sign: int, *xs: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(cos, sin)
        ctx.save_for_forward(cos, sin)
        ctx.layout, ctx.sign = layout, sign
        return _call(cos, sin, layout, sign, xs, len(xs) == 1 or _alike(*xs))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, None, *_again(ctx, -ctx.sign, gradients)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> tuple[Tensor, ...]:
        return _again(ctx, ctx.sign, tangents[4:])


def _again(ctx: Any, sign: int, xs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The rotation of gradients or tangents, which may lie in memory as they like."""
    cos, sin = ctx.saved_tensors
    close = tuple(x if x.stride(3) == 1 else x.contiguous() for x in xs)
    if torch.is_grad_enabled():
        result: tuple[Tensor, ...] = _Turned.apply(cos, sin, ctx.layout, sign, *close)
        return result
    return _call(cos, sin, ctx.layout, sign, close, len(close) == 1 or _alike(*close))


def looked_up(table: Tensor, ids: Tensor, code: Tensor, *, concatenate: bool) -> Tensor | None:
    """Rows of ``table`` ``[rows, width]``, with the code ``[batch or 1, time, columns]`` of their positions.

    ids: ``[batch, time]``. concatenate: the code stands behind the row; else it is added to it. Values and gradients
    are those of the plain way to the last bit.
    None where the kernels are not there or do not serve, or an id is not in the table.
    """
    library = native.library()
    if library is None or not eager() or forward_mode() or ids.numel() == 0:
        return None
    tensors = table, ids, code
    if not all(native.plain(x) and x.is_contiguous() for x in tensors):
        return None
    if ids.ndim != 2 or ids.dtype is not torch.int64 or code.dtype is not table.dtype or code.ndim != 3:
        return None
    if code.shape[1] != ids.shape[1] or code.shape[0] not in (1, ids.shape[0]):
        return None
    if not concatenate and (table.dtype not in KINDS or code.shape[-1] != table.shape[-1]):
        return None
    call = beside if concatenate else added
    if not (torch.is_grad_enabled() and (table.requires_grad or code.requires_grad)):
        return call(library, table, ids, code)
    result: Tensor | None = _LookedUp.apply(table, code, ids, call)
    return result


class _LookedUp(Function):
    """The gradient is that of the plain way, by its operations: so it has gradients of its own."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, code: Tensor, ids: Tensor, call: Any) -> Tensor | None:
        ctx.save_for_backward(ids)
        ctx.rows, ctx.width, ctx.shared, ctx.concatenate = *table.shape, code.shape[0] == 1, call is beside
        found: Tensor | None = call(native.compiled(), table, ids, code)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (ids,), (gradient,) = ctx.saved_tensors, gradients
        to_tokens, to_code = (
            gradient.split((ctx.width, gradient.shape[-1] - ctx.width), -1) if ctx.concatenate else (gradient, gradient)
        )
        to_table = None
        if ctx.needs_input_grad[0]:
            to_table = torch.ops.aten.embedding_dense_backward(to_tokens, ids, ctx.rows, -1, False)
        if not ctx.needs_input_grad[1]:
            return to_table, None, None, None
        return to_table, to_code.sum(0, keepdim=True) if ctx.shared else to_code, None, None
