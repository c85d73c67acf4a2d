"""Encodings of the input, by name."""

from locant.encodings.base import PositionalEncoding
from locant.encodings.binding import Bind, Multiply
from locant.encodings.codes import Code
from locant.encodings.composition import PerLayer
from locant.encodings.entries.entry import OF_THE_CODE, Entry, columns_of, matched
from locant.encodings.expression import MakeCode, Shape
from locant.encodings.inject import Inject
from locant.encodings.inputs import Add, Beside, Concat, ConcatProject, Gate, MatchedAdd, ScaledAdd
from locant.encodings.mix import ConcatMlp, Mix


def add(shape: Shape, code: MakeCode, *, scale: float | None = None) -> Add:
    made = code(shape.width)
    return Add(made, scale=matched(shape, made, scale))


def scaled_add(shape: Shape, code: MakeCode, *, initial: float | None = None) -> ScaledAdd:
    made = code(shape.width)
    return ScaledAdd(made, initial=matched(shape, made, initial))


def concat(shape: Shape, code: MakeCode, *, width: int | None = None, scale: float | None = None) -> Concat:
    columns = columns_of(shape, width)
    if columns >= shape.width:
        raise ValueError(f"expected fewer position columns than the width {shape.width}, was: {columns}")
    made = code(columns)
    return Concat(made, scale=matched(shape, made, scale))


def concat_project(
    shape: Shape, code: MakeCode, *, width: int | None = None, scale: float | None = None
) -> ConcatProject:
    made = code(shape.width if width is None else width)
    return ConcatProject(made, shape.width, scale=matched(shape, made, scale))


def gate(shape: Shape, code: MakeCode, *, scale: float | None = None) -> Gate:
    made = code(shape.width)
    return Gate(made, shape.width, scale=matched(shape, made, scale))


def mix(
    shape: Shape, code: MakeCode, *, start: str = "add", width: int | None = None, scale: float | None = None
) -> Mix:
    if start == "add" and width is not None:
        raise ValueError(f"expected width of mix only with start=concat, was: {width}")
    made = code(columns_of(shape, width) if start == "concat" else shape.width)
    return Mix(made, shape.width, start=start, scale=matched(shape, made, scale))


def concat_mlp(
    shape: Shape, code: MakeCode, *, width: int | None = None, hidden: int | None = None, scale: float | None = None
) -> ConcatMlp:
    made = code(shape.width if width is None else width)
    return ConcatMlp(made, shape.width, hidden=hidden, scale=matched(shape, made, scale))


def matched_add(shape: Shape, code: MakeCode, *, scale: float = 1.0) -> MatchedAdd:
    return MatchedAdd(code(shape.width), scale=scale)


def multiply(shape: Shape, code: MakeCode, *, scale: float | None = None) -> Multiply:
    made = code(shape.width)
    if scale is None:  # gains of mean square 1 leave the tokens as large as they are
        scale = 1 / made.rms if made.rms else 1.0
    return Multiply(made, scale=scale)


def bind(shape: Shape, code: MakeCode, *, scale: float | None = None) -> Bind:
    made = code(shape.width)
    return Bind(made, scale=matched(shape, made, scale))


def _for_each_layer(shape: Shape, make: MakeCode, width: int) -> list[Code]:
    codes = [make(width) for _ in range(shape.layers)]
    if not any(True for _ in codes[0].parameters()):
        raise ValueError(f"expected a code that is learned for per_layer=True, was: {type(codes[0]).__name__}")
    return codes


def inject(shape: Shape, code: MakeCode, *, scale: float | None = None, per_layer: bool = False) -> PositionalEncoding:
    codes = _for_each_layer(shape, code, shape.width) if per_layer else [code(shape.width)]
    made = [Inject(each, scale=matched(shape, each, scale)) for each in codes]
    return PerLayer(*made) if per_layer else made[0]


def beside(shape: Shape, code: MakeCode, *, width: int | None = None, per_layer: bool = False) -> PositionalEncoding:
    columns = columns_of(shape, width)
    if per_layer:
        return PerLayer(*[Beside(each) for each in _for_each_layer(shape, code, columns)])
    return Beside(code(columns))


ENTRIES = [
    Entry("add", "add(learned)", "h = x + s p", "arXiv:1706.03762 §3.5", "input", "0", OF_THE_CODE, False, add),
    Entry("scaled_add", "scaled_add(sinusoidal)", "h = x + g p", "arXiv:1809.08895 eq. 1", "input", "1", OF_THE_CODE,
          False, scaled_add),
    Entry("concat", "concat(learned)", "h = [x ; s p]", "folklore; arXiv:2103.03206 §3.2", "input", "0",
          OF_THE_CODE, False, concat),
    Entry("concat_project", "concat_project(learned)", "h = W [x ; s p]", "arXiv:2601.05807", "input",
          "width (width + code width)", OF_THE_CODE, False, concat_project),
    Entry("gate", "gate(learned)", "h = g x + (1 - g) s p, g = sigmoid(w [x ; s p] + b)", "arXiv:2601.05807", "input",
          "2 width + 1", OF_THE_CODE, False, gate),
    Entry("mix", "mix(learned)", "h = W [x ; s p], W starts as [I, I] (add) or as I (concat)", "locant", "input",
          "width (token width + code width)", OF_THE_CODE, False, mix),
    Entry("concat_mlp", "concat_mlp(learned)", "h = W_2 relu(W_1 [x ; s p] + b_1) + b_2", "arXiv:2601.05807", "input",
          "hidden (2 width + code width + 1) + width", OF_THE_CODE, False, concat_mlp),
    Entry("matched_add", "matched_add(learned)", "h = x + s rms(x) p / rms(p)", "locant", "input", "0", OF_THE_CODE,
          False, matched_add),
    Entry("multiply", "multiply(learned)", "h = s p * x, column by column", "Gayler 1998", "input", "0", OF_THE_CODE,
          False, multiply),
    Entry("bind", "bind(learned)", "h = x (*) s p, circular convolution", "Plate 1995, IEEE TNN 6(3) §II", "input", "0",
          OF_THE_CODE, False, bind),
    Entry("inject", "inject(learned)", "x + s p at the entry of every layer", "arXiv:1807.03819 §2.1",
          "the stream, in every layer", "0", OF_THE_CODE, False, inject),
    Entry("beside", "beside(learned)", "W [x ; z] = W_x x + W_z z, z read by all layers, written by none", "locant",
          "every projection", "code width x outputs, per projection", OF_THE_CODE, False, beside),
]  # fmt: skip
