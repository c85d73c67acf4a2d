"""No encoding at all, and different ones in different layers, by name."""

from locant.encodings import adapters
from locant.encodings.adapters import OnAxis
from locant.encodings.base import PositionalEncoding
from locant.encodings.composition import PerLayer
from locant.encodings.entries.entry import Entry
from locant.encodings.expression import Shape


def none(shape: Shape) -> PositionalEncoding:
    return PositionalEncoding()


def per_layer(shape: Shape, *cycle: PositionalEncoding) -> PerLayer:
    return PerLayer(*cycle)


def on_axis(shape: Shape, encoding: PositionalEncoding, *, axis: int) -> OnAxis:
    return OnAxis(encoding, axis)


def without(shape: Shape, encoding: PositionalEncoding) -> PositionalEncoding:
    return adapters.without(encoding)


ENTRIES = [
    Entry("none", "none", "h = x", "arXiv:2203.16634", "nothing", "0", "none", True, none),
    Entry("per_layer", "per_layer(rotary, rotary, none)", "layer l uses cycle[l mod n]", "arXiv:2501.18795 §3",
          "what its parts act on", "those of its parts", "that of its parts", None, per_layer),
    Entry("on_axis", "on_axis(rotary, axis=0)", "the encoding, reading one of several positions", "locant",
          "what its part acts on", "those of its part", "that of its part", None, on_axis),
    Entry("without", "without(rotary)", "h = [x ; 0]: the encoding dropped, its columns zero", "arXiv:2512.12167",
          "nothing", "0", "none", True, without),
]  # fmt: skip
