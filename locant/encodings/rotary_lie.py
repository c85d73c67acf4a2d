"""Rotations in learned planes: exponentials of skew-symmetric matrices, of which pairs of columns are one case."""

import torch
from torch import Tensor, nn

from locant.encodings.axes import on_axes, one_axis
from locant.encodings.base import OWN_PLANES, PositionalEncoding
from locant.encodings.codes import INITIAL_STD, draw_normal
from locant.encodings.frequencies import axial
from locant.encodings.pairwise import exact, wide
from locant.encodings.rotary import angles, check_words, rotate


def per_head(x: Tensor, weight: Tensor) -> Tensor:
    """``weight``, whose first dimension are heads, with one head for each head of ``x``: groups share theirs.

    Raises ValueError if the heads of ``x`` are no multiple of those of the weight.
    """
    if x.shape[1] % len(weight):
        raise ValueError(f"expected a multiple of {len(weight)} heads, was: {x.shape[1]}")
    return weight.repeat_interleave(x.shape[1] // len(weight), dim=0)


def applied(matrices: Tensor, x: Tensor) -> Tensor:
    """``matrices [..., n, n]`` times vectors ``x [..., n]``; not a product that autocast would take to bfloat16."""
    return (matrices * x[..., None, :]).sum(-1)


class Liere(PositionalEncoding):
    """``q_i <- exp(A(z_i)) q_i``, ``k_j <- exp(A(z_j)) k_j`` with ``A(z) = sum over axes a of z_a (W_a - W_a')``.

    Every head learns the planes that it turns in, with their speeds: ``W`` ``[heads, blocks, axes, block, block]`` acts
    on ``block`` columns at a time (all of them unless given; 2 is rotary with learned frequencies).
    heads: that keys have; with grouped queries, the queries of a group share those of their key head.
    The exponential costs ``block ** 3`` a position, block and head; it is computed in float64, as its repeated squaring
    loses digits with distance.
    Source: LieRE, Ostmeier et al. 2024, arXiv:2406.10322, as in the authors' code. Differs: positions are counted in
    tokens, where theirs run from 0 to 1 over an image, so ``W`` starts normal with ``std``, not uniform up to 2 pi.
    Limit: none.  Shift-invariant: with one axis; the matrices of several do not commute, so places as a whole matter.
    Raises ValueError if a size is not positive or ``block`` does not divide the head, and for other numbers of heads
    or axes.
    """

    planes = OWN_PLANES
    waits = True  # the exponential chooses its degree by the norm

    def __init__(self, head_width: int, heads: int, *, axes: int = 1, block: int | None = None, std: float | None = None
                 ) -> None:  # fmt: skip
        super().__init__()
        block = head_width if block is None else block
        if min(head_width, heads, axes, block) < 1 or head_width % block:
            sizes = [head_width, heads, axes, block]
            raise ValueError(f"expected positive sizes and a block that divides the head width, was: {sizes}")
        self.std = block**-0.5 / 2 if std is None else std
        self.shift_invariant = axes == 1
        self.weight = nn.Parameter(torch.empty(heads, head_width // block, axes, block, block))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, self.std, generator)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return self._turn(q, q_positions), self._turn(k, k_positions)

    def _turn(self, x: Tensor, positions: Tensor) -> Tensor:
        weight = self.weight.double()
        blocks, axes, block = weight.shape[1:4]
        place = on_axes(positions, axes).to(weight.dtype)[:, None, :, None, :, None, None]
        with exact(x):
            turned = torch.matrix_exp((place * (weight - weight.mT)[None, :, None]).sum(-3))
        turned = turned.to(wide(x).dtype).transpose(0, 1)  # heads first, then rows, time, blocks
        columns = wide(x[..., : blocks * block].unflatten(-1, (blocks, block)))
        y = applied(per_head(x, turned).transpose(0, 1), columns).flatten(-2).to(x.dtype)
        return y if y.shape == x.shape else torch.cat([y, x[..., blocks * block :]], dim=-1)


class CayleyString(PositionalEncoding):
    """``q_i <- R(z_i) P q_i``, ``k_j <- R(z_j) P k_j`` with the learned orthogonal ``P = (I - S)(I + S)^-1``.

    ``R`` rotates pairs of columns by ``sum over axes a of w_hac z_a``, as ``RotaryMixed`` does, with learned ``w``;
    ``S = W - W'``. All rotations commute, so scores depend on the difference of places alone, on any number of axes.
    ``W`` starts near 0 and ``w`` geometric, split among the axes: near rotary, or axial rotary.
    heads: that keys have; with grouped queries, the queries of a group share those of their key head.
    Source: Cayley-STRING, Schenck et al. 2025, arXiv:2502.02562, equations 9 and 10 and what follows. Differs: nothing.
    Limit: none.  Shift-invariant: yes.
    Raises ValueError if there is no head or axis, the width is odd, the axes do not divide its pairs, or the layout is
    unknown; and for other numbers of heads or axes.
    """

    planes = OWN_PLANES

    def __init__(self, head_width: int, heads: int, *, axes: int = 1, base: float = 10_000.0, layout: str = "half"
                 ) -> None:  # fmt: skip
        super().__init__()
        check_words(layout, "first")
        if head_width < 2 or head_width % 2 or heads < 1:
            raise ValueError(f"expected a positive even head width and at least 1 head, was: {head_width} and {heads}")
        self.base, self.layout = base, layout
        axial(head_width // 2, axes, base)  # raises ValueError for axes that do not divide the pairs
        self.weight = nn.Parameter(torch.empty(heads, head_width, head_width))
        self.frequencies = nn.Parameter(torch.empty(heads, axes, head_width // 2))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, INITIAL_STD, generator)
        _, axes, pairs = self.frequencies.shape
        with torch.no_grad():
            self.frequencies.copy_(axial(pairs, axes, self.base).expand_as(self.frequencies))

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return self._turn(q, q_positions), self._turn(k, k_positions)

    def _turn(self, x: Tensor, positions: Tensor) -> Tensor:
        weight, width = wide(self.weight), self.weight.shape[-1]
        skew, one = weight - weight.mT, torch.eye(width, dtype=weight.dtype, device=weight.device)
        with exact(x):
            # The two factors commute. There is always a solution, so that nobody need ask, and wait, whether there is.
            turned = torch.linalg.solve_ex(one + skew, one - skew)[0]
        columns = applied(per_head(x, turned)[:, None], x[..., :width].to(weight.dtype))
        angle = per_head(x, angles(positions, wide(self.frequencies)).transpose(0, 1)).transpose(0, 1)
        y = rotate(columns, angle, layout=self.layout).to(x.dtype)
        return y if y.shape == x.shape else torch.cat([y, x[..., width:]], dim=-1)


class Grape(PositionalEncoding):
    """``q_i <- exp(i L) q_i``, ``k_j <- exp(j L) k_j`` with ``L = a b' - b a'``: every head turns in one learned plane.

    ``exp(n L) = I + (sin(n s) / s) L + ((1 - cos(n s)) / s^2) L^2`` with ``s^2 = |a|^2 |b|^2 - (a . b)^2``: ``s`` is
    the speed, and what is perpendicular to ``a`` and ``b`` stays. No matrix is made.
    heads: that keys have; with grouped queries, the queries of a group share the plane of their key head.
    Source: GRAPE, Zhang et al. 2025, arXiv:2512.07805, the multiplicative form of rank 2, as stated in the authors'
    repository. Differs: one plane a head, without their products of several; their ``omega`` is within ``a`` and ``b``.
    Limit: none.  Shift-invariant: yes.  Raises ValueError if a size is not positive, and for other numbers of heads.
    """

    planes = OWN_PLANES

    def __init__(self, head_width: int, heads: int) -> None:
        super().__init__()
        if min(head_width, heads) < 1:
            raise ValueError(f"expected a head width and heads of at least 1, was: {head_width} and {heads}")
        self.weight = nn.Parameter(torch.empty(heads, 2, head_width))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, self.weight.shape[-1] ** -0.5, generator)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        return self._turn(q, q_positions), self._turn(k, k_positions)

    def _turn(self, x: Tensor, positions: Tensor) -> Tensor:
        a, b = per_head(x, wide(self.weight))[:, :, None].unbind(1)

        def plane(y: Tensor) -> Tensor:  # L y
            return a * (b * y).sum(-1, keepdim=True) - b * (a * y).sum(-1, keepdim=True)

        square = (a * a).sum(-1, keepdim=True) * (b * b).sum(-1, keepdim=True) - (a * b).sum(-1, keepdim=True).square()
        speed = square.clamp_min(torch.finfo(a.dtype).tiny).sqrt()  # a plane of parallel vectors does not turn
        place = one_axis(positions)[:, None, :, None].to(a.dtype)
        y = x[..., : a.shape[-1]].to(a.dtype)
        once = plane(y)
        # sinc(t) = sin(pi t) / (pi t): finite where the speed is 0.
        turned = y + place * torch.sinc(place * speed / torch.pi) * once
        turned = turned + 0.5 * (place * torch.sinc(place * speed / (2 * torch.pi))).square() * plane(once)
        return torch.cat([turned.to(x.dtype), x[..., a.shape[-1] :]], dim=-1)
