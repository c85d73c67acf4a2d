"""Rotations of mapped distances, by name."""

from locant.encodings.distances import SelfExtend
from locant.encodings.entries.entry import Entry
from locant.encodings.expression import Shape


def self_extend(shape: Shape, *, window: int, group: int, base: float = 10_000.0, layout: str = "half") -> SelfExtend:
    return SelfExtend(shape.head_width, window=window, group=group, base=base, layout=layout)


def rerope(
    shape: Shape, *, window: int, group: float | None = None, base: float = 10_000.0, layout: str = "half"
) -> SelfExtend:
    return SelfExtend(shape.head_width, window=window, group=group, whole=False, base=base, layout=layout)


ENTRIES = [
    Entry("self_extend", "self_extend(window=4, group=3)",
          "s = q' R(d) k below window; R(i//g + w - w//g - j//g) from there on", "arXiv:2401.01325 §3",
          "queries, keys and scores", "0", "none", False, self_extend),
    Entry("rerope", "rerope(window=4)", "s = q' R(min(d, window)) k; with group: R(window + (d - window) / group)",
          "github.com/bojone/rerope", "queries, keys and scores", "0", "none", True, rerope),
]  # fmt: skip
