"""Verdicts from a handful of seeds: paired t intervals, equivalence and adjusted p-values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Better = Literal["lower", "higher"]
FURTHEST = 1000  # more seeds than this is no plan, so none is proposed


@dataclass(frozen=True)
class Verdict:
    """What the seeds say about one encoding against the reference.

    `difference` is the mean of encoding minus reference, in the units of the metric; `interval` its paired t interval
    (None with one seed); `verdict` is better, worse, equivalent or undecided; `more_seeds` is about how many seeds an
    undecided comparison still needs, None where that is not known or above 1000.
    """

    difference: float
    interval: tuple[float, float] | None
    verdict: str
    more_seeds: int | None


def paired(
    differences: Sequence[float], *, comparisons: int, margin: float, better: Better, confidence: float = 0.95
) -> Verdict:
    """Judge per-seed paired differences, encoding minus reference, as one of `comparisons` made side by side.

    With n seeds, mean m, standard deviation s and a = (1 - confidence) / comparisons (Bonferroni):

    - interval: m -+ t(1 - a/2; n - 1) s / sqrt(n). All intervals hold together with probability `confidence`.
    - equivalent: two one-sided tests, each at the same level a, which is to say that
      m -+ t(1 - a; n - 1) s / sqrt(n) lies inside [-margin, margin]. Schuirmann 1987, section 3. A false "equivalent"
      is therefore as rare, over all comparisons, as a false "better" or "worse".
    - better or worse: the interval excludes zero.
    - undecided: neither. `more_seeds` is the smallest number of further seeds at which, were m and s to stay as they
      are, the interval would exclude zero or the equivalence interval would fit; None above 1000.

    `equivalent` takes precedence: a difference that is real but smaller than the margin is called equivalent. One seed
    has no spread to judge by: the interval is None and the verdict undecided. Equal differences give an interval of
    width zero. `margin` is an absolute number in the units of the metric; at 0 only identical results are equivalent.

    Raises:
        ValueError: for no or non-finite differences, fewer than 1 comparison, a negative or non-finite margin, a
            confidence outside (0, 1), or an unknown `better`.
    """
    _check(differences, comparisons, margin, better, confidence)
    count, level = len(differences), (1 - confidence) / comparisons
    if count == 1:
        return Verdict(float(differences[0]), None, "undecided", None)
    mean, deviation = _moments(differences)
    half = deviation * _width(count, level / 2).item()
    interval = (mean - half, mean + half)
    if abs(mean) + deviation * _width(count, level).item() <= margin:
        return Verdict(mean, interval, "equivalent", None)
    if abs(mean) > half:
        return Verdict(mean, interval, "better" if (mean < 0) == (better == "lower") else "worse", None)
    return Verdict(mean, interval, "undecided", _more_seeds(mean, deviation, count, level, margin))


def interval(differences: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """The paired t interval of one comparison by itself: m -+ t(1 - (1 - confidence) / 2; n - 1) s / sqrt(n).

    Raises:
        ValueError: for fewer than 2 differences, non-finite ones, or a confidence outside (0, 1).
    """
    if len(differences) < 2:
        raise ValueError(f"expected at least 2 differences, was: {len(differences)}")
    _check(differences, 1, 0.0, "lower", confidence)
    mean, deviation = _moments(differences)
    half = deviation * _width(len(differences), (1 - confidence) / 2).item()
    return mean - half, mean + half


def _moments(differences: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation; of equal differences exactly, as rounding must neither widen nor move them."""
    if min(differences) == max(differences):
        return float(differences[0]), 0.0
    return float(np.mean(differences)), float(np.std(differences, ddof=1))


def _check(differences: Sequence[float], comparisons: int, margin: float, better: str, confidence: float) -> None:
    if len(differences) == 0:
        raise ValueError("expected at least one difference, was: none")
    for difference in differences:
        if not math.isfinite(difference):
            raise ValueError(f"expected finite differences, was: {difference}")
    if comparisons < 1:
        raise ValueError(f"expected at least 1 comparison, was: {comparisons}")
    if not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"expected a finite margin of at least 0, was: {margin}")
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, was: {confidence}")
    _check_better(better)


def _check_better(better: str) -> None:
    if better not in get_args(Better):
        raise ValueError(f"expected better to be lower or higher, was: {better}")


def _width(counts: np.ndarray | int, tail: float) -> np.ndarray:
    """Half-width of a t interval for each count of seeds, in units of the standard deviation."""
    from scipy.special import stdtrit

    return -stdtrit(np.asarray(counts) - 1, tail) / np.sqrt(counts)


def _more_seeds(mean: float, deviation: float, count: int, level: float, margin: float) -> int | None:
    counts = np.arange(count + 1, count + FURTHEST + 1)
    away = abs(mean) > deviation * _width(counts, level / 2)
    near = abs(mean) + deviation * _width(counts, level) <= margin
    decided = away | near
    return int(np.argmax(decided)) + 1 if decided.any() else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number by Holm's step-down rule (Holm 1979); reject where adjusted <= level.

    The i-th smallest of m becomes the running maximum of (m - i + 1) p, at most 1. Returned in the order given.

    Raises:
        ValueError: for a p-value outside [0, 1].
    """
    for p_value in p_values:
        if not 0 <= p_value <= 1:
            raise ValueError(f"expected p-values between 0 and 1, was: {p_value}")
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def ranks(values: Mapping[str, float], better: Better) -> list[str]:
    """Names from best to worst; equal values keep the order of the mapping.

    Raises:
        ValueError: for a value that is not a number, or an unknown `better`.
    """
    _check_better(better)
    for name, value in values.items():
        if math.isnan(value):
            raise ValueError(f"expected a number to rank for {name}, was: {value}")
    return sorted(values, key=lambda name: values[name] if better == "lower" else -values[name])
