"""Encodings of the input, by name."""

from locant.encodings.entries.entry import OF_THE_CODE, Entry, columns_of, matched
from locant.encodings.expression import MakeCode, Shape
from locant.encodings.inputs import Add, Beside, Concat, ConcatProject, Gate, ScaledAdd


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


def beside(shape: Shape, code: MakeCode, *, width: int | None = None) -> Beside:
    return Beside(code(columns_of(shape, width)))


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
    Entry("beside", "beside(learned)", "W [x ; z] = W_x x + W_z z, z read by all layers, written by none", "locant",
          "every projection", "code width x outputs, per projection", OF_THE_CODE, False, beside),
]  # fmt: skip
