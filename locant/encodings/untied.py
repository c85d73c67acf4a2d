"""Position against position, untied from content: columns of their own in queries and keys."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings.base import PositionalEncoding
from locant.encodings.codes import INITIAL_STD, Code, draw_normal, lookup


class DietAbs(PositionalEncoding):
    """``s_ij <- s_ij + P_Q[i] . P_K[j]``: a learned matrix over pairs of places, of any ``rank``, per head.

    Queries and keys get ``rank`` more columns, so that fused attention serves and the logits' rank is no longer that of
    the head. Between whole positions it is the straight line between rows.
    key_heads: of grouped queries; as many as heads unless given.
    Source: Chen et al. 2021, arXiv:2104.08698, section 3, DIET-ABS. Differs: no segments, as documents never see each
    other. All layers share the tables, as theirs may.
    Limit: ``limit``.  Shift-invariant: no.
    Raises ValueError if a size is not positive, and, with the position, if one lies outside of the tables.
    """

    shift_invariant = False

    def __init__(self, limit: int, heads: int, head_width: int, *, rank: int = 16, std: float = INITIAL_STD,
                 key_heads: int | None = None) -> None:  # fmt: skip
        super().__init__()
        grouped = heads if key_heads is None else key_heads
        if min(limit, heads, head_width, rank, grouped) < 1:
            raise ValueError(f"expected sizes of at least 1, was: {[limit, heads, head_width, rank, grouped]}")
        self.limit, self.rank, self.std = limit, rank, std
        self.unscale = head_width**0.5  # the term has no 1 / sqrt(width), which attention is going to apply
        self.query = nn.Parameter(torch.empty(limit, heads * rank))
        self.key = nn.Parameter(torch.empty(limit, grouped * rank))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.query, self.std, generator)
        draw_normal(self.key, self.std, generator)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        asks = lookup(self.query, q_positions) * self.unscale
        return _widened(q, _by_head(asks, self.rank)), _widened(k, _by_head(lookup(self.key, k_positions), self.rank))


class Tupe(PositionalEncoding):
    """``s_ij = (q_i . k_j + (p_i U_Q) . (p_j U_K)) / sqrt(2 width)``: position has projections of its own.

    Columns of their own in queries and keys. With a bias of T5 in the sum it is TUPE-R: ``tupe(learned) + t5``.
    cls: the position of a token such as [CLS] that belongs to no place: what it asks and what it is asked for gets a
        learned number per head each, ``theta_1`` and ``theta_2``, in place of the product of positions.
    key_heads: of grouped queries; as many as heads unless given.
    Source: Ke et al. 2020, arXiv:2006.15595, equations 7, 8 and 10. Differs: the authors' code normalises ``p`` first
    and has offsets in ``U``; here ``scale`` brings ``p`` to size. All layers share it, as in theirs.
    Limit: that of the code.  Shift-invariant: no.  Raises ValueError if a size is not positive.
    """

    shift_invariant = False

    def __init__(self, code: Code, heads: int, head_width: int, *, scale: float = 1.0, cls: int | None = None,
                 key_heads: int | None = None) -> None:  # fmt: skip
        super().__init__()
        grouped = heads if key_heads is None else key_heads
        if min(heads, head_width, grouped) < 1:
            raise ValueError(f"expected sizes of at least 1, was: {[heads, head_width, grouped]}")
        self.code, self.scale, self.cls, self.width = code, scale, cls, head_width
        self.limit = code.limit
        self.query = nn.Parameter(torch.empty(heads * head_width, code.width))
        self.key = nn.Parameter(torch.empty(grouped * head_width, code.width))
        self.theta = nn.Parameter(torch.empty(2, heads)) if cls is not None else None
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        for weight in (self.query, self.key):
            draw_normal(weight, weight.shape[1] ** -0.5, generator)
        if self.theta is not None:
            nn.init.zeros_(self.theta)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        asks = self._projected(q_positions, self.query) * 2**-0.5
        offers = self._projected(k_positions, self.key)
        if self.theta is not None:
            asks, offers = self._reset(asks, offers, q_positions, k_positions)
        return _widened(q * 2**-0.5, asks), _widened(k, offers)

    def _projected(self, positions: Tensor, weight: Tensor) -> Tensor:
        return _by_head(F.linear(self.code(positions).to(weight.dtype) * self.scale, weight), self.width)

    def _reset(self, asks: Tensor, offers: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        """Two more columns: ``[0, theta_1, 0] . [.., 1, ..]`` if [CLS] asks, else ``[p_i, 0, theta_2] . [0, 1, 1]``."""
        assert self.theta is not None
        assert self.cls is not None
        theta = self.theta.to(asks.dtype)[:, :, None, None] * self.width**0.5
        asking = (q_positions == self.cls)[:, None, :, None].to(asks.dtype)
        asked = (k_positions == self.cls)[:, None, :, None].to(offers.dtype)
        asks = torch.cat([asks * (1 - asking), theta[0] * asking, theta[1] * (1 - asking)], dim=-1)
        one = torch.ones_like(asked).expand(*offers.shape[:-1], 1)
        return asks, torch.cat([offers * (1 - asked), one, asked.expand_as(one)], dim=-1)


def _by_head(columns: Tensor, each: int) -> Tensor:
    """``[rows, time, heads * each]`` as ``[rows, head, time, each]``."""
    return columns.unflatten(-1, (-1, each)).transpose(1, 2)


def _widened(x: Tensor, columns: Tensor) -> Tensor:
    """``x`` ``[batch, head, time, width]`` with the columns ``[rows, head, time, extra]`` at its right."""
    return torch.cat([x, columns.to(x.dtype).expand(*x.shape[:-1], -1)], dim=-1)
