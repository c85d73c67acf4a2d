"""Rotations, by name."""

from torch import Tensor

from locant.encodings import frequencies, scaling
from locant.encodings.decoupled import Decoupled, DecoupledRotary
from locant.encodings.entries.entry import OF_THE_CODE, Entry
from locant.encodings.expression import MakeCode, Shape
from locant.encodings.pope import PoPE
from locant.encodings.rotary import Rotary
from locant.encodings.rotary_mixed import RotaryMixed
from locant.encodings.rotary_values import RotaryValues
from locant.encodings.rotary_xpos import XPos


def _made(shape: Shape, table: Tensor, layout: str, attention_factor: float = 1.0) -> Rotary:
    return Rotary(shape.head_width, frequencies=table, layout=layout, attention_factor=attention_factor)


def _length(shape: Shape, length: int | None) -> int:
    """The length that a static encoding is made for."""
    if length is None and shape.length is None:
        raise ValueError("expected length=... in the expression or a length, as the frequencies need one, was: neither")
    return int(length if length is not None else shape.length)  # type: ignore[arg-type]


def rotary(
    shape: Shape, *, base: float = 10_000.0, fraction: float = 1.0, layout: str = "half", side: str = "first"
) -> Rotary:
    return Rotary(shape.head_width, base=base, fraction=fraction, layout=layout, side=side)


def interpolation(shape: Shape, *, factor: float, base: float = 10_000.0, layout: str = "half") -> Rotary:
    return _made(shape, scaling.interpolated(frequencies.geometric(shape.head_width // 2, base), factor), layout)


def ntk(shape: Shape, *, factor: float, base: float = 10_000.0, layout: str = "half") -> Rotary:
    return _made(shape, scaling.ntk(shape.head_width // 2, factor, base), layout)


def dynamic_ntk(shape: Shape, *, original: int, factor: float = 1.0, length: int | None = None,
                base: float = 10_000.0, layout: str = "half") -> Rotary:  # fmt: skip
    table = scaling.dynamic_ntk(shape.head_width // 2, factor, original, _length(shape, length), base)
    return _made(shape, table, layout)


def yarn(shape: Shape, *, factor: float, original: int, base: float = 10_000.0, fast: float = 32.0, slow: float = 1.0,
         truncate: bool = True, mscale: float = 1.0, mscale_all: float = 0.0, layout: str = "half",
         attention_factor: float | None = None) -> Rotary:  # fmt: skip
    table = scaling.yarn(shape.head_width // 2, factor, original, base, fast=fast, slow=slow, truncate=truncate)
    if attention_factor is None:
        attention_factor = scaling.yarn_attention_factor(factor, mscale=mscale, mscale_all=mscale_all)
    elif (mscale, mscale_all) != (1.0, 0.0):
        raise ValueError(f"expected attention_factor alone, was: also mscale {mscale}, mscale_all {mscale_all}")
    return _made(shape, table, layout, attention_factor)


def longrope(shape: Shape, *, short: str, long: str, original: int, factor: float = 1.0, length: int | None = None,
             base: float = 10_000.0, layout: str = "half") -> Rotary:  # fmt: skip
    factors = [_numbers(text, shape.head_width // 2) for text in (short, long)][_length(shape, length) > original]
    table = scaling.longrope(shape.head_width // 2, factors, base)
    return _made(shape, table, layout, scaling.longrope_attention_factor(factor, original))


def _numbers(text: str, pairs: int) -> list[float]:
    """Numbers with spaces between them; a single one stands for as many as there are pairs."""
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        raise ValueError(f"expected numbers with spaces between them, was: {text!r}") from None
    return numbers * pairs if len(numbers) == 1 else numbers


def llama3(shape: Shape, *, factor: float, original: int, base: float = 500_000.0, low: float = 1.0,
           high: float = 4.0, layout: str = "half") -> Rotary:  # fmt: skip
    return _made(shape, scaling.llama3(shape.head_width // 2, factor, original, base, low=low, high=high), layout)


def proportional(
    shape: Shape, *, fraction: float = 0.25, base: float = 10_000.0, factor: float = 1.0, layout: str = "half"
) -> Rotary:
    table = frequencies.partly_zero(shape.head_width // 2, fraction, base)
    return _made(shape, scaling.interpolated(table, factor), layout)


def hope(shape: Shape, *, original: int, base: float = 10_000.0, layout: str = "half") -> Rotary:
    return _made(shape, frequencies.fast_enough(frequencies.geometric(shape.head_width // 2, base), original), layout)


def resonance(shape: Shape, *, base: float = 10_000.0, layout: str = "half") -> Rotary:
    return _made(shape, frequencies.resonant(frequencies.geometric(shape.head_width // 2, base)), layout)


def xpos(shape: Shape, *, limit: int | None = None, base: float = 10_000.0, fraction: float = 1.0, layout: str = "half",
         scale_base: float = 512.0, centre: int | None = None) -> XPos:  # fmt: skip
    return XPos(shape.head_width, shape.table(limit), base=base, fraction=fraction, layout=layout,
                scale_base=scale_base, centre=centre)  # fmt: skip


def rotary_axial(shape: Shape, *, axes: int = 2, base: float = 10_000.0, layout: str = "half") -> Rotary:
    return _made(shape, frequencies.axial(shape.head_width // 2, axes, base), layout)


def mrope(shape: Shape, *, sections: str | None = None, interleaved: bool = False, base: float = 10_000.0,
          layout: str = "half") -> Rotary:  # fmt: skip
    pairs = shape.head_width // 2
    if sections is None:  # time gets what is left over
        parts = [pairs - 2 * (pairs // 3), pairs // 3, pairs // 3]
    else:
        parts = [int(number) for number in _numbers(sections, 1)]
    table = frequencies.sectioned(frequencies.geometric(pairs, base), parts, interleaved=interleaved)
    return _made(shape, table, layout)


def rotary_mixed(shape: Shape, *, axes: int = 2, base: float = 10.0, layout: str = "half") -> RotaryMixed:
    return RotaryMixed(shape.head_width, shape.heads, axes=axes, base=base, layout=layout)


def rotary_values(
    shape: Shape, *, base: float = 10_000.0, fraction: float = 1.0, layout: str = "half", side: str = "first"
) -> RotaryValues:
    return RotaryValues(shape.head_width, base=base, fraction=fraction, layout=layout, side=side)


def pope(shape: Shape, *, base: float = 10_000.0, uniform: bool = False) -> PoPE:
    return PoPE(shape.head_width, shape.heads, base=base, uniform=uniform)


def decoupled(shape: Shape, code: MakeCode, *, width: int | None = None) -> Decoupled:
    width = max(2, shape.head_width // 2) if width is None else width
    return Decoupled(code(shape.width), shape.head_width, shape.heads, width)


def decoupled_rotary(
    shape: Shape, *, width: int | None = None, base: float = 10_000.0, layout: str = "half"
) -> DecoupledRotary:
    width = max(2, shape.head_width // 4 * 2) if width is None else width
    return DecoupledRotary(shape.head_width, shape.heads, width, base=base, layout=layout)


_QK = "queries and keys"
_SLOWED = "rotary with w_c "
ENTRIES = [
    Entry("rotary", "rotary", "s = (R(i) q)' (R(j) k)", "arXiv:2104.09864 eq. 15, 34", _QK, "0", "none", True, rotary),
    Entry("interpolation", "interpolation(factor=4)", _SLOWED + "/ factor", "arXiv:2306.15595 eq. 3", _QK, "0", "none",
          True, interpolation),
    Entry("ntk", "ntk(factor=4)", "rotary with base factor^(d/(d-2))", "arXiv:2309.00071 §3.1", _QK, "0", "none", True,
          ntk),
    Entry("dynamic_ntk", "dynamic_ntk(original=8)", "ntk with factor n/original, n the length that it is made for",
          "arXiv:2309.00071 §3.3", _QK, "0", "none", True, dynamic_ntk),
    Entry("yarn", "yarn(factor=4, original=4096)", "rotary with (1 - g_c) w_c / factor + g_c w_c, times 0.1 ln f + 1",
          "arXiv:2309.00071 §3", _QK, "0", "none", True, yarn),
    Entry("longrope", "longrope(short='1', long='4', original=32, factor=4)",
          _SLOWED + "/ f_c, times sqrt(1 + ln factor / ln original)", "arXiv:2402.13753", _QK, "0", "none", True,
          longrope),
    Entry("llama3", "llama3(factor=8, original=8192)", "rotary with (1 - g_c) w_c / factor + g_c w_c, g by wavelength",
          "Llama 3.1; arXiv:2407.21783", _QK, "0", "none", True, llama3),
    Entry("proportional", "proportional(fraction=0.5, base=1e6)", _SLOWED + "= 0 but for the fastest fraction",
          "arXiv:2410.06205", _QK, "0", "none", True, proportional),
    Entry("hope", "hope(original=64)", _SLOWED + "= 0 where a turn takes more than the original length",
          "arXiv:2410.21216; the cut of arXiv:2412.17739", _QK, "0", "none", True, hope),
    Entry("resonance", "resonance", _SLOWED + "= 2 pi / round(2 pi / w_c)", "arXiv:2403.00071", _QK, "0", "none", True,
          resonance),
    Entry("xpos", "xpos", "s = sum of (R(i) q)_c (R(j) k)_c z_c^((i - j) / B)", "arXiv:2212.10554 §2", _QK, "0",
          "limit", True, xpos),
    Entry("rotary_axial", "rotary_axial", "rotary, a block of pairs for each axis", "arXiv:2403.13298 §3.2", _QK, "0",
          "none", True, rotary_axial),
    Entry("mrope", "mrope", "rotary, each w_c on one axis of (time, height, width)",
          "arXiv:2409.12191 §2.1", _QK, "0", "none", True, mrope),
    Entry("rotary_mixed", "rotary_mixed", "rotary by sum_a w_hac z_a, w learned", "arXiv:2403.13298 §3.2", _QK,
          "axes x width / 2", "none", True, rotary_mixed),
    Entry("rotary_values", "rotary + rotary_values", "o_i = R(-i) sum_j a_ij R(j) v_j", "DeepSeek-V4", "values", "0",
          "none", True, rotary_values),
    Entry("pope", "pope", "s = sum_c softplus(q_c) softplus(k_c) cos((j - i) w_c + d_c)", "arXiv:2509.10534 §3", _QK,
          "width", "none", True, pope),
    Entry("decoupled", "decoupled(sinusoidal)", "s = q' k + (U_q p_i)' (U_k p_j)", "arXiv:2108.06152 §3", _QK,
          "2 heads x columns x width", OF_THE_CODE, False, decoupled),
    Entry("decoupled_rotary", "decoupled_rotary", "s = q' k + (R(i) U_q q)' (R(j) U_k k)", "arXiv:2405.04434 §2.1.3",
          _QK, "(heads + 1) x columns x width", "none", True, decoupled_rotary),
]  # fmt: skip
