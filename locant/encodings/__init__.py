"""Every positional encoding as a module for anybody's transformer. Needs torch and nothing else."""

from locant.encodings.base import Chain, MaskMod, Pairs, PerLayer, PositionalEncoding, ScoreMod
from locant.encodings.biases import T5, Alibi, alibi_slopes, t5_bucket
from locant.encodings.catalogue import build, catalogue
from locant.encodings.codes import Code, Fourier, Learned, Random, Sinusoidal
from locant.encodings.entries.entry import Entry
from locant.encodings.expression import Builder, Shape, canonical
from locant.encodings.inputs import Add, Beside, Concat, ConcatProject, Gate, ScaledAdd
from locant.encodings.positions import (
    PADDING,
    Layout,
    contiguous,
    from_mask,
    left_padded,
    packed,
    randomised,
    shifted,
    stretched,
)
from locant.encodings.rotary import Rotary, rotate

__all__ = [
    "PADDING",
    "T5",
    "Add",
    "Alibi",
    "Beside",
    "Builder",
    "Chain",
    "Code",
    "Concat",
    "ConcatProject",
    "Entry",
    "Fourier",
    "Gate",
    "Layout",
    "Learned",
    "MaskMod",
    "Pairs",
    "PerLayer",
    "PositionalEncoding",
    "Random",
    "Rotary",
    "ScaledAdd",
    "ScoreMod",
    "Shape",
    "Sinusoidal",
    "alibi_slopes",
    "build",
    "canonical",
    "catalogue",
    "contiguous",
    "from_mask",
    "left_padded",
    "packed",
    "randomised",
    "rotate",
    "shifted",
    "stretched",
    "t5_bucket",
]
