"""The kernels, called with tensors: what a pointer, a stride and a size are is settled here."""

from ctypes import c_int64

import torch
from torch import Tensor

from locant.encodings.native.build import Library

KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.float64: 2}
MANY = 2**16  # numbers from which threads pay
_Numbers = c_int64 * 16


def rotated(library: Library, cos: Tensor, sin: Tensor, layout: str, sign: int, x: Tensor,
            second: Tensor | None = None) -> tuple[Tensor, ...]:  # fmt: skip
    """``x`` ``[batch, head, time, 2 * pair]`` turned by ``sign`` times the angle, and a second of equal form.

    cos, sin: ``[batch or 1, head or 1, time or 1, pair]`` of the same strides. The last columns of all lie close
    together.
    """
    batch, heads, time, _ = x.shape
    rows, shared, times, pairs = cos.shape
    y = torch.empty_like(x)
    b, h, t, _ = x.stride()
    to_b, to_h, to_t, _ = y.stride()
    at_b, at_h, at_t, _ = cos.stride()
    threads = torch.get_num_threads() if x.numel() >= MANY else 1
    numbers = _Numbers(batch, heads, time, pairs, b, h, t, to_b, to_h, to_t, at_b if rows > 1 else 0,
                       at_h if shared > 1 else 0, at_t if times > 1 else 0, sign, -sign, threads)  # fmt: skip
    kind = KINDS[x.dtype] + (3 if layout == "interleaved" else 0)
    if second is None:
        library.rotate(x.data_ptr(), y.data_ptr(), None, None, cos.data_ptr(), sin.data_ptr(), numbers, kind)
        return (y,)
    z = torch.empty_like(second)
    library.rotate(x.data_ptr(), y.data_ptr(), second.data_ptr(), z.data_ptr(), cos.data_ptr(), sin.data_ptr(),
                   numbers, kind)  # fmt: skip
    return y, z


def beside(library: Library, table: Tensor, ids: Tensor, code: Tensor) -> Tensor | None:
    """Rows of a table ``[rows, width]``, each followed by its position's code ``[batch or 1, time, columns]``.

    ids: ``[batch, time]``. None where an id is not one of the table's. All are contiguous.
    """
    width, columns, size = table.shape[1], code.shape[-1], table.element_size()
    out = table.new_empty(*ids.shape, width + columns)
    failed = library.look_up_beside(table.data_ptr(), width * size, table.shape[0], ids.data_ptr(), ids.numel(),
                                    code.data_ptr(), columns * size, code[..., 0].numel(), out.data_ptr())  # fmt: skip
    return out if failed < 0 else None


def added(library: Library, table: Tensor, ids: Tensor, code: Tensor) -> Tensor | None:
    """Rows of a float32 table ``[rows, width]``, each plus its position's code ``[batch or 1, time, width]``.

    ids: ``[batch, time]``. None where an id is not one of the table's. All are contiguous.
    """
    width = table.shape[1]
    out = table.new_empty(*ids.shape, width)
    failed = library.look_up_added(table.data_ptr(), width, table.shape[0], ids.data_ptr(), ids.numel(),
                                   code.data_ptr(), code[..., 0].numel(), out.data_ptr())  # fmt: skip
    return out if failed < 0 else None
