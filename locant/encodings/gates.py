"""Gates on the way from key to query: what lies between two tokens decides how much is still seen."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings.base import Pairs, PositionalEncoding, ScoreMod
from locant.encodings.codes import draw_normal
from locant.encodings.pairwise import adding, exact, from_here_back, seen, wide


class Forgetting(PositionalEncoding):
    """``s_ij <- s_ij + sum of log f_lh over l = j + 1 .. i`` with ``f_l = sigmoid(W x_l + b)``: a forget gate per head.

    Every token between key and query takes its share of what is still seen; ``f = 1`` everywhere is NoPE and a constant
    ``f`` is ALiBi. Sums run backwards from the query over the keys that it may see, in float32: a row of several
    documents, in whatever order, forgets within each of them only, and near keys have small, exact sums, where a
    difference of two running sums loses digits with the length of the row. The price is a number per pair and head.
    Source: Lin et al. 2025 (Forgetting Transformer), arXiv:2503.02130, equations 4 and 5. Differs: all layers share the
    gate unless ``per_layer`` has one for each; the sums are not fused into the attention.
    Limit: none.  Shift-invariant: yes; positions are not read at all, only the order.
    Raises ValueError if a size is not positive.
    """

    def __init__(self, width: int, heads: int, *, initial: float = 0.0) -> None:
        super().__init__()
        if min(width, heads) < 1:
            raise ValueError(f"expected a width and heads of at least 1, was: {width} and {heads}")
        self.initial = initial
        self.weight = nn.Parameter(torch.empty(heads, width))
        self.offset = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, self.weight.shape[1] ** -0.5, generator)
        nn.init.constant_(self.offset, self.initial)

    def notes(self, x: Tensor, positions: Tensor) -> Tensor:
        x = wide(x)
        with exact(x):
            gate = F.linear(x, self.weight.to(x.dtype), self.offset.to(x.dtype))
        return F.logsigmoid(gate).transpose(1, 2)[..., None]

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        if pairs.k_notes is None:
            raise ValueError("expected the notes of the keys, was: none")
        between = torch.where(seen(pairs), pairs.k_notes[..., 0][:, :, None, :], 0.0)
        # The key's own gate does not count: what it sums to is what its right neighbour does.
        return adding(F.pad(from_here_back(between)[..., 1:], (0, 1)))
