"""Learned maps of token and position together: a linear one, with adding and concatenating in it, and an MLP."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings.base import PositionalEncoding
from locant.encodings.codes import Code, draw_normal
from locant.encodings.inputs import align, check_width


class Mix(PositionalEncoding):
    """``h_i = W [x_i ; s p_i]`` with a learned ``W`` that starts as the sum or as the concatenation of the two.

    start: ``"add"``: ``W = [I , I]`` of ``width`` rows, for a code as wide as the tokens, is ``Add`` exactly.
        ``"concat"``: ``W = I``, for tokens and code of ``width`` columns together, is ``Concat`` exactly.
    Training moves ``W`` to whatever serves; ``moved`` tells how far. With a learned code the right half of ``W`` can
    hide in the table (scale the one, shrink the other), so compare distances at equal codes.
    Source: ours; for ``W`` see "Fusion Matters", 2026, arXiv:2601.05807, which starts it at random.
    Limit: that of the code.  Shift-invariant: no.
    Raises ValueError if the start is unknown or the code does not fit it.
    """

    shift_invariant = False

    def __init__(self, code: Code, width: int, *, start: str = "add", scale: float = 1.0) -> None:
        super().__init__()
        if start not in ("add", "concat"):
            raise ValueError(f"expected the start add or concat, was: {start}")
        if start == "add" and code.width != width:
            raise ValueError(f"expected a code as wide as the tokens ({width}), was: {code.width}")
        if start == "concat" and code.width >= width:
            raise ValueError(f"expected fewer position columns than the width {width}, was: {code.width}")
        self.code = code
        self.start = start
        self.scale = scale
        self.extra_width = code.width if start == "concat" else 0
        self.token_width = width - self.extra_width
        self.weight = nn.Parameter(torch.empty(width, self.token_width + code.width))
        self.limit = code.limit
        self.reset_parameters()

    def _origin(self) -> Tensor:
        identity = torch.eye(len(self.weight), device=self.weight.device, dtype=self.weight.dtype)
        return identity if self.start == "concat" else torch.cat([identity, identity], dim=1)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        with torch.no_grad():
            self.weight.copy_(self._origin())

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        check_width(tokens, self.token_width)
        both = torch.cat([tokens, align(tokens, self.code(positions) * self.scale)], dim=-1)
        # Autocast would project in bfloat16 and leave the stream there, which all other inputs keep as it is.
        return F.linear(both, self.weight).to(tokens.dtype)

    @torch.no_grad()
    def moved(self) -> float:
        """How far ``W`` is from its start: ``|W - W_start| / |W_start|`` in the Frobenius norm. 0 before training."""
        origin = self._origin().double()
        return float(torch.linalg.vector_norm(self.weight.double() - origin) / torch.linalg.vector_norm(origin))


class ConcatMlp(PositionalEncoding):
    """``h_i = W_2 relu(W_1 [x_i ; s p_i] + b_1) + b_2``: token and position through a small network.

    Starts such that ``h_i`` is as large as its inputs: ``W_1`` with variance ``2 / fan_in``, ``W_2`` with
    ``1 / fan_in``, offsets 0. ``hidden`` is ``width`` unless given.
    Source: the MLP fusion of "Fusion Matters", 2026, arXiv:2601.05807, and its code. Differs: the start; theirs is
    torch's uniform one.
    Limit: that of the code.  Shift-invariant: no.  Raises ValueError if ``hidden`` is below 1.
    """

    shift_invariant = False

    def __init__(self, code: Code, width: int, *, hidden: int | None = None, scale: float = 1.0) -> None:
        super().__init__()
        hidden = width if hidden is None else hidden
        if hidden < 1:
            raise ValueError(f"expected at least 1 hidden unit, was: {hidden}")
        self.code = code
        self.width = width
        self.scale = scale
        self.up = nn.Parameter(torch.empty(hidden, width + code.width))
        self.up_bias = nn.Parameter(torch.empty(hidden))
        self.down = nn.Parameter(torch.empty(width, hidden))
        self.down_bias = nn.Parameter(torch.empty(width))
        self.limit = code.limit
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.up, (2 / self.up.shape[1]) ** 0.5, generator)
        draw_normal(self.down, self.down.shape[1] ** -0.5, generator)
        nn.init.zeros_(self.up_bias)
        nn.init.zeros_(self.down_bias)

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        check_width(tokens, self.width)
        both = torch.cat([tokens, align(tokens, self.code(positions) * self.scale)], dim=-1)
        hidden = F.relu(F.linear(both, self.up, self.up_bias))
        return F.linear(hidden, self.down, self.down_bias).to(tokens.dtype)
