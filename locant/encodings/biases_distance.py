"""Biases that are a function of distance and head, elementwise and cheap: kernels, cosines, a number per distance."""

from functools import partial

import torch
from torch import Tensor, nn

from locant.encodings.axes import one_axis
from locant.encodings.base import Pairs, PositionalEncoding, ScoreMod
from locant.encodings.codes import INITIAL_STD, check_positions, draw_normal
from locant.encodings.derived import Derived
from locant.encodings.frequencies import geometric
from locant.encodings.pairwise import adding, between, exact

LEAST = 0.01  # what the authors of KERPLE clamp their parameters to


def _drawn(shape: torch.Size, most: float, generator: torch.Generator | None) -> Tensor:
    """Uniform in ``LEAST .. most``."""
    device = None if generator is None else generator.device
    return LEAST + (most - LEAST) * torch.rand(shape, generator=generator, device=device, dtype=torch.float32)


class KerpleLog(PositionalEncoding):
    """``s_ij <- s_ij - r1_h log(1 + r2_h |i - j|)``: scores fall with the logarithm of distance, as learned per head.

    ``r1 = exp(size)`` and ``r2 = exp(rate)``, which start uniform in (0, 2) and (0, 1).
    Source: Chi et al. 2022, arXiv:2205.09921, section 4, the logarithmic variant; start from the authors' code.
    Differs: they clamp ``r1, r2`` to at least 0.01 in place; exponentials stay positive and keep their gradient.
    Limit: none.  Shift-invariant: yes.  Raises ValueError if there is no head.
    """

    by_distance = True

    def __init__(self, heads: int) -> None:
        super().__init__()
        _check_heads(heads)
        self.size = nn.Parameter(torch.empty(heads))
        self.rate = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        with torch.no_grad():
            self.size.copy_(_drawn(self.size.shape, 2.0, generator).log())
            self.rate.copy_(_drawn(self.rate.shape, 1.0, generator).log())

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        def kerple(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            distance = pairs.distance(b, i, j).abs().to(score.dtype)
            size, rate = self.size[h].to(score.dtype).exp(), self.rate[h].to(score.dtype).exp()
            return score - size * (rate * distance).log1p()

        return kerple


class KerplePower(PositionalEncoding):
    """``s_ij <- s_ij - r1_h |i - j| ** r2_h`` with ``r1 > 0`` and ``0 < r2 < 2``, learned per head.

    ``r1 = exp(size)`` and ``r2 = 2 sigmoid(power)``, which start uniform in (0, 1) and (0, 2). ``r2 = 1`` is ALiBi with
    learned slopes.
    Source: Chi et al. 2022, arXiv:2205.09921, section 4, the power variant; start from the authors' code.
    Differs: they clamp in place, ``r1`` to at least 0.01 and ``r2`` to 0.01 .. 2; here the gradient never ends.
    Limit: none.  Shift-invariant: yes.  Raises ValueError if there is no head.
    """

    by_distance = True

    def __init__(self, heads: int) -> None:
        super().__init__()
        _check_heads(heads)
        self.size = nn.Parameter(torch.empty(heads))
        self.power = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        with torch.no_grad():
            self.size.copy_(_drawn(self.size.shape, 1.0, generator).log())
            # Kept a hair below 2, whose logit is infinite.
            self.power.copy_((_drawn(self.power.shape, 2.0 - LEAST, generator) / 2).logit())

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        def kerple(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            distance = pairs.distance(b, i, j).abs().to(score.dtype)
            size, power = self.size[h].to(score.dtype).exp(), 2.0 * self.power[h].to(score.dtype).sigmoid()
            return score - size * distance**power

        return kerple


def _head_sizes(heads: int) -> Tensor:
    return torch.tensor([heads / (8.0 * h) for h in range(1, heads + 1)], dtype=torch.float64)


class Sandwich(PositionalEncoding):
    """``s_ij <- s_ij + H / (8 h) sum_c cos((i - j) w_c)``, ``w_c = base ** (-2c / width)``, for heads ``h = 1 .. H``.

    The sum over ``c = 0 .. width / 2 - 1`` is the product of two sinusoidal position vectors, and it is computed so:
    the cost is that of the positions' table and one matrix product, not of a cosine per pair and frequency.
    Source: Chi et al. 2022, arXiv:2212.10356, section 5, with ``width`` (their d-bar) 128. Differs: nothing.
    Limit: none.  Shift-invariant: yes.  Raises ValueError if there is no head or the width is odd.
    """

    by_distance = True

    def __init__(
        self, heads: int, *, width: int = 128, base: float = 10_000.0, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        _check_heads(heads)
        if width % 2:
            raise ValueError(f"expected an even width for pairs of waves, was: {width}")
        self.sizes = Derived(partial(_head_sizes, heads), dtype)
        self.frequencies = Derived(partial(geometric, width // 2, base), dtype)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        # Counted from the first key: phases of the span, not of the place, which keeps far-away places exact.
        origin = one_axis(pairs.k_positions)[:, :1]
        q, k = self._waves(pairs.q_positions - origin), self._waves(pairs.k_positions - origin)
        with exact(q):
            cosines = q @ k.mT
        return adding(self.sizes()[:, None, None] * cosines[:, None])

    def _waves(self, positions: Tensor) -> Tensor:
        angle = positions[..., None].to(self.frequencies.dtype) * self.frequencies()
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class DietRel(PositionalEncoding):
    """``s_ij <- s_ij + R[i - j, h]``: one learned number for every distance and head.

    Causal: a row for each of the distances ``0 .. limit - 1``, and keys of the future share row 0. Bidirectional:
    ``2 limit - 1`` rows. Between whole distances it is the straight line between the two rows.
    Source: Chen et al. 2021, arXiv:2104.08698, section 3, DIET-REL. Differs: no segments, as documents never see each
    other; all layers share ``R`` unless ``per_layer`` has one for each, as theirs do.
    Limit: ``limit``; a position at or beyond it is refused, as distances are then without a row.  Shift-invariant: yes.
    Raises ValueError if there is no head or no row, and, with the position, if one lies outside of ``0 .. limit - 1``.
    """

    by_distance = True

    def __init__(self, limit: int, heads: int, *, bidirectional: bool = False) -> None:
        super().__init__()
        _check_heads(heads)
        if limit < 1:
            raise ValueError(f"expected a table of at least 1 position, was: {limit}")
        self.limit, self.bidirectional = limit, bidirectional
        self.weight = nn.Parameter(torch.empty(2 * limit - 1 if bidirectional else limit, heads))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, INITIAL_STD, generator)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        limit = len(self.weight) // 2 + 1 if self.bidirectional else len(self.weight)
        for positions in (pairs.q_positions, pairs.k_positions):
            check_positions(positions, limit)

        def diet(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            distance = pairs.distance(b, i, j)
            row = distance + limit - 1 if self.bidirectional else distance.clamp_min(0)
            return score + between(lambda at: self.weight[at, h].to(score.dtype), row)

        return diet


def _check_heads(heads: int) -> None:
    if heads < 1:
        raise ValueError(f"expected at least 1 head, was: {heads}")
