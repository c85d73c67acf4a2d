"""Encodings with the mistakes that implementations are known for. None may pass the contract."""

import torch
from support import HEADS, WIDTH
from torch import Tensor, nn

from locant.encodings import Add, Alibi, Learned, Pairs, PositionalEncoding, Rotary, ScoreMod, Sinusoidal, alibi_slopes

HEAD_WIDTH = WIDTH // HEADS


class IndexForPosition(Alibi):
    """Distances between places in the tensor, not between positions."""

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        slopes, behind = self.slopes(), pairs.k.shape[-2] - pairs.q.shape[-2]
        return lambda score, b, h, i, j: score - slopes[h] * (i + behind - j).abs()


class ArangeInside(PositionalEncoding):
    """Numbers the tokens of each call by itself."""

    shift_invariant = False

    def __init__(self) -> None:
        super().__init__()
        self.code = Sinusoidal(WIDTH)

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return tokens + self.code(torch.arange(tokens.shape[1])[None])


class ScaledByLength(Sinusoidal):
    """The angles depend on how many tokens there are in the call."""

    def forward(self, positions: Tensor) -> Tensor:
        return super().forward(positions / positions.shape[-1])


class CachedByShape(Sinusoidal):
    """Remembers its table under the shape of the positions."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.remembered: dict[torch.Size, Tensor] = {}

    def forward(self, positions: Tensor) -> Tensor:
        if positions.shape not in self.remembered:
            self.remembered[positions.shape] = super().forward(positions)
        return self.remembered[positions.shape]


class PositionsInModelPrecision(Rotary):
    """Casts positions to the type of the queries before multiplying."""

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return super().qk(q, k, q_positions.to(q.dtype), k_positions.to(k.dtype))


class GateOfEverything(PositionalEncoding):
    """Sums gates over all keys, also those that the query cannot see."""

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        gates = torch.sigmoid(pairs.q @ pairs.k.mT)
        where = gates.flip(-1).cumsum(-1).flip(-1)
        # Without the logarithm the excess would be the same for all keys of a query, and the softmax would remove it.
        return lambda score, b, h, i, j: score - where[b, h, i, j].log1p()


class Clamped(Learned):
    """Uses the last row for everything beyond the table."""

    def forward(self, positions: Tensor) -> Tensor:
        return super().forward(positions.clamp(0, self.limit - 1))


class FollowsTheModule(PositionalEncoding):
    """Keeps its frequencies in an ordinary buffer, which is rounded with the rest of the module."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", 10_000.0 ** (-torch.arange(HEAD_WIDTH // 2) / (HEAD_WIDTH // 2)))

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        from locant.encodings import rotate

        def turned(x: Tensor, positions: Tensor) -> Tensor:
            angle = positions[..., None].float() * self.frequencies.float()
            return rotate(x, angle.unsqueeze(-3), layout="half")

        return turned(q, q_positions), turned(k, k_positions)


class FollowsTheModuleUnsaved(FollowsTheModule):
    """The same, not saved: after construction on the meta device it holds whatever the memory held."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", self.frequencies, persistent=False)


class WrongPromise(Add):
    """An absolute encoding that declares itself relative."""

    shift_invariant = True


class NotReallyAdditive(PositionalEncoding):
    """Multiplies scores by a slope, and declares that it adds."""

    def __init__(self) -> None:
        super().__init__()
        self.slopes = alibi_slopes(HEADS).float()

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        return lambda score, b, h, i, j: score * (1 + self.slopes[h])


class Unused(PositionalEncoding):
    """Has a parameter that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))


class Noisy(PositionalEncoding):
    """Draws from the global random state in every forward pass."""

    def enter(self, x: Tensor, positions: Tensor) -> Tensor:
        return x + 0.1 * torch.randn(x.shape)


class FromTheFuture(PositionalEncoding):
    """Centres every token on the mean of the whole call."""

    def enter(self, x: Tensor, positions: Tensor) -> Tensor:
        return x - x.mean(dim=1, keepdim=True)
