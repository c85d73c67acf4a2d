"""No encoding at all, and different ones in different layers, by name."""

from locant.encodings.base import PerLayer, PositionalEncoding
from locant.encodings.entries.entry import Entry
from locant.encodings.expression import Shape


def none(shape: Shape) -> PositionalEncoding:
    return PositionalEncoding()


def per_layer(shape: Shape, *cycle: PositionalEncoding) -> PerLayer:
    return PerLayer(*cycle)


ENTRIES = [
    Entry("none", "none", "h = x", "arXiv:2203.16634", "nothing", "0", "none", True, none),
    Entry("per_layer", "per_layer(rotary, rotary, none)", "layer l uses cycle[l mod n]", "arXiv:2501.18795 §3",
          "what its parts act on", "those of its parts", "that of its parts", None, per_layer),
]  # fmt: skip
