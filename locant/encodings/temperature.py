"""Temperatures that follow the number of tokens there are to attend to, applied to the queries."""

import torch
from torch import Tensor, nn

from locant.encodings.axes import one_axis
from locant.encodings.base import PositionalEncoding
from locant.encodings.codes import check_positions

ANYWHERE = torch.iinfo(torch.int64).max


def _counts(positions: Tensor, dtype: torch.dtype) -> Tensor:
    """How many tokens a query sees in its document, ``i + 1``, as ``[rows, 1, time, 1]``.

    Raises ValueError if a position is negative, where there is nothing to count.
    """
    check_positions(one_axis(positions), ANYWHERE)
    return (positions.to(torch.promote_types(dtype, torch.float32)) + 1)[:, None, :, None]


class ScalableSoftmax(PositionalEncoding):
    """``q_i <- s_h log(i + 1) q_i``: the softmax keeps its sharpness however many keys share it (SSMax).

    With ``n = i + 1`` keys the weights are ``n ** (s a_ij) / sum_j n ** (s a_ij)`` of the scores ``a``.
    Source: Nakanishi 2025, arXiv:2501.19399, equation 2, with ``s`` learned per head. Differs: it acts on the product
    of query and key, so a bias in the same sum keeps its size; ``n`` comes from the position, so documents start at 0.
    Limit: none.  Shift-invariant: no.
    Raises ValueError if there is no head, and, with the position, if one is negative.
    """

    shift_invariant = False

    def __init__(self, heads: int, *, initial: float = 0.43) -> None:
        super().__init__()
        if heads < 1:
            raise ValueError(f"expected at least 1 head, was: {heads}")
        self.initial = initial
        self.weight = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        nn.init.constant_(self.weight, self.initial)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        counts = _counts(q_positions, q.dtype)
        sharper = self.weight.to(counts.dtype)[:, None, None] * counts.log()
        return (q * sharper).to(q.dtype), k


class LengthTemperature(PositionalEncoding):
    """``q_i <- t_i q_i`` with ``t_i = 1 + rate log(1 + floor((i + 1) / every))``: sharper in steps of ``every`` tokens.

    smooth: ``t_i = 1 + rate log(max(1, (i + 1) / every))`` instead.
    first: the number that the first token counts as; 1, or 0 as in Ministral 3, whose steps come one token later.
    Source: no paper; the attention of Llama 4 and, smooth, of Inkling, as published in Hugging Face transformers.
    Differs: Llama 4 applies it in the layers without rotation only, which ``per_layer`` says.
    Limit: none.  Shift-invariant: no.
    Raises ValueError if ``every`` is not positive, and, with the position, if one is negative.
    """

    shift_invariant = False

    def __init__(self, *, rate: float = 0.1, every: float = 8192.0, smooth: bool = False, first: float = 1.0) -> None:
        super().__init__()
        if not every > 0:
            raise ValueError(f"expected steps of more than 0 tokens, was: {every}")
        self.rate, self.every, self.smooth, self.first = rate, every, smooth, first

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        steps = (_counts(q_positions, q.dtype) + (self.first - 1.0)) / self.every
        growth = steps.clamp_min(1.0).log() if self.smooth else steps.floor().log1p()
        return (q * (1.0 + self.rate * growth)).to(q.dtype), k
