"""Rotated values: what attention returns depends on where it was found, relative to the query."""

import torch
from torch import Tensor

from locant.encodings.base import PositionalEncoding
from locant.encodings.rotary import angles, check_words, rotate, speeds


class RotaryValues(PositionalEncoding):
    """``o_i = R(-i) sum_j a_ij R(j) v_j``: values turned by ``R(j - i)``, so that they arrive relative to the query.

    Without the rotation back, values would carry absolute positions. Chain it to what rotates queries and keys; where
    keys are values (one projection for both) the cache then holds one tensor.

    base, fraction, layout, side, frequencies: as in ``Rotary``.
    Source: DeepSeek-V4's code, which rotates the last columns of a shared key and value. Differs: any columns.
    Limit: none.  Shift-invariant: yes.  Raises ValueError as ``Rotary`` does.
    """

    def __init__(
        self,
        head_width: int,
        *,
        base: float | None = None,
        fraction: float | None = None,
        layout: str = "half",
        side: str = "first",
        frequencies: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        check_words(layout, side)
        self.layout, self.side = layout, side
        self.frequencies = speeds(head_width, base, fraction, frequencies, dtype)

    def values(self, v: Tensor, positions: Tensor) -> Tensor:
        return self._turn(v, positions, 1.0)

    def output(self, out: Tensor, positions: Tensor) -> Tensor:
        return self._turn(out, positions, -1.0)

    def _turn(self, x: Tensor, positions: Tensor, sign: float) -> Tensor:
        angle = sign * angles(positions, self.frequencies()).unsqueeze(-3)
        return rotate(x, angle, layout=self.layout, side=self.side)
