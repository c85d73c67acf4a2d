"""Whether the kernels do here what they are meant to: compared with PyTorch on small examples.

Rotations and look-ups are equal to the last bit, attention up to the rounding of sums.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from locant.encodings.native import attention
from locant.encodings.native.build import Library
from locant.encodings.native.calls import KINDS, added, beside, rotated

LAYOUTS = ("half", "interleaved")
CLOSE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}  # of the largest number


def wrong(library: Library) -> str | None:
    """What differs; None if nothing does."""
    draw = torch.Generator().manual_seed(0)
    with torch.device("cpu"), _float32():  # whatever the caller's defaults are
        return _wrong_rotation(library, draw) or _wrong_look_up(library, draw) or _wrong_attention(library, draw)


@contextmanager
def _float32() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _wrong_rotation(library: Library, draw: torch.Generator) -> str | None:
    for dtype in KINDS:
        wide = torch.promote_types(dtype, torch.float32)
        for pairs in (3, 16):
            x = torch.randn(2, 2, 3, 2 * pairs, generator=draw).to(dtype)
            angle = 9 * torch.rand(1, 1, 3, pairs, generator=draw).to(wide)
            cos, sin = angle.cos(), angle.sin()
            for layout in LAYOUTS:
                (found,) = rotated(library, cos, sin, layout, 1, x)
                if not torch.equal(found, _expected(x, cos, sin, layout)):
                    return f"the rotation of {layout} columns in {dtype} came out wrong"
    return None


def _wrong_look_up(library: Library, draw: torch.Generator) -> str | None:
    ids = torch.tensor([[4, 0, 1], [1, 3, 2]])
    for dtype in KINDS:
        table, code = torch.randn(2, 5, 3, generator=draw).to(dtype)
        for name, call, expected in (
            ("concatenated", beside, torch.cat([table[ids], code[:3].expand(2, 3, 3)], -1)),
            ("added", added, table[ids] + code[:3]),
        ):
            result = call(library, table, ids, code[None, :3])
            if result is None or not torch.equal(result, expected):
                return f"looking up with positions {name} in {dtype} came out wrong"
    return None


def _wrong_attention(library: Library, draw: torch.Generator) -> str | None:
    time, scale = 37, 0.3
    q, k, v, wanted = torch.randn(4, 2, 3, time, 20, generator=draw)
    row = torch.randn(3, time, generator=draw)
    for dtype in attention.DTYPES:
        given = [x.to(dtype) for x in (q, k, v, wanted)]
        wide = attention.Added.of(row)
        out, kept = attention.forward(library, given[0], given[1], given[2], wide, scale, True)
        assert kept is not None
        found = attention.backward(library, given[0], given[1], given[2], wide, kept, given[3], scale, True)
        exact = _written_out([x.double() for x in (*given, row)], scale)
        for one, other in zip((out, *found), exact, strict=True):
            error = torch.inf if one is None else (one.double() - other).abs().max() / other.abs().max()
            if not error < CLOSE[dtype]:
                return f"attention in {dtype} came out wrong"
    return None


def _expected(x: Tensor, cos: Tensor, sin: Tensor, layout: str) -> Tensor:
    """The rotation as the formula has it, in the precision of its angles."""
    wide, pairs = x.to(cos.dtype), x.shape[-1] // 2
    if layout == "half":
        one, other = wide[..., :pairs], wide[..., pairs:]
        return torch.cat([one * cos - other * sin, other * cos + one * sin], -1).to(x.dtype)
    one, other = wide[..., 0::2], wide[..., 1::2]
    return torch.stack([one * cos - other * sin, other * cos + one * sin], -1).flatten(-2).to(x.dtype)


def _written_out(given: list[Tensor], scale: float) -> tuple[Tensor, ...]:
    """Attention with a row of scores of distance, and the gradients of q, k, v and the row for that of the output.

    By hand, as PyTorch takes a third of a second for its first gradient in a process.
    """
    q, k, v, wanted, row = given
    time = q.shape[2]
    distance = torch.arange(time)[:, None] - torch.arange(time)
    place = (time - 1 - distance).clamp(max=time - 1)
    weights = (scale * q @ k.mT + row[:, place]).masked_fill(distance < 0, -torch.inf).softmax(-1)
    to_weights = wanted @ v.mT
    to_scores = weights * (to_weights - (weights * to_weights).sum(-1, keepdim=True))
    to_row = torch.zeros_like(row).index_add_(1, place.flatten(), to_scores.sum(0).flatten(1))
    return weights @ v, scale * to_scores @ k, scale * to_scores.mT @ q, weights.mT @ wanted, to_row
