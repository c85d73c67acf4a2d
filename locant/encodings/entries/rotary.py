"""Rotations, by name."""

from locant.encodings.entries.entry import Entry
from locant.encodings.expression import Shape
from locant.encodings.rotary import Rotary


def rotary(shape: Shape, *, base: float = 10_000.0, fraction: float = 1.0, layout: str = "half") -> Rotary:
    return Rotary(shape.head_width, base=base, fraction=fraction, layout=layout)


ENTRIES = [
    Entry("rotary", "rotary", "s = (R(i) q)' (R(j) k)", "arXiv:2104.09864 eq. 15, 34", "queries and keys", "0", "none",
          True, rotary),
]  # fmt: skip
