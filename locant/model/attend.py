"""Attention with any encoding's scores: one signature, three ways to compute it.

``dense`` is the definition. ``sdpa`` is PyTorch's fused attention, for encodings that only add to the scores. ``flex``
runs the same score functions in FlexAttention, which cannot train on CPU.
"""

from collections.abc import Callable
from functools import lru_cache
from inspect import signature
from typing import Any, NamedTuple

import torch
from torch import Tensor

from locant.encodings.base import MaskMod, Pairs, ScoreMod
from locant.encodings.once import eager, once
from locant.encodings.pairwise import added
from locant.model import fused

COMPILATIONS = 128  # of FlexAttention in a process


class Visibility(NamedTuple):
    """Who may see whom in this call.

    mask_mod: as a function of indices. mask: the same as a boolean grid ``[rows, 1, query, key]``; None if nothing is
    hidden, or if ``causal``: the plain triangle, for which fused attention needs no grid.
    """

    mask_mod: MaskMod
    mask: Tensor | None
    causal: bool


def visibility(queries: int, keys: int, q_documents: Tensor | None, k_documents: Tensor | None,
               device: torch.device) -> Visibility:  # fmt: skip
    """The last ``queries`` of ``keys`` tokens ask. Order decides causality, documents visibility, positions neither."""
    behind = keys - queries

    def mask_mod(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        seen = j <= i + behind
        if q_documents is not None and k_documents is not None:
            q_row = b if q_documents.shape[0] > 1 else torch.zeros_like(b)
            k_row = b if k_documents.shape[0] > 1 else torch.zeros_like(b)
            seen = seen & (q_documents[q_row, i] == k_documents[k_row, j])
        return seen

    if q_documents is None or k_documents is None:
        if queries == 1 or queries == keys:
            return Visibility(mask_mod, None, causal=queries > 1)
        rows = 1
    else:
        rows = max(q_documents.shape[0], k_documents.shape[0])
    b, h, i, j = grids(rows, 1, queries, keys, device)
    return Visibility(mask_mod, mask_mod(b, h, i, j).expand(rows, 1, queries, keys), causal=False)


def grids(batch: int, heads: int, queries: int, keys: int, device: torch.device) -> tuple[Tensor, ...]:
    """Index grids that broadcast to ``[batch, head, query, key]``."""
    b = torch.arange(batch, device=device)[:, None, None, None]
    h = torch.arange(heads, device=device)[:, None, None]
    return b, h, torch.arange(queries, device=device)[:, None], torch.arange(keys, device=device)


Read = Callable[[Tensor, Pairs], Tensor | None]
"""An encoding's ``read``: what it makes of the weights after the softmax."""
Attend = Callable[[Pairs, Tensor, Visibility, ScoreMod | None, Read | None], Tensor]
"""``(pairs, values [batch, head, key, width], visibility, score_mod, read) -> [batch, head, query, width]``.

Raises ValueError if there is a ``read`` and the weights are never written out.
"""


def dense(pairs: Pairs, v: Tensor, see: Visibility, mod: ScoreMod | None, read: Read | None = None) -> Tensor:
    """``softmax(mod(scale q k')) v``, written out: the reference for all others. Scores and softmax in float32."""
    queries, keys = pairs.q.shape[-2], pairs.k.shape[-2]
    scores = (pairs.q @ pairs.k.transpose(-1, -2)).to(torch.promote_types(pairs.q.dtype, torch.float32)) * pairs.scale
    b, h, i, j = grids(pairs.q.shape[0], pairs.q.shape[1], queries, keys, pairs.q.device)
    if mod is not None:
        scores = mod(scores, b, h, i, j)
    if see.mask is not None:
        scores = scores.masked_fill(~see.mask, -torch.inf)
    elif see.causal:
        scores = scores.masked_fill(j > i, -torch.inf)
    weights = scores.softmax(dim=-1).to(v.dtype)
    out = weights @ v
    more = None if read is None else read(weights, pairs)
    return out if more is None else out + more


def sdpa(pairs: Pairs, v: Tensor, see: Visibility, mod: ScoreMod | None, read: Read | None = None) -> Tensor:
    """PyTorch's ``scaled_dot_product_attention``. What an additive ``mod`` adds is evaluated on the grid of pairs.

    Gives a wrong result for a ``mod`` that is not additive; the caller chooses (``Decoder`` refuses).
    """
    _check_unread(read)
    mask = see.mask
    if mod is not None:
        batch, heads, queries, keys = *pairs.q.shape[:3], pairs.k.shape[-2]
        dtype = torch.promote_types(pairs.q.dtype, torch.float32)
        # Four dimensions, as the fused kernels take: with three, all would be written out without a word.
        bias = added(mod, batch, heads, queries, keys, torch.zeros((), dtype=dtype, device=pairs.q.device))
        if mask is not None:
            mask = bias.masked_fill(~mask, -torch.inf)
        elif see.causal:
            future = torch.ones(queries, keys, dtype=torch.bool, device=pairs.q.device).triu(keys - queries + 1)
            mask = bias.masked_fill(future, -torch.inf)
        else:
            mask = bias
        # The fused kernels take a mask of the queries' type only; the sum of score and bias is float32 inside.
        mask = _from_the_top(mask).to(pairs.q.dtype) if mask.dtype != pairs.q.dtype else mask
    causal = see.causal and mask is None
    return fused.attention(pairs.q, pairs.k, v, mask, causal=causal, scale=pairs.scale)


def _from_the_top(bias: Tensor) -> Tensor:
    """The bias less its maximum in each row, which the softmax does not see: few digits suffice for what matters."""
    top = bias.detach().amax(dim=-1, keepdim=True)
    return bias - torch.where(top.isfinite(), top, 0.0)


def flex(pairs: Pairs, v: Tensor, see: Visibility, mod: ScoreMod | None, read: Read | None = None) -> Tensor:
    """FlexAttention with the same functions, compiled on a GPU, where it would else write everything out.

    Raises ValueError on CPU if a gradient is asked for (not implemented).
    """
    _check_unread(read)
    from torch.nn.attention.flex_attention import flex_attention

    if pairs.q.device.type == "cpu" and torch.is_grad_enabled() and (pairs.q.requires_grad or v.requires_grad):
        raise ValueError("expected no gradient, as FlexAttention has none on CPU, was: a call that needs one")
    mask = _block_mask(see, pairs.q.shape[-2], pairs.k.shape[-2], pairs.q.device)
    call: Callable[..., Any] = flex_attention
    if pairs.q.is_cuda and eager():
        call = _compiled(flex_attention)
    out = call(pairs.q, pairs.k, v, score_mod=mod, block_mask=mask, scale=pairs.scale)
    assert isinstance(out, Tensor)
    return out


def _block_mask(see: Visibility, queries: int, keys: int, device: torch.device) -> Any:
    """Which blocks of pairs are to be computed; where order alone decides it, made once for all rows, layers, steps."""
    from torch.nn.attention.flex_attention import create_block_mask

    rows = None if see.mask is None else see.mask.shape[0]

    def make() -> Any:
        return create_block_mask(see.mask_mod, rows, None, queries, keys, device=str(device))

    return make() if rows is not None else once(("block mask", queries, keys, device), make)


@lru_cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Each encoding, form and gradient is a compilation of its own. Beyond PyTorch's limit of eight it would write out
    all scores without a word, beyond ours it says so.
    """
    allowed = {"recompile_limit": COMPILATIONS} if "recompile_limit" in signature(torch.compile).parameters else {}
    compiler: Callable[..., Any] = torch.compile
    compiled: Callable[..., Any] = compiler(function, dynamic=False, fullgraph=True, **allowed)
    return compiled


def _check_unread(read: Read | None) -> None:
    if read is not None:
        raise ValueError("expected the attention dense for an encoding that reads the weights, was: a fused one")


BACKENDS: dict[str, Attend] = {"dense": dense, "sdpa": sdpa, "flex": flex}
