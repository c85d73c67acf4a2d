"""Estimates as text: a number with its interval and its method."""

import math
from collections.abc import Mapping
from typing import Any

from locant.report.words import MISSING, compact, grouped

Number = Mapping[str, Any]  # {"value", "low", "high", "method"} and, of simulations, "trials"


def probability(number: Number | None) -> str:
    """A probability to four places; nearer to 1 or 0, the distance from it: 0.9818, 1 − 3·10⁻⁵, 10⁻¹²."""
    return MISSING if number is None else _with_interval(number, share)


def share(value: float) -> str:
    """One probability without its interval."""
    if value in (0, 1):
        return f"{value:.0f}"
    if value > 0.99995:
        return "1" if 1 - value < 1e-12 else f"1 − {_power(1 - value)}"
    return _power(value) if value < 0.00005 else f"{value:.4f}"


def count(number: Number | None) -> str:
    """A count in full up to a million, beyond that to three figures."""
    return MISSING if number is None else _with_interval(number, whole)


def whole(value: float) -> str:
    """One count without its interval."""
    if abs(value) >= 1e15:
        return _power(value)
    return compact(value) if abs(value) >= 1e7 else grouped(value)


def real(number: Number | None) -> str:
    """Any other number to four figures."""
    return MISSING if number is None else _with_interval(number, figure)


def figure(value: float) -> str:
    """One number to four figures, in full up to a million."""
    if value == 0:
        return "0"
    if 1e4 <= abs(value) < 1e7:
        return grouped(value)
    return f"{value:.4g}".replace("-", "−") if 1e-3 <= abs(value) < 1e4 else _power(value)


def method(number: Number | None) -> str:
    """The method, with the number of trials where there are any."""
    if number is None:
        return MISSING
    trials = number.get("trials", 0)
    return f"{number['method']}, {grouped(trials)} trials" if trials else str(number["method"])


def _with_interval(number: Number, text: Any) -> str:
    value, low, high = (text(number[key]) for key in ("value", "low", "high"))
    return value if low == high == value else f"{value} [{low}, {high}]"


def _power(value: float) -> str:
    if not math.isfinite(value):
        return "no limit" if value > 0 else MISSING
    exponent = math.floor(math.log10(abs(value)))
    front = value / 10.0**exponent
    if f"{abs(front):.2g}" == "10":
        front, exponent = front / 10, exponent + 1
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    start = f"{front:.2g}".replace("-", "−")
    return f"10{raised}" if start == "1" else f"{start}·10{raised}"
