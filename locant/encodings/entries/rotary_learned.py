"""Rotations that are learned, or that content decides, by name."""

from locant.encodings.adapters import OnAxis
from locant.encodings.composition import Chain
from locant.encodings.entries import inputs
from locant.encodings.entries.entry import OF_THE_CODE, Entry
from locant.encodings.expression import MakeCode, Shape
from locant.encodings.householder import Path
from locant.encodings.rotary import Rotary
from locant.encodings.rotary_content import ContextualRotary, RotaryByContent, SelectiveRotary
from locant.encodings.rotary_fourier import FourierRotary
from locant.encodings.rotary_lie import CayleyString, Grape, Liere


def fope(shape: Shape, *, original: int, base: float = 10_000.0, gain: float = 0.3, learned: bool = False,
         seed: int = 0, layout: str = "half") -> FourierRotary:  # fmt: skip
    return FourierRotary(shape.head_width, shape.heads, original=original, base=base, gain=gain, learned=learned,
                         seed=seed, layout=layout)  # fmt: skip


def liere(shape: Shape, *, axes: int = 1, block: int | None = None, std: float | None = None) -> Liere:
    return Liere(shape.head_width, shape.heads, axes=axes, block=block, std=std)


def cayley_string(shape: Shape, *, axes: int = 1, base: float = 10_000.0, layout: str = "half") -> CayleyString:
    return CayleyString(shape.head_width, shape.heads, axes=axes, base=base, layout=layout)


def grape(shape: Shape) -> Grape:
    return Grape(shape.head_width, shape.heads)


def selective_rotary(shape: Shape, *, base: float = 500_000.0, layout: str = "half") -> SelectiveRotary:
    return SelectiveRotary(shape.width, shape.head_width, shape.heads, base=base, layout=layout)


def carope(shape: Shape, *, base: float = 10_000.0, layout: str = "half") -> ContextualRotary:
    return ContextualRotary(shape.width, shape.head_width, shape.heads, base=base, layout=layout)


def repo(shape: Shape, *, hidden: int | None = None, base: float = 10_000.0, layout: str = "half") -> RotaryByContent:
    return RotaryByContent(shape.width, shape.head_width, shape.heads, hidden=hidden, base=base, layout=layout)


def path(shape: Shape) -> Path:
    return Path(shape.width, shape.head_width, shape.heads)


def bipe(
    shape: Shape, code: MakeCode, *, scale: float | None = None, base: float = 10_000.0, layout: str = "half"
) -> Chain:
    rotary = Rotary(shape.head_width, base=base, layout=layout)
    return Chain(OnAxis(inputs.add(shape, code, scale=scale), 0), OnAxis(rotary, 1))


_QK = "queries and keys"
ENTRIES = [
    Entry("fope", "fope(original=64)", "rotary with curves cos(i w_c) + sum_m a_hmc cos(i w_m), likewise sin",
          "arXiv:2412.17739", _QK, "0", "none", False, fope),
    Entry("liere", "liere", "s = (exp(A(i)) q)' exp(A(j)) k, A(z) = sum_a z_a (W_a - W_a')", "arXiv:2406.10322", _QK,
          "axes x block x width", "none", True, liere),
    Entry("cayley_string", "cayley_string", "s = (R(i) P q)' R(j) P k, P = (I - S)(I + S)^-1, w and S learned",
          "arXiv:2502.02562 eq. 9, 10", _QK, "head width x width + axes x width / 2", "none", True, cayley_string),
    Entry("grape", "grape", "s = (exp(i L) q)' exp(j L) k, L = a b' - b a'", "arXiv:2512.07805", _QK, "2 width",
          "none", True, grape),
    Entry("selective_rotary", "selective_rotary", "s = q' R(sum of w_c (W x_l)_c over l = j + 1 .. i) k",
          "arXiv:2511.17388", "scores", "width^2 / 2", "none", True, selective_rotary),
    Entry("carope", "carope", "s = q' R(sum of f_l^c over l = j + 1 .. i) k, f = 1 / (softplus(W x + b) + 1)",
          "arXiv:2507.23083 §2", "scores", "heads (width + 1)", "none", True, carope),
    Entry("repo", "repo", "rotary at places z = W_3 (silu(W_1 x) * W_2 x)", "arXiv:2512.14391", "scores",
          "hidden (2 width + heads)", "none", True, repo),
    Entry("path", "path", "s = q' H_i ... H_(j+1) k, H = I - b w w', w = W x / |W x|, b = 2 sigmoid(V x + c)",
          "arXiv:2505.16381", "scores", "width^2 + heads (width + 1)", "none", True, path),
    Entry("bipe", "bipe(learned)", "x + s p[place in the segment], rotary by the segment's number",
          "arXiv:2401.16421", "input, queries and keys", "those of the code", OF_THE_CODE, False, bipe),
]  # fmt: skip
