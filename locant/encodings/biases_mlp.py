"""Biases that a small network computes, from distance or from scores; all pairs at once, once per layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings.base import Pairs, PositionalEncoding, ScoreMod
from locant.encodings.codes import INITIAL_STD, draw_normal
from locant.encodings.pairwise import adding, distances, exact, products, wide


class Perceptron(nn.Module):
    """``W2 f(W1 x + b1) + b2`` with one hidden layer, in float32 whatever the module was cast to.

    x: ``[..., inputs]``. Returns ``[..., outputs]``. slope: of ``f`` below 0 (ReLU, leaky ReLU).
    Raises ValueError if a width is not positive.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int, *, slope: float = 0.0) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"expected at least 1 hidden unit, was: {hidden}")
        if outputs < 1:
            raise ValueError(f"expected at least 1 head, was: {outputs}")
        self.slope = slope
        self.first = nn.Parameter(torch.empty(hidden, inputs))
        self.first_bias = nn.Parameter(torch.empty(hidden))
        self.second = nn.Parameter(torch.empty(outputs, hidden))
        self.second_bias = nn.Parameter(torch.empty(outputs))

    def draw(self, generator: torch.Generator | None) -> None:
        """Starts near 0 for any input; the first offsets spread the kinks over the inputs."""
        draw_normal(self.first, self.first.shape[1] ** -0.5, generator)
        draw_normal(self.first_bias, 1.0, generator)
        draw_normal(self.second, INITIAL_STD, generator)
        nn.init.zeros_(self.second_bias)

    def forward(self, x: Tensor) -> Tensor:
        x = wide(x)
        with exact(x):
            inner = F.leaky_relu(F.linear(x, self.first.to(x.dtype), self.first_bias.to(x.dtype)), self.slope)
            return F.linear(inner, self.second.to(x.dtype), self.second_bias.to(x.dtype))


class Fire(PositionalEncoding):
    """``s_ij <- s_ij + f_h(psi(|i - j|) / psi(max(L, i)))`` with ``psi(z) = log(1 + |c z|)``.

    ``f`` is a network with one hidden layer of ``hidden`` units, and ``c`` and ``L`` are learned. The distance is taken
    relative to what the query can see, so that inputs stay in 0 .. 1 at any length. ``L = |multiplier| threshold``.
    Costs ``hidden`` numbers per pair while it computes.
    Source: Li et al. 2023, arXiv:2310.04418, section 3; start values from their listing (c 0.1, L 512).
    Differs: the visible past is the query's position, so documents start at 0; towards the future it is symmetric.
    Limit: none.  Shift-invariant: no, as ``i`` itself appears.
    Raises ValueError if heads, hidden units, rate or threshold are not positive.
    """

    shift_invariant = False
    by_position = True

    def __init__(self, heads: int, *, hidden: int = 32, rate: float = 0.1, threshold: float = 512.0) -> None:
        super().__init__()
        if not rate > 0 or not threshold > 0:
            raise ValueError(f"expected a rate and a threshold above 0, was: {rate} and {threshold}")
        self.initial, self.threshold = rate, threshold
        self.network = Perceptron(1, hidden, heads)
        self.rate = nn.Parameter(torch.empty(()))
        self.multiplier = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        nn.init.constant_(self.rate, self.initial)
        nn.init.ones_(self.multiplier)
        self.network.draw(generator)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        rate, least = wide(self.rate), wide(self.multiplier).abs() * self.threshold
        span = torch.maximum(pairs.q_positions[:, :, None].to(rate.dtype), least)
        distance = distances(pairs).abs().to(rate.dtype)
        # A hair against 0 / 0, which a rate of exactly 0 would give.
        share = (rate * distance).abs().log1p() / ((rate * span).abs().log1p() + 1e-6)
        return adding(self.network(share[..., None]).movedim(-1, 1))


class MlpBias(PositionalEncoding):
    """``s_ij <- s_ij + f_h(x)`` with ``x = sign(i - j) log(1 + |i - j|)``, or ``x = i - j`` if not ``logarithmic``.

    ``f`` is a network with one hidden layer of ``hidden`` units. Costs ``hidden`` numbers per pair while it computes.
    Source: Liu et al. 2021 (Swin v2), arXiv:2111.09883, equations 3 and 4 (log-spaced continuous position bias).
    Differs: one axis, 32 hidden units where they have 512, offsets in both layers.
    Limit: none.  Shift-invariant: yes.  Raises ValueError if heads or hidden units are not positive.
    """

    by_distance = True

    def __init__(self, heads: int, *, hidden: int = 32, logarithmic: bool = True) -> None:
        super().__init__()
        self.logarithmic = logarithmic
        self.network = Perceptron(1, hidden, heads)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        self.network.draw(generator)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        x = distances(pairs).to(torch.promote_types(self.network.first.dtype, torch.float32))
        if self.logarithmic:
            x = x.sign() * x.abs().log1p()
        return adding(self.network(x[..., None]).movedim(-1, 1))


class Dape(PositionalEncoding):
    """``s_ij <- a_ij + b_ij + f([a_ij ; b_ij])``: a bias ``b`` corrected by a network that sees all heads' scores.

    ``a`` are the scaled products of queries and keys and ``b`` is the bias of another encoding, both of all heads;
    ``f`` maps ``2 heads -> hidden -> heads`` with a leaky ReLU. As it mixes heads, all pairs are computed at once.
    Source: Zheng et al. 2024, arXiv:2405.14722, section 3. Differs: nothing.
    Limit, shift-invariance: those of the bias.
    Raises ValueError if the other encoding is no bias, or heads or hidden units are not positive.
    """

    def __init__(self, bias: PositionalEncoding, heads: int, *, hidden: int = 32) -> None:
        super().__init__()
        check_bias(bias)
        self.bias = bias
        self.limit, self.shift_invariant = bias.limit, bias.shift_invariant
        self.network = Perceptron(2 * heads, hidden, heads, slope=0.01)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        self.network.draw(generator)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        inner, scores = self.bias.score_mod(pairs), products(pairs)
        assert inner is not None  # the constructor has seen that it has one
        sizes = scores.shape
        grid = [torch.arange(n, device=scores.device).view([-1] + [1] * (3 - axis)) for axis, n in enumerate(sizes)]
        bias = inner(torch.zeros((), dtype=scores.dtype, device=scores.device), *grid).expand(sizes)
        both = torch.cat([scores, bias], dim=1).movedim(1, -1)
        return adding(bias + self.network(both).movedim(-1, 1))


def check_bias(bias: PositionalEncoding) -> None:
    """Raises ValueError unless the encoding is a bias: it adds to the scores and does nothing else."""
    hooks = ("embed", "beside", "enter", "qk", "values", "output", "notes", "read")
    if not bias.defines("score_mod") or not bias.additive or any(bias.defines(hook) for hook in hooks):
        name = type(bias).__name__
        raise ValueError(f"expected an encoding that adds to the scores and does nothing else, was: {name}")
