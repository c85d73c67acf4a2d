"""Rotations whose every pair follows a series of frequencies in place of a single one."""

from functools import partial

import torch
from torch import Tensor, nn

from locant.encodings.base import PositionalEncoding
from locant.encodings.codes import draw_normal
from locant.encodings.derived import Derived
from locant.encodings.frequencies import constant, fast_enough, geometric
from locant.encodings.pairwise import exact, wide
from locant.encodings.rotary import angles, check_words, turn


def _coefficients(heads: int, pairs: int, std: float, seed: int) -> Tensor:
    return torch.randn(2, heads, pairs, pairs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * std


class FourierRotary(PositionalEncoding):
    """``q_i <- [[C_i, -S_i], [S_i, C_i]] q_i`` per pair ``c``, with ``C_ic = cos(i w_c) + sum_m a_hmc cos(i w_m)``.

    ``S_ic = sin(i w_c) + sum_m b_hmc sin(i w_m)``; the sums run over the frequencies that turn at least once within
    ``original`` positions, ``w >= 2 pi / original``. Slower pairs stay as they are. So a pair carries what linear
    layers and activations spill into it from other frequencies. A sum of rotations is no rotation: vectors change in
    length, and the products of two frequencies keep scores from depending on the distance alone.

    ``a, b`` are drawn per key head from ``N(0, gain^2 / pairs)`` with ``seed`` and fixed, as in the authors'
    experiments, or, if ``learned``, start so.
    Source: FoPE, Hua et al. 2024, arXiv:2412.17739, as in the authors' code. Differs: slow pairs stay as they are,
    where the code gives them a sine and cosine of 1, which turns them all by 45 degrees and doubles their products; the
    code's series fills at most half of the pairs, ours all that are fast enough.
    Limit: none.  Shift-invariant: no.
    Raises ValueError if there is no head, no frequency is fast enough, the width is odd, the gain negative, or the
    layout unknown; and for heads that are no multiple of those of the keys.
    """

    shift_invariant = False

    def __init__(self, head_width: int, heads: int, *, original: int, base: float = 10_000.0, gain: float = 0.3,
                 learned: bool = False, seed: int = 0, layout: str = "half", dtype: torch.dtype = torch.float32
                 ) -> None:  # fmt: skip
        super().__init__()
        check_words(layout, "first")
        if head_width < 2 or head_width % 2 or heads < 1:
            raise ValueError(f"expected a positive even head width and at least 1 head, was: {head_width} and {heads}")
        if not gain >= 0:
            raise ValueError(f"expected a gain of at least 0, was: {gain}")
        table = fast_enough(geometric(head_width // 2, base), original)
        pairs = int((table > 0).sum())
        self.pairs, self.layout, self.learned = head_width // 2, layout, learned
        self.frequencies = Derived(constant(table[:pairs]), dtype)
        self.std = gain * pairs**-0.5
        if learned:
            self.weight = nn.Parameter(torch.empty(2, heads, pairs, pairs))
            self.reset_parameters()
        else:
            self.drawn = Derived(partial(_coefficients, heads, pairs, self.std, seed), dtype)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        if self.learned:
            draw_normal(self.weight, self.std, generator)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return self._turn(q, q_positions), self._turn(k, k_positions)

    def _turn(self, x: Tensor, positions: Tensor) -> Tensor:
        weight: Tensor = wide(self.weight) if self.learned else self.drawn()
        if x.shape[1] % weight.shape[1]:
            raise ValueError(f"expected a multiple of {weight.shape[1]} heads, was: {x.shape[1]}")
        angle = angles(positions, self.frequencies().to(weight.dtype)).unsqueeze(-3)
        with exact(x):
            cos, sin = (wave + wave @ each for wave, each in zip((angle.cos(), angle.sin()), weight, strict=True))
        cos, sin = (wave.repeat_interleave(x.shape[1] // weight.shape[1], dim=1) for wave in (cos, sin))
        still = self.pairs - cos.shape[-1]
        cos, sin = nn.functional.pad(cos, (0, still), value=1.0), nn.functional.pad(sin, (0, still))
        return turn(x, cos, sin, layout=self.layout)
