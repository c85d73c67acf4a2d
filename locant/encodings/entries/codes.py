"""Codes by name: what stands in ``add(...)``, ``concat(...)``, ``beside(...)`` and the like."""

from locant.encodings.codes import Binary, Fourier, Learned, Random, Sinusoidal
from locant.encodings.codes_nd import Axial, LearnableFourier, LearnedGrid
from locant.encodings.entries.entry import Entry
from locant.encodings.expression import Shape


def learned(shape: Shape, width: int, *, limit: int | None = None, std: float | None = None) -> Learned:
    return Learned(shape.table(limit), width, std=shape.width**-0.5 if std is None else std)


def sinusoidal(shape: Shape, width: int, *, base: float = 10_000.0, layout: str = "interleaved") -> Sinusoidal:
    return Sinusoidal(width, base=base, layout=layout)


def random(shape: Shape, width: int, *, limit: int | None = None, std: float | None = None, seed: int = 0) -> Random:
    return Random(shape.table(limit), width, std=shape.width**-0.5 if std is None else std, seed=seed)


def fourier(shape: Shape, width: int, *, limit: int | None = None) -> Fourier:
    return Fourier(shape.table(limit), width)


def binary(shape: Shape, width: int, *, limit: int | None = None) -> Binary:
    return Binary(shape.table(limit), width)


def learnable_fourier(
    shape: Shape, width: int, *, axes: int = 1, features: int = 64, hidden: int = 32, gamma: float = 10.0
) -> LearnableFourier:
    return LearnableFourier(width, axes=axes, features=features, hidden=hidden, gamma=gamma)


def _share(width: int, axes: int) -> int:
    if axes < 1 or width % axes:
        raise ValueError(f"expected at least 1 axis and a width that they divide, was: {axes} and {width}")
    return width // axes


def sinusoidal_nd(
    shape: Shape, width: int, *, axes: int = 2, base: float = 10_000.0, layout: str = "interleaved"
) -> Axial:
    share = _share(width, axes)
    return Axial(*[Sinusoidal(share, base=base, layout=layout) for _ in range(axes)])


def learned_axial(
    shape: Shape, width: int, *, axes: int = 2, limit: int | None = None, std: float | None = None,
    combine: str = "concat",
) -> Axial:  # fmt: skip
    share = width if combine == "sum" else _share(width, axes)
    start = shape.width**-0.5 if std is None else std
    return Axial(*[Learned(shape.table(limit), share, std=start) for _ in range(axes)], combine=combine)


def learned_grid(
    shape: Shape, width: int, *, axes: int = 2, limit: int | None = None, std: float | None = None
) -> LearnedGrid:
    return LearnedGrid([shape.table(limit)] * axes, width, std=shape.width**-0.5 if std is None else std)


ENTRIES = [
    Entry("sinusoidal", "add(sinusoidal)", "p = sin(i w_c), cos(i w_c), w_c = base^(-2c/width)",
          "arXiv:1706.03762 §3.5", "code", "0", "none", False, sinusoidal),
    Entry("learned", "add(learned)", "p = P[i]", "arXiv:1705.03122 §3.1", "code", "limit x width", "limit", False,
          learned),
    Entry("random", "add(random)", "p ~ N(0, std^2), fixed", "control", "code", "0", "limit", False, random),
    Entry("fourier", "add(fourier)", "p = sin(pi f_k z), cos(pi f_k z), z = 2i/(limit-1) - 1",
          "arXiv:2103.03206 §3.2", "code", "0", "none", False, fourier),
    Entry("binary", "add(binary)", "p = 2 bit(i, c mod B) - 1", "folklore", "code", "0", "limit", False, binary),
    Entry("learnable_fourier", "add(learnable_fourier)", "p = W_2 gelu(W_1 [cos(W i) ; sin(W i)] / sqrt(D))",
          "arXiv:2106.02795 eq. 2, alg. 1", "code", "axes x features / 2 + hidden (features + 1) + width (hidden + 1)",
          "none", False, learnable_fourier),
    Entry("sinusoidal_nd", "add(sinusoidal_nd)", "p = [sinusoidal(i_1) ; sinusoidal(i_2) ; ...]",
          "arXiv:1706.03762 §3.5, an axis each", "code", "0", "none", False, sinusoidal_nd),
    Entry("learned_axial", "add(learned_axial)", "p = [a(i_1) ; b(i_2) ; ...], or their sum",
          "arXiv:2001.04451 §4; arXiv:1912.12180", "code", "limit x width", "limit", False, learned_axial),
    Entry("learned_grid", "add(learned_grid(axes=1))", "p = P[i_1, i_2, ...], bicubic to another resolution",
          "arXiv:2010.11929 §3.2", "code", "limit^axes x width", "limit", False, learned_grid),
]  # fmt: skip
