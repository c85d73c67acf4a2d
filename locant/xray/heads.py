"""Which linear map of a layer does what, and where its heads lie: by what the maps read and return, then by name."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from locant.xray.site import Reader, Site

NAMES = {
    "q": {"q", "q_proj", "query", "query_proj", "q_lin", "q_attn", "q_linear", "wq", "to_q"},
    "k": {"k", "k_proj", "key", "key_proj", "k_lin", "k_linear", "wk", "to_k"},
    "v": {"v", "v_proj", "value", "value_proj", "v_lin", "v_linear", "wv", "to_v"},
}
HOOKS = {"q": "W_Q", "k": "W_K", "v": "W_V"}


@dataclass(frozen=True)
class Call:
    """One call of a linear map in the small pass: input and output ``[batch, time, width]``."""

    path: str
    module: nn.Module
    x: Tensor
    y: Tensor


@dataclass
class Layer:
    """What one layer did in the small pass: its input, its linear maps in order, what its attention returned."""

    raw: Tensor | None
    calls: list[Call] = field(default_factory=list)
    out: Tensor | None = None

    @property
    def normed_width(self) -> int:
        if self.raw is None:
            raise ValueError("expected a layer that is given hidden states, was: one without")
        return self.raw.shape[-1]


def same(a: Tensor, b: Tensor | None) -> bool:
    return b is not None and a.data_ptr() == b.data_ptr() and a.numel() == b.numel()


def outline(index: int, where: tuple[str, str], layer: Layer, weights: Tensor,
            width: int) -> tuple[Site, dict[str, nn.Module]]:  # fmt: skip
    """The layer's site and, for each capture, the module whose input it is.

    where: the paths of the layer and of its attention. weights: ``[batch, head, query, key]`` of the small pass.
    Raises ValueError if no linear map inside of the attention reads hidden states.
    """
    block, attention = where
    inside = [call for call in layer.calls if call.path.startswith(f"{attention}.")]
    if not inside or inside[0].x.shape[-1] != width:
        raise ValueError(f"expected linear maps that read the hidden states in {attention}, was: none")
    readers = [call for call in inside if same(call.x, inside[0].x)]
    own = [call for call in inside if not same(call.x, inside[0].x)]  # its output projection, where it has one inside
    merged = own[0].x if own else layer.out
    others = [call for call in layer.calls if not call.path.startswith(f"{attention}.")]
    others = others if own else [call for call in others if not same(call.x, layer.out)]
    first = next((call for call in others if call.x.shape[-1] == width), None)
    up = [] if first is None else [call for call in others if same(call.x, first.x)]
    down = [call for call in others if call not in up and call.y.shape[-1] == width]
    listened = {"normed": inside[0].module}
    if up:
        listened["mlp"] = up[0].module
    if up and down:
        listened["neurons"] = down[-1].module
    names = [reader for call in _once(readers) for reader in _attention_readers(index, call, weights, merged)]
    names += [_mlp_reader(index, call) for call in _once(up)]
    return Site(index, block, attention, tuple(names)), listened


def _once(calls: list[Call]) -> Iterator[Call]:
    """Each path once."""
    return iter({call.path: call for call in reversed(calls)}.values().__reversed__())


def _mlp_reader(index: int, call: Call) -> Reader:
    last = call.path.rpartition(".")[2]
    hook = f"blocks.{index}.mlp." + ("W_gate" if "gate" in last else "W_in")
    return Reader(f"mlp.{last}", call.path, hook, "mlp", call.module)


def _attention_readers(index: int, call: Call, weights: Tensor, merged: Tensor | None) -> Iterator[Reader]:
    """One reader for a map of its own, three for a fused one whose layout the small pass confirms, else one."""
    last = call.path.rpartition(".")[2].lower()
    prefix = f"blocks.{index}.attn."
    out, heads = call.y.shape[-1], weights.shape[1]
    name = next((name for name, known in NAMES.items() if last in known), None)
    if name is not None:
        width = _head_width(merged, heads)
        split = width is not None and out % width == 0
        rows = torch.arange(out).view(-1, width) if split and width is not None else None
        yield Reader(name, call.path, prefix + HOOKS[name], "normed", call.module, heads=rows)
        return
    layout = None if merged is None else confirmed(call.y, weights, merged)
    if layout is None:
        yield Reader(last, call.path, f"{prefix}{last}", "normed", call.module)
        return
    for name, rows in zip("qkv", layout, strict=True):
        own = torch.arange(rows.numel()).view(rows.shape)
        yield Reader(name, call.path, prefix + HOOKS[name], "normed", call.module, rows.flatten(), own)


def _head_width(merged: Tensor | None, heads: int) -> int | None:
    return None if merged is None or merged.shape[-1] % heads else merged.shape[-1] // heads


def layouts(out: int, heads: int, width: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Where queries, keys and values may lie in a fused projection: rows ``[head, width]`` of each.

    First one after the other, then a query, key and value head in turn, then groups of query heads with their key and
    value head.
    """
    groups, rest = divmod(out // width - heads, 2)
    if out % width or rest or groups < 1 or heads % groups:
        return
    rows = torch.arange(out).view(-1, width)
    yield rows[:heads], rows[heads : heads + groups], rows[heads + groups :]
    grouped = rows.view(groups, heads // groups + 2, width)
    yield grouped[:, :-2].reshape(heads, width), grouped[:, -2], grouped[:, -1]


def confirmed(y: Tensor, weights: Tensor, merged: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """The layout by which the attention weights times the values are what attention returned; None if none is.

    Compared up to a constant, as some models add a bias to the values after the projection.
    y: the fused projection's output ``[batch, time, out]``. merged: ``[batch, time, heads * width]``.
    """
    heads = weights.shape[1]
    width = _head_width(merged, heads)
    if width is None:
        return None
    target = merged.float().unflatten(-1, (heads, width)).transpose(1, 2)
    target = target - target.mean((0, 2), keepdim=True)
    for layout in layouts(y.shape[-1], heads, width):
        values = y.float()[..., layout[2]].transpose(1, 2)
        values = values.repeat_interleave(heads // values.shape[1], 1)
        out = weights.float() @ values
        out = out - out.mean((0, 2), keepdim=True)
        if torch.allclose(out, target, rtol=1e-2, atol=1e-3 * float(target.abs().max())):
            return layout
    return None
