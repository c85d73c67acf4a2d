"""Biases on the scores, by name."""

from locant.encodings.biases import T5, Alibi
from locant.encodings.entries.entry import Entry
from locant.encodings.expression import Shape


def alibi(shape: Shape) -> Alibi:
    return Alibi(shape.heads)


def t5(shape: Shape, *, buckets: int = 32, max_distance: int = 128) -> T5:
    return T5(shape.heads, buckets=buckets, max_distance=max_distance)


ENTRIES = [
    Entry("alibi", "alibi", "s - m_h |i - j|", "arXiv:2108.12409 §3", "scores", "0", "none", True, alibi),
    Entry("t5", "t5", "s + B[bucket(i - j), h]", "arXiv:1910.10683 §2.1", "scores", "buckets x heads", "none", True,
          t5),
]  # fmt: skip
