"""Token and position multiplied: column by column, or each column of one with each of the other."""

import torch
from torch import Tensor

from locant.encodings.base import PositionalEncoding
from locant.encodings.codes import Code
from locant.encodings.inputs import check_width


class Multiply(PositionalEncoding):
    """``h_i = s p_i * x_i``, column by column: position as a gain on each of the token's columns.

    A code of mean 0 turns the columns' signs, so that equal tokens at different places start unrelated.
    Source: binding by multiplication, Gayler 1998, "Multiplicative binding, representation operators and analogy"; as
    ``mul`` in the code of "Fusion Matters", 2026, arXiv:2601.05807.
    Limit: that of the code.  Shift-invariant: no.  Raises ValueError if code and tokens differ in width.
    """

    shift_invariant = False

    def __init__(self, code: Code, *, scale: float = 1.0) -> None:
        super().__init__()
        self.code = code
        self.scale = scale
        self.limit = code.limit

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        check_width(tokens, self.code.width)
        return tokens * (self.code(positions) * self.scale).to(tokens.dtype)


def _spectrum(x: Tensor) -> Tensor:
    spectrum: Tensor = torch.fft.rfft(x.to(torch.promote_types(x.dtype, torch.float32)))
    return spectrum


def bind(x: Tensor, y: Tensor) -> Tensor:
    """The circular convolution ``z[c] = sum of x[d] y[(c - d) mod width] over d`` of the last dimensions.

    As large as ``x`` if the numbers of ``y`` have mean 0 and variance ``1 / width``. In float32 (or float64).
    Source: Plate 1995, "Holographic Reduced Representations", IEEE Transactions on Neural Networks 6(3), section II.
    """
    bound: Tensor = torch.fft.irfft(_spectrum(x) * _spectrum(y), n=x.shape[-1])
    return bound


def unbind(z: Tensor, y: Tensor) -> Tensor:
    """The circular correlation ``x[c] = sum of z[d] y[(d - c) mod width] over d``: the approximate inverse of ``bind``.

    It is the binding with ``y[-c mod width]``. ``unbind(bind(x, y), y)`` is ``x`` exactly if every Fourier coefficient
    of ``y`` has the magnitude 1, and otherwise ``x`` with each of its coefficients multiplied by that magnitude's
    square: for ``y`` drawn from ``N(0, 1 / width)``, ``x`` plus noise as large as ``x``.
    Source: Plate 1995, section II: the involution as approximate inverse.
    """
    freed: Tensor = torch.fft.irfft(_spectrum(z) * _spectrum(y).conj(), n=z.shape[-1])
    return freed


class Bind(PositionalEncoding):
    """``h_i = x_i (*) s p_i``, the circular convolution: ``h_i[c] = s sum of x_i[d] p_i[(c - d) mod width] over d``.

    The holographic binding: as wide as either, unlike both, and undone approximately by ``unbind(h_i, s p_i)``. Size is
    kept if the numbers of ``s p_i`` have mean 0 and variance ``1 / width``. A code that lives at few frequencies, such
    as a sinusoidal one, lets through only the token's coefficients there.
    Source: Plate 1995, "Holographic Reduced Representations", IEEE Transactions on Neural Networks 6(3), section II.
    Differs: the vectors of position are any code, not random ones.
    Limit: that of the code.  Shift-invariant: no.  Raises ValueError if code and tokens differ in width.
    """

    shift_invariant = False

    def __init__(self, code: Code, *, scale: float = 1.0) -> None:
        super().__init__()
        self.code = code
        self.scale = scale
        self.limit = code.limit

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        check_width(tokens, self.code.width)
        return bind(tokens, self.code(positions) * self.scale).to(tokens.dtype)
