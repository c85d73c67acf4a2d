"""A pre-norm decoder that takes any encoding, with no branch on which one it is."""

import hashlib
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings import Layout, Pairs, PositionalEncoding, build, contiguous
from locant.encodings.codes import Code, draw_normal
from locant.encodings.derived import Derived
from locant.encodings.once import Memo, eager, once
from locant.model.attend import BACKENDS, Attend, Visibility, visibility
from locant.model.attended import attended
from locant.model.blocks import blocks
from locant.model.cache import Cache
from locant.model.columns import Beside, columns, foreseeable

ATTENTION: dict[str, Attend] = {"blocks": blocks, **BACKENDS}


class Reading(nn.Module):
    """``W_x x + W_z z``: a projection of the stream and, if there are any, of read-only position columns.

    x: ``[batch, time, width]``. z: ``[rows, time, columns]`` or None; with one row its product is computed once and
    shared by the batch.
    """

    def __init__(self, width: int, columns: int, out: int) -> None:
        super().__init__()
        self.fan_in = width + columns
        self.weight = nn.Parameter(torch.empty(out, width))
        self.beside = nn.Parameter(torch.empty(out, columns)) if columns else None

    def forward(self, x: Tensor, z: Tensor | None, known: Tensor | None = None) -> Tensor:
        """known: ``W_z z`` as ``[out]``, if it was computed before."""
        if z is None or self.beside is None or known is not None:
            return F.linear(x, self.weight, known)
        shared = F.linear(z, self.beside)
        # In place, as nothing else has seen the product yet: a second tensor of that size costs more than the sum.
        if not eager() or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return F.linear(x, self.weight).add_(shared)
        # Spread over the batch first, the product comes on top of it: one pass less.
        # Not in a view of what was spread, whose gradient would be copied.
        out = shared.expand(*x.shape[:-1], -1).reshape(-1, shared.shape[-1]).contiguous()
        return out.addmm_(x.flatten(0, -2), self.weight.mT).view(*x.shape[:-1], -1)


class Attention(nn.Module):
    """Multi-head self-attention. The order is fixed here: project, position, cache, attend, project."""

    def __init__(self, width: int, heads: int, encoding: PositionalEncoding, index: int, attend: Attend) -> None:
        super().__init__()
        self.heads, self.index, self.attend = heads, index, attend
        self.project = Reading(width, encoding.beside_width, 3 * width)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, z: Tensor | None, here: Layout, keys: Layout, encoding: PositionalEncoding,
                see: Visibility, cache: Cache | None, known: Tensor | None = None) -> Tensor:  # fmt: skip
        batch, time, width = x.shape
        q, k, v = self.project(x, z, known).view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scale = q.shape[-1] ** -0.5
        content = q
        q, k = encoding.qk(q, k, here.positions, here.positions)
        v = encoding.values(v, here.positions)
        q_notes = k_notes = encoding.notes(x, here.positions)
        if cache is not None:
            k, v, k_notes = cache.append(self.index, k, v, k_notes)
        pairs = Pairs(q, k, here.positions, keys.positions, see.mask_mod, q_notes, k_notes, scale, content)
        out = attended(encoding, self.attend, pairs, v, see)
        merged: Tensor = self.out(out.transpose(1, 2).reshape(batch, time, width))
        return merged


class Block(nn.Module):
    """``x + attention(norm x)``, then ``x + mlp(norm x)``. Columns beside the stream are read, never written."""

    def __init__(self, width: int, heads: int, hidden: int, encoding: PositionalEncoding, index: int,
                 attend: Attend) -> None:  # fmt: skip
        super().__init__()
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.attention = Attention(width, heads, encoding, index, attend)
        self.mlp_norm = nn.LayerNorm(width, bias=False)
        self.up = Reading(width, encoding.beside_width, hidden)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, beside: Beside, here: Layout, keys: Layout, encoding: PositionalEncoding,
                see: Visibility, cache: Cache | None) -> Tensor:  # fmt: skip
        x = encoding.enter(x, here.positions)
        z = beside.columns
        x = x + self.attention(self.attention_norm(x), z, here, keys, encoding, see, cache, beside.attention)
        down: Tensor = self.down(F.gelu(self.up(self.mlp_norm(x), z, beside.mlp)))
        return x + down

    def beside(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """``W_z z`` of both projections."""
        attention, mlp = self.attention.project.beside, self.up.beside
        assert attention is not None
        assert mlp is not None
        return F.linear(z, attention), F.linear(z, mlp)


class Decoder(nn.Module):
    """Token embedding, ``layers`` blocks, and a head that is tied to the embedding and reads token columns only.

    width: of the residual stream, the ``extra_width`` columns that the encoding appends included.
    hidden: width of the MLPs; 4 times the width unless given.
    attention: ``"auto"`` takes ``dense`` if a layer's scores are not additive or a layer reads the weights; else
        ``blocks`` if a layer's scores follow from positions or are left alone, and ``sdpa`` if not; or one by name.
    Raises ValueError if widths do not divide, the columns do not fit, or the attention cannot serve the encoding.
    """

    def __init__(self, encoding: PositionalEncoding, *, width: int, heads: int, layers: int, vocabulary: int,
                 hidden: int | None = None, attention: str = "auto") -> None:  # fmt: skip
        super().__init__()
        if width % heads:
            raise ValueError(f"expected a width divisible by the {heads} heads, was: {width}")
        if encoding.extra_width >= width:
            raise ValueError(f"expected fewer position columns than the width {width}, was: {encoding.extra_width}")
        self.encoding, self.width = encoding, width
        self.token_width = width - encoding.extra_width
        # Resolved once, and kept out of the module tree: these are views of the modules in `encoding`.
        self.schedule = tuple(encoding.layer(index) for index in range(layers))
        self.attention = choose(attention, self.schedule)
        self.reads_beside = any(each.beside_width for each in self.schedule)
        self.tokens = nn.Embedding(vocabulary, self.token_width)
        attend, hidden = ATTENTION[self.attention], 4 * width if hidden is None else hidden
        made = (Block(width, heads, hidden, each, index, attend) for index, each in enumerate(self.schedule))
        self.blocks = cast(Sequence[Block], nn.ModuleList(made))
        self.norm = nn.LayerNorm(self.token_width, bias=False)
        self.memo = Memo()  # of what follows from positions alone, for the next layer and the next step
        self.reset_parameters(0)

    def reset_parameters(self, seed: int) -> None:
        """Draws every parameter from a generator of its own, seeded by ``seed`` and the parameter's name.

        Models of equal seed therefore share the values of all parameters that agree in name and shape, whatever else
        they have. Normal with mean 0: token vectors with standard deviation ``width ** -0.5``; projections with
        ``fan_in ** -0.5``, where the columns beside the stream count as input, and those that write to the stream
        divided by ``sqrt(2 layers)``. Gains are 1, offsets 0; encodings start as their documentation says.
        """
        ours = [(n, m) for n, m in self.encoding.named_modules(prefix="encoding")
                if isinstance(m, PositionalEncoding | Code | Derived)]  # fmt: skip
        drawn_there = {parameter for _, module in ours for parameter in module.parameters(recurse=False)}
        for name, parameter in self.named_parameters():
            if parameter in drawn_there:
                continue
            if parameter.ndim < 2:
                nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)
            else:
                draw_normal(parameter, self._start(name), _generator(seed, name))
        # Outer modules last: an encoding may start a torch module inside of it as it likes.
        for name, module in reversed(ours):
            module.reset_parameters(_generator(seed, name))

    def _start(self, name: str) -> float:
        """The standard deviation that a matrix starts with."""
        if name == "tokens.weight":
            return float(self.width**-0.5)
        module = self.get_submodule(name.rpartition(".")[0])
        fan_in = module.fan_in if isinstance(module, Reading) else self.get_parameter(name).shape[1]
        writes = name.endswith(("attention.out.weight", "down.weight"))
        return float(fan_in) ** -0.5 / ((2 * len(self.blocks)) ** 0.5 if writes else 1.0)

    def forward(self, tokens: Tensor, layout: Layout | None = None, cache: Cache | None = None) -> Tensor:
        """Logits ``[batch, time, vocabulary]`` of ``tokens`` ``[batch, time]``.

        layout: where the tokens are; unless given, one document per row from position 0, or from the end of the cache.
        cache: what was read before; ``tokens`` and ``layout`` are then the new ones only, and the cache grows.
        Raises ValueError where a position lies beyond the encoding's limit.
        """
        if not eager():
            return self._logits(tokens, layout, cache)
        with self.memo.open():
            return self._logits(tokens, layout, cache)

    def _logits(self, tokens: Tensor, layout: Layout | None, cache: Cache | None) -> Tensor:
        here = layout if layout is not None else self._next(tokens, cache)
        keys = here if cache is None else cache.extend(here)
        see = visibility(tokens.shape[1], keys.positions.shape[1], here.documents, keys.documents, tokens.device)
        x = self.encoding.look_up(self.tokens.weight, tokens, here.positions)
        besides = self._besides(here.positions, x.dtype, cache)
        for block, encoding, beside in zip(self.blocks, self.schedule, besides, strict=True):
            x = block(x, beside, here, keys, encoding, see, cache)
        return F.linear(self.norm(x[..., : self.token_width]), self.tokens.weight)

    def _besides(self, positions: Tensor, dtype: torch.dtype, cache: Cache | None) -> list[Beside]:
        """What each layer reads beside the stream; in decoding, its projections are there before the token is."""

        def look(where: Tensor) -> list[Beside]:
            return columns(self.schedule, where, dtype)

        def project(layer: int, z: Tensor) -> tuple[Tensor, Tensor]:
            return self.blocks[layer].beside(z)

        if cache is None or not self.reads_beside or not foreseeable(positions):
            return look(positions)
        with torch.no_grad():
            return cache.ahead.at(positions, self.encoding.limit, look, project)

    def _next(self, tokens: Tensor, cache: Cache | None) -> Layout:
        if cache is not None and (cache.documents is not None or (cache.positions.store is not None
                                  and cache.positions.store.shape[0] > 1)):  # fmt: skip
            raise ValueError("expected a layout, as the cache was filled with one, was: none")
        time, start, device = tokens.shape[1], 0 if cache is None else len(cache), tokens.device
        positions = once((time, start, device), lambda: contiguous(time, start=start, device=device).positions)
        return Layout(positions)

    def cache(self) -> Cache:
        """An empty cache for this model."""
        return Cache(len(self.blocks))


def choose(attention: str, schedule: tuple[PositionalEncoding, ...]) -> str:
    """The name of the attention to use. Raises ValueError if it is unknown or would be wrong for an encoding."""
    additive = all(encoding.additive for encoding in schedule)
    reads = any(encoding.reads_weights for encoding in schedule)
    if attention == "auto":
        if reads or not additive:
            return "dense"
        suits = [each.by_distance or each.by_position or not each.defines("score_mod") for each in schedule]
        return "blocks" if any(suits) else "sdpa"
    if attention not in ATTENTION:
        raise ValueError(f"expected the attention auto, {', '.join(ATTENTION)}, was: {attention}")
    if attention in ("blocks", "sdpa") and not additive:
        raise ValueError(
            f"expected the attention dense or flex for scores that are not only added to, was: {attention}"
        )
    if reads and attention != "dense":
        raise ValueError(f"expected the attention dense for an encoding that reads the weights, was: {attention}")
    return attention


def decoder(
    encoding: str | PositionalEncoding,
    width: int,
    heads: int,
    layers: int,
    length: int,
    vocabulary: int,
    *,
    hidden: int | None = None,
    attention: str = "auto",
    seed: int = 0,
) -> Decoder:
    """A decoder with the encoding that an expression names, or with one of your own.

    width: of the residual stream; ``concat`` takes its columns from it, ``beside`` has its columns on top.
    length: that it will be trained on, the number of rows of a learned table.
    seed: of the initial parameters; the global random state is neither used nor changed.
    Raises ValueError as ``locant.encodings.build`` and ``Decoder`` do.
    """
    with torch.random.fork_rng(devices=[]):  # torch's own modules draw from the global state when they are made
        if isinstance(encoding, str):
            encoding = build(encoding, width=width, heads=heads, layers=layers, length=length)
        model = Decoder(
            encoding, width=width, heads=heads, layers=layers, vocabulary=vocabulary, hidden=hidden, attention=attention
        )
    model.reset_parameters(seed)
    return model


def _generator(seed: int, name: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
