"""Causal attention in blocks of queries, with scores that follow from distance: memory for a block, not for all pairs.

At consecutive positions such scores are a Toeplitz matrix, and the row of the last query holds every number of it. The
blocks of queries slide along one band made of that row, so what PyTorch's fused attention is given as a mask is a view.
Keys that nobody in a block may see are left out, which is why it is often faster than the fused causal attention.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

from locant.encodings.base import Pairs, PositionalEncoding, ScoreMod
from locant.encodings.once import eager, once
from locant.encodings.pairwise import exact
from locant.model.attend import Read, Visibility, grids, sdpa

BLOCK = 128  # queries in a block
BACKWARD = 64  # the same where the gradient is written out
NUMBERS = 2**19  # of scores at a time, where the gradient is written out
LEAST = 256  # queries below which one block is all there is, and nothing learned is worth a gradient of its own


@dataclass(frozen=True)
class ByDistance:
    """What an encoding with ``by_distance`` does to scores: a ``ScoreMod`` that is prepared only when it is called."""

    encoding: PositionalEncoding
    pairs: Pairs

    def __call__(self, score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return self._mod(self.pairs)(score, b, h, i, j)

    def _mod(self, pairs: Pairs) -> ScoreMod:
        mod = self.encoding.score_mod(pairs)
        assert mod is not None  # what follows from distance is something
        return mod

    def row(self) -> Tensor:
        """What the last query adds to its score with each of the keys: ``[head, key]``."""
        q, k, q_positions, k_positions = self.pairs[:4]
        last = self.pairs._replace(q=q[:1, :, -1:], k=k[:1], q_positions=q_positions[:, -1:], content=None)
        zero = torch.zeros((), dtype=torch.promote_types(q.dtype, torch.float32), device=q.device)
        row = self._mod(last)(zero, *grids(1, q.shape[1], 1, k_positions.shape[1], q.device))
        return row.expand(1, q.shape[1], 1, -1)[0, :, 0]


def blocks(pairs: Pairs, v: Tensor, see: Visibility, mod: ScoreMod | None, read: Read | None = None) -> Tensor:
    """``sdpa`` in blocks of queries, where that is right: on CPU, causal, ``mod`` None or of consecutive positions.

    Everywhere else (documents, caches, gaps, other devices, compiled graphs) it is ``sdpa`` itself.
    """
    if read is not None or not _serve(pairs, v, see, mod):
        return sdpa(pairs, v, see, mod, read)
    q, k = pairs.q, pairs.k
    if isinstance(mod, ByDistance):
        row = mod.row()
        if row.requires_grad and torch.is_grad_enabled() and q.shape[-2] >= LEAST:
            learned: Tensor = _Learned.apply(q, k, v, row, pairs.scale)
            return learned
    else:
        row = q.new_zeros(q.shape[1], q.shape[-2], dtype=torch.promote_types(q.dtype, torch.float32))
    return _fused(q, k, v, row, pairs.scale)


def _serve(pairs: Pairs, v: Tensor, see: Visibility, mod: ScoreMod | None) -> bool:
    q, k = pairs.q, pairs.k
    if not (see.causal and see.mask is None and q.device.type == "cpu" and q.shape == k.shape and eager()):
        return False
    if mod is None:
        return q.shape[-2] >= LEAST
    here, there = pairs.q_positions, pairs.k_positions
    return isinstance(mod, ByDistance) and once("consecutive", lambda: consecutive(here, there), here, there)


def consecutive(q_positions: Tensor, k_positions: Tensor) -> bool:
    """Whether all rows share positions on one axis that go up by 1, the same for queries and keys."""
    if q_positions.ndim != 2 or q_positions.shape[0] != 1 or q_positions.shape != k_positions.shape:
        return False
    here = q_positions is k_positions or torch.equal(q_positions, k_positions)
    return here and bool((k_positions[:, 1:] - k_positions[:, :-1] == 1).all())


def band(row: Tensor, size: int) -> Tensor:
    """The last ``size`` rows of the causal Toeplitz matrix whose last row is given: ``[head, size, key]``."""
    return F.pad(row, (0, size - 1), value=-torch.inf).unfold(-1, row.shape[-1], 1).flip(1)


def from_band(gradient: Tensor) -> Tensor:
    """The transpose of ``band``: sums along the diagonals, ``[head, size, key]`` to ``[head, key]``."""
    heads, size, keys = gradient.shape
    # Rows of one number less than they are wide slide by one each, which turns diagonals into columns.
    slid = F.pad(gradient.flip(1), (0, size)).flatten(1)[:, :-size].view(heads, size, keys + size - 1)
    return slid.sum(1)[:, :keys]


def spans(time: int, size: int) -> Iterator[tuple[int, int]]:
    """Ends of blocks of ``size`` that end with the last query; what is left over comes first."""
    for stop in range((time - 1) % size + 1, time + 1, size):
        yield max(0, stop - size), stop


def _fused(q: Tensor, k: Tensor, v: Tensor, row: Tensor, scale: float) -> Tensor:
    time = q.shape[-2]
    size = time if time < LEAST else BLOCK
    masks = band(row, size)[None]
    if masks.dtype != q.dtype and torch.finfo(q.dtype).bits > 32:
        masks = masks.to(q.dtype)
    outs = []
    for start, stop in spans(time, size):
        mask = masks[:, :, size - (stop - start) :, time - stop :]
        outs.append(
            F.scaled_dot_product_attention(
                q[:, :, start:stop], k[:, :, :stop], v[:, :, :stop], attn_mask=mask, scale=scale
            )
        )
    return outs[0] if len(outs) == 1 else torch.cat(outs, dim=2)


class _Learned(Function):
    """``_fused`` with a gradient for the row, for which PyTorch's fused attention has none.

    Scores are computed again in the backward pass, block by block. A gradient of the gradient takes the plain way.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, row: Tensor, scale: float) -> Tensor:
        with exact(q):
            out = _fused(q, k, v, row, scale)
        ctx.save_for_backward(q, k, v, row, out)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, row, out = ctx.saved_tensors
        with exact(q):
            if torch.is_grad_enabled():
                with torch.enable_grad():
                    plain = _plain(q, k, v, row, ctx.scale)
                wanted = [x for x, needed in zip((q, k, v, row), ctx.needs_input_grad, strict=False) if needed]
                found = iter(torch.autograd.grad(plain, wanted, gradients[0], create_graph=True))
                return *(next(found) if needed else None for needed in ctx.needs_input_grad[:4]), None
            return *_backward(q, k, v, row, out, gradients[0], ctx.scale), None


def _plain(q: Tensor, k: Tensor, v: Tensor, row: Tensor, scale: float) -> Tensor:
    wide = torch.promote_types(q.dtype, torch.float32)
    scores = (q @ k.mT).to(wide) * scale + band(row, q.shape[-2])
    return scores.softmax(-1).to(v.dtype) @ v


def _backward(q: Tensor, k: Tensor, v: Tensor, row: Tensor, out: Tensor, gradient: Tensor,
              scale: float) -> tuple[Tensor, ...]:  # fmt: skip
    """Gradients of q, k, v and row: those of softmax attention, with scores made again for a few heads at a time."""
    batch, heads, time, _ = q.shape
    size, wide = min(BACKWARD, time), row.dtype
    masks = band(row, size)
    to_masks = torch.zeros_like(masks)
    to_q, to_k, to_v = (torch.empty_like(x) for x in (q, k, v))
    some = max(1, min(heads, NUMBERS // (size * time)))
    for index in range(batch):
        for head in range(0, heads, some):
            at = index, slice(head, head + some)
            own = [x[at].to(wide) for x in (q, k, v, out, gradient)]
            found = _few_heads(own, masks[at[1]], to_masks[at[1]], scale)
            for whole, part in zip((to_q, to_k, to_v), found, strict=True):
                whole[at] = part
    return to_q, to_k, to_v, from_band(to_masks)


def _few_heads(own: list[Tensor], masks: Tensor, to_masks: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v, ``[head, time, width]``, of a few heads of one row; those of the masks are added."""
    q, k, v, out, gradient = own
    time, size = q.shape[1], masks.shape[1]
    to_q, to_k, to_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
    product = (gradient * out).sum(-1, keepdim=True)
    for start, stop in spans(time, size):
        these, keys = slice(start, stop), slice(0, stop)
        place = (slice(None), slice(size - (stop - start), None), slice(time - stop, None))
        weights = torch.baddbmm(masks[place], q[:, these], k[:, keys].mT, alpha=scale).softmax(-1)
        to_v[:, keys].baddbmm_(weights.mT, gradient[:, these])
        to_scores = torch.baddbmm(product[:, these], gradient[:, these], v[:, keys].mT, beta=-1).mul_(weights)
        to_masks[place] += to_scores
        torch.bmm(to_scores, k[:, keys], out=to_q[:, these])
        to_k[:, keys].baddbmm_(to_scores.mT, q[:, these], alpha=scale)
    return to_q.mul_(scale), to_k, to_v
