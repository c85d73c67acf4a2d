"""Position on the attention scores: a number per pair of positions and head, added before the softmax."""

import math
from functools import partial

import torch
from torch import Tensor, nn

from locant.encodings.base import Pairs, PositionalEncoding, ScoreMod
from locant.encodings.codes import INITIAL_STD, draw_normal
from locant.encodings.derived import Derived


def alibi_slopes(heads: int) -> Tensor:
    """``2 ** (-8 h / heads)`` for ``h = 1 .. heads`` if that is a power of two, as float64 ``[heads]``.

    For other numbers: the slopes of the power of two below, then every other slope of the power of two above.
    Source: Press et al. 2021, arXiv:2108.12409, section 3, and the authors' code for the other numbers.
    Raises ValueError if there is no head.
    """
    if heads < 1:
        raise ValueError(f"expected at least 1 head, was: {heads}")
    below = 2 ** int(math.log2(heads))
    slopes = [2.0 ** (-8.0 * h / below) for h in range(1, below + 1)]
    slopes += [2.0 ** (-8.0 * h / (2 * below)) for h in range(1, 2 * below, 2)][: heads - below]
    return torch.tensor(slopes, dtype=torch.float64)


class Alibi(PositionalEncoding):
    """``s_ij <- s_ij - m_h |i - j|``: scores fall linearly with distance, at a fixed slope per head.

    ahead: what the slopes towards the future are multiplied with. 1 is symmetric; other values let attention that is
        not causal tell before from after.
    Source: Press et al. 2021, arXiv:2108.12409, section 3. Differs: the paper's is causal and says nothing of the
    future; a term ``+ m_h j`` in place of the distance equals it for causal attention only.
    Limit: none.  Shift-invariant: yes.  Raises ValueError if there is no head or ``ahead`` is negative.
    """

    by_distance = True

    def __init__(self, heads: int, *, ahead: float = 1.0) -> None:
        super().__init__()
        if not ahead >= 0:
            raise ValueError(f"expected a slope towards the future of at least 0, was: {ahead}")
        self.ahead = ahead
        self.slopes = Derived(partial(alibi_slopes, heads))

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        slopes = self.slopes()

        def alibi(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            distance = pairs.distance(b, i, j)
            if self.ahead == 1:
                return score - slopes[h] * distance.abs()
            return score - slopes[h] * torch.where(distance < 0, -self.ahead * distance, distance)

        return alibi


def t5_bucket(distance: Tensor, *, buckets: int, max_distance: int, bidirectional: bool) -> Tensor:
    """The bucket of ``distance = i - j``: one each for small distances, logarithmically wider ones beyond.

    With ``n`` buckets for a direction, ``n / 2`` are exact and a larger distance ``m`` gets
    ``n/2 + floor(log(m / (n/2)) / log(max_distance / (n/2)) * n/2)``, at most ``n - 1``.
    Causal: the future shares bucket 0. Bidirectional: half of the buckets for keys of the future, the upper half.
    Source: Raffel et al. 2019, arXiv:1910.10683, section 2.1; details from the authors' code.
    """
    offset: Tensor | int = 0
    if bidirectional:
        buckets //= 2
        offset = (distance < 0) * buckets
        distance = distance.abs()
    else:
        distance = distance.clamp_min(0)
    exact = buckets // 2
    # The smallest distance beyond the exact ones keeps the logarithm finite where its result is not used.
    ratio = (distance.clamp_min(exact).to(torch.float32) / exact).log() / math.log(max_distance / exact)
    far = (exact + (ratio * (buckets - exact)).long()).clamp_max(buckets - 1)
    return torch.where(distance < exact, distance.long(), far) + offset


class T5(PositionalEncoding):
    """``s_ij <- s_ij + B[bucket(i - j), h]``: one learned number per bucket of distances and head.

    Source: Raffel et al. 2019, arXiv:1910.10683, section 2.1. Differs: T5 leaves out the ``1 / sqrt(width)`` of the
    scores; the scale belongs to attention, not to the encoding.
    Limit: none, all distances beyond ``max_distance`` share a bucket.  Shift-invariant: yes.
    Raises ValueError if the buckets of a direction are fewer than 2, odd, or reach ``max_distance`` exactly.
    """

    by_distance = True

    def __init__(self, heads: int, *, buckets: int = 32, max_distance: int = 128, bidirectional: bool = False) -> None:
        super().__init__()
        each = buckets // 2 if bidirectional else buckets
        if each < 2 or buckets % (4 if bidirectional else 2):
            raise ValueError(f"expected at least 2 buckets a direction, and an even number, was: {buckets}")
        if max_distance <= each // 2:
            raise ValueError(f"expected max_distance above the {each // 2} exact distances, was: {max_distance}")
        self.buckets, self.max_distance, self.bidirectional = buckets, max_distance, bidirectional
        self.weight = nn.Parameter(torch.empty(buckets, heads))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, INITIAL_STD, generator)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        weight = self.weight
        bucket = partial(
            t5_bucket, buckets=self.buckets, max_distance=self.max_distance, bidirectional=self.bidirectional
        )

        def t5(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return score + weight[bucket(pairs.distance(b, i, j)), h].to(score.dtype)

        return t5
