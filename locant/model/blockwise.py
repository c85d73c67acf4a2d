"""The blocks themselves: fused attention on each, and the gradient of what is learned, written out.

Scores are computed again in the backward pass, block by block, so nothing of the size of all pairs is ever kept.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from locant.encodings.pairwise import exact
from locant.model import bands
from locant.model.bands import Masks, Parts, band, causal, from_band, of_band, of_parts, spans
from locant.model.fused import attention

BACKWARD = 64  # queries in a block where the gradient is written out
NUMBERS = 2**19  # of scores at a time, where the gradient is written out


def fused(q: Tensor, k: Tensor, v: Tensor, masks: Masks, scale: float) -> Tensor:
    """PyTorch's attention on every block of queries, with the keys that they may see."""
    outs = []
    for start, stop in spans(q.shape[-2], bands.BLOCK):
        mask = masks(start, stop)[None]
        mask = mask.to(torch.promote_types(q.dtype, torch.float32))
        some = q[:, :, start:stop], k[:, :, :stop], v[:, :, :stop]
        outs.append(attention(*some, mask, scale=scale))
    return outs[0] if len(outs) == 1 else torch.cat(outs, dim=2)


def by_distance(q: Tensor, k: Tensor, v: Tensor, row: Tensor, scale: float) -> Tensor:
    """Attention with the Toeplitz scores whose last row is given, ``[head, key]``, and a gradient for that row."""
    result: Tensor = _ByDistance.apply(q, k, v, row, scale)
    return result


def by_position(q: Tensor, k: Tensor, v: Tensor, parts: Parts, scale: float) -> Tensor:
    """Attention with what ``parts`` adds to scores, and a gradient for the parameters of its encoding."""
    result: Tensor = _ByPosition.apply(q, k, v, parts, scale, *parts.encoding.parameters())
    return result


class _ByDistance(Function):
    """``fused`` on a band, with a gradient for its row, for which PyTorch's fused attention has none.

    A gradient of the gradient takes the plain way.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, row: Tensor, scale: float) -> Tensor:
        with exact(q):
            out = fused(q, k, v, of_band(row), scale)
        ctx.save_for_backward(q, k, v, row, out)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, row, out = ctx.saved_tensors
        with exact(q):
            if torch.is_grad_enabled():
                to = again(q, k, v, band(row, q.shape[-2]), ctx.scale, gradients[0], (row,))
                return *to[:3], to[3], None
            size = min(BACKWARD, q.shape[-2])
            masks, to_band = of_band(row, size), torch.zeros_like(band(row, size))
            work = _Gradients(q, k, v, out, gradients[0], ctx.scale)
            for some in work.heads(size):
                for start, stop in spans(q.shape[-2], size):
                    place = (some[1], slice(size - (stop - start), None), slice(q.shape[-2] - stop, None))
                    to_band[place] += work.add(some, start, stop, masks(start, stop)[some[1]])
            return *work.found(), from_band(to_band), None


class _ByPosition(Function):
    """``fused`` on parts, with a gradient for the parameters of the encoding that made them."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, parts: Parts, scale: float, *parameters: Tensor) -> Tensor:
        with exact(q):
            out = fused(q, k, v, of_parts(parts), scale)
        ctx.save_for_backward(q, k, v, out, *parameters)
        ctx.parts, ctx.scale = parts, scale
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, *parameters = ctx.saved_tensors
        learned = [parameter for parameter in parameters if parameter.requires_grad]
        with exact(q):
            if torch.is_grad_enabled():
                to = again(q, k, v, causal(ctx.parts.part(0, q.shape[-2])), ctx.scale, gradients[0], learned)
                return *to[:3], None, None, *in_order(parameters, learned, to[3:])
            sums = [torch.zeros_like(parameter) for parameter in learned]
            work = _Gradients(q, k, v, out, gradients[0], ctx.scale)
            for start, stop in spans(q.shape[-2], BACKWARD):
                with torch.enable_grad():
                    part = ctx.parts.part(start, stop)
                mask, to_part = causal(part.detach()), torch.zeros_like(part)
                for some in work.heads(BACKWARD):
                    to_part[some[1]] += work.add(some, start, stop, mask[some[1]])
                for total, each in zip(
                    sums, torch.autograd.grad(part, learned, to_part, allow_unused=True), strict=True
                ):
                    total += 0 if each is None else each
            return *work.found(), None, None, *in_order(parameters, learned, sums)


def in_order(parameters: list[Tensor], learned: list[Tensor], gradients: Any) -> list[Tensor | None]:
    """The gradients of what is learned at the places of all parameters, None for the others."""
    found = iter(gradients)
    wanted = {id(parameter) for parameter in learned}
    return [next(found) if id(parameter) in wanted else None for parameter in parameters]


def again(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float, gradient: Tensor, learned: Any
) -> list[Tensor | None]:
    """Gradients that have gradients themselves, of attention written out; None for what needs none."""
    scores = (q @ k.mT).to(torch.promote_types(q.dtype, torch.float32)) * scale + mask
    out = scores.softmax(-1).to(v.dtype) @ v
    wanted = [x for x in (q, k, v, *learned) if x.requires_grad]
    found = iter(torch.autograd.grad(out, wanted, gradient, create_graph=True, allow_unused=True))
    return [next(found) if x.requires_grad else None for x in (q, k, v, *learned)]


class _Gradients:
    """Gradients of softmax attention, gathered block by block, with scores made again for a few heads at a time."""

    def __init__(self, q: Tensor, k: Tensor, v: Tensor, out: Tensor, gradient: Tensor, scale: float) -> None:
        self.dtype, self.scale = q.dtype, scale
        wide = torch.promote_types(q.dtype, torch.float32)
        self.q, self.k, self.v, self.gradient = (x.to(wide) for x in (q, k, v, gradient))
        self.product = (self.gradient * out).sum(-1, keepdim=True)
        self.to_q, self.to_k, self.to_v = (torch.zeros_like(x) for x in (self.q, self.k, self.v))

    def heads(self, size: int) -> Iterator[tuple[int, slice]]:
        """Which heads of which row of the batch are worked on at a time."""
        batch, heads, time, _ = self.q.shape
        some = max(1, min(heads, NUMBERS // (size * time)))
        for index in range(batch):
            for head in range(0, heads, some):
                yield index, slice(head, head + some)

    def add(self, some: tuple[int, slice], start: int, stop: int, mask: Tensor) -> Tensor:
        """Adds what one block gives to q, k and v; returns the gradient of its scores, ``[head, query, key]``."""
        q, gradient, product = (x[some][:, start:stop] for x in (self.q, self.gradient, self.product))
        k, v, to_k, to_v = (x[some][:, :stop] for x in (self.k, self.v, self.to_k, self.to_v))
        weights = torch.baddbmm(mask, q, k.mT, alpha=self.scale).softmax(-1)
        to_v.baddbmm_(weights.mT, gradient)
        to_scores = torch.baddbmm(product, gradient, v.mT, beta=-1).mul_(weights)
        torch.bmm(to_scores, k, out=self.to_q[some][:, start:stop])
        to_k.baddbmm_(to_scores.mT, q, alpha=self.scale)
        return to_scores

    def found(self) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of q, k and v."""
        self.to_q.mul_(self.scale)
        return self.to_q.to(self.dtype), self.to_k.to(self.dtype), self.to_v.to(self.dtype)
