"""Every encoding under its name, with its formula, source and limits; and the way from an expression to a module."""

from collections.abc import Mapping

from locant.encodings.base import PositionalEncoding
from locant.encodings.entries import biases, codes, distances, inputs, rotary, rotary_learned, schedules
from locant.encodings.entries.entry import Entry
from locant.encodings.expression import Builder, Parser, Shape

_ENTRIES = [
    *schedules.ENTRIES, *inputs.ENTRIES, *rotary.ENTRIES, *rotary_learned.ENTRIES, *biases.ENTRIES, *distances.ENTRIES
]  # fmt: skip


def catalogue() -> dict[str, Entry]:
    """Every encoding by name, then every code (which stands in ``add``, ``concat``, ``beside`` ...)."""
    return {entry.name: entry for entry in [*_ENTRIES, *codes.ENTRIES]}


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
    named_codes = {entry.name: entry.builder for entry in codes.ENTRIES}
    encoding = Parser(shape, {**encodings, **(extra or {})}, named_codes).build(expression)
    if encoding.extra_width >= width:
        raise ValueError(f"expected fewer position columns than the width {width}, was: {encoding.extra_width}")
    return encoding
