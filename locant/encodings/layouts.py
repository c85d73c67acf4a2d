"""The two layouts of rotary columns, and the way from weights of one to weights of the other."""

import torch
from torch import Tensor


def half_to_interleaved(weight: Tensor, *, head_width: int, columns: int | None = None, side: str = "first") -> Tensor:
    """A query or key projection for pairs ``(c, c + r/2)`` made into one for pairs ``(2c, 2c + 1)``.

    Scores are the same when queries and keys are both converted; values and the output projection stay.

    weight: ``[heads * head_width, ...]``: a weight ``[out, in]``, a bias, or the gain of a norm per head. The number of
        heads follows, so that the fewer key heads of grouped queries need nothing of their own.
    columns: how many columns ``r`` of each head are rotated, all unless given.  side: which, ``"first"`` or ``"last"``.
    Raises ValueError if the rows are not whole heads, or the rotated columns are not even and within the head.
    """
    return _reordered(weight, _order(head_width, columns, side))


def interleaved_to_half(weight: Tensor, *, head_width: int, columns: int | None = None, side: str = "first") -> Tensor:
    """The way back of ``half_to_interleaved``, with the same arguments and errors."""
    return _reordered(weight, _order(head_width, columns, side).argsort())


def _order(head_width: int, columns: int | None, side: str) -> Tensor:
    """Which row of the half layout becomes row ``c`` of the interleaved one."""
    columns = head_width if columns is None else columns
    if columns % 2 or not 2 <= columns <= head_width:
        raise ValueError(f"expected an even number of rotated columns in 2 .. {head_width}, was: {columns}")
    if side not in ("first", "last"):
        raise ValueError(f"expected the side first or last, was: {side}")
    start = 0 if side == "first" else head_width - columns
    order = torch.arange(head_width, device="cpu")
    order[start : start + columns] = start + torch.arange(columns, device="cpu").view(2, -1).T.flatten()
    return order


def _reordered(weight: Tensor, order: Tensor) -> Tensor:
    if weight.shape[0] % len(order):
        raise ValueError(f"expected rows divisible by the head width {len(order)}, was: {weight.shape[0]}")
    heads = weight.unflatten(0, (-1, len(order)))
    return heads[:, order.to(weight.device)].flatten(0, 1)
