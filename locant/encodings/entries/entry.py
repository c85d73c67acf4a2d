"""What the catalogue says of an encoding, and what builders share."""

from dataclasses import asdict, dataclass
from typing import Any

from locant.encodings.codes import Code
from locant.encodings.expression import Shape

OF_THE_CODE = "that of the code"


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


def columns_of(shape: Shape, width: int | None) -> int:
    """Columns of position apart from those of the token, unless the expression says how many."""
    columns = shape.position_columns if width is None else width
    if columns < 1:
        raise ValueError(f"expected at least 1 position column, was: {columns}")
    return columns


def matched(shape: Shape, code: Code, scale: float | None) -> float:
    """``scale``; unless given, the one that makes position vectors as large as token vectors at the start.

    Those are taken to have the standard deviation ``width ** -0.5``, as in ``locant.decoder``.
    """
    if scale is not None:
        return scale
    return shape.width**-0.5 / code.rms if code.rms else 1.0  # a table of zeros matches nothing
