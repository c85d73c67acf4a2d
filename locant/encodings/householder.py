"""Reflections on the way from key to query: every token between them turns the space in which they are compared."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings.base import OWN_PLANES, Pairs, PositionalEncoding, ScoreMod
from locant.encodings.codes import draw_normal
from locant.encodings.pairwise import adding, exact, keys, products, seen, wide
from locant.encodings.rotary_content import noted


class Path(PositionalEncoding):
    """``s_ij = q_i' H_i H_(i-1) ... H_(j+1) k_j`` with ``H_l = I - b_l w_l w_l'``, ``w_l = W x_l / |W x_l|``.

    ``b_l = 2 sigmoid(V x_l + c)`` per key head: 0 passes the token by, 1 forgets the direction ``w``, 2 reflects it.
    Reflections do not commute, so the order of what lies between counts, which sums of angles cannot tell.
    Computed as it reads: the query walks back over the tokens that it may see, one step for each key of the row, so
    documents stay apart and decoding equals training; it is for small models, not for speed.
    heads: that keys have.
    Source: PaTH, Yang et al. 2025, arXiv:2505.16381, as in the authors' code. Differs: without the short
    convolution over ``W x``, as a token's note is made of that token alone; ``W`` is a full matrix, of rank 32 there.
    Limit: none.  Shift-invariant: yes; positions are not read at all, only the order. Not beside a rotation.
    Raises ValueError if a size is not positive.
    """

    reads_keys = True
    planes = OWN_PLANES

    def __init__(self, width: int, head_width: int, heads: int) -> None:
        super().__init__()
        if min(width, head_width, heads) < 1:
            raise ValueError(f"expected sizes of at least 1, was: {[width, head_width, heads]}")
        self.heads = heads
        self.weight = nn.Parameter(torch.empty(heads * head_width, width))
        self.strength = nn.Parameter(torch.empty(heads, width))
        self.offset = nn.Parameter(torch.empty(heads))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        for weight in (self.weight, self.strength):
            draw_normal(weight, weight.shape[1] ** -0.5, generator)
        nn.init.zeros_(self.offset)

    def notes(self, x: Tensor, positions: Tensor) -> Tensor:
        x = wide(x)
        with exact(x):
            normal = F.linear(x, self.weight.to(x.dtype)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            strength = F.linear(x, self.strength.to(x.dtype), self.offset.to(x.dtype)).transpose(1, 2)
        return torch.cat([F.normalize(normal, dim=-1), 2 * strength.sigmoid()[..., None]], dim=-1)

    def score_mod(self, pairs: Pairs) -> ScoreMod:
        notes, k, met = noted(pairs, pairs.k_notes), wide(keys(pairs)), seen(pairs)
        width = notes.shape[-1] - 1
        normal, strength = notes[..., None, :width], notes[..., None, width:]
        q, k, scores = wide(pairs.q[..., :width]), k[..., None, :width], []
        for key in reversed(range(k.shape[2])):
            scores.append((q * k[:, :, key]).sum(-1))
            along = (q * normal[:, :, key]).sum(-1, keepdim=True) * strength[:, :, key]
            q = q - torch.where(met[..., key, None], along, 0.0) * normal[:, :, key]
        path = torch.stack(scores[::-1], dim=-1) * pairs.scale
        return adding(path - products(pairs._replace(q=pairs.q[..., :width], k=pairs.k[..., :width])))
