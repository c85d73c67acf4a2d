"""One measured number with what chance would give, how many things it rests on, and how sure it is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """A measured number, or None with the reason in `note`.

    `baseline` is what chance gives by the metric's own definition (None where there is no such number), `n` how many
    things the value rests on (rows, pairs, contexts: `note` says which), `interval` a 95 % interval (low, high).
    A not-a-number or an infinity is refused: a metric that cannot be measured has the value None and says why.

    Raises:
        ValueError: for a number that is not finite, a negative n, an interval whose ends are swapped, or a value of
            None without a note.
    """

    value: float | None
    baseline: float | None = None
    n: int = 0
    interval: tuple[float, float] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        for name, number in (("value", self.value), ("baseline", self.baseline)):
            if number is not None:
                object.__setattr__(self, name, _finite(name, number))
        if self.n < 0:
            raise ValueError(f"expected n of at least 0, was: {self.n}")
        if self.interval is not None:
            low, high = (_finite("interval", end) for end in self.interval)
            if low > high:
                raise ValueError(f"expected an interval (low, high), was: ({low}, {high})")
            object.__setattr__(self, "interval", (low, high))
        if self.value is None and not self.note:
            raise ValueError("expected a note that says why there is no value, was: none")

    def to_dict(self) -> dict[str, Any]:
        """The five fields, ready for JSON: `{"value", "baseline", "n", "interval", "note"}`."""
        interval = None if self.interval is None else list(self.interval)
        return {
            "value": self.value,
            "baseline": self.baseline,
            "n": self.n,
            "interval": interval,
            "note": self.note,
        }


def absent(reason: str, *, n: int = 0) -> Metric:
    """A metric that could not be measured, for this reason."""
    return Metric(None, n=n, note=reason)


def prefixed(prefix: str, metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """The same metrics under longer names: `prefixed("M2", {"overlap": m})` is `{"M2.overlap": m}`."""
    return {f"{prefix}.{name}": metric for name, metric in metrics.items()}


def _finite(name: str, number: float) -> float:
    number = float(number)  # a zero-dimensional tensor or a numpy number becomes plain
    if not math.isfinite(number):
        raise ValueError(f"expected a finite {name}, was: {number}")
    return number
