"""Causal attention in C, called with tensors: what is added to scores follows from distance, or there is nothing."""

from ctypes import c_int64
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from locant.encodings.native.build import Library

ROOM = 16  # numbers behind a row, as so many are read at a time
DTYPES = (torch.float32, torch.bfloat16)
_Sizes = c_int64 * 29  # `Sizes` of attention.c


def with_room(row: Tensor) -> Tensor:
    """What the last query adds to each key, ``[head or 1, time]``, with numbers behind that may be read."""
    return F.pad(row, (0, ROOM))


def forward(library: Library, q: Tensor, k: Tensor, v: Tensor, row: Tensor | None, scale: float,
            trains: bool) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """``softmax(scale q k' + bias) v`` ``[batch, head, time, columns]``, and what the way back needs of it.

    q, k: ``[batch, head, time, width]``, v: ``[batch, head, time, columns]``; the last columns of each lie close
    together. row: of ``with_room``, float32. Raises MemoryError.
    """
    batch, heads, time, _ = q.shape
    out = v.new_empty(batch, time, heads, v.shape[3]).transpose(1, 2)  # as the next projection reads it
    kept = q.new_empty(2, batch, heads, time, dtype=torch.float32) if trains else None
    sizes = _sizes(q, k, v, out, q, k, v, row)
    _check(library.attention_forward(sizes, _at(q), _at(k), _at(v), _at(row), _at(out), _at(kept), scale))
    return out, kept


def backward(library: Library, q: Tensor, k: Tensor, v: Tensor, row: Tensor | None, kept: Tensor, gradient: Tensor,
             scale: float, learned: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:  # fmt: skip
    """The gradients of q, k and v and, if it is ``learned``, of the row without its room. Raises MemoryError."""
    to_q, to_k, to_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    length = 0 if row is None else row.shape[1]
    # Apart for every head of every row, as threads share nothing.
    to_rows = q.new_zeros(q.shape[0], q.shape[1], length, dtype=torch.float32) if learned else None
    sizes = _sizes(q, k, v, gradient, to_q, to_k, to_v, row)
    _check(library.attention_backward(sizes, _at(q), _at(k), _at(v), _at(row), _at(kept), _at(gradient), _at(to_q),
                                      _at(to_k), _at(to_v), _at(to_rows), length, scale))  # fmt: skip
    if to_rows is None or row is None:
        return to_q, to_k, to_v, None
    return to_q, to_k, to_v, to_rows.sum(0)[:, :-ROOM].sum_to_size(row.shape[0], length - ROOM)


def _at(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _sizes(q: Tensor, k: Tensor, v: Tensor, out: Tensor, to_q: Tensor, to_k: Tensor, to_v: Tensor,
           row: Tensor | None) -> Any:  # fmt: skip
    strides = [stride for tensor in (q, k, v, out, to_q, to_k, to_v) for stride in tensor.stride()[:3]]
    between = 0 if row is None or row.shape[0] == 1 else row.shape[1]
    return _Sizes(*q.shape, v.shape[3], *strides, between, torch.get_num_threads(), q.dtype is torch.bfloat16)


def _check(failed: int) -> None:
    if failed:
        raise MemoryError("expected memory for the attention of one head, was: none left")
