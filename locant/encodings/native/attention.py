"""Causal attention in C, called with tensors. Queries are the last of the keys; what is added to scores is given."""

from ctypes import c_int64
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from locant.encodings.native.build import Library

ROOM = 16  # numbers behind a row, as so many are read at a time
DTYPES = (torch.float32, torch.bfloat16)
_Sizes = c_int64 * 31  # `Sizes` of attention.c


class Added(NamedTuple):
    """What is added to scores, in float32, with ``ROOM`` numbers behind each row.

    numbers: ``[head or 1, query, key]``, or ``[head or 1, key]``: what the last query adds to each key, if it follows
    from distance.
    """

    numbers: Tensor

    @classmethod
    def of(cls, numbers: Tensor) -> "Added":
        """The same with room behind it."""
        return cls(F.pad(numbers, (0, ROOM)))

    def place(self, numbers: Tensor, queries: int) -> int:
        """The address of the first query's numbers in such a tensor."""
        return numbers.data_ptr() + (4 * (queries - 1) if self.numbers.ndim == 2 else 0)

    def strides(self) -> tuple[int, int]:
        """From a head to the next, and from a query to the next."""
        heads = 0 if self.numbers.shape[0] == 1 else self.numbers.stride(0)
        return heads, -1 if self.numbers.ndim == 2 else self.numbers.stride(1)


def forward(library: Library, q: Tensor, k: Tensor, v: Tensor, added: Added | None, scale: float, trains: bool,
            out: Tensor | None = None) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """``softmax(scale q k' + added) v`` ``[batch, head, query, columns]``, and what the way back needs of it.

    q: ``[batch, head, query, width]``, k: ``[batch, head, key, width]``, v: ``[batch, head, key, columns]``; the last
    columns of each lie close together. out: where it goes. Raises MemoryError.
    """
    batch, heads, queries, _ = q.shape
    if out is None:
        out = v.new_empty(batch, queries, heads, v.shape[3]).transpose(1, 2)  # as the next projection reads it
    kept = q.new_empty(2, batch, heads, queries, dtype=torch.float32) if trains else None
    sizes, place = _sizes(q, k, v, out, q, k, v, added), None if added is None else added.place(added.numbers, queries)
    _check(library.attention_forward(sizes, _at(q), _at(k), _at(v), place, _at(out), _at(kept), scale))
    return out, kept


def backward(library: Library, q: Tensor, k: Tensor, v: Tensor, added: Added | None, kept: Tensor, gradient: Tensor,
             scale: float, learned: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:  # fmt: skip
    """The gradients of q, k and v and, if it is ``learned``, of what was added, without room. Raises MemoryError."""
    to_q, to_k, to_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
    sizes, queries = _sizes(q, k, v, gradient, to_q, to_k, to_v, added), q.shape[2]
    place = to_place = to_each = None
    if added is not None:
        place = added.place(added.numbers, queries)
        if learned:  # apart for every head, as threads share nothing
            to_each = added.numbers.new_zeros(q.shape[1], *added.numbers.shape[1:])
            to_place = added.place(to_each, queries)
    apart = 0 if to_each is None else to_each.stride(0)
    _check(library.attention_backward(sizes, _at(q), _at(k), _at(v), place, _at(kept), _at(gradient), _at(to_q),
                                      _at(to_k), _at(to_v), to_place, apart, scale))  # fmt: skip
    if added is None or to_each is None:
        return to_q, to_k, to_v, None
    return to_q, to_k, to_v, to_each.sum_to_size(added.numbers.shape)[..., :-ROOM]


def _at(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _sizes(q: Tensor, k: Tensor, v: Tensor, out: Tensor, to_q: Tensor, to_k: Tensor, to_v: Tensor,
           added: Added | None) -> Any:  # fmt: skip
    strides = [stride for tensor in (q, k, v, out, to_q, to_k, to_v) for stride in tensor.stride()[:3]]
    more = (0, 0) if added is None else added.strides()
    narrow = q.dtype is torch.bfloat16
    return _Sizes(*q.shape[:3], k.shape[2], q.shape[3], v.shape[3], *strides, *more, torch.get_num_threads(), narrow)


def _check(failed: int) -> None:
    if failed:
        raise MemoryError("expected memory for the attention of one head, was: none left")
