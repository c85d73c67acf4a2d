"""Position in columns of its own in every head: ``q = [q_c ; q_p]`` and ``k = [k_c ; k_p]``."""

import torch
from torch import Tensor, nn

from locant.encodings.base import PositionalEncoding
from locant.encodings.codes import Code, draw_normal
from locant.encodings.derived import Derived
from locant.encodings.rotary import angles, check_words, rotate, speeds


def _check(head_width: int, width: int, heads: int, key_heads: int) -> None:
    if min(head_width, width, key_heads) < 1 or heads % key_heads:
        wanted = "expected positive widths and a number of key heads that divides the heads"
        raise ValueError(f"{wanted}, was: {head_width}, {width} and {key_heads} of {heads}")


class Decoupled(PositionalEncoding):
    """``s_ij = (q_i . k_j + (U_q p_i) . (U_k p_j)) / sqrt(d + e)``: content with content, position with position.

    Every head has ``e`` columns for position besides its ``d`` for content. The rank of the position part of the score
    is ``e`` a head, and takes nothing from the content's. Products of content and position do not occur.

    code: the position vectors ``p``.  width: ``e``.  key_heads: fewer than ``heads`` with grouped queries.
    Source: the concatenated queries and keys of Conditional DETR, Meng et al. 2021, arXiv:2108.06152, section 3; the
    same score as the untied TUPE-A, Ke et al. 2020, arXiv:2006.15595, section 3.1. Differs: TUPE scales both parts by
    ``1 / sqrt(2 d)`` and shares ``U`` among layers, as one instance does here.
    Limit: that of the code.  Shift-invariant: no.
    Raises ValueError if a width is below 1 or the key heads do not divide the heads, and for other numbers of heads.
    """

    shift_invariant = False

    def __init__(self, code: Code, head_width: int, heads: int, width: int, *, key_heads: int | None = None) -> None:
        super().__init__()
        key_heads = heads if key_heads is None else key_heads
        _check(head_width, width, heads, key_heads)
        self.code, self.limit, self.width = code, code.limit, width
        self.shrink = (head_width / (head_width + width)) ** 0.5
        self.q_weight = nn.Parameter(torch.empty(heads * width, code.width))
        self.k_weight = nn.Parameter(torch.empty(key_heads * width, code.width))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        for weight in (self.q_weight, self.k_weight):
            draw_normal(weight, self.code.width**-0.5, generator)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return (
            self._widened(q, q_positions, self.q_weight) * self.shrink,
            self._widened(k, k_positions, self.k_weight),
        )

    def _widened(self, x: Tensor, positions: Tensor, weight: Tensor) -> Tensor:
        columns = nn.functional.linear(self.code(positions).to(weight.dtype), weight)
        columns = columns.unflatten(-1, (-1, self.width)).transpose(-2, -3)
        if columns.shape[-3] != x.shape[1]:
            raise ValueError(f"expected {columns.shape[-3]} heads, was: {x.shape[1]}")
        return torch.cat([x, columns.to(x.dtype).expand(*x.shape[:-1], -1)], dim=-1)


class DecoupledRotary(PositionalEncoding):
    """``s_ij = (q_i . k_j + (R(i) U_q q_i) . (R(j) U_k k_j)) / sqrt(d + e)``: rotation in columns apart.

    The ``d`` columns of content meet without position; ``e`` further ones, made from the queries of all heads for each
    head and from the keys of all heads for all heads together, are rotated. Keys and queries of all heads stand for the
    stream that they are projections of.

    width: ``e``.  key_heads: fewer than ``heads`` with grouped queries.
    base, frequencies, layout: of the rotation, as in ``Rotary``.
    Source: the decoupled rotary embedding of DeepSeek-V2, 2024, arXiv:2405.04434, section 2.1.3. Differs: queries and
    keys are not compressed, and ``U`` reads them instead of the latent and the stream; shared by layers.
    Limit: none.  Shift-invariant: yes.
    Raises ValueError as ``Decoupled`` and ``Rotary`` do.
    """

    def __init__(
        self,
        head_width: int,
        heads: int,
        width: int,
        *,
        key_heads: int | None = None,
        base: float | None = None,
        frequencies: Tensor | None = None,
        layout: str = "half",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        key_heads = heads if key_heads is None else key_heads
        _check(head_width, width, heads, key_heads)
        check_words(layout, "first")
        self.layout, self.width = layout, width
        self.shrink = (head_width / (head_width + width)) ** 0.5
        self.q_weight = nn.Parameter(torch.empty(heads * width, heads * head_width))
        self.k_weight = nn.Parameter(torch.empty(width, key_heads * head_width))
        self.frequencies: Derived = speeds(width, base, None, frequencies, dtype)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        for weight in (self.q_weight, self.k_weight):
            draw_normal(weight, weight.shape[1] ** -0.5, generator)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return (
            self._widened(q, q_positions, self.q_weight) * self.shrink,
            self._widened(k, k_positions, self.k_weight),
        )

    def _widened(self, x: Tensor, positions: Tensor, weight: Tensor) -> Tensor:
        if x.shape[1] * x.shape[-1] != weight.shape[1]:
            raise ValueError(
                f"expected {weight.shape[1]} columns of all heads together, was: {x.shape[1] * x.shape[-1]}"
            )
        made = nn.functional.linear(x.transpose(1, 2).flatten(2), weight).unflatten(-1, (-1, self.width))
        angle = angles(positions, self.frequencies()).unsqueeze(-3)
        columns = rotate(made.transpose(1, 2), angle, layout=self.layout).to(x.dtype)
        return torch.cat([x, columns.expand(*x.shape[:-1], -1)], dim=-1)
