"""The kernels, called with tensors: what a pointer, a stride and a size are is settled here."""

from ctypes import Array, c_int64
from functools import lru_cache

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
    y = torch.empty_like(x)
    known = call_of(cos, sin, layout, sign, x, y)
    if second is None:
        library.rotate(x.data_ptr(), y.data_ptr(), None, None, *known)
        return (y,)
    z = torch.empty_like(second)
    library.rotate(x.data_ptr(), y.data_ptr(), second.data_ptr(), z.data_ptr(), *known)
    return y, z


def call_of(cos: Tensor, sin: Tensor, layout: str, sign: int, x: Tensor, y: Tensor) -> tuple[object, ...]:
    """What a call needs to know besides where ``x`` and ``y`` and another pair of the same form are."""
    threads = torch.get_num_threads() if x.numel() >= MANY else 1
    numbers = _numbers(x.shape, x.stride(), y.stride(), cos.shape, cos.stride(), sign, threads)
    return cos.data_ptr(), sin.data_ptr(), numbers, KINDS[x.dtype] + (3 if layout == "interleaved" else 0)


@lru_cache(64)
def _numbers(shape: tuple[int, ...], x: tuple[int, ...], y: tuple[int, ...], table: tuple[int, ...],
             at: tuple[int, ...], sign: int, threads: int) -> "Array[c_int64]":  # fmt: skip
    """Sizes and strides as ``rotations.c`` names them; a table of one row, head or token serves all."""
    steps = [step if many > 1 else 0 for step, many in zip(at[:3], table[:3], strict=True)]
    return _Numbers(*shape[:3], table[3], *x[:3], *y[:3], *steps, sign, -sign, threads)


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
    """Rows of a table ``[rows, width]``, each plus its position's code ``[batch or 1, time, width]``; types: ``KINDS``.

    ids: ``[batch, time]``. None where an id is not one of the table's. All are contiguous.
    """
    width = table.shape[1]
    out = table.new_empty(*ids.shape, width)
    failed = library.look_up_added(table.data_ptr(), width, table.shape[0], ids.data_ptr(), ids.numel(),
                                   code.data_ptr(), code[..., 0].numel(), out.data_ptr(),
                                   KINDS[table.dtype])  # fmt: skip
    return out if failed < 0 else None
