"""Angular frequencies, in radians per position: what sinusoidal codes and rotations have in common.

Every function returns float64 numbers on the CPU, also while a model is built on the meta device. Frequencies of
rotations are a vector ``[pairs]``, or a table ``[axes, pairs]`` for positions that have several coordinates.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor


def geometric(pairs: int, base: float = 10_000.0) -> Tensor:
    """``base ** (-c / pairs)`` for ``c = 0 .. pairs - 1``, as float64 ``[pairs]``.

    With ``pairs = width / 2`` this is ``1 / 10000 ** (2c / width)``.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5; Su et al. 2021, arXiv:2104.09864, equation 15.
    Raises ValueError if there is no pair or the base is not above 1.
    """
    if pairs < 1:
        raise ValueError(f"expected at least 1 pair of columns, was: {pairs}")
    if not base > 1:
        raise ValueError(f"expected a base above 1, was: {base}")
    return torch.tensor([base ** (-c / pairs) for c in range(pairs)], dtype=torch.float64, device="cpu")


def linear(bands: int, fastest: float) -> Tensor:
    """``bands`` frequencies evenly spaced from 1 to ``fastest``, as float64 ``[bands]``.

    Source: Jaegle et al. 2021 (Perceiver), arXiv:2103.03206, section 3.2, with ``fastest`` half the resolution.
    Raises ValueError if there is no band.
    """
    if bands < 1:
        raise ValueError(f"expected at least 1 band, was: {bands}")
    return torch.linspace(1.0, max(fastest, 1.0), bands, dtype=torch.float64)


def partly_zero(pairs: int, fraction: float, base: float = 10_000.0) -> Tensor:
    """``base ** (-c / pairs)`` for the first ``fraction`` of the pairs and 0 for the rest, as float64 ``[pairs]``.

    The exponents are those of the whole head: the slowest rotations are left out, the others stay as they are (p-RoPE,
    "proportional"). ``Rotary(fraction=...)`` instead spreads all speeds over fewer columns.
    Source: p-RoPE, Barbero et al. 2024, arXiv:2410.06205; "proportional" in Gemma 4.
    Raises ValueError if the fraction is not in (0, 1] or leaves no pair.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"expected a fraction of the pairs in (0, 1], was: {fraction}")
    kept = int(fraction * pairs + 1e-9)  # a hair against 0.29 * 100 = 28.999...
    if kept < 1:
        raise ValueError(f"expected a fraction that keeps at least 1 of {pairs} pairs, was: {fraction}")
    frequencies = geometric(pairs, base)
    frequencies[kept:] = 0.0
    return frequencies


def fast_enough(frequencies: Tensor, original: int) -> Tensor:
    """The frequencies with 0 for those that do not turn once within ``original`` positions, ``w_c < 2 pi / original``.

    What a model has not seen all of in training is then no rotation at all, at any length.
    Source: the floor frequency of FoPE, Hua et al. 2024, arXiv:2412.17739, as in the authors' code. HoPE, Chen et al.
    2024, arXiv:2410.21216, likewise keeps fast pairs and makes slow ones independent of position, as its abstract says;
    where it cuts could not be confirmed.
    Raises ValueError if no frequency is fast enough.
    """
    kept = torch.where(frequencies < 2 * math.pi / max(original, 1), 0.0, frequencies)
    if not (kept > 0).any():
        raise ValueError(f"expected a length within which a pair turns once, was: {original}")
    return kept


def resonant(frequencies: Tensor) -> Tensor:
    """``2 pi / round(2 pi / w_c)``: wavelengths of whole numbers of positions, so that pairs repeat exactly.

    A position beyond the training then has, in every pair that has turned once, an angle that the training had.
    Source: Resonance RoPE, Wang et al. 2024, arXiv:2403.00071, as in an implementation of it. Frequencies of 0 stay 0.
    """
    wavelengths = (2 * math.pi / frequencies).round()
    return torch.where(frequencies == 0, frequencies, 2 * math.pi / wavelengths)


def axial(pairs: int, axes: int, base: float = 10_000.0) -> Tensor:
    """One block of pairs per axis, each with the geometric frequencies of its own width: float64 ``[axes, pairs]``.

    Source: the 2-D form of rotary embeddings, Heo et al. 2024, arXiv:2403.13298, section 3.2 ("axial").
    Raises ValueError if the axes do not divide the pairs.
    """
    if axes < 1 or pairs % axes:
        raise ValueError(f"expected a number of axes that divides the {pairs} pairs, was: {axes}")
    each = pairs // axes
    return _assigned(geometric(each, base).repeat(axes), [c // each for c in range(pairs)], axes)


def sectioned(frequencies: Tensor, sections: Sequence[int], *, interleaved: bool = False) -> Tensor:
    """Every frequency given to one axis: ``[pairs]`` to ``[axes, pairs]`` (multimodal rotary, M-RoPE).

    sections: pairs of each axis (time, height, width); their sum is the number of pairs.
    interleaved: False gives the first axis the fastest pairs, in contiguous blocks. True deals them out in turn, pair
        ``c`` to axis ``c % axes``, until the axis has its number; pairs left over belong to the first axis.
    Source: Qwen2-VL, Wang et al. 2024, arXiv:2409.12191, section 2.1; interleaved as in Qwen3-VL.
    Raises ValueError if the sections do not add up to the pairs, or, interleaved, no such deal has these numbers.
    """
    pairs, axes = len(frequencies), len(sections)
    if min(sections, default=0) < 1 or sum(sections) != pairs:
        raise ValueError(f"expected positive sections with the sum {pairs}, was: {list(sections)}")
    if interleaved:
        owners = [c % axes if c < axes * sections[c % axes] else 0 for c in range(pairs)]
        if [owners.count(axis) for axis in range(axes)] != list(sections):
            raise ValueError(f"expected sections that can be dealt out in turn, was: {list(sections)}")
    else:
        owners = [axis for axis, count in enumerate(sections) for _ in range(count)]
    return _assigned(frequencies, owners, axes)


def _assigned(frequencies: Tensor, owners: Sequence[int], axes: int) -> Tensor:
    table = torch.zeros(axes, len(owners), dtype=torch.float64, device="cpu")
    table[list(owners), range(len(owners))] = frequencies
    return table


def constant(frequencies: Tensor) -> Callable[[], Tensor]:
    """A formula for ``Derived`` whose result is ``frequencies``. Raises ValueError if one of them is not finite."""
    if not frequencies.isfinite().all():
        raise ValueError(f"expected finite frequencies, was: {frequencies.tolist()}")
    return partial(torch.tensor, frequencies.tolist(), dtype=torch.float64)
