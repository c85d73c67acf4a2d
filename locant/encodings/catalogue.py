"""Every encoding under its name, with its formula, source and limits; and the way from an expression to a module."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from locant.encodings.base import Chain, PerLayer, PositionalEncoding
from locant.encodings.biases import T5, Alibi
from locant.encodings.codes import Code, Fourier, Learned, Random, Sinusoidal
from locant.encodings.expression import Builder, MakeCode, Parser, Shape, canonical
from locant.encodings.inputs import Add, Beside, Concat, ConcatProject, Gate, ScaledAdd
from locant.encodings.rotary import Rotary


def _columns(shape: Shape, width: int | None) -> int:
    """Columns of position apart from those of the token, unless the expression says how many."""
    columns = shape.position_columns if width is None else width
    if columns < 1:
        raise ValueError(f"expected at least 1 position column, was: {columns}")
    return columns


def _matched(shape: Shape, code: Code, scale: float | None) -> float:
    """``scale``; unless given, the one that makes position vectors as large as token vectors at the start.

    Those are taken to have the standard deviation ``width ** -0.5``, as in ``locant.decoder``.
    """
    if scale is not None:
        return scale
    return shape.width**-0.5 / code.rms if code.rms else 1.0  # a table of zeros matches nothing


def none(shape: Shape) -> PositionalEncoding:
    return PositionalEncoding()


def add(shape: Shape, code: MakeCode, *, scale: float | None = None) -> Add:
    made = code(shape.width)
    return Add(made, scale=_matched(shape, made, scale))


def scaled_add(shape: Shape, code: MakeCode, *, initial: float | None = None) -> ScaledAdd:
    made = code(shape.width)
    return ScaledAdd(made, initial=_matched(shape, made, initial))


def concat(shape: Shape, code: MakeCode, *, width: int | None = None, scale: float | None = None) -> Concat:
    columns = _columns(shape, width)
    if columns >= shape.width:
        raise ValueError(f"expected fewer position columns than the width {shape.width}, was: {columns}")
    made = code(columns)
    return Concat(made, scale=_matched(shape, made, scale))


def concat_project(
    shape: Shape, code: MakeCode, *, width: int | None = None, scale: float | None = None
) -> ConcatProject:
    made = code(shape.width if width is None else width)
    return ConcatProject(made, shape.width, scale=_matched(shape, made, scale))


def gate(shape: Shape, code: MakeCode, *, scale: float | None = None) -> Gate:
    made = code(shape.width)
    return Gate(made, shape.width, scale=_matched(shape, made, scale))


def beside(shape: Shape, code: MakeCode, *, width: int | None = None) -> Beside:
    return Beside(code(_columns(shape, width)))


def rotary(shape: Shape, *, base: float = 10_000.0, fraction: float = 1.0, layout: str = "half") -> Rotary:
    return Rotary(shape.head_width, base=base, fraction=fraction, layout=layout)


def alibi(shape: Shape) -> Alibi:
    return Alibi(shape.heads)


def t5(shape: Shape, *, buckets: int = 32, max_distance: int = 128) -> T5:
    return T5(shape.heads, buckets=buckets, max_distance=max_distance)


def per_layer(shape: Shape, *cycle: PositionalEncoding) -> PerLayer:
    return PerLayer(*cycle)


def learned(shape: Shape, width: int, *, limit: int | None = None, std: float | None = None) -> Learned:
    return Learned(shape.table(limit), width, std=shape.width**-0.5 if std is None else std)


def sinusoidal(shape: Shape, width: int, *, base: float = 10_000.0, layout: str = "interleaved") -> Sinusoidal:
    return Sinusoidal(width, base=base, layout=layout)


def random(shape: Shape, width: int, *, limit: int | None = None, std: float | None = None, seed: int = 0) -> Random:
    return Random(shape.table(limit), width, std=shape.width**-0.5 if std is None else std, seed=seed)


def fourier(shape: Shape, width: int, *, limit: int | None = None) -> Fourier:
    return Fourier(shape.table(limit), width)


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue. ``example`` is an expression that builds it."""

    name: str
    example: str
    formula: str
    source: str
    acts_on: str
    parameters: str
    limit: str
    shift_invariant: bool | None
    builder: Any

    def summary(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key != "builder"}


_CODE = "that of the code"
_ENTRIES = [
    Entry("none", "none", "h = x", "arXiv:2203.16634", "nothing", "0", "none", True, none),
    Entry("add", "add(learned)", "h = x + s p", "arXiv:1706.03762 §3.5", "input", "0", _CODE, False, add),
    Entry("scaled_add", "scaled_add(sinusoidal)", "h = x + g p", "arXiv:1809.08895 eq. 1", "input", "1", _CODE, False,
          scaled_add),
    Entry("concat", "concat(learned)", "h = [x ; s p]", "folklore; arXiv:2103.03206 §3.2", "input", "0", _CODE, False,
          concat),
    Entry("concat_project", "concat_project(learned)", "h = W [x ; s p]", "arXiv:2601.05807", "input",
          "width (width + code width)", _CODE, False, concat_project),
    Entry("gate", "gate(learned)", "h = g x + (1 - g) s p, g = sigmoid(w [x ; s p] + b)", "arXiv:2601.05807", "input",
          "2 width + 1", _CODE, False, gate),
    Entry("beside", "beside(learned)", "W [x ; z] = W_x x + W_z z, z read by all layers, written by none", "locant",
          "every projection", "code width x outputs, per projection", _CODE, False, beside),
    Entry("rotary", "rotary", "s = (R(i) q)' (R(j) k)", "arXiv:2104.09864 eq. 15, 34", "queries and keys", "0", "none",
          True, rotary),
    Entry("alibi", "alibi", "s - m_h |i - j|", "arXiv:2108.12409 §3", "scores", "0", "none", True, alibi),
    Entry("t5", "t5", "s + B[bucket(i - j), h]", "arXiv:1910.10683 §2.1", "scores", "buckets x heads", "none", True,
          t5),
    Entry("per_layer", "per_layer(rotary, rotary, none)", "layer l uses cycle[l mod n]", "arXiv:2501.18795 §3",
          "what its parts act on", "those of its parts", "that of its parts", None, per_layer),
]  # fmt: skip
_CODE_ENTRIES = [
    Entry("sinusoidal", "add(sinusoidal)", "p = sin(i w_c), cos(i w_c), w_c = base^(-2c/width)",
          "arXiv:1706.03762 §3.5", "code", "0", "none", False, sinusoidal),
    Entry("learned", "add(learned)", "p = P[i]", "arXiv:1705.03122 §3.1", "code", "limit x width", "limit", False,
          learned),
    Entry("random", "add(random)", "p ~ N(0, std^2), fixed", "control", "code", "0", "limit", False, random),
    Entry("fourier", "add(fourier)", "p = sin(pi f_k z), cos(pi f_k z), z = 2i/(limit-1) - 1",
          "arXiv:2103.03206 §3.2", "code", "0", "none", False, fourier),
]  # fmt: skip


def catalogue() -> dict[str, Entry]:
    """Every encoding by name, then every code (which stands in ``add``, ``concat``, ``beside`` ...)."""
    return {entry.name: entry for entry in [*_ENTRIES, *_CODE_ENTRIES]}


def build(
    expression: str,
    *,
    width: int,
    heads: int,
    layers: int = 1,
    length: int | None = None,
    columns: int | None = None,
    extra: Mapping[str, Builder] | None = None,
) -> PositionalEncoding:
    """The encoding that an expression names, such as ``"add(learned) + per_layer(rotary, none)"``.

    width: of the residual stream, the columns that ``concat`` appends included; the columns of ``beside`` come on top.
    length: rows of tables whose expression has no ``limit=``.
    columns: position columns of ``concat`` and ``beside`` without ``width=``; a quarter of the width unless given.
    Position vectors without ``scale=``, ``initial=`` or ``std=`` start as large as token vectors of standard deviation
    ``width ** -0.5``, as those of ``locant.decoder``; pass ``scale=1`` for the formula as the paper has it.
    extra: builders of your own by name, ``builder(shape, **options)``.
    Raises ValueError naming the bad part and the valid names.
    """
    shape = Shape(width, heads, layers, length, columns)
    encodings: dict[str, Builder] = {entry.name: entry.builder for entry in _ENTRIES}
    for name in extra or {}:
        if name in encodings:
            raise ValueError(f"expected a name that is still free, was: {name!r}")
    codes = {entry.name: entry.builder for entry in _CODE_ENTRIES}
    encoding = Parser(shape, {**encodings, **(extra or {})}, codes).build(expression)
    if encoding.extra_width >= width:
        raise ValueError(f"expected fewer position columns than the width {width}, was: {encoding.extra_width}")
    return encoding


__all__ = ["Chain", "Code", "Entry", "Shape", "build", "canonical", "catalogue"]
