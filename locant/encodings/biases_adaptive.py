"""Biases that learn their form: a prior over distance, a slope that every key sets, a convolution over the scores."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings.base import Pairs, PositionalEncoding, ScoreMod
from locant.encodings.biases import alibi_slopes
from locant.encodings.biases_mlp import check_bias
from locant.encodings.codes import INITIAL_STD, draw_normal
from locant.encodings.derived import Derived
from locant.encodings.pairwise import adding, exact, keys, products, seen, wide

LEAST_DISTANCE = 1e-5  # what the authors of BAM add to the distance, whose power has no gradient at 0


class Bam(PositionalEncoding):
    """``s_ij <- s_ij - exp(size_h) (|i - j + m_h| + e) ** shape_h`` with ``m = exp(shift_h) - exp(-shift_h)``.

    The logarithm of a generalised Gaussian prior over the distance, learned per head; ``shape = 1`` is ALiBi, with
    which it starts: its slopes, no shift. A negative shape looks away from what is near.
    Source: BAM, Bianchessi et al. 2025, arXiv:2505.22842, as in the authors' code, with ``e = 1e-5``.
    Differs: all of size, shape and shift are trained, of which the code trains those it is told to.
    Limit: none.  Shift-invariant: yes.  Raises ValueError if there is no head.
    """

    by_distance = True

    def __init__(self, heads: int) -> None:
        super().__init__()
        if heads < 1:
            raise ValueError(f"expected at least 1 head, was: {heads}")
        self.size = nn.Parameter(torch.empty(heads))
        self.shape = nn.Parameter(torch.empty(heads))
        self.shift = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        with torch.no_grad():
            self.size.copy_(alibi_slopes(len(self.size)).log())
        nn.init.ones_(self.shape)
        nn.init.zeros_(self.shift)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        def bam(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            size, shape, shift = (p[h].to(score.dtype) for p in (self.size, self.shape, self.shift))
            distance = (pairs.distance(b, i, j).to(score.dtype) + 2 * shift.sinh()).abs() + LEAST_DISTANCE
            return score - size.exp() * distance**shape

        return bam


class GrapeAdditive(PositionalEncoding):
    """``s_ij <- s_ij - m_h softplus(w_h) softplus(u_h . k_j / sqrt(d)) (i - j)``: every key says how fast it fades.

    ``m`` are the slopes of ALiBi, ``u`` a learned direction of length 1 and ``w`` a learned number per head, which
    starts at a factor of 1. Keys of the future are left alone.
    Source: GRAPE, Zhang et al. 2025, arXiv:2512.07805, the additive form with a gate of the key, as in the authors'
    code; keys are read as they are, where the code normalises them first. Differs: nothing else.
    Limit: none.  Shift-invariant: yes, but not in a sum with a rotation, as it reads keys.
    Raises ValueError if a size is not positive.
    """

    reads_keys = True

    def __init__(self, heads: int, head_width: int) -> None:
        super().__init__()
        if min(heads, head_width) < 1:
            raise ValueError(f"expected heads and a head width of at least 1, was: {heads} and {head_width}")
        self.slopes = Derived(partial(alibi_slopes, heads))
        self.weight = nn.Parameter(torch.empty(heads, head_width))
        self.size = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, self.weight.shape[1] ** -0.5, generator)
        nn.init.constant_(self.size, 0.5413248546129181)  # log(e - 1), whose softplus is 1

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        direction = F.normalize(wide(self.weight), dim=-1)[:, None] * self.weight.shape[1] ** -0.5
        k = wide(keys(pairs)[..., : self.weight.shape[1]])
        slope = (self.slopes().to(k.dtype) * F.softplus(wide(self.size)))[:, None]
        rate = slope * F.softplus((k * direction).sum(-1))  # [batch, head, key]

        def grape(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return score - rate[b, h, j].to(score.dtype) * pairs.distance(b, i, j).clamp_min(0)

        return grape


class DapeConvolution(PositionalEncoding):
    """``s_ij <- a_ij + b_ij + f([a ; b])_ij``: a bias ``b`` corrected by a convolution over the row of scores.

    ``f`` are two convolutions along the keys with ``kernel`` taps each, over ``2 heads -> hidden -> heads`` with a
    leaky ReLU between: what neighbouring keys score is read as well. ``kernel = 1`` is ``Dape``. Scores of keys that
    may not be seen are 0, and so are hidden units there.
    Source: DAPE V2, Zheng et al. 2024, arXiv:2410.04798, as in the authors' code. Differs: the code leaves hidden units
    of the future as the offset makes them, so that the last key of a row, beside which there is none, differs from all
    others: decoding gives other numbers there than training.
    Limit, shift-invariance: those of the bias.
    Raises ValueError if the other encoding is no bias, a size is not positive, or the kernel even.
    """

    def __init__(self, bias: PositionalEncoding, heads: int, *, hidden: int = 32, kernel: int = 3) -> None:
        super().__init__()
        check_bias(bias)
        if min(heads, hidden, kernel) < 1 or kernel % 2 == 0:
            raise ValueError(f"expected positive sizes and an odd kernel, was: {[heads, hidden, kernel]}")
        self.bias = bias
        self.limit, self.shift_invariant = bias.limit, bias.shift_invariant
        self.first = nn.Parameter(torch.empty(hidden, 2 * heads, 1, kernel))
        self.first_bias = nn.Parameter(torch.empty(hidden))
        self.second = nn.Parameter(torch.empty(heads, hidden, 1, kernel))
        self.second_bias = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.first, self.first[0].numel() ** -0.5, generator)
        draw_normal(self.first_bias, 1.0, generator)
        draw_normal(self.second, INITIAL_STD, generator)
        nn.init.zeros_(self.second_bias)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        inner, scores = self.bias.score_mod(pairs), products(pairs)
        assert inner is not None  # the constructor has seen that it has one
        sizes, met = scores.shape, seen(pairs)
        grid = [torch.arange(n, device=scores.device).view([-1] + [1] * (3 - axis)) for axis, n in enumerate(sizes)]
        bias = inner(torch.zeros((), dtype=scores.dtype, device=scores.device), *grid).expand(sizes)
        picture, reach = torch.cat([scores, bias], dim=1), self.first.shape[-1] // 2
        with exact(picture):
            for weight, offset in ((self.first, self.first_bias), (self.second, self.second_bias)):
                picture = torch.where(met, picture, 0.0)
                picture = F.conv2d(picture, weight.to(scores.dtype), offset.to(scores.dtype), padding=(0, reach))
                if weight is self.first:
                    picture = F.leaky_relu(picture, 0.01)
        return adding(bias + picture)
