"""Codes by name: what stands in ``add(...)``, ``concat(...)``, ``beside(...)`` and the like."""

from locant.encodings.codes import Fourier, Learned, Random, Sinusoidal
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


ENTRIES = [
    Entry("sinusoidal", "add(sinusoidal)", "p = sin(i w_c), cos(i w_c), w_c = base^(-2c/width)",
          "arXiv:1706.03762 §3.5", "code", "0", "none", False, sinusoidal),
    Entry("learned", "add(learned)", "p = P[i]", "arXiv:1705.03122 §3.1", "code", "limit x width", "limit", False,
          learned),
    Entry("random", "add(random)", "p ~ N(0, std^2), fixed", "control", "code", "0", "limit", False, random),
    Entry("fourier", "add(fourier)", "p = sin(pi f_k z), cos(pi f_k z), z = 2i/(limit-1) - 1",
          "arXiv:2103.03206 §3.2", "code", "0", "none", False, fourier),
]  # fmt: skip
