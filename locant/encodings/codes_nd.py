"""Codes of positions on several axes: the row and column of an image's patch, and its frame."""

from collections.abc import Sequence
from itertools import product
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from locant.encodings.axes import on_axes
from locant.encodings.codes import INITIAL_STD, Code, check_positions, draw_normal


class Axial(Code):
    """``p_i = [a(i_1) ; b(i_2) ; ...]``: one code per axis, side by side; or their sum.

    combine: ``"concat"``, or ``"sum"`` of codes of one width.
    Positions ``[rows, time, axes]``, or ``[rows, time]`` that count on every axis.
    Source: Kitaev et al. 2020 (Reformer), arXiv:2001.04451, section 4 (side by side); Ho et al. 2019, arXiv:1912.12180
    (sum). With sinusoidal codes: the two-dimensional encoding of vision transformers. Differs: any codes.
    Limit: the smallest of its codes'.
    Raises ValueError if there are no codes, widths do not fit the sum, or ``combine`` is unknown.
    """

    def __init__(self, *codes: Code, combine: str = "concat") -> None:
        super().__init__()
        if combine not in ("concat", "sum"):
            raise ValueError(f"expected to combine by concat or sum, was: {combine}")
        widths = [code.width for code in codes]
        if not codes or (combine == "sum" and len(set(widths)) > 1):
            wanted = "at least one code" if not codes else "codes of one width for a sum"
            raise ValueError(f"expected {wanted}, was: {widths}")
        self.codes = cast(Sequence[Code], nn.ModuleList(codes))
        self.combine = combine
        self.width = sum(widths) if combine == "concat" else widths[0]
        self.rms = (sum(code.width * code.rms**2 for code in codes) / self.width) ** 0.5
        limits = [code.limit for code in codes if code.limit is not None]
        self.limit = min(limits) if limits else None

    def forward(self, positions: Tensor) -> Tensor:
        positions = on_axes(positions, len(self.codes))
        parts = [code(positions[..., axis]) for axis, code in enumerate(self.codes)]
        return torch.cat(parts, dim=-1) if self.combine == "concat" else torch.stack(parts).sum(0)


class LearnedGrid(Code):
    """``p_i = P[i_1, i_2, ...]``: one free vector per cell of a grid; between cells linear along every axis.

    Positions ``[rows, time, axes]``, or ``[rows, time]`` that count on every axis.
    Source: the position embedding of Dosovitskiy et al. 2020 (ViT), arXiv:2010.11929, section 3.1 and its resampling in
    section 3.2. Differs: any number of axes; fractional positions are defined.
    Limit: the smallest of ``sizes``.  Raises ValueError if the grid would be empty or ``std`` is negative, and, with
    the position, if one lies outside of the grid.
    """

    def __init__(self, sizes: Sequence[int], width: int, *, std: float = INITIAL_STD) -> None:
        super().__init__()
        if not sizes or min(*sizes, width) < 1:
            raise ValueError(f"expected a grid of at least 1 position an axis and 1 column, was: {[*sizes, width]}")
        if not std >= 0:
            raise ValueError(f"expected a standard deviation of at least 0, was: {std}")
        self.sizes = tuple(sizes)
        self.width = width
        self.limit = min(sizes)
        self.rms = self.std = std
        self.weight = nn.Parameter(torch.empty(*sizes, width))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, self.std, generator)

    def _cells(self, whole: Tensor) -> Tensor:
        cell = torch.zeros_like(whole[..., 0], dtype=torch.long)
        for axis, size in enumerate(self.sizes):
            cell = cell * size + whole[..., axis].long()
        return F.embedding(cell, self.weight.flatten(0, -2))

    def forward(self, positions: Tensor) -> Tensor:
        positions = on_axes(positions, len(self.sizes))
        for axis, size in enumerate(self.sizes):
            check_positions(positions[..., axis], size)
        if not positions.is_floating_point():
            return self._cells(positions)
        ends = torch.stack([positions.floor(), positions.ceil()])
        share = positions - ends[0]
        shares = torch.stack([1 - share, share])
        vectors = torch.zeros((), dtype=self.weight.dtype, device=positions.device)
        for corner in product((0, 1), repeat=len(self.sizes)):
            whole = torch.stack([ends[end][..., axis] for axis, end in enumerate(corner)], dim=-1)
            weight = torch.stack([shares[end][..., axis] for axis, end in enumerate(corner)]).prod(0)
            vectors = vectors + self._cells(whole) * weight[..., None].to(self.weight.dtype)
        return vectors

    @torch.no_grad()
    def resample(self, sizes: Sequence[int]) -> "LearnedGrid":
        """A grid of other sizes over the same area, by bicubic interpolation axis after axis, smoothed when shrinking.

        Cell ``i`` of ``n`` covers ``[i / n, (i + 1) / n]`` of its axis, so that an image at another resolution finds
        the vectors of the same places. The cubic is that of Keys 1981 with -0.5, as in image libraries.
        Raises ValueError if the number of axes changes.
        """
        if len(sizes) != len(self.sizes):
            raise ValueError(f"expected {len(self.sizes)} sizes, one an axis, was: {list(sizes)}")
        table: Tensor = self.weight
        precise = torch.promote_types(table.dtype, torch.float32)
        for axis, size in enumerate(sizes):
            columns = table.movedim(axis, -1)
            # Along the last dimension: an image of width 1 is resized wrongly along its height in torch 2.13.
            flat = columns.reshape(1, -1, 1, columns.shape[-1]).to(precise)
            if size != columns.shape[-1]:
                flat = F.interpolate(flat, size=(1, size), mode="bicubic", align_corners=False, antialias=True)
            table = flat.reshape(*columns.shape[:-1], size).movedim(-1, axis)
        made = LearnedGrid(sizes, self.width, std=self.std).to(device=table.device, dtype=self.weight.dtype)
        made.weight.copy_(table)
        return made


# E[gelu(h)^2] for h of variance 1/2, which the first layer below has: it makes the output's variance 1.
SQUARED_GELU = 0.18956


class LearnableFourier(Code):
    """``p_i = W_2 gelu(W_1 [cos(W i) ; sin(W i)] / sqrt(features) + b_1) + b_2`` with learned frequencies ``W``.

    ``W [features / 2, axes]`` starts from ``N(0, 1 / gamma^2)``, so that the features of two positions at first
    resemble one another up to a distance of about ``gamma``.
    Positions ``[rows, time, axes]``, or ``[rows, time]`` that count on every axis. Angles are float32 whatever the
    module was moved to (float64 in float64).
    Source: Li et al. 2021, arXiv:2106.02795, equation 2 and algorithm 1, with one group. Differs: ``W_1`` and ``W_2``
    start such that the numbers of ``p_i`` have variance 1. Implementations that start ``W`` with the *standard
    deviation* ``gamma^-2`` have other frequencies for every ``gamma`` but 1.
    Limit: none.
    Raises ValueError if ``features`` is not a positive even number, or ``axes``, ``hidden`` or ``gamma`` not positive.
    """

    def __init__(self, width: int, *, axes: int = 1, features: int = 64, hidden: int = 32, gamma: float = 10.0) -> None:
        super().__init__()
        if features < 2 or features % 2:
            raise ValueError(f"expected a positive even number of features, was: {features}")
        if min(axes, hidden, width) < 1 or not gamma > 0:
            wanted = "expected axes, hidden, width and gamma above 0"
            raise ValueError(f"{wanted}, was: {axes}, {hidden}, {width} and {gamma}")
        self.axes, self.gamma, self.width = axes, gamma, width
        self.rms = 1.0
        self.frequencies = nn.Parameter(torch.empty(features // 2, axes))
        self.up = nn.Parameter(torch.empty(hidden, features))
        self.up_bias = nn.Parameter(torch.empty(hidden))
        self.down = nn.Parameter(torch.empty(width, hidden))
        self.down_bias = nn.Parameter(torch.empty(width))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.frequencies, 1 / self.gamma, generator)
        draw_normal(self.up, 1.0, generator)  # the features have the length sqrt(1/2) together
        draw_normal(self.down, (len(self.up) * SQUARED_GELU) ** -0.5, generator)
        nn.init.zeros_(self.up_bias)
        nn.init.zeros_(self.down_bias)

    def forward(self, positions: Tensor) -> Tensor:
        precise = torch.promote_types(self.frequencies.dtype, torch.float32)
        where = on_axes(positions, self.axes).to(precise)
        # Not a matrix product, which autocast would round to bfloat16 together with the positions.
        angle = (where[..., None, :] * self.frequencies.to(precise)).sum(-1)
        features = torch.cat([angle.cos(), angle.sin()], dim=-1) * self.up.shape[1] ** -0.5
        hidden = F.gelu(F.linear(features, self.up.to(precise), self.up_bias.to(precise)))
        return F.linear(hidden, self.down.to(hidden.dtype), self.down_bias.to(hidden.dtype))
