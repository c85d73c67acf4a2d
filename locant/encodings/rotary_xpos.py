"""Rotations with decay: queries grow with position as keys shrink, so that the score falls with distance."""

from functools import partial

import torch
from torch import Tensor

from locant.encodings.base import PositionalEncoding
from locant.encodings.codes import check_positions
from locant.encodings.derived import Derived
from locant.encodings.frequencies import geometric
from locant.encodings.rotary import angles, check_words, planes_of, rotate, rotated_columns

LARGEST = 1e30  # of a scale: products of two stay finite in float32 and its reciprocal is no subnormal


def decays(pairs: int) -> Tensor:
    """``ln((2c + 0.4 d) / (1.4 d))`` for ``c = 0 .. pairs - 1`` and ``d = 2 pairs``, as float64 ``[pairs]``."""
    bases = [(2 * c + 0.8 * pairs) / (2.8 * pairs) for c in range(pairs)]
    return torch.tensor(bases, dtype=torch.float64, device="cpu").log()


class XPos(PositionalEncoding):
    """``q_i <- z^((i - o) / B) R(i) q_i``, ``k_j <- z^(-(j - o) / B) R(j) k_j``: a rotation that decays with distance.

    The score contains ``z_c ** ((i - j) / B)`` with ``z_c = (2c + 0.4 d) / (1.4 d) < 1`` for the c-th pair; the fastest
    pairs fade first. For keys of the future it grows instead: the method is for causal attention.

    limit: positions run from 0 to ``limit - 1``; others are refused, as the scales of queries and keys leave the range
        of the number format far from the centre ``o``, which the score does not show: it cancels.
    centre: ``o``, one for all calls, so that cached keys fit; ``limit // 2`` unless given.
    scale_base: ``B``, the distance over which the fastest pair falls to 0.29.
    base, fraction, layout: as in ``Rotary``.
    Source: Sun et al. 2022, arXiv:2212.10554, section 2, and its code. Differs: the centre of the code moves with the
    length of the call.
    Limit: ``limit``.  Shift-invariant: yes.
    Raises ValueError as ``Rotary`` does, if a scale within the limit is above 1e30, and for a position outside.
    """

    def __init__(
        self,
        head_width: int,
        limit: int,
        *,
        base: float = 10_000.0,
        fraction: float = 1.0,
        layout: str = "half",
        scale_base: float = 512.0,
        centre: int | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        check_words(layout, "first")
        if limit < 1:
            raise ValueError(f"expected a limit of at least 1 position, was: {limit}")
        if not scale_base > 0:
            raise ValueError(f"expected a positive scale_base, was: {scale_base}")
        pairs = rotated_columns(head_width, fraction) // 2
        self.layout, self.scale_base, self.planes = layout, scale_base, planes_of(layout, pairs)
        self.limit: int = limit
        self.centre = limit // 2 if centre is None else centre
        furthest = max(abs(self.centre), abs(limit - 1 - self.centre)) / scale_base
        reach = float(torch.tensor(LARGEST, device="cpu").log() / -decays(pairs)[0])
        if furthest > reach:
            most = int(reach * scale_base)
            raise ValueError(f"expected positions within {most} of the centre {self.centre}, was: limit {limit}")
        self.frequencies = Derived(partial(geometric, pairs, base), dtype)
        self.decays = Derived(partial(decays, pairs), dtype)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return self._turn(q, q_positions, 1.0), self._turn(k, k_positions, -1.0)

    def _turn(self, x: Tensor, positions: Tensor, sign: float) -> Tensor:
        check_positions(positions, self.limit)
        angle, slopes = angles(positions, self.frequencies()).unsqueeze(-3), self.decays()
        steps = (positions - self.centre).to(slopes.dtype) * (sign / self.scale_base)
        return rotate(x, angle, layout=self.layout, scale=(steps[:, None, :, None] * slopes).exp())
