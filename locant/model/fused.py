"""PyTorch's fused attention, in the arithmetic in which it is fast on a processor.

Its kernel multiplies many small matrices. What serves the large products of a projection, PyTorch's ``medium`` and
bfloat16, costs those many times their work, so the kernel is given plain float32 where that was measured to be faster.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from locant.encodings.once import eager
from locant.encodings.pairwise import exact

NARROW = 128  # queries and keys from which products of bfloat16 pay inside the kernel
AMX = bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())  # private; where torch does not tell, not


def has_units(q: Tensor) -> bool:
    """Whether the processor has units for matrices of this type, which the kernel makes the most of."""
    return AMX and q.dtype is torch.bfloat16


@contextmanager
def multiplying(precision: str = "highest") -> Iterator[None]:
    """Inside, products of float32 have the precision of PyTorch's name; by default they have ``"highest"``."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, causal: bool = False,
              scale: float | None = None) -> Tensor:  # fmt: skip
    """``scaled_dot_product_attention``, of the type of ``q`` (under autocast: of autocast's).

    mask: added to the scores, ``[batch or 1, head or 1, query, key]``, or what may be seen, as booleans.
    """
    if not (eager() and q.device.type == "cpu"):
        return _kernel(q, k, v, mask, causal, scale)
    narrow = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else q.dtype
    if narrow != torch.bfloat16:
        return _plainly(q, k, v, mask, causal, scale)
    if q.shape[-2] != k.shape[-2] or k.shape[-2] >= NARROW:
        return _kernel(q, k, v, mask, causal, scale)
    with exact(q):
        out = _plainly(q.float(), k.float(), v.float(), mask if mask is None or mask.dtype == torch.bool
                       else mask.float(), causal, scale)  # fmt: skip
    return out.to(narrow)


def _kernel(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, scale: float | None) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, scale=scale)


def _plainly(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, scale: float | None) -> Tensor:
    """The kernel, forward and backward, with plain products where others were allowed."""
    if torch.get_float32_matmul_precision() == "highest":
        return _kernel(q, k, v, mask, causal, scale)
    with multiplying():
        out = _kernel(q, k, v, mask, causal, scale)
    if out.grad_fn is not None:
        allowed = _Allowed()
        out.grad_fn.register_prehook(allowed.withdraw)
        out.grad_fn.register_hook(allowed.restore)
    return out


class _Allowed:
    """What is allowed of products, while a step of the backward pass goes without."""

    def __init__(self) -> None:
        self.before = "highest"

    def withdraw(self, _: Any) -> None:
        self.before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")

    def restore(self, *_: Any) -> None:
        torch.set_float32_matmul_precision(self.before)
