"""Looks into one of our decoders: its layers, what reads them, and their states and attention logits in a pass."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor

from locant.encodings import Layout, Pairs
from locant.encodings.base import ScoreMod
from locant.model import Decoder
from locant.model.attend import Read, Visibility, grids
from locant.xray.site import Deliver, Reader, Site


def sites(model: Decoder) -> tuple[Site, ...]:
    """One site for each block. The projection's weight holds queries, keys and values one after the other."""
    return tuple(_site(index, block) for index, block in enumerate(model.blocks))


def _site(index: int, block: Any) -> Site:
    attention = block.attention
    width = attention.project.weight.shape[1]
    rows = torch.arange(width)
    heads = rows.view(attention.heads, -1)
    readers = [
        Reader(name, f"blocks.{index}.attention.project", f"blocks.{index}.attn.W_{name.upper()}", "normed",
               attention.project, rows + number * width, heads)
        for number, name in enumerate("qkv")
    ]  # fmt: skip
    readers.append(Reader("mlp.up", f"blocks.{index}.up", f"blocks.{index}.mlp.W_in", "mlp", block.up))
    return Site(index, f"blocks.{index}", f"blocks.{index}.attention", tuple(readers))


def position_columns(model: Decoder) -> dict[str, slice]:
    """The columns that hold position by design: those that ``concat`` appends, or that stand beside the stream."""
    extra, beside, width = model.encoding.extra_width, model.encoding.beside_width, model.width
    if beside:
        return {"normed": slice(width, width + beside), "mlp": slice(width, width + beside)}
    return {name: slice(width - extra, width) for name in ("raw", "normed", "mlp")} if extra else {}


def forward(model: Decoder, tokens: Tensor, positions: Tensor | None, capture: frozenset[str],
            deliver: Deliver) -> Tensor:  # fmt: skip
    """The last hidden states; delivers the captures. What modules read has the columns beside the stream at its end."""
    device = model.tokens.weight.device
    here = torch.arange(tokens.shape[1]) if positions is None else positions
    last: list[Tensor] = []
    with ExitStack() as stack:
        handle = model.blocks[-1].register_forward_hook(lambda module, args, out: last.append(out))
        stack.callback(handle.remove)
        for index, block in enumerate(model.blocks):
            stack.enter_context(_listening(block, index, capture, deliver))
        model(tokens.to(device), Layout(here.to(device)[None]))
    if "raw" in capture:
        deliver("raw", len(model.blocks), last[0].detach())
    return last[0].detach()


@contextmanager
def _listening(block: Any, index: int, capture: frozenset[str], deliver: Deliver) -> Iterator[None]:
    def before(name: str, take: Any) -> Any:
        return lambda module, args: deliver(name, index, take(args).detach())

    places = {
        "raw": (block, lambda args: args[0]),
        "normed": (block.attention, lambda args: _joined(args[0], args[1])),
        "mlp": (block.up, lambda args: _joined(args[0], args[1])),
        "neurons": (block.down, lambda args: args[0]),
    }
    attend = block.attention.attend

    def tell(pairs: Pairs, v: Tensor, see: Visibility, mod: ScoreMod | None, read: Read | None = None) -> Tensor:
        deliver("logits", index, scores(pairs, see, mod).detach())
        out: Tensor = attend(pairs, v, see, mod, read)
        return out

    handles = [module.register_forward_pre_hook(before(name, take))
               for name, (module, take) in places.items() if name in capture]  # fmt: skip
    if "logits" in capture:
        block.attention.attend = tell
    try:
        yield
    finally:
        block.attention.attend = attend
        for handle in handles:
            handle.remove()


def _joined(x: Tensor, z: Tensor | None) -> Tensor:
    return x if z is None else torch.cat([x, z.expand(x.shape[0], -1, -1)], -1)


def scores(pairs: Pairs, see: Visibility, mod: ScoreMod | None) -> Tensor:
    """The logits that ``locant.model.attend.dense`` takes the softmax of: ``[batch, head, query, key]``, in float32."""
    logits = (pairs.q @ pairs.k.transpose(-1, -2)).to(torch.promote_types(pairs.q.dtype, torch.float32)) * pairs.scale
    b, h, i, j = grids(pairs.q.shape[0], pairs.q.shape[1], pairs.q.shape[2], pairs.k.shape[2], pairs.q.device)
    if mod is not None:
        logits = mod(logits, b, h, i, j)
    hidden = ~see.mask if see.mask is not None else (j > i) & torch.tensor(see.causal, device=pairs.q.device)
    return logits.masked_fill(hidden, -torch.inf)
