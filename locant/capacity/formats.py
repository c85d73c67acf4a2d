"""Number formats from fp64 to one bit: how many values each has, how it rounds, and what that does to a sum."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SAMPLES = 1 << 19  # Gaussian numbers that the noise of a format is measured on


@dataclass(frozen=True)
class NumberFormat:
    """One number format, and what rounding to it means.

    `bits` is the storage of one number, `finite_values` the exact count of its distinct finite values: +0 and -0 are
    one value, infinities and NaN are none. `dtype` is torch's type of a floating format, None for a format of evenly
    spaced levels (intB) or of two (1bit).

    Floating formats round to nearest, ties to even, as IEEE 754-2019 section 4.3.1 and the OCP 8-bit specification
    (revision 1.0, section 5.2.2, without saturation) have it. Evenly spaced formats have the codes -2^(B-1) to
    2^(B-1) - 1 times a `scale`; without a given scale it is the absmax of each row over 2^(B-1) - 1, so that the lowest
    code stays unused, and the scale itself, one number a row, is not counted in `bits`. 1bit keeps the sign, zero as
    plus, times a `scale` that is by default the mean magnitude of the row.
    """

    name: str
    bits: int
    finite_values: int
    dtype: torch.dtype | None = None

    def round(self, values: Tensor, scale: Tensor | float | None = None) -> Tensor:
        """Rounds values `[..., width]` to the format; the result has their dtype and holds values of the format.

        `scale` (a number, or a tensor that broadcasts) is for formats without an exponent only: one row is the last
        axis, and its default is written at the class. A fixed scale clamps what lies beyond the last code.

        Raises:
            ValueError: for values that are neither float32 nor float64, not finite, or half a unit or more beyond the
                largest of the format, a scale for a format that has an exponent, or a scale that is not positive.
        """
        if values.dtype not in {torch.float32, torch.float64}:
            raise ValueError(f"expected float32 or float64 values to round, was: {values.dtype}")
        if self.dtype is not None:
            return self._round_floating(values, scale)
        _require_finite(values)
        scale = self.scale(values) if scale is None else _positive(scale, values)
        if self.bits == 1:
            return torch.where(values < 0, -scale, scale)
        half = 1 << (self.bits - 1)
        codes = torch.round(values / torch.as_tensor(scale).clamp_min(torch.finfo(values.dtype).tiny))
        return codes.clamp(-half, half - 1) * scale

    def _round_floating(self, values: Tensor, scale: Tensor | float | None) -> Tensor:
        if scale is not None:
            raise ValueError(f"expected no scale for {self.name}, which has an exponent, was: {scale}")
        assert self.dtype is not None
        _require_finite(values)
        if torch.finfo(values.dtype).bits <= self.bits:
            return values.to(self.dtype).to(values.dtype)
        limit = self.largest + 0.5 * float(self.ulp(torch.tensor(self.largest, dtype=torch.float64)))
        most = float(values.abs().max()) if values.numel() else 0.0
        if not most < limit:
            raise ValueError(f"expected values up to {self.largest:.6g}, the largest of {self.name}, was: {most:.6g}")
        if values.dtype == torch.float64 and self.bits < 32:  # a cast would round twice, to float32 in between
            unit = self.ulp(values)
            return torch.round(values / unit) * unit
        return values.to(self.dtype).to(values.dtype)

    def scale(self, rows: Tensor) -> Tensor:
        """Returns the default scale of rows `[..., width]` as `[..., 1]`; at the class is what it is.

        Raises:
            ValueError: for a format that has an exponent and therefore no scale.
        """
        if self.dtype is not None:
            raise ValueError(f"expected a format without an exponent to scale, was: {self.name}")
        if self.bits == 1:
            return rows.abs().mean(-1, keepdim=True)
        return rows.abs().amax(-1, keepdim=True) / ((1 << (self.bits - 1)) - 1)

    @property
    def largest(self) -> float:
        """The largest finite value; of a format without an exponent, in units of its scale."""
        if self.dtype is not None:
            return float(torch.finfo(self.dtype).max)
        return 1.0 if self.bits == 1 else float((1 << (self.bits - 1)) - 1)

    def ulp(self, values: Tensor) -> Tensor:
        """Returns the unit in the last place at each value, as float64: the spacing from |value| upwards.

        `2^(max(floor(log2 |v|), e_min) - p)` with p stored bits of the significand and the exponent e_min of the
        smallest normal number (Goldberg 1991, section 1.2, whose p counts the leading bit too).

        Raises:
            ValueError: for a format without an exponent: its spacing is its scale.
        """
        if self.dtype is None:
            raise ValueError(f"expected a format with an exponent, was: {self.name}, whose spacing is its scale")
        info = torch.finfo(self.dtype)
        lowest = round(math.log2(info.tiny))
        exponent = (torch.frexp(values.double()).exponent.double() - 1).clamp_min(lowest)
        exponent = torch.where(values == 0, lowest, exponent)  # frexp gives zero the exponent of one half
        return torch.exp2(exponent + math.log2(info.eps))

    def cell(self, rounded: Tensor, scale: Tensor | float | None = None) -> tuple[Tensor, Tensor]:
        """Returns the ends (float64) of the interval of numbers that round to each value of the format.

        The outermost cells of evenly spaced formats reach to infinity. Below a power of two the spacing of a floating
        format is half of that above. Ends belong to the cell with the even significand; the difference has measure
        zero. For fp64 the ends are themselves rounded to float64.

        Raises:
            ValueError: for a scale given to a format with an exponent, or missing for one without.
        """
        values = rounded.double()
        if self.dtype is not None:
            if scale is not None:
                raise ValueError(f"expected no scale for {self.name}, which has an exponent, was: {scale}")
            above = self.ulp(values)
            size = values.abs()
            below = torch.minimum(above, self.ulp(size - 0.5 * above))
            below, above = torch.where(values < 0, above, below), torch.where(values < 0, below, above)
            return values - below / 2, values + above / 2
        if scale is None:
            raise ValueError(f"expected the scale that {self.name} was rounded with, was: None")
        scale = torch.as_tensor(scale, dtype=torch.float64, device=values.device).expand_as(values)
        infinite = torch.full_like(values, math.inf)
        if self.bits == 1:
            zero = torch.zeros_like(values)
            return torch.where(values < 0, -infinite, zero), torch.where(values < 0, zero, infinite)
        code, half = torch.round(values / scale), 1 << (self.bits - 1)
        low, high = (code - 0.5) * scale, (code + 0.5) * scale
        return torch.where(code <= -half, -infinite, low), torch.where(code >= half - 1, infinite, high)

    def accumulate(self, rows: Tensor, scale: Tensor | float | None = None) -> Tensor:
        """Adds rows `[..., members, width]` one after another, each partial sum rounded to the format.

        `s <- round(s + row)`, in the order given, beginning with `round(row_0)`; the rows themselves are taken as they
        are. Without a fixed `scale` a format without an exponent takes a new one for each partial sum.

        Raises:
            ValueError: for no rows, or what `round` refuses.
        """
        if rows.ndim < 2 or rows.shape[-2] == 0:
            raise ValueError(f"expected rows [..., members, width] with at least one member, was: {list(rows.shape)}")
        total = self.round(rows[..., 0, :], scale)
        for member in range(1, rows.shape[-2]):
            total = self.round(total + rows[..., member, :], scale)
        return total

    def noise(self, members: float = 1, *, width: int = 1024, generator: torch.Generator | None = None) -> float:
        """Measures the noise variance per coordinate that rounding adds to a Gaussian sum of variance `members`.

        `Q(y) = g y + n` with `g = E[y Q(y)] / E[y^2]`, so that n is uncorrelated with y; the noise referred to the sum
        is `Var(n) / g^2 = members (1 / rho^2 - 1)`, rho the correlation of y and Q(y). Bussgang 1952; Zamir 2014,
        section 4.1. Written with the error `Q(y) - y`, so that fp32 does not drown in cancellation. fp64, in which the
        sums are drawn, has the uniform error `E[ulp(y)^2] / 12` instead. `width` matters where the scale of a row is
        its absmax. Drawn from `generator`, by default one with seed 0.

        That rounding then acts *as* Gaussian noise is an approximation, and poor for int2 by absmax, where most
        coordinates round to zero.

        Raises:
            ValueError: for a variance that is not positive, or a width below 1.
        """
        if not (math.isfinite(members) and members > 0):
            raise ValueError(f"expected a positive variance of the sum, was: {members}")
        if width < 1:
            raise ValueError(f"expected a width of at least 1, was: {width}")
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        count = max(1, SAMPLES // width)
        sums = torch.randn(count, width, generator=generator, dtype=torch.float64, device=generator.device)
        sums *= math.sqrt(members)
        if self.dtype == torch.float64:
            return float(self.ulp(sums).square().mean() / 12)
        error = self.round(sums) - sums
        power = sums.square().mean()
        slope = (sums * error).mean() / power  # g - 1
        return float((error.square().mean() - slope**2 * power) / (1 + slope) ** 2)

    def signal_to_noise(self, members: float = 1, *, width: int = 1024) -> float:
        """Measures the signal-to-quantisation-noise ratio in decibels: `10 log10(E[y^2] / E[(Q(y) - y)^2])`.

        Of Gaussian sums of variance `members`, from the fixed seed 0; infinite for fp64, in which they are drawn.
        """
        generator = torch.Generator().manual_seed(0)
        shape = (max(1, SAMPLES // width), width)
        sums = math.sqrt(members) * torch.randn(shape, generator=generator, dtype=torch.float64)
        error = (self.round(sums) - sums).square().mean()
        return math.inf if error == 0 else float(10 * torch.log10(sums.square().mean() / error))


def _require_finite(values: Tensor) -> None:
    if values.numel() and not torch.isfinite(torch.stack(torch.aminmax(values))).all():  # NaN is passed on
        raise ValueError("expected finite values to round, was: NaN or infinite")


def _positive(scale: Tensor | float, values: Tensor) -> Tensor:
    scale = torch.as_tensor(scale, dtype=values.dtype, device=values.device)
    if not bool((scale > 0).all()):
        raise ValueError(f"expected a positive scale, was: {float(scale.min())}")
    return scale


# Of all patterns of bits, one exponent is infinite or not a number (fp64 to e5m2), or two patterns are (e4m3, which is
# e4m3fn), and minus zero is zero once more.
FORMATS = {
    "fp64": NumberFormat("fp64", 64, 2**64 - 2**53 - 1, torch.float64),
    "fp32": NumberFormat("fp32", 32, 2**32 - 2**24 - 1, torch.float32),
    "bf16": NumberFormat("bf16", 16, 2**16 - 2**8 - 1, torch.bfloat16),
    "fp16": NumberFormat("fp16", 16, 2**16 - 2**11 - 1, torch.float16),
    "e4m3": NumberFormat("e4m3", 8, 2**8 - 2 - 1, torch.float8_e4m3fn),
    "e5m2": NumberFormat("e5m2", 8, 2**8 - 2**3 - 1, torch.float8_e5m2),
    "int8": NumberFormat("int8", 8, 2**8),
    "int4": NumberFormat("int4", 4, 2**4),
    "int3": NumberFormat("int3", 3, 2**3),
    "int2": NumberFormat("int2", 2, 2**2),
    "1bit": NumberFormat("1bit", 1, 2),
}


def number_format(name: str) -> NumberFormat:
    """Returns the format of that name.

    Raises:
        ValueError: for a name that is none.
    """
    if name not in FORMATS:
        raise ValueError(f"expected a number format of {', '.join(FORMATS)}, was: {name}")
    return FORMATS[name]
