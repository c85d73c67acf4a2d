"""Biases that depend on content as well: contextual counts, and curves over distance that every query mixes itself."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings.base import Pairs, PositionalEncoding, ScoreMod
from locant.encodings.codes import INITIAL_STD, draw_normal
from locant.encodings.pairwise import adding, between, content, from_here_back, products, seen, wide


class Cope(PositionalEncoding):
    """``s_ij <- s_ij + q_i . e[p_ij]`` with ``p_ij = sum of sigmoid(s_it) over t = j .. i``.

    Keys are counted as far as the query cares for them, and the count stands where others have the distance. ``t`` runs
    over the keys that the query may see, so a document never counts another's tokens. Counts beyond ``furthest`` are
    ``furthest``; between whole counts it is the straight line between the two products.
    Source: Golovneva et al. 2024, arXiv:2405.18719, equations 3 to 6, and its listing: the gates see scores with
    ``1 / sqrt(width)``, the product with ``e`` has none. Differs: nothing
    for causal attention, which it is made for; otherwise all visible keys from ``j`` on count.
    Limit: none.  Shift-invariant: yes; positions are not read at all, only the order.
    Raises ValueError if the width or ``furthest`` is not positive.
    """

    def __init__(self, head_width: int, *, furthest: int = 64) -> None:
        super().__init__()
        if head_width < 1 or furthest < 1:
            raise ValueError(f"expected a width and a furthest count of at least 1, was: {head_width} and {furthest}")
        self.furthest = furthest
        self.weight = nn.Parameter(torch.empty(head_width, furthest + 1))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, INITIAL_STD, generator)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        # Hidden before the sum, not after it: a future or foreign token must not be counted.
        gates = products(pairs).sigmoid().masked_fill(~seen(pairs), 0.0)
        count = from_here_back(gates).clamp_max(self.furthest)
        q = content(pairs, len(self.weight))
        choice = wide(q @ self.weight.to(q.dtype))
        return adding(between(lambda at: choice.gather(-1, at), count))


class DistanceBank(PositionalEncoding):
    """``s_ij <- s_ij + r_ih . bank[:, i - j]`` for ``0 <= i - j < extent``, where ``r_i = W x_i``.

    The bank holds ``profiles`` curves over distance that all heads share; every query and head mixes them by content.
    Beyond ``extent`` and towards the future nothing is added; between whole distances it is the straight line.
    Source: no paper; the decoder of the Inkling models as published in Hugging Face transformers (16 profiles, extent
    1024). Differs: their length temperature is an encoding of its own here (``LengthTemperature``).
    Limit: none.  Shift-invariant: yes.  Raises ValueError if a size is not positive.
    """

    def __init__(self, width: int, heads: int, *, profiles: int = 16, extent: int = 1024) -> None:
        super().__init__()
        if min(width, heads, profiles, extent) < 1:
            raise ValueError(f"expected sizes of at least 1, was: {[width, heads, profiles, extent]}")
        self.heads, self.extent = heads, extent
        self.weight = nn.Parameter(torch.empty(heads * profiles, width))
        self.bank = nn.Parameter(torch.empty(profiles, extent))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, self.weight.shape[1] ** -0.5, generator)
        draw_normal(self.bank, INITIAL_STD, generator)

    def notes(self, x: Tensor, positions: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype)).unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        if pairs.q_notes is None:
            raise ValueError("expected the notes of the queries, was: none")
        curves = F.pad(wide(pairs.q_notes @ self.bank.to(pairs.q_notes.dtype)), (0, 1))  # 0 from extent on

        def bank(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            distance = pairs.distance(b, i, j)
            mixed = between(lambda at: curves[b, h, i, at], distance.clamp(0, self.extent)).to(score.dtype)
            return score + torch.where(distance >= 0, mixed, 0.0)

        return bank
