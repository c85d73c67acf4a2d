"""Biases on the scores, and what else enters there, by name."""

from locant.encodings.base import PositionalEncoding
from locant.encodings.biases import T5, Alibi
from locant.encodings.biases_adaptive import Bam, DapeConvolution, GrapeAdditive
from locant.encodings.biases_distance import DietRel, KerpleLog, KerplePower, Sandwich
from locant.encodings.biases_mlp import Dape, Fire, MlpBias
from locant.encodings.contextual import Cope, DistanceBank
from locant.encodings.entries.entry import OF_THE_CODE, Entry
from locant.encodings.expression import MakeCode, Shape
from locant.encodings.gates import Forgetting
from locant.encodings.relative import Deberta, Shaw, TransformerXL
from locant.encodings.temperature import LengthTemperature, ScalableSoftmax
from locant.encodings.untied import DietAbs, Tupe


def alibi(shape: Shape, *, ahead: float = 1.0) -> Alibi:
    return Alibi(shape.heads, ahead=ahead)


def t5(shape: Shape, *, buckets: int = 32, max_distance: int = 128, bidirectional: bool = False) -> T5:
    return T5(shape.heads, buckets=buckets, max_distance=max_distance, bidirectional=bidirectional)


def kerple_log(shape: Shape) -> KerpleLog:
    return KerpleLog(shape.heads)


def kerple_power(shape: Shape) -> KerplePower:
    return KerplePower(shape.heads)


def sandwich(shape: Shape, *, width: int = 128, base: float = 10_000.0) -> Sandwich:
    return Sandwich(shape.heads, width=width, base=base)


def fire(shape: Shape, *, hidden: int = 32, rate: float = 0.1, threshold: float = 512.0) -> Fire:
    return Fire(shape.heads, hidden=hidden, rate=rate, threshold=threshold)


def mlp_bias(shape: Shape, *, hidden: int = 32, logarithmic: bool = True) -> MlpBias:
    return MlpBias(shape.heads, hidden=hidden, logarithmic=logarithmic)


def dape(shape: Shape, bias: PositionalEncoding, *, hidden: int = 32) -> Dape:
    return Dape(bias, shape.heads, hidden=hidden)


def dape_v2(shape: Shape, bias: PositionalEncoding, *, hidden: int = 32, kernel: int = 3) -> DapeConvolution:
    return DapeConvolution(bias, shape.heads, hidden=hidden, kernel=kernel)


def bam(shape: Shape) -> Bam:
    return Bam(shape.heads)


def grape_additive(shape: Shape) -> GrapeAdditive:
    return GrapeAdditive(shape.heads, shape.head_width)


def diet_rel(shape: Shape, *, limit: int | None = None, bidirectional: bool = False) -> DietRel:
    return DietRel(shape.table(limit), shape.heads, bidirectional=bidirectional)


def diet_abs(shape: Shape, *, limit: int | None = None, rank: int | None = None) -> DietAbs:
    return DietAbs(shape.table(limit), shape.heads, shape.head_width, rank=shape.head_width if rank is None else rank)


def tupe(shape: Shape, code: MakeCode, *, scale: float | None = None, cls: int | None = None) -> Tupe:
    made = code(shape.width)
    if scale is None:
        scale = 1 / made.rms if made.rms else 1.0
    return Tupe(made, shape.heads, shape.head_width, scale=scale, cls=cls)


def shaw(shape: Shape, *, furthest: int = 16, bidirectional: bool = False, values: bool = False) -> Shaw:
    return Shaw(shape.head_width, furthest=furthest, bidirectional=bidirectional, values=values)


def transformer_xl(shape: Shape, *, width: int | None = None, base: float = 10_000.0) -> TransformerXL:
    return TransformerXL(shape.heads, shape.head_width, shape.width if width is None else width, base=base)


def deberta(shape: Shape, *, span: int = 64, max_distance: int | None = None, released: bool = False) -> Deberta:
    return Deberta(shape.heads, shape.head_width, shape.width, span=span, max_distance=max_distance, released=released)


def cope(shape: Shape, *, furthest: int = 64) -> Cope:
    return Cope(shape.head_width, furthest=furthest)


def distance_bank(shape: Shape, *, profiles: int = 16, extent: int = 128) -> DistanceBank:
    return DistanceBank(shape.width, shape.heads, profiles=profiles, extent=extent)


def forgetting(shape: Shape, *, initial: float = 0.0) -> Forgetting:
    return Forgetting(shape.width, shape.heads, initial=initial)


def ssmax(shape: Shape, *, initial: float = 0.43) -> ScalableSoftmax:
    return ScalableSoftmax(shape.heads, initial=initial)


def length_temperature(
    shape: Shape, *, rate: float = 0.1, every: float = 8192.0, smooth: bool = False
) -> LengthTemperature:
    return LengthTemperature(rate=rate, every=every, smooth=smooth)


ENTRIES = [
    Entry("alibi", "alibi", "s - m_h |i - j|", "arXiv:2108.12409 §3", "scores", "0", "none", True, alibi),
    Entry("t5", "t5", "s + B[bucket(i - j), h]", "arXiv:1910.10683 §2.1", "scores", "buckets x heads", "none", True,
          t5),
    Entry("kerple_log", "kerple_log", "s - r1_h log(1 + r2_h |i - j|)", "arXiv:2205.09921 §4", "scores",
          "2 heads", "none", True, kerple_log),
    Entry("kerple_power", "kerple_power", "s - r1_h |i - j|^r2_h", "arXiv:2205.09921 §4", "scores", "2 heads",
          "none", True, kerple_power),
    Entry("sandwich", "sandwich", "s + H/(8h) sum_c cos((i - j) w_c)", "arXiv:2212.10356 §5", "scores", "0", "none",
          True, sandwich),
    Entry("fire", "fire(threshold=16)", "s + f_h(psi(|i - j|) / psi(max(L, i))), psi(z) = log(1 + |c z|)",
          "arXiv:2310.04418 §3", "scores", "hidden (2 + heads) + heads + 2", "none", False, fire),
    Entry("mlp_bias", "mlp_bias", "s + f_h(sign(i - j) log(1 + |i - j|))", "arXiv:2111.09883 eq. 3, 4", "scores",
          "hidden (2 + heads) + heads", "none", True, mlp_bias),
    Entry("dape", "dape(kerple_log)", "s + b + f([a ; b]), a = q'k, b another bias, f over heads",
          "arXiv:2405.14722 §3", "scores", "those of its part + hidden (3 heads + 1) + heads", "that of its part",
          None, dape),
    Entry("dape_v2", "dape_v2(kerple_log)", "s + b + f([a ; b]), f two convolutions along the keys",
          "arXiv:2410.04798", "scores", "those of its part + hidden (3 kernel heads + 1) + heads", "that of its part",
          None, dape_v2),
    Entry("bam", "bam", "s - exp(a_h) |i - j + m_h|^b_h", "arXiv:2505.22842", "scores", "3 heads", "none", True,
          bam),
    Entry("grape_additive", "grape_additive", "s - m_h softplus(w_h) softplus(u_h'k_j / sqrt(d)) (i - j)",
          "arXiv:2512.07805", "scores", "heads (head width + 1)", "none", True, grape_additive),
    Entry("diet_rel", "diet_rel", "s + R[i - j, h]", "arXiv:2104.08698 §3", "scores", "limit x heads", "limit",
          True, diet_rel),
    Entry("diet_abs", "diet_abs(rank=4)", "s + P_Q[i] . P_K[j]", "arXiv:2104.08698 §3", "queries and keys",
          "2 limit x rank x heads", "limit", False, diet_abs),
    Entry("tupe", "tupe(learned)", "s = (q'k + (p_i U_Q)'(p_j U_K)) / sqrt(2 d)", "arXiv:2006.15595 eq. 7, 8, 10",
          "queries and keys", "2 width x code width", OF_THE_CODE, False, tupe),
    Entry("shaw", "shaw", "s + q'a[i - j]; out + sum_j w_ij c[i - j]", "arXiv:1803.02155 eq. 3, 4",
          "scores, and values", "(furthest + 1) x head width, twice with values", "none", True, shaw),
    Entry("transformer_xl", "transformer_xl", "s = (q + u)'k + (q + w)'W r(i - j)", "arXiv:1901.02860 §3.3",
          "queries and keys", "heads x head width x (code width + 2)", "none", True, transformer_xl),
    Entry("deberta", "deberta(span=8)", "s = (q'k + q'K[i - j] + k'Q[j - i]) / sqrt(3 d)", "arXiv:2006.03654 eq. 3, 4",
          "queries, scores", "2 span x width + 2 width^2", "none", True, deberta),
    Entry("cope", "cope", "s + q'e[p_ij], p_ij = sum of sigmoid(s_it) over t = j .. i", "arXiv:2405.18719 eq. 3-6",
          "scores", "(furthest + 1) x head width", "none", True, cope),
    Entry("distance_bank", "distance_bank", "s + r_i'bank[:, i - j] where 0 <= i - j < extent, r = W x",
          "Inkling, in Hugging Face transformers", "scores", "profiles (heads x width + extent)", "none", True,
          distance_bank),
    Entry("forgetting", "forgetting", "s + sum of log sigmoid(W x_l + b) over l = j + 1 .. i",
          "arXiv:2503.02130 eq. 4, 5", "scores", "heads (width + 1)", "none", True, forgetting),
    Entry("ssmax", "ssmax", "s_h log(i + 1) q_i", "arXiv:2501.19399 eq. 2", "queries", "heads", "none", False, ssmax),
    Entry("length_temperature", "length_temperature(every=8)", "(1 + rate log(1 + floor((i + 1) / every))) q_i",
          "Llama 4, in Hugging Face transformers", "queries", "0", "none", False, length_temperature),
]  # fmt: skip
