"""Rotations of queries and keys: the score sees position through the angle between them."""

from functools import partial

import torch
from torch import Tensor

from locant.encodings.base import PositionalEncoding
from locant.encodings.derived import Derived
from locant.encodings.frequencies import geometric

LAYOUTS = ("half", "interleaved")


def rotate(x: Tensor, angle: Tensor, *, layout: str) -> Tensor:
    """Rotates the first ``2 * pair`` columns of ``x`` ``[..., time, width]`` by ``angle`` ``[..., time, pair]``.

    layout: ``"half"`` pairs column ``c`` with ``c + pair``; ``"interleaved"`` pairs ``2c`` with ``2c + 1``.
    Computed in the angle's precision and cast once, at the end. The remaining columns stay as they are.
    """
    turned, kept = x[..., : 2 * angle.shape[-1]].to(angle.dtype), x[..., 2 * angle.shape[-1] :]
    cos, sin = angle.cos(), angle.sin()
    if layout == "half":
        first, second = turned.chunk(2, dim=-1)
        turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    else:
        first, second = turned[..., 0::2], turned[..., 1::2]
        turned = torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1).flatten(-2)
    return torch.cat([turned.to(x.dtype), kept], dim=-1) if kept.shape[-1] else turned.to(x.dtype)


class Rotary(PositionalEncoding):
    """``q_i <- R(i) q_i`` and ``k_j <- R(j) k_j``, so that the score depends on ``j - i`` alone.

    ``R(i)`` rotates the c-th pair of columns by ``i * base ** (-2c / r)``, where ``r`` is the number of columns that
    are rotated: the first ``fraction`` of the head.

    layout: ``"half"`` (GPT-NeoX, Llama in Hugging Face) or ``"interleaved"`` (the paper, GPT-J); weights trained with
        one need the columns of their query and key projections permuted for the other.
    Source: Su et al. 2021, arXiv:2104.09864, equations 15 and 34. Differs: nothing with ``"interleaved"``.
    Limit: none.  Shift-invariant: yes.
    Raises ValueError if the rotated columns are not a positive even number, or the layout is unknown.
    """

    def __init__(
        self,
        head_width: int,
        *,
        base: float = 10_000.0,
        fraction: float = 1.0,
        layout: str = "half",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        rotated = int(head_width * fraction + 1e-9)  # a hair against 0.29 * 100 = 28.999...
        if not 0 < fraction <= 1:
            raise ValueError(f"expected a fraction of the head in (0, 1], was: {fraction}")
        if rotated < 2 or rotated % 2:
            raise ValueError(f"expected a positive even number of rotated columns, was: {rotated}")
        if layout not in LAYOUTS:
            raise ValueError(f"expected the layout half or interleaved, was: {layout}")
        self.layout = layout
        self.frequencies = Derived(partial(geometric, rotated // 2, base), dtype)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return self._turn(q, q_positions), self._turn(k, k_positions)

    def _turn(self, x: Tensor, positions: Tensor) -> Tensor:
        frequencies = self.frequencies()
        angle = positions[..., None].to(frequencies.dtype) * frequencies
        return rotate(x, angle.unsqueeze(-3), layout=self.layout)
