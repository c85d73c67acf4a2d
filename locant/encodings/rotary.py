"""Rotations of queries and keys: the score sees position through the angle between them."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from locant.encodings import rotary_fast
from locant.encodings.axes import on_axes, one_axis
from locant.encodings.base import PositionalEncoding
from locant.encodings.derived import Derived
from locant.encodings.frequencies import constant, geometric
from locant.encodings.native import library
from locant.encodings.native.functions import Table
from locant.encodings.once import eager, once

LAYOUTS = ("half", "interleaved")
SIDES = ("first", "last")


def rotate(x: Tensor, angle: Tensor, *, layout: str, side: str = "first", scale: Tensor | float = 1.0) -> Tensor:
    """Rotates ``2 * pair`` columns of ``x`` ``[..., time, width]`` by ``angle`` ``[..., time, pair]``.

    layout: ``"half"`` pairs column ``c`` with ``c + pair``; ``"interleaved"`` pairs ``2c`` with ``2c + 1``.
    side: whether the ``"first"`` or the ``"last"`` columns are rotated; the others stay as they are.
    scale: what the rotated columns are multiplied with; a number or ``[..., time, pair]``.
    Computed in the angle's precision and cast once, at the end.
    """
    cos, sin = waves(angle, scale)
    return turn(x, cos, sin, layout=layout, side=side)


def waves(angle: Tensor, scale: Tensor | float = 1.0) -> tuple[Tensor, Tensor]:
    """``scale cos(angle)`` and ``scale sin(angle)``."""
    cos, sin = angle.cos(), angle.sin()
    if isinstance(scale, Tensor) or scale != 1.0:
        return cos * scale, sin * scale
    return cos, sin


def turn(x: Tensor, cos: Tensor, sin: Tensor, *, layout: str, side: str = "first",
         factors: tuple[Tensor, ...] = ()) -> Tensor:  # fmt: skip
    """``rotate`` with the cosines and sines ``[..., time, pair]`` given, whatever curves they are.

    factors: what ``rotary_fast.ready`` makes of them, if it is at hand.
    """
    columns = 2 * cos.shape[-1]
    if columns == x.shape[-1]:
        return _turned(x, cos, sin, factors, layout)
    start = 0 if side == "first" else x.shape[-1] - columns
    some = _turned(x[..., start : start + columns], cos, sin, factors, layout)
    return torch.cat([x[..., :start], some, x[..., start + columns :]], dim=-1)


def _turned(x: Tensor, cos: Tensor, sin: Tensor, factors: tuple[Tensor, ...], layout: str) -> Tensor:
    quickly = rotary_fast.turned(x, cos, sin, factors, layout) if eager() else None
    return turn_plainly(x, cos, sin, layout=layout) if quickly is None else quickly


def turn_plainly(x: Tensor, cos: Tensor, sin: Tensor, *, layout: str) -> Tensor:
    """``turn`` of all columns as the formula has it: the reference, and what is compiled and exported."""
    first, second = split(x.to(cos.dtype), layout)
    return joined(first * cos - second * sin, second * cos + first * sin, layout).to(x.dtype)


def split(x: Tensor, layout: str) -> tuple[Tensor, Tensor]:
    """First and second column of every pair."""
    if layout == "half":
        first, second = x.chunk(2, dim=-1)
        return first, second
    return x[..., 0::2], x[..., 1::2]


def joined(first: Tensor, second: Tensor, layout: str) -> Tensor:
    """The columns that ``split`` took apart."""
    if layout == "half":
        return torch.cat([first, second], dim=-1)
    return torch.stack([first, second], dim=-1).flatten(-2)


def angles(positions: Tensor, frequencies: Tensor) -> Tensor:
    """``position * frequency`` summed over axes: ``[rows, time]`` or ``[rows, time, axes]`` to ``[rows, time, pair]``.

    frequencies: ``[pair]``, or ``[..., axes, pair]`` for positions with several coordinates; positions without axes
    then stand for the same number on each of them. Leading axes of the frequencies (heads) come before time.
    Raises ValueError if positions have axes and the frequencies have not, or the numbers of axes differ.
    """
    if frequencies.ndim == 1:
        return one_axis(positions)[..., None].to(frequencies.dtype) * frequencies
    positions = on_axes(positions, frequencies.shape[-2])
    if frequencies.ndim > 2:
        positions, frequencies = positions.unsqueeze(-3), frequencies.unsqueeze(-3)
    # Not a matrix product, which autocast would take to bfloat16.
    return (positions[..., None].to(frequencies.dtype) * frequencies).sum(-2)


def rotated_columns(head_width: int, fraction: float) -> int:
    """``fraction`` of the head, cut to a whole number. Raises ValueError unless that is positive and even."""
    if not 0 < fraction <= 1:
        raise ValueError(f"expected a fraction of the head in (0, 1], was: {fraction}")
    columns = int(head_width * fraction + 1e-9)  # a hair against 0.29 * 100 = 28.999...
    if columns < 2 or columns % 2:
        raise ValueError(f"expected a positive even number of rotated columns, was: {columns}")
    return columns


def speeds(head_width: int, base: float | None, fraction: float | None, frequencies: Tensor | None,
           dtype: torch.dtype) -> Derived:  # fmt: skip
    """The table of frequencies of a rotation: those given, or geometric ones. Raises ValueError as ``Rotary`` does."""
    if frequencies is None:
        columns = rotated_columns(head_width, 1.0 if fraction is None else fraction)
        return Derived(partial(geometric, columns // 2, 10_000.0 if base is None else base), dtype)
    if base is not None or fraction is not None:
        raise ValueError(f"expected frequencies alone, was: also base {base}, fraction {fraction}")
    if not 2 <= 2 * frequencies.shape[-1] <= head_width:
        raise ValueError(f"expected 1 to {head_width // 2} frequencies, was: {frequencies.shape[-1]}")
    return Derived(constant(frequencies), dtype)


def planes_of(layout: str, pairs: int, side: str = "first") -> frozenset[str]:
    """A name for the columns that are rotated together. Neighbours are neighbours however many pairs there are."""
    return frozenset({layout if layout == "interleaved" else f"{layout} of the {side} {2 * pairs}"})


def check_words(layout: str, side: str) -> None:
    """Raises ValueError for a layout or side that there is not."""
    if layout not in LAYOUTS:
        raise ValueError(f"expected the layout half or interleaved, was: {layout}")
    if side not in SIDES:
        raise ValueError(f"expected the side first or last, was: {side}")


class Rotary(PositionalEncoding):
    """``q_i <- R(i) q_i`` and ``k_j <- R(j) k_j``, so that the score depends on ``j - i`` alone.

    ``R(i)`` rotates the c-th pair of columns by ``i * base ** (-2c / r)``, where ``r`` is the number of columns that
    are rotated: ``fraction`` of the head.

    base: 10 000 unless given.  fraction: 1 unless given.
    frequencies: other ones in place of those of ``base`` and ``fraction``, in radians per position: ``[pairs]``, or
        ``[axes, pairs]`` for positions ``[rows, time, axes]`` (see ``frequencies`` and ``scaling``).
    attention_factor: what the rotated columns of queries and keys are multiplied with (YaRN, LongRoPE).
    layout: ``"half"`` (GPT-NeoX, Llama in Hugging Face) or ``"interleaved"`` (the paper, GPT-J); weights trained with
        one need the columns of their query and key projections permuted for the other (see ``layouts``).
    side: ``"first"`` or ``"last"``, the columns of the head that are rotated if not all are.
    Source: Su et al. 2021, arXiv:2104.09864, equations 15 and 34. Differs: nothing with ``"interleaved"``.
    Limit: none.  Shift-invariant: yes.
    Raises ValueError if the rotated columns are not a positive even number within the head, frequencies come with a
    base or fraction, or a word is unknown; and for positions with other axes than the frequencies.
    """

    def __init__(
        self,
        head_width: int,
        *,
        base: float | None = None,
        fraction: float | None = None,
        layout: str = "half",
        side: str = "first",
        frequencies: Tensor | None = None,
        attention_factor: float = 1.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        check_words(layout, side)
        self.layout, self.side, self.attention_factor = layout, side, attention_factor
        self.frequencies = speeds(head_width, base, fraction, frequencies, dtype)
        given = rotated_columns(head_width, 1.0 if fraction is None else fraction) // 2
        self.planes = planes_of(layout, given if frequencies is None else frequencies.shape[-1], side)

    def qk(self, q: Tensor, k: Tensor, q_positions: Tensor, k_positions: Tensor) -> tuple[Tensor, Tensor]:
        there = self._waves(q_positions)
        if k_positions is not q_positions:
            return self._turn(q, there), self._turn(k, self._waves(k_positions))
        found = rotary_fast.small(q, k, there.factors) if there.table is None else there.table.both(q, k)
        if found is None:
            return self._turn(q, there), self._turn(k, there)
        first, second = found
        return first, second

    def _waves(self, positions: Tensor) -> "Waves":
        # Not as an attribute, which a module looks for in three places: a tenth of the time of one token.
        frequencies: Tensor = self._modules["frequencies"].table  # type: ignore[union-attr, assignment]
        slow = library() is None

        def made() -> Waves:
            cos, sin = waves(angles(positions, frequencies).unsqueeze(-3), self.attention_factor)
            if not slow:
                return Waves(cos, sin, (), Table(cos, sin, self.layout))
            return Waves(cos, sin, rotary_fast.ready(cos, sin, self.layout) if eager() else (), None)

        return once((self, self.attention_factor, self.layout, slow), made, positions, frequencies)

    def _turn(self, x: Tensor, there: "Waves") -> Tensor:
        return turn(x, there.cos, there.sin, layout=self.layout, side=self.side, factors=there.factors)


class Waves(NamedTuple):
    """Cosines and sines of some positions, with what is faster than them: PyTorch's factors, or a compiled table."""

    cos: Tensor
    sin: Tensor
    factors: tuple[Tensor, ...]
    table: Table | None
