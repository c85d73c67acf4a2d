"""Rotations of the distance between two tokens, where it is not the difference of two places."""

from functools import partial

import torch
from torch import Tensor

from locant.encodings.base import Pairs, PositionalEncoding, ScoreMod
from locant.encodings.derived import Derived
from locant.encodings.frequencies import geometric
from locant.encodings.pairwise import products
from locant.encodings.rotary import LAYOUTS, angles, rotate


class SelfExtend(PositionalEncoding):
    """``s_ij = q_i' R(f(i - j)) k_j``: exact distances below ``window``, and coarse ones from there on.

    Beyond the window ``f`` is the difference of two other places, ``a(i) - c(j)``:
    ``a(i) = floor(i / group) + window - floor(window / group)``, ``c(j) = floor(j / group)`` (Self-Extend);
    the same without floors if not ``whole`` (leaky ReRoPE); ``a = window``, ``c = 0`` if ``group`` is None (ReRoPE).
    A model trained with rotary on distances up to ``n`` reads ``group (n - window) + window`` tokens with it.
    No choice of positions does this, as ``f`` is no difference: queries and keys are rotated to ``i`` and ``j`` (and
    cached so), and ``score_mod`` turns them on to ``a(i)`` and ``c(j)`` and adds what that changes. It takes the
    products of all pairs once more.
    Source: Jin et al. 2024, arXiv:2401.01325, section 3 and its code; ReRoPE: Su 2023, github.com/bojone/rerope.
    Differs: the window counts positions, not tokens.
    Limit: none.  Shift-invariant: only without floors.
    Raises ValueError if the window is below 1, the group not above 1, the head width odd or the layout unknown.
    """

    def __init__(
        self,
        head_width: int,
        *,
        window: int,
        group: float | None = None,
        whole: bool = True,
        base: float = 10_000.0,
        layout: str = "half",
    ) -> None:
        super().__init__()
        if window < 1 or (group is not None and not group > 1):
            raise ValueError(f"expected a window of at least 1 and a group above 1, was: {window} and {group}")
        if head_width < 2 or head_width % 2:
            raise ValueError(f"expected a positive even head width, was: {head_width}")
        if layout not in LAYOUTS:
            raise ValueError(f"expected the layout {' or '.join(LAYOUTS)}, was: {layout}")
        self.window, self.group, self.whole, self.layout = window, group, whole, layout
        within = 0 if group is None else window // group if whole else window / group
        self.offset = window - within  # so that coarse distances go on where exact ones end
        self.shift_invariant = group is None or not whole
        self.frequencies = Derived(partial(geometric, head_width // 2, base))

    def _turn(self, x: Tensor, places: Tensor) -> Tensor:
        return rotate(x, angles(places, self.frequencies()).unsqueeze(-3), layout=self.layout)

    def _coarse(self, positions: Tensor) -> Tensor:
        if self.group is None:
            return torch.zeros_like(positions)
        return positions.div(self.group, rounding_mode="floor" if self.whole else None)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return self._turn(q, q_positions), self._turn(k, k_positions)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        far_q = self._turn(pairs.q, self._coarse(pairs.q_positions) + self.offset - pairs.q_positions)
        far_k = self._turn(pairs.k, self._coarse(pairs.k_positions) - pairs.k_positions)
        change = products(pairs._replace(q=far_q, k=far_k)) - products(pairs)
        zero = change.new_zeros(())

        def extended(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            far = pairs.distance(b, i, j) >= self.window
            return score + torch.where(far, change[b, h, i, j], zero)

        return extended
