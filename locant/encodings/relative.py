"""Relative position as vectors: products of queries and keys with what stands for the distance between them."""

import math
from functools import partial

import torch
from torch import Tensor, nn

from locant.encodings.axes import one_axis
from locant.encodings.base import Pairs, PositionalEncoding, ScoreMod
from locant.encodings.codes import INITIAL_STD, draw_normal
from locant.encodings.derived import Derived
from locant.encodings.frequencies import geometric
from locant.encodings.pairwise import between, content, distances, keys, wide


class Shaw(PositionalEncoding):
    """``s_ij <- s_ij + q_i . a[d] / sqrt(width)`` with ``d = i - j`` clipped to ``furthest``: a vector per distance.

    values: also ``out_i <- out_i + sum_j w_ij c[d]``, with the weights ``w`` after the softmax.
    Causal: ``furthest + 1`` rows, and keys of the future share row 0. Bidirectional: ``2 furthest + 1`` rows. All heads
    share the rows; between whole distances it is the straight line.
    Source: Shaw et al. 2018, arXiv:1803.02155, equations 3 and 4, section 3.2. Differs: all layers share the rows
    unless ``per_layer`` has some for each.
    Limit: none, all distances beyond ``furthest`` share a row.  Shift-invariant: yes.
    Raises ValueError if the width or ``furthest`` is not positive.
    """

    def __init__(
        self, head_width: int, *, furthest: int = 16, bidirectional: bool = False, values: bool = False
    ) -> None:
        super().__init__()
        if head_width < 1 or furthest < 1:
            raise ValueError(f"expected a width and furthest of at least 1, was: {head_width} and {furthest}")
        self.furthest, self.bidirectional, self.reads_weights = furthest, bidirectional, values
        rows = 2 * furthest + 1 if bidirectional else furthest + 1
        self.weight = nn.Parameter(torch.empty(rows, head_width))
        self.value = nn.Parameter(torch.empty(rows, head_width)) if values else None
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, INITIAL_STD, generator)
        if self.value is not None:
            draw_normal(self.value, INITIAL_STD, generator)

    def _row(self, distance: Tensor) -> Tensor:
        if self.bidirectional:
            return distance.clamp(-self.furthest, self.furthest) + self.furthest
        return distance.clamp(0, self.furthest)

    def defines(self, hook: str) -> bool:
        return self.reads_weights if hook == "read" else super().defines(hook)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        q = content(pairs, self.weight.shape[1])
        products = wide(q @ self.weight.to(q.dtype).mT) * pairs.scale

        def shaw(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return score + between(lambda at: products[b, h, i, at], self._row(pairs.distance(b, i, j)))

        return shaw

    def read(self, weights: Tensor, pairs: Pairs) -> Tensor | None:
        if self.value is None:
            return None
        row = self._row(distances(pairs))[:, None].expand_as(weights)
        # Weights are summed by row first: as many vectors to add as there are rows, not as there are keys.
        sums = weights.new_zeros(*weights.shape[:-1], len(self.value))
        if row.is_floating_point():
            up = (row - row.floor()).to(weights.dtype)
            sums = sums.scatter_add(-1, row.floor().long(), weights * (1 - up))
            sums = sums.scatter_add(-1, row.ceil().long(), weights * up)
        else:
            sums = sums.scatter_add(-1, row, weights)
        return sums @ self.value.to(weights.dtype)


class TransformerXL(PositionalEncoding):
    """``s_ij = ((q_i + u) . k_j + (q_i + w) . W r(i - j)) / sqrt(width)`` with a sinusoidal vector ``r`` of a distance.

    ``r(d) = [sin(d w_c) ..., cos(d w_c) ...]``, ``w_c = base ** (-2c / code_width)``; ``u, w, W`` are learned per head.
    The addition theorems split ``W r(i - j)`` into a part of the query and a part of the key, so it is computed
    without a vector per distance: queries and keys get ``code_width`` more columns, which are a rotation.
    Source: Dai et al. 2019, arXiv:1901.02860, section 3.3, the second equation for ``A^rel``. Differs: all layers share
    the parameters unless ``per_layer`` has some for each; nothing else.
    Limit: none.  Shift-invariant: yes, but not after a rotation in a sum.
    Raises ValueError if a size is not positive or the code's width is odd.
    """

    reads_keys = True

    def __init__(
        self,
        heads: int,
        head_width: int,
        code_width: int,
        *,
        base: float = 10_000.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if heads < 1 or head_width < 1 or code_width < 2 or code_width % 2:
            sizes = [heads, head_width, code_width]
            raise ValueError(f"expected positive heads and width, and an even width of the code, was: {sizes}")
        self.frequencies = Derived(partial(geometric, code_width // 2, base), dtype)
        self.content = nn.Parameter(torch.empty(heads, head_width))
        self.position = nn.Parameter(torch.empty(heads, head_width))
        self.weight = nn.Parameter(torch.empty(heads, head_width, code_width))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.content, INITIAL_STD, generator)
        draw_normal(self.position, INITIAL_STD, generator)
        draw_normal(self.weight, self.weight.shape[-1] ** -0.5, generator)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        width = self.weight.shape[1]
        asked = q[..., :width] + self.position[:, None].to(q.dtype)
        sine, cosine = wide(asked @ self.weight.to(q.dtype)).chunk(2, dim=-1)  # what multiplies sin(d w), cos(d w)
        sin, cos = self._waves(q_positions)
        towards = torch.cat([cosine * cos + sine * sin, cosine * sin - sine * cos], dim=-1)
        sin, cos = self._waves(k_positions)
        there = torch.cat([cos, sin], dim=-1).to(k.dtype).expand(*k.shape[:-1], -1)
        content = nn.functional.pad(self.content[:, None].to(q.dtype), (0, q.shape[-1] - width))
        return torch.cat([q + content, towards.to(q.dtype)], dim=-1), torch.cat([k, there], dim=-1)

    def _waves(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        frequencies = self.frequencies()
        angle = (one_axis(positions)[..., None].to(frequencies.dtype) * frequencies)[:, None]
        return angle.sin(), angle.cos()


def deberta_bucket(distance: Tensor, *, buckets: int, max_distance: int) -> Tensor:
    """The bucket of ``distance = i - j``: itself below ``m = buckets / 2``, logarithmically wider beyond.

    ``sign(d) (m + ceil(log(|d| / m) / log((max_distance - 1) / m) * (m - 1)))`` for ``|d| > m``.
    Source: the authors' code for He et al. 2021 (DeBERTa v3), arXiv:2111.09543; the logarithm of T5, rounded upwards.
    """
    middle = buckets // 2
    far = distance.abs().clamp_min(middle).to(torch.float64 if distance.dtype == torch.float64 else torch.float32)
    steps = (far / middle).log() / math.log((max_distance - 1) / middle) * (middle - 1)
    # A hair against 3.0000001, which would round up where the logarithm is whole.
    bucket = distance.sign() * ((steps - 4e-7 * middle).ceil().clamp_min(0) + middle).to(distance.dtype)
    return torch.where(distance.abs() <= middle, distance, bucket)


class Deberta(PositionalEncoding):
    """``s_ij = (q_i . k_j + q_i . K[d(i, j)] + k_j . Q[d(j, i)]) / sqrt(3 width)``: disentangled attention.

    ``d(i, j) = i - j + span`` clipped to ``0 .. 2 span - 1``; ``K = P W_k`` and ``Q = P W_q`` per head, of one table
    ``P`` of ``2 span`` learned vectors. Between whole distances it is the straight line.
    max_distance: if given, distances first go into ``deberta_bucket`` with ``buckets = span``, as in v2 and v3.
    released: look up ``Q[d(i, j)]`` in the third term, as the authors' code and all its descendants do, where the
        paper has ``Q[d(j, i)]``. Needed for published weights.
    Source: He et al. 2020, arXiv:2006.03654, equations 3 and 4. Differs: ``W_k`` and ``W_q`` are its own (in v2 they
    are those of the content); all layers share them unless ``per_layer`` has some for each.
    Limit: none, far distances share a row.  Shift-invariant: yes, but not in a sum with a rotation.
    Raises ValueError if a size is not positive, or ``max_distance`` is not beyond the exact buckets.
    """

    reads_keys = True

    def __init__(self, heads: int, head_width: int, code_width: int, *, span: int = 64, max_distance: int | None = None,
                 released: bool = False) -> None:  # fmt: skip
        super().__init__()
        if min(heads, head_width, code_width, span) < 1:
            raise ValueError(f"expected sizes of at least 1, was: {[heads, head_width, code_width, span]}")
        if max_distance is not None and (span < 4 or max_distance - 1 <= span // 2):
            raise ValueError(
                f"expected a span of at least 4 and max_distance - 1 beyond half of it, was: {span} and {max_distance}"
            )
        self.span, self.max_distance, self.released = span, max_distance, released
        self.table = nn.Parameter(torch.empty(2 * span, code_width))
        self.key = nn.Parameter(torch.empty(heads, code_width, head_width))
        self.query = nn.Parameter(torch.empty(heads, code_width, head_width))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.table, INITIAL_STD, generator)
        for weight in (self.key, self.query):
            draw_normal(weight, weight.shape[1] ** -0.5, generator)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return q * 3**-0.5, k

    def _row(self, distance: Tensor) -> Tensor:
        if self.max_distance is not None:
            distance = deberta_bucket(distance, buckets=self.span, max_distance=self.max_distance)
        return (distance + self.span).clamp(0, 2 * self.span - 1)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        width, scale = self.key.shape[-1], pairs.scale * 3**-0.5
        q, k = content(pairs, width), keys(pairs)[..., :width]
        if pairs.content is None:
            q = q * 3**0.5  # these have it from ``qk``
        to_position = wide(q @ (self.table @ self.key).mT.to(q.dtype)) * scale
        from_position = wide(k @ (self.table @ self.query).mT.to(k.dtype)) * scale

        def deberta(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            distance = pairs.distance(b, i, j)
            score = score + between(lambda at: to_position[b, h, i, at], self._row(distance))
            back = distance if self.released else -distance
            return score + between(lambda at: from_position[b, h, j, at], self._row(back))

        return deberta
