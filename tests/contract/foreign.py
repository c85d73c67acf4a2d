"""Encodings that the library does not have, each written on the public hooks alone: does the abstraction carry them?"""

import math

import torch
from support import HEADS, WIDTH, Subject
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings import (
    Alibi,
    Chain,
    Learned,
    Pairs,
    PerLayer,
    PositionalEncoding,
    Rotary,
    ScoreMod,
    Sinusoidal,
    rotate,
)

HEAD_WIDTH = WIDTH // HEADS


class Cope(PositionalEncoding):
    """Contextual positions: Golovneva et al. 2024, arXiv:2405.18719, equations 3 to 6."""

    def __init__(self, head_width: int, limit: int) -> None:
        super().__init__()
        self.scale = head_width**-0.5
        self.weight = nn.Parameter(torch.empty(head_width, limit))

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        nn.init.normal_(self.weight, std=0.1, generator=generator)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        sizes = (*pairs.q.shape[:3], pairs.k.shape[2])
        grid = [torch.arange(size).view([-1] + [1] * (3 - axis)) for axis, size in enumerate(sizes)]
        gates = torch.sigmoid((pairs.q @ pairs.k.mT).float() * self.scale).masked_fill(~pairs.visible(*grid), 0.0)
        where = gates.flip(-1).cumsum(-1).flip(-1).clamp_max(self.weight.shape[1] - 1)
        choice = (pairs.q @ self.weight).float()
        low, high = choice.gather(-1, where.floor().long()), choice.gather(-1, where.ceil().long())
        bias = torch.lerp(low, high, where - where.floor())
        return lambda score, b, h, i, j: score + bias[b, h, i, j]


class Shaw(PositionalEncoding):
    """Relative keys: Shaw et al. 2018, arXiv:1803.02155, equation 5."""

    def __init__(self, head_width: int, furthest: int) -> None:
        super().__init__()
        self.scale, self.furthest = head_width**-0.5, furthest
        self.weight = nn.Parameter(torch.empty(head_width, furthest + 1))

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        nn.init.normal_(self.weight, std=0.1, generator=generator)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        products = (pairs.q @ self.weight).float() * self.scale

        def shaw(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
            return score + products[b, h, i, pairs.distance(b, i, j).clamp(0, self.furthest).long()]

        return shaw


class Forgetting(PositionalEncoding):
    """``s_ij + sum of log f_l over l = j + 1 .. i``: Lin et al. 2025, arXiv:2503.02130, equation 5."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, heads)

    def notes(self, x: Tensor, positions: Tensor) -> Tensor:
        return F.logsigmoid(self.gate(x)).transpose(-1, -2)[..., None]

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        assert pairs.k_notes is not None
        total = pairs.k_notes[..., 0].float().cumsum(-1)
        behind = total.shape[-1] - pairs.q.shape[-2]
        return lambda score, b, h, i, j: score + total[b, h, i + behind] - total[b, h, j]


class ValueRotation(PositionalEncoding):
    """``R(-i) sum_j a_ij R(j) v_j``: values, too, arrive relative to the query."""

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.pairs = head_width // 2

    def turn(self, x: Tensor, positions: Tensor, sign: float) -> Tensor:
        speeds = sign * 100.0 ** (-torch.arange(self.pairs) / self.pairs)
        return rotate(x, (positions[..., None].float() * speeds).unsqueeze(-3), layout="half")

    def values(self, v: Tensor, positions: Tensor) -> Tensor:
        return self.turn(v, positions, 1.0)

    def output(self, out: Tensor, positions: Tensor) -> Tensor:
        return self.turn(out, positions, -1.0)


class EveryLayer(PositionalEncoding):
    """Position added to the stream again at the entry of every layer."""

    shift_invariant = False

    def __init__(self, limit: int, width: int) -> None:
        super().__init__()
        self.code, self.limit = Learned(limit, width), limit

    def enter(self, x: Tensor, positions: Tensor) -> Tensor:
        return x + self.code(positions).to(x.dtype)


class Decoupled(PositionalEncoding):
    """``q = [q_c ; q_p]``, ``k = [k_c ; k_p]``: position has columns of its own in every head."""

    shift_invariant = False

    def __init__(self, width: int, heads: int, extra: int) -> None:
        super().__init__()
        self.heads, self.code = heads, Sinusoidal(width)
        self.q, self.k = nn.Linear(width, heads * extra, bias=False), nn.Linear(width, heads * extra, bias=False)

    def widened(self, x: Tensor, positions: Tensor, project: nn.Linear) -> Tensor:
        columns = project(self.code(positions).to(x.dtype)).unflatten(-1, (self.heads, -1)).transpose(-2, -3)
        return torch.cat([x, columns.to(x.dtype).expand(*x.shape[:-1], -1)], dim=-1)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return self.widened(q, q_positions, self.q), self.widened(k, k_positions, self.k)


class SoftCap(PositionalEncoding):
    """``cap tanh(s / cap)``: Gemma 2, arXiv:2408.00118, section 2."""

    additive = False

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        return lambda score, b, h, i, j: 2.0 * torch.tanh(score / 2.0)


class LengthTemperature(PositionalEncoding):
    """``q_i log(e + i)``: sharper attention the more there is to attend to."""

    shift_invariant = False

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return q * torch.log(math.e + q_positions.float())[:, None, :, None].to(q.dtype), k


FOREIGN = [
    Subject("cope", lambda length: Cope(HEAD_WIDTH, 5), sees_positions=False),
    Subject("shaw", lambda length: Shaw(HEAD_WIDTH, 6)),
    Subject("forgetting", lambda length: Forgetting(WIDTH, HEADS), sees_positions=False),
    Subject("value rotation", lambda length: ValueRotation(HEAD_WIDTH)),
    Subject("every layer", lambda length: EveryLayer(length, WIDTH)),
    Subject("decoupled", lambda length: Decoupled(WIDTH, HEADS, 6)),
    Subject("soft cap", lambda length: SoftCap(), sees_positions=False),
    Subject("length temperature", lambda length: LengthTemperature()),
    Subject("rotary + forgetting", lambda length: Chain(Rotary(HEAD_WIDTH), Forgetting(WIDTH, HEADS))),
    Subject("alibi + soft cap", lambda length: Chain(Alibi(HEADS), SoftCap())),
    Subject("rotary + value rotation", lambda length: Chain(Rotary(HEAD_WIDTH), ValueRotation(HEAD_WIDTH))),
    Subject(
        "per layer of chains", lambda length: PerLayer(Chain(Rotary(HEAD_WIDTH), Alibi(HEADS)), Cope(HEAD_WIDTH, 5))
    ),
]
