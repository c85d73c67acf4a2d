"""Every positional encoding as a module for anybody's transformer. Needs torch and nothing else."""

from locant.encodings.adapters import Absent, OnAxis, without
from locant.encodings.axes import on_axes, one_axis
from locant.encodings.base import MaskMod, Pairs, PositionalEncoding, ScoreMod
from locant.encodings.biases import T5, Alibi, alibi_slopes, t5_bucket
from locant.encodings.biases_adaptive import Bam, DapeConvolution, GrapeAdditive
from locant.encodings.biases_distance import DietRel, KerpleLog, KerplePower, Sandwich
from locant.encodings.biases_mlp import Dape, Fire, MlpBias
from locant.encodings.binding import Bind, Multiply, bind, unbind
from locant.encodings.catalogue import build, catalogue
from locant.encodings.codes import Binary, Code, Fourier, Learned, Random, Sinusoidal
from locant.encodings.codes_nd import Axial, LearnableFourier, LearnedGrid
from locant.encodings.composition import Chain, PerLayer
from locant.encodings.contextual import Cope, DistanceBank
from locant.encodings.decoupled import Decoupled, DecoupledRotary
from locant.encodings.distances import SelfExtend
from locant.encodings.entries.entry import Entry
from locant.encodings.expression import Builder, Shape, canonical
from locant.encodings.gates import Forgetting
from locant.encodings.householder import Path
from locant.encodings.inject import Inject
from locant.encodings.inputs import Add, Beside, Concat, ConcatProject, Gate, MatchedAdd, ScaledAdd
from locant.encodings.layouts import half_to_interleaved, interleaved_to_half
from locant.encodings.left_out import LEFT_OUT
from locant.encodings.mix import ConcatMlp, Mix
from locant.encodings.numbering import abacus, cape, centred, randomly_shifted, stretched_to
from locant.encodings.numbering_segments import bilevel
from locant.encodings.pope import PoPE
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
from locant.encodings.positions_nd import folded, grid, mrope, stacked
from locant.encodings.published import QueryScale, from_config
from locant.encodings.relative import Deberta, Shaw, TransformerXL, deberta_bucket
from locant.encodings.rotary import Rotary, rotate
from locant.encodings.rotary_content import ContextualRotary, RotaryByContent, SelectiveRotary
from locant.encodings.rotary_fourier import FourierRotary
from locant.encodings.rotary_lie import CayleyString, Grape, Liere
from locant.encodings.rotary_mixed import RotaryMixed
from locant.encodings.rotary_parameters import rotary_from_parameters
from locant.encodings.rotary_values import RotaryValues
from locant.encodings.rotary_xpos import XPos
from locant.encodings.temperature import LengthTemperature, ScalableSoftmax
from locant.encodings.untied import DietAbs, Tupe

__all__ = [
    "LEFT_OUT",
    "PADDING",
    "T5",
    "Absent",
    "Add",
    "Alibi",
    "Axial",
    "Bam",
    "Beside",
    "Binary",
    "Bind",
    "Builder",
    "CayleyString",
    "Chain",
    "Code",
    "Concat",
    "ConcatMlp",
    "ConcatProject",
    "ContextualRotary",
    "Cope",
    "Dape",
    "DapeConvolution",
    "Deberta",
    "Decoupled",
    "DecoupledRotary",
    "DietAbs",
    "DietRel",
    "DistanceBank",
    "Entry",
    "Fire",
    "Forgetting",
    "Fourier",
    "FourierRotary",
    "Gate",
    "Grape",
    "GrapeAdditive",
    "Inject",
    "KerpleLog",
    "KerplePower",
    "Layout",
    "LearnableFourier",
    "Learned",
    "LearnedGrid",
    "LengthTemperature",
    "Liere",
    "MaskMod",
    "MatchedAdd",
    "Mix",
    "MlpBias",
    "Multiply",
    "OnAxis",
    "Pairs",
    "Path",
    "PerLayer",
    "PoPE",
    "PositionalEncoding",
    "QueryScale",
    "Random",
    "Rotary",
    "RotaryByContent",
    "RotaryMixed",
    "RotaryValues",
    "Sandwich",
    "ScalableSoftmax",
    "ScaledAdd",
    "ScoreMod",
    "SelectiveRotary",
    "SelfExtend",
    "Shape",
    "Shaw",
    "Sinusoidal",
    "TransformerXL",
    "Tupe",
    "XPos",
    "abacus",
    "alibi_slopes",
    "bilevel",
    "bind",
    "build",
    "canonical",
    "cape",
    "catalogue",
    "centred",
    "contiguous",
    "deberta_bucket",
    "folded",
    "from_config",
    "from_mask",
    "grid",
    "half_to_interleaved",
    "interleaved_to_half",
    "left_padded",
    "mrope",
    "on_axes",
    "one_axis",
    "packed",
    "randomised",
    "randomly_shifted",
    "rotary_from_parameters",
    "rotate",
    "shifted",
    "stacked",
    "stretched",
    "stretched_to",
    "t5_bucket",
    "unbind",
    "without",
]
