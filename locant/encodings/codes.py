"""Codes: a vector for every position. What is done with the vector is decided elsewhere (``inputs``)."""

from functools import partial

import torch
from torch import Tensor, nn

from locant.encodings.axes import one_axis
from locant.encodings.derived import Derived
from locant.encodings.frequencies import geometric, linear
from locant.encodings.once import once, recording

INITIAL_STD = 0.02  # of learned tables, as in GPT-2 and BERT


def draw_normal(tensor: Tensor, std: float, generator: torch.Generator | None = None) -> None:
    """Fills a parameter from ``N(0, std^2)``, drawn where the generator lives: equal seed, equal values anywhere."""
    device = tensor.device if generator is None else generator.device
    drawn = torch.randn(tensor.shape, generator=generator, device=device, dtype=torch.float32)
    with torch.no_grad():
        tensor.copy_(drawn * std)


class Code(nn.Module):
    """Position to vector: ``[rows, time]`` or ``[time]`` to ``[..., time, width]``, in float32.

    A code of several axes also reads ``[rows, time, axes]`` (``on_axes``); one of one axis refuses it.

    width: length of the vectors.  limit: first position without a vector, or None.
    rms: root mean square of their numbers at the start, which tells by what factor they match a token's.
    """

    width: int
    rms: float
    limit: int | None = None

    def forward(self, positions: Tensor) -> Tensor:
        raise NotImplementedError

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws what is learned anew; nothing to do for a formula."""


def check_positions(positions: Tensor, limit: int) -> None:
    """Raises ValueError if a position lies outside of ``0 .. limit - 1``; inside a compiled graph, RuntimeError.

    While a CUDA graph is recorded no number can be read, and what is recorded fails, when it runs, as the device does.
    """
    if torch.compiler.is_compiling() or recording(positions):
        inside = (positions >= 0).all() & (positions <= limit - 1).all()
        torch._assert_async(inside, f"expected positions in 0 .. {limit - 1}")
    elif positions.numel() and not positions.is_meta:
        smallest, largest = (x.item() for x in torch.aminmax(positions))
        if not smallest >= 0:  # also refuses what is not a number
            raise ValueError(f"expected positions of at least 0, was: {smallest}")
        if largest > limit - 1:
            raise ValueError(f"expected positions below {limit}, the rows of the table, was: {largest}")


def lookup(table: Tensor, positions: Tensor) -> Tensor:
    """Rows of ``table`` at ``positions``; between two whole positions, the straight line between their rows.

    Raises ValueError with the offending position if one lies outside of the table. Nothing is clamped.
    """
    check_positions(one_axis(positions), len(table))
    if not positions.is_floating_point():
        return nn.functional.embedding(positions, table)
    below = positions.floor()
    fraction = (positions - below)[..., None].to(table.dtype)
    lower = nn.functional.embedding(below.long(), table)
    upper = nn.functional.embedding(positions.ceil().long(), table)
    return torch.lerp(lower, upper, fraction)


class Sinusoidal(Code):
    """``p_i = sin(i w_c), cos(i w_c)`` with ``w_c = base ** (-2c / width)``, for ``c = 0 .. width / 2 - 1``.

    layout: ``"interleaved"``: sine and cosine alternate, as in the paper's formula; ``"halves"``: all sines, then all
        cosines, as in the authors' code. The two differ by a permutation of the columns.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5. Differs: nothing.
    Limit: none.  Raises ValueError if the width is odd or the layout unknown.
    """

    def __init__(
        self, width: int, *, base: float = 10_000.0, layout: str = "interleaved", dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"expected an even width for sine and cosine pairs, was: {width}")
        if layout not in ("interleaved", "halves"):
            raise ValueError(f"expected the layout interleaved or halves, was: {layout}")
        self.width = width
        self.rms = 0.5**0.5
        self.layout = layout
        self.frequencies = Derived(partial(geometric, width // 2, base), dtype)

    def forward(self, positions: Tensor) -> Tensor:
        frequencies = self.frequencies()
        return once((self, self.layout), lambda: self._waves(one_axis(positions), frequencies), positions, frequencies)

    def _waves(self, positions: Tensor, frequencies: Tensor) -> Tensor:
        angle = positions[..., None].to(frequencies.dtype) * frequencies
        waves = [angle.sin(), angle.cos()]
        if self.layout == "halves":
            return torch.cat(waves, dim=-1)
        return torch.stack(waves, dim=-1).flatten(-2)


def _check_table(limit: int, width: int, std: float) -> None:
    if limit < 1:
        raise ValueError(f"expected a table of at least 1 position, was: {limit}")
    if width < 1:
        raise ValueError(f"expected a table of at least 1 column, was: {width}")
    if not std >= 0:
        raise ValueError(f"expected a standard deviation of at least 0, was: {std}")


class Learned(Code):
    """``p_i = P[i]``: one free vector per position, drawn from a normal distribution at the start.

    Between whole positions it is the straight line between the two rows.
    Source: Gehring et al. 2017, arXiv:1705.03122, section 3.1. Differs: fractional positions are defined.
    Limit: ``limit``.  Raises ValueError if the table would be empty or ``std`` is negative, and, with the position,
    if one lies outside of the table.
    """

    def __init__(self, limit: int, width: int, *, std: float = INITIAL_STD) -> None:
        super().__init__()
        _check_table(limit, width, std)
        self.width = width
        self.limit = limit
        self.rms = self.std = std
        self.weight = nn.Parameter(torch.empty(limit, width))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        draw_normal(self.weight, self.std, generator)

    def forward(self, positions: Tensor) -> Tensor:
        return lookup(self.weight, positions)


def _normal_table(limit: int, width: int, std: float, seed: int) -> Tensor:
    return torch.randn(limit, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * std


class Random(Code):
    """``p_i ~ N(0, std^2 I)``, drawn once from ``seed`` and never trained: positions without any geometry.

    The control that tells what smoothness (sinusoidal) or training (learned) is worth.
    Limit: ``limit``.  Raises ValueError if the table would be empty or ``std`` is negative, and, with the position,
    if one lies outside of the table.
    """

    def __init__(self, limit: int, width: int, *, std: float = INITIAL_STD, seed: int = 0) -> None:
        super().__init__()
        _check_table(limit, width, std)
        self.width = width
        self.limit = limit
        self.rms = std
        self.vectors = Derived(partial(_normal_table, limit, width, std, seed))

    def forward(self, positions: Tensor) -> Tensor:
        return lookup(self.vectors(), positions)


class Fourier(Code):
    """``p_i = [sin(pi f_k z), cos(pi f_k z), z]`` with ``z = 2 i / (limit - 1) - 1`` and ``f_k`` evenly spaced.

    ``f_k`` runs from 1 to ``limit / 2`` in ``width // 2`` steps; ``z`` itself is the last column if the width is odd.
    Source: Jaegle et al. 2021 (Perceiver), arXiv:2103.03206, section 3.2. Differs: an even width leaves ``z`` out.
    Limit: none; ``limit`` only sets the scale, and positions beyond it have ``z > 1``.
    Raises ValueError if ``limit`` is below 2 or the width below 2.
    """

    def __init__(self, limit: int, width: int) -> None:
        super().__init__()
        if limit < 2:
            raise ValueError(f"expected a scale of at least 2 positions, was: {limit}")
        self.width = width
        self.rms = 0.5**0.5
        self.scale = limit
        self.frequencies = Derived(partial(linear, width // 2, limit / 2))

    def forward(self, positions: Tensor) -> Tensor:
        z = 2.0 * one_axis(positions)[..., None].to(torch.float32) / (self.scale - 1) - 1.0
        angle = torch.pi * z * self.frequencies()
        return torch.cat([angle.sin(), angle.cos()] + [z] * (self.width % 2), dim=-1)


class Binary(Code):
    """``p_i[c] = 2 bit(i, c mod B) - 1``: the ``B`` bits of the position, the lowest first, as -1 and 1.

    ``B`` is the number of bits of ``limit - 1``; a wider vector repeats them. Nearby positions may differ in all bits:
    7 and 8 do. Between two whole positions it is the straight line between their bits.
    Source: folklore.  Limit: ``limit``.
    Raises ValueError if ``limit`` is below 2 or has more bits than the vector columns, and, with the position, if one
    lies outside.
    """

    limit: int

    def __init__(self, limit: int, width: int) -> None:
        super().__init__()
        if limit < 2:
            raise ValueError(f"expected at least 2 positions, was: {limit}")
        self.bits = (limit - 1).bit_length()
        if width < self.bits:
            raise ValueError(f"expected at least {self.bits} columns for {limit} positions, was: {width}")
        self.width = width
        self.limit = limit
        self.rms = 1.0

    def _signs(self, whole: Tensor) -> Tensor:
        bit = torch.arange(self.width, device=whole.device) % self.bits
        return (2 * (whole[..., None].long() >> bit & 1) - 1).to(torch.float32)

    def forward(self, positions: Tensor) -> Tensor:
        check_positions(one_axis(positions), self.limit)
        if not positions.is_floating_point():
            return self._signs(positions)
        below = positions.floor()
        fraction = (positions - below)[..., None].to(torch.float32)
        return torch.lerp(self._signs(below), self._signs(positions.ceil()), fraction)
