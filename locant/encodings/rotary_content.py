"""Rotations by angles that the tokens themselves decide, not their positions.

What a token adds to the angle is its note, cached beside its key. Keys are cached as they are: the angle between a
query and a key is known in ``score_mod`` only, which adds what the rotation changes in their product.
"""

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings.base import Pairs, PositionalEncoding, ScoreMod
from locant.encodings.codes import draw_normal
from locant.encodings.derived import Derived
from locant.encodings.frequencies import geometric
from locant.encodings.pairwise import adding, exact, from_here_back, keys, products, seen, wide
from locant.encodings.rotary import check_words, rotate, rotated_columns, split


def noted(pairs: Pairs, notes: Tensor | None) -> Tensor:
    """The notes with one head for each head of the queries: groups share theirs.

    Raises ValueError if there are no notes, or heads do not fit.
    """
    if notes is None:
        raise ValueError("expected the notes of the queries and keys, was: none")
    if pairs.q.shape[1] % notes.shape[1]:
        raise ValueError(f"expected a multiple of {notes.shape[1]} heads, was: {pairs.q.shape[1]}")
    return notes.repeat_interleave(pairs.q.shape[1] // notes.shape[1], dim=1)


def steps_between(pairs: Pairs, steps: Tensor) -> Tensor:
    """Sums of ``steps`` ``[batch, head, key, n]`` after the key up to the query, ``[batch, head, query, key, n]``.

    Negative for keys that come after the query. Only tokens that the query may see are counted, so that the documents
    of a row stay apart, in whatever order they are.
    """
    counted = torch.where(seen(pairs)[..., None], steps[:, :, None], 0.0)
    after = from_here_back(counted.transpose(-1, -2))[..., 1:]
    after = F.pad(after, (0, 1)).transpose(-1, -2)
    here = torch.diagonal(after, offset=pairs.behind, dim1=-3, dim2=-2)  # [batch, head, n, query]
    return after - here.transpose(-1, -2)[:, :, :, None]


def turning(pairs: Pairs, angle: Tensor, layout: str) -> ScoreMod:
    """The function that rotates each pair's product by ``angle`` ``[batch, head, query, key, column pair]``."""
    columns = 2 * angle.shape[-1]
    (q1, q2), (k1, k2) = (split(wide(x[..., :columns]), layout) for x in (pairs.q, keys(pairs)))
    q1, q2, k1, k2 = q1[:, :, :, None], q2[:, :, :, None], k1[:, :, None], k2[:, :, None]
    along, across = q1 * k1 + q2 * k2, q2 * k1 - q1 * k2
    # cos - 1 as it is written loses small angles; twice the squared sine of half of it does not.
    change = -2 * (angle / 2).sin().square() * along - angle.sin() * across
    return adding(change.sum(-1) * pairs.scale)


class SelectiveRotary(PositionalEncoding):
    """``s_ij = q_i' R(sum of w_c f_lc over l = j + 1 .. i) k_j`` with the steps ``f_l = W x_l``.

    Content sets the angle: ``w_c = base ** (-c / pairs)``, and every key head and pair has steps of its own, of ``x``
    with the columns that fall to a head brought to length 1. Where all steps are 1 it is rotary. Costs ``pairs``
    numbers per pair of tokens while it computes.
    heads: that keys have.
    Source: Selective RoPE, Movahedi et al. 2025, arXiv:2511.17388, as in the authors' code. Differs: a full matrix
    where the code has one of rank 16; without its short convolution over the steps, as a token's note is made of that
    token alone, and without the optional gate.
    Limit: none.  Shift-invariant: yes; positions are not read at all, only the order.
    Raises ValueError if the heads do not divide the width, the head width is odd, or the layout is unknown.
    """

    def __init__(self, width: int, head_width: int, heads: int, *, base: float = 500_000.0, layout: str = "half",
                 dtype: torch.dtype = torch.float32) -> None:  # fmt: skip
        super().__init__()
        check_words(layout, "first")
        if heads < 1 or width < heads or width % heads:
            raise ValueError(f"expected a width divisible by at least 1 head, was: {width} and {heads}")
        self.heads, self.layout = heads, layout
        pairs = rotated_columns(head_width, 1.0) // 2
        self.frequencies = Derived(partial(geometric, pairs, base), dtype)
        self.weight = nn.Parameter(torch.empty(heads * pairs, width))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, self.weight.shape[1] ** -0.5, generator)

    def notes(self, x: Tensor, positions: Tensor) -> Tensor:
        x = F.normalize(wide(x).unflatten(-1, (self.heads, -1)), dim=-1).flatten(-2)
        with exact(x):
            steps = F.linear(x, self.weight.to(x.dtype)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return steps * self.frequencies().to(x.dtype)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        return turning(pairs, steps_between(pairs, noted(pairs, pairs.k_notes)), self.layout)


class ContextualRotary(PositionalEncoding):
    """``s_ij = q_i' R(sum of f_lh ** c over l = j + 1 .. i) k_j`` with ``f_l = 1 / (softplus(W x_l + b) + 1)``.

    Rotary has ``f = base ** (-2 / d)`` for every token: pair ``c`` turns by its c-th power. Here content decides, for
    each key head; ``b`` starts such that a token of zeros turns as rotary does. Costs ``pairs`` numbers per pair of
    tokens while it computes.
    heads: that keys have.
    Source: CARoPE, Veisi et al. 2025, arXiv:2507.23083, section 2. Differs: the offset ``b``, without which ``f``
    cannot start as rotary, as the paper says that it does; powers are counted from 0, as rotary's are.
    Limit: none.  Shift-invariant: yes; positions are not read at all, only the order.
    Raises ValueError if a size is not positive, the base not above 1, the head width odd, or the layout unknown.
    """

    def __init__(self, width: int, head_width: int, heads: int, *, base: float = 10_000.0, layout: str = "half"
                 ) -> None:  # fmt: skip
        super().__init__()
        check_words(layout, "first")
        if min(width, heads) < 1 or not base > 1:
            wanted = "expected a width and heads of at least 1 and a base above 1"
            raise ValueError(f"{wanted}, was: {width}, {heads} and {base}")
        self.pairs, self.layout = rotated_columns(head_width, 1.0) // 2, layout
        wanted_softplus = base ** (1 / self.pairs) - 1
        self.initial = wanted_softplus + math.log(-math.expm1(-wanted_softplus))
        self.weight = nn.Parameter(torch.empty(heads, width))
        self.offset = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, self.weight.shape[1] ** -0.5, generator)
        nn.init.constant_(self.offset, self.initial)

    def notes(self, x: Tensor, positions: Tensor) -> Tensor:
        x = wide(x)
        with exact(x):
            slowness = F.softplus(self.weight.to(x.dtype) @ x.mT + self.offset.to(x.dtype)[:, None])
        return -slowness.log1p()[..., None]  # log f

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        speed = noted(pairs, pairs.k_notes)
        steps = (speed * torch.arange(self.pairs, dtype=speed.dtype, device=speed.device)).exp()
        return turning(pairs, steps_between(pairs, steps), self.layout)


class RotaryByContent(PositionalEncoding):
    """``s_ij = (R(z_i) q_i)' (R(z_j) k_j)``, rotary at places that tokens choose: ``z = W3 (silu(W1 x) * W2 x)``.

    One number per token and key head, of any size and sign, in place of its position; ``R`` is that of ``Rotary``.
    Position itself is not read: order is known from who sees whom only. The products of all pairs are taken once more.
    heads: that keys have.  hidden: an eighth of the width unless given.
    Source: RePo, Li et al. 2025, arXiv:2512.14391, as in the authors' code. Differs: nothing; theirs
    leaves the first layers with rotary, which ``per_layer`` says.
    Limit: none.  Shift-invariant: yes; positions are not read at all.
    Raises ValueError if a size is not positive, the head width odd, or the layout unknown.
    """

    def __init__(self, width: int, head_width: int, heads: int, *, hidden: int | None = None, base: float = 10_000.0,
                 layout: str = "half", dtype: torch.dtype = torch.float32) -> None:  # fmt: skip
        super().__init__()
        check_words(layout, "first")
        hidden = max(1, width // 8) if hidden is None else hidden
        if min(width, heads, hidden) < 1:
            raise ValueError(f"expected sizes of at least 1, was: {[width, heads, hidden]}")
        self.layout = layout
        self.frequencies = Derived(partial(geometric, rotated_columns(head_width, 1.0) // 2, base), dtype)
        self.gate = nn.Parameter(torch.empty(hidden, width))
        self.content = nn.Parameter(torch.empty(hidden, width))
        self.place = nn.Parameter(torch.empty(heads, hidden))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        for weight in (self.gate, self.content, self.place):
            draw_normal(weight, weight.shape[1] ** -0.5, generator)

    def notes(self, x: Tensor, positions: Tensor) -> Tensor:
        x = wide(x)
        with exact(x):
            inner = F.silu(F.linear(x, self.gate.to(x.dtype))) * F.linear(x, self.content.to(x.dtype))
            return F.linear(inner, self.place.to(x.dtype)).transpose(1, 2)[..., None]

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        turned = []
        for x, notes in ((pairs.q, pairs.q_notes), (keys(pairs), pairs.k_notes)):
            places = noted(pairs, notes)
            turned.append(rotate(wide(x), places * self.frequencies().to(places.dtype), layout=self.layout))
        return adding(products(pairs._replace(q=turned[0], k=turned[1])) - products(pairs))
