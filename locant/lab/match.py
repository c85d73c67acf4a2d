"""What is held equal: models of different encodings can agree in token width, total width, parameters or FLOPs.

The answer to "add or concatenate?" depends on which, so the report always says which was held and which was not.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from locant.encodings import Builder, build
from locant.lab.budget import Cost, cost

MODES = {
    "total": ("token and position columns together", "token width, parameters, FLOPs"),
    "token": ("token columns", "total width, parameters, FLOPs"),
    "parameters": ("parameters (by the MLPs' hidden width) and token columns", "total width, FLOPs"),
    "flops": ("FLOPs per token (by the MLPs' hidden width) and token columns", "total width, parameters"),
}
"""Mode: what is held equal, and what is not."""


@dataclass(frozen=True)
class Size:
    """What ``--match`` starts from: ``width`` columns, and ``columns`` of position for encodings that have them."""

    width: int
    heads: int
    layers: int
    columns: int
    context: int
    batch: int


@dataclass(frozen=True)
class Fitted:
    """An encoding's model: ``width`` of the stream, of which ``token_width`` for tokens; ``position_width`` columns of
    position, in the stream or beside it; ``hidden`` width of the MLPs; and what it costs."""

    width: int
    token_width: int
    position_width: int
    hidden: int
    cost: Cost


def fit(encoding: str, mode: str, size: Size, vocabulary: int, target: Cost | None = None,
        extra: Mapping[str, Builder] | None = None) -> Fitted:  # fmt: skip
    """The model of an encoding under a way of matching.

    total: stream and columns beside it have ``size.width`` columns together. token: the token has ``size.width``.
    In both the MLPs are 4 times as wide as the stream, and at least 4 ``size.width``.
    parameters, flops: as token, and the hidden width makes up the difference to ``target``, the cost of the reference
    with its usual hidden width (None for the reference itself); the nearest whole width is taken.
    Raises ValueError if no such model exists: columns that do not divide by the heads, no hidden width left, a table
    of fewer positions than the context.
    """
    if mode not in MODES:
        raise ValueError(f"expected to match {', '.join(MODES)}, was: {mode!r}")
    appended, beside = _columns(encoding, size, extra)
    width = size.width - beside if mode == "total" else size.width + appended
    if width <= appended or width % size.heads:
        told = f"{width} columns ({size.width} by {mode} width, {appended} appended, {beside} beside)"
        raise ValueError(f"expected a stream that divides by the {size.heads} heads for {encoding}, was: {told}")
    hidden = 4 * max(width, size.width)

    def price(hidden: int) -> Cost:
        return cost(encoding, width=width, heads=size.heads, layers=size.layers, hidden=hidden, columns=size.columns,
                    context=size.context, batch=size.batch, vocabulary=vocabulary, extra=extra)  # fmt: skip

    if target is not None and mode in ("parameters", "flops"):
        hidden = _hidden(encoding, mode, target, price(hidden), price(2 * hidden), hidden)
    return Fitted(width, width - appended, appended + beside, hidden, price(hidden))


def _columns(encoding: str, size: Size, extra: Mapping[str, Builder] | None) -> tuple[int, int]:
    """Columns that the encoding appends to the stream, and the most that a layer reads beside it.

    Raises ValueError if the encoding cannot represent every position of the context.
    """
    made = build(encoding, width=size.width, heads=size.heads, layers=size.layers, length=size.context,
                 columns=size.columns, extra=extra)  # fmt: skip
    if made.limit is not None and made.limit < size.context:
        wanted = f"expected {encoding} to have at least the {size.context} positions of the context"
        raise ValueError(f"{wanted}, was: a limit of {made.limit}")
    return made.extra_width, max(made.layer(index).beside_width for index in range(size.layers))


def _hidden(encoding: str, mode: str, target: Cost, once: Cost, twice: Cost, hidden: int) -> int:
    """Solves for the hidden width: both costs are linear in it."""
    name = "parameters" if mode == "parameters" else "flops_per_token"
    each = (getattr(twice, name) - getattr(once, name)) / hidden
    fitted = round(hidden + (getattr(target, name) - getattr(once, name)) / each)
    if fitted < 1:
        wanted = f"at most {getattr(target, name):.0f} {name} without any hidden width"
        raise ValueError(f"expected {encoding} to need {wanted}, was: {getattr(once, name) - each * hidden:.0f}")
    return fitted
