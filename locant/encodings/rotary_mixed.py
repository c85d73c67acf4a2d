"""Rotations whose frequencies are learned, a direction in space for every pair of columns and head."""

import math

import torch
from torch import Tensor, nn

from locant.encodings.base import PositionalEncoding
from locant.encodings.frequencies import geometric
from locant.encodings.rotary import angles, check_words, planes_of, rotate, rotated_columns


class RotaryMixed(PositionalEncoding):
    """Pair ``c`` of head ``h`` turns by ``sum over axes a of w_hac z_a``, with learned ``w`` ``[heads, axes, pairs]``.

    ``z`` is the position ``[rows, time, axes]``. Where axial rotations split the pairs among the axes, here every pair
    sees all of them, so that diagonals can be told. One number per token stands for the same number on each axis.

    heads: that keys have; with grouped queries, the queries of a group share the frequencies of their key head.
    Starts, with 2 axes, as ``base ** (-c / (pairs / 2))`` for each half of the pairs, in two perpendicular directions
    that are drawn per head; with other numbers of axes, in random directions.
    Source: RoPE-Mixed, Heo et al. 2024, arXiv:2403.13298, section 3.2, and its code. Differs: any number of axes;
    theirs has one in every layer, which is a ``PerLayer`` of several.
    Limit: none.  Shift-invariant: yes.
    Raises ValueError if the head width is not divisible by 4, there is no head or axis, or the layout is unknown; and
    for positions with another number of axes or heads that are no multiple of those of the keys.
    """

    def __init__(self, head_width: int, heads: int, *, axes: int = 2, base: float = 10.0, layout: str = "half") -> None:
        super().__init__()
        check_words(layout, "first")
        if rotated_columns(head_width, 1.0) % 4:
            raise ValueError(f"expected a head width divisible by 4, was: {head_width}")
        if heads < 1 or axes < 1:
            raise ValueError(f"expected at least 1 head and 1 axis, was: {heads} and {axes}")
        self.layout, self.base, self.planes = layout, base, planes_of(layout, head_width // 2)
        self.weight = nn.Parameter(torch.empty(heads, axes, head_width // 2))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        heads, axes, pairs = self.weight.shape
        size = geometric(pairs // 2, self.base).repeat(2).float()
        if axes == 2:
            turn = 2 * math.pi * torch.rand(heads, 1, generator=generator, device="cpu")
            turn = turn + torch.tensor([0.0, math.pi / 2], device="cpu").repeat_interleave(pairs // 2)
            direction = torch.stack([turn.cos(), turn.sin()], dim=1)
        else:
            drawn = torch.randn(heads, axes, pairs, generator=generator, device="cpu")
            direction = drawn / drawn.norm(dim=1, keepdim=True)
        with torch.no_grad():
            self.weight.copy_(direction * size)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return self._turn(q, q_positions), self._turn(k, k_positions)

    def _turn(self, x: Tensor, positions: Tensor) -> Tensor:
        heads = self.weight.shape[0]
        if x.shape[1] % heads:
            raise ValueError(f"expected a multiple of {heads} heads, was: {x.shape[1]}")
        weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        angle = angles(positions, weight).repeat_interleave(x.shape[1] // heads, dim=1)
        return rotate(x, angle, layout=self.layout)
